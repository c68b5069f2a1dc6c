"""Grounding by likeness: towers are transformers' own, run once, and the span lies around the likeliest frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from aotd.errors import UserError
from aotd.models import WeightsConfig
from aotd.models.model_cache import ModelCache
from aotd.specialists import GroundingConfig
from aotd.specialists.imagetext import ImageText
from aotd.specialists.similarity import SimilarityGrounder
from aotd.specialists.temporal_peak import around_peak
from aotd.video.clip import Clip
from tests.specialists.pictures import Moving
from tests.specialists.tiny import write_checkpoint


@pytest.fixture(scope="module", params=["clip", "siglip"])
def named(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    return request.param, write_checkpoint(request.param, tmp_path_factory.mktemp(request.param))


def test_similarities_are_transformers_own(named: tuple[str, Path]) -> None:
    name, folder = named
    text, clip = "person taking a cup", Clip.whole(Moving())
    model: Any = {"clip": transformers.CLIPModel, "siglip": transformers.SiglipModel}[name].from_pretrained(folder)
    pictures: Any = {"clip": CLIPImageProcessorPil, "siglip": SiglipImageProcessorPil}[name].from_pretrained(folder)
    words: Any = transformers.AutoTokenizer.from_pretrained(folder)
    padding = {"padding": "max_length", "max_length": 77} if name == "siglip" else {}
    tokens = words([text], return_tensors="pt", **padding)
    mask = {} if name == "siglip" else {"attention_mask": tokens["attention_mask"]}
    pixels = pictures(list(clip.video.pixels()), return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        outputs = model(input_ids=tokens["input_ids"], pixel_values=pixels, **mask)
    expected = (outputs.image_embeds @ outputs.text_embeds.T)[:, 0]
    towers = ImageText("grounding", WeightsConfig(model=str(folder), batch=4), ModelCache(), ("clip", "siglip"))
    ours = torch.nn.functional.cosine_similarity(towers.frames(clip), towers.text(text)[None])
    assert ours.std() > 1e-3
    assert torch.allclose(ours, expected, atol=1e-5)


def test_clips_states_are_those_of_its_text_tower(tmp_path: Path) -> None:
    folder = write_checkpoint("clip", tmp_path)
    model: Any = transformers.CLIPModel.from_pretrained(folder)
    tokens = transformers.AutoTokenizer.from_pretrained(folder)(["a cup"], return_tensors="pt")
    with torch.no_grad():
        expected = model.text_model(**tokens).last_hidden_state[0]
    towers = ImageText("grounding", WeightsConfig(model=str(folder)), ModelCache())
    assert torch.allclose(towers.states("a cup"), expected, atol=1e-6)
    assert len(expected) == len("acup") + 2, "start, letters, end"


def test_each_frame_and_each_text_is_seen_once(named: tuple[str, Path]) -> None:
    ours = SimilarityGrounder(GroundingConfig(model=str(named[1]), batch=4), ModelCache())
    seen: list[int] = []
    read: list[int] = []
    model = ours._towers._model()
    model.vision_model.register_forward_hook(
        lambda module, given, more, made: seen.append(len(more["pixel_values"])), with_kwargs=True
    )
    model.text_model.register_forward_hook(lambda module, given, made: read.append(1))
    whole = Clip.whole(Moving())
    found = [ours.ground(whole, query) for query in ("cup", "a door", "cup", "book")]
    assert found[0] == found[2]
    assert ours.ground(whole.span(2, 5), "cup") is not None
    assert (sum(seen), len(read)) == (whole.video.frames, 3)
    ours.ground(whole.crop({2: (0, 0, 20, 20)}), "cup")
    assert sum(seen) == whole.video.frames + 1


def test_a_moment_lies_inside_the_clip_around_its_likeliest_frame(named: tuple[str, Path]) -> None:
    ours = SimilarityGrounder(GroundingConfig(model=str(named[1])), ModelCache())
    clip = Clip.whole(Moving()).keep([1, 2, 4, 5])
    found = ours.ground(clip, "person taking the cup/glass")
    assert found is not None
    assert found.start in clip.numbers
    assert found.end - 1 in clip.numbers
    vectors = ours._towers.frames(clip)
    curve = torch.nn.functional.cosine_similarity(vectors, ours._towers.text("person taking the cup or glass")[None])
    first, last = around_peak(curve.numpy(), clip.video.frames)
    assert (found.start, found.end) == (clip.numbers[first], clip.numbers[last] + 1)
    assert found.score == pytest.approx(max(0.0, float(curve[first : last + 1].max())), abs=6e-4)
    thin = ours.ground(clip.crop({2: (5, 5, 7, 30)}), "cup")
    assert thin is not None
    assert thin.score == 0, "nothing is shown"
    assert ours.ground(clip.span(9, 9), "cup") is None
    assert ours.ground(clip, "") is None


def test_a_peak_keeps_to_its_high_ground() -> None:
    curve = np.zeros(32, np.float32)
    curve[10:16] = 1
    first, last = around_peak(curve, 32)
    assert first <= 11
    assert last >= 14
    assert last - first < 16
    assert around_peak(np.ones(1, np.float32), 32) == (0, 0)


def test_errors_name_the_setting(tmp_path: Path) -> None:
    folder = write_checkpoint("owlv2", tmp_path)
    with pytest.raises(UserError, match=r"specialists\.grounding\.model=.* holds a owlv2 model, and clip or siglip"):
        SimilarityGrounder(GroundingConfig(model=str(folder)), ModelCache())
