"""X-CLIP with random weights: probabilities are transformers' own, and names come in their order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from aotd.datasets.star import STAR_VERBS
from aotd.errors import UserError
from aotd.models.model_cache import ModelCache
from aotd.specialists import ActionConfig
from aotd.specialists.xclip import XCLIPRecogniser
from aotd.video.clip import Clip
from tests.specialists.pictures import Moving
from tests.specialists.tiny import write_checkpoint

NAMES = ["opening a door", "closing a book", "taking a cup", "holding the bag"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint("xclip", tmp_path_factory.mktemp("xclip"))


def recogniser(folder: Path, **more: Any) -> XCLIPRecogniser:
    return XCLIPRecogniser(ActionConfig(model=str(folder), **more), ModelCache())


def expected(folder: Path, clip: Clip, numbers: list[int], texts: list[str]) -> torch.Tensor:
    model: Any = transformers.XCLIPModel.from_pretrained(folder).eval()
    processor: Any = transformers.XCLIPProcessor(
        CLIPImageProcessorPil.from_pretrained(folder), transformers.AutoTokenizer.from_pretrained(folder)
    )
    frames = [clip.pixels(number) for number in numbers]
    pixels = processor(images=frames, return_tensors="pt")["pixel_values"][None]
    tokens = processor(text=texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        logits: torch.Tensor = model(pixel_values=pixels, **tokens).logits_per_video[0]
    return logits


@pytest.mark.parametrize(
    ("kept", "numbers"), [(None, [0, 2, 3, 5]), ([1, 2], [1, 1, 2, 2]), ([1, 2, 3, 5], [1, 2, 3, 5])]
)
def test_logits_are_transformers_own(folder: Path, kept: list[int] | None, numbers: list[int]) -> None:
    clip = Clip.whole(Moving()) if kept is None else Clip.whole(Moving()).keep(kept)
    ours, wanted = recogniser(folder)._logits(clip, NAMES), expected(folder, clip, numbers, NAMES)
    assert wanted.std() > 1e-3
    assert torch.allclose(ours, wanted, atol=1e-4)


def test_candidates_come_in_the_order_of_their_probability(folder: Path) -> None:
    clip = Clip.whole(Moving())
    logits = expected(folder, clip, [0, 2, 3, 5], NAMES)
    ranked = [NAMES[at] for at in logits.argsort(descending=True).tolist()]
    assert recogniser(folder).actions(clip, None, NAMES) == ranked


def test_a_candidate_that_does_not_name_the_thing_is_read_with_it(folder: Path) -> None:
    clip, asked = Clip.whole(Moving()), ["opening", "holding the glass", "Taking."]
    texts = ["opening the cup or glass", "holding the glass", "Taking the cup or glass"]
    logits = expected(folder, clip, [0, 2, 3, 5], texts)
    ranked = [asked[at] for at in logits.argsort(descending=True).tolist()]
    assert recogniser(folder).actions(clip, "cup/glass", asked) == ranked


def test_without_candidates_it_chooses_among_stars_verbs(folder: Path) -> None:
    ours, clip = recogniser(folder), Clip.whole(Moving())
    found = ours.actions(clip, "the cup/glass", [])
    assert len(found) == 5
    doing = {verb.doing for verb in STAR_VERBS.values()}
    assert {name.removesuffix(" the cup or glass") for name in found} <= doing
    assert all(name.endswith(" something") for name in ours.actions(clip, None, []))


def test_or_among_the_names_of_a_file(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "actions.txt"
    file.write_text("\n".join([*NAMES, "", NAMES[0]]), encoding="utf-8")
    ours, clip = recogniser(folder, names=str(file)), Clip.whole(Moving())
    assert ours.actions(clip, None, []) == ours.actions(clip, None, NAMES)
    assert ours.actions(clip, "cup/glass", []) == ["taking a cup"]
    assert ours.actions(clip, "sofa", []) == []
    with pytest.raises(UserError, match=r"specialists\.action\.names=.*missing\.txt: cannot be read"):
        recogniser(folder, names=str(tmp_path / "missing.txt"))


def test_a_clip_is_looked_at_once_and_a_text_read_once(folder: Path) -> None:
    ours, clip = recogniser(folder), Clip.whole(Moving())
    seen: list[int] = []
    read: list[int] = []
    model = ours._model()
    model.vision_model.register_forward_hook(lambda module, given, made: seen.append(1))
    model.text_model.register_forward_hook(
        lambda module, given, more, made: read.append(len(more["input_ids"])), with_kwargs=True
    )
    ours.actions(clip, None, NAMES[:2])
    ours.actions(clip, None, NAMES)
    assert (len(seen), sum(read)) == (1, 4)
    ours.actions(clip.span(0, 3), None, NAMES)
    assert (len(seen), sum(read)) == (2, 4)


def test_nothing_is_done_where_nothing_is_seen(folder: Path) -> None:
    assert recogniser(folder).actions(Clip.whole(Moving()).span(9, 9), None, NAMES) == []
    thin = Clip.whole(Moving()).crop({1: (5, 5, 7, 30), 3: (59.8, 0, 60, 40)})
    assert recogniser(folder).actions(thin, None, NAMES) == []
    assert len(recogniser(folder).actions(thin.crop({1: (5, 5, 7, 30), 3: (5, 5, 20, 30)}), None, NAMES)) == 4


def test_errors_name_the_setting() -> None:
    with pytest.raises(UserError, match=r"specialists\.action\.model is not set"):
        XCLIPRecogniser(ActionConfig(), ModelCache())
