"""UniVTG's network with random weights under the authors' names, and grounding over frames with it."""

from __future__ import annotations

import argparse
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from aotd.errors import QuestionError, UserError
from aotd.models import Precision
from aotd.models.model_cache import ModelCache
from aotd.records import Outcome
from aotd.specialists import GroundingConfig
from aotd.specialists.univtg import SLOWFAST, Sizes, UniVTG, UniVTGGrounder, load_univtg, read_features, windows
from aotd.video.clip import Clip
from tests.specialists.pictures import Moving
from tests.specialists.tiny import univtg_weights, write_checkpoint, write_univtg


@pytest.fixture(scope="module")
def clip_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint("clip", tmp_path_factory.mktemp("clip"))


def grounder(folder: Path, clip_model: Path, options: dict[str, Any] | None = None, **more: Any) -> UniVTGGrounder:
    width = SLOWFAST + 16 if "features" in more else 16
    write_univtg(folder / "univtg", video=width + 2, text=16, **(options or {}))
    return load_univtg(GroundingConfig(model=str(folder / "univtg"), clip=str(clip_model), **more), ModelCache())


def network(weights: dict[str, Tensor], heads: int = 2) -> UniVTG:
    made = UniVTG(Sizes.of({name: list(weight.shape) for name, weight in weights.items()}), heads).eval()
    made.load_state_dict(weights)
    return made


def test_the_authors_names_are_all_there_and_no_others() -> None:
    # A checkpoint as the authors' scripts train it: 4 layers of 1024, 2 projections, features of CLIP and edges.
    sizes = Sizes(video=514, text=512, hidden=1024, feedforward=1024, layers=4, projections=2, words=75)
    with torch.device("meta"):
        made = UniVTG(sizes, heads=8)
    names = {name: list(weight.shape) for name, weight in made.state_dict().items()}
    assert Sizes.of(names) == sizes
    assert len(names) == 81
    for name, shape in {
        "transformer.encoder.layers.3.self_attn.in_proj_weight": [3072, 1024],
        "transformer.encoder.layers.0.self_attn.out_proj.bias": [1024],
        "transformer.encoder.layers.0.norm2.weight": [1024],
        "txt_position_embed.LayerNorm.bias": [1024],
        "token_type_embeddings.weight": [2, 1024],
        "span_embed.layers.2.weight": [2, 1024, 3],
        "class_embed.layers.2.bias": [1],
        "input_vid_proj.0.LayerNorm.weight": [514],
        "input_txt_proj.1.net.1.weight": [1024, 1024],
        "weightedpool.weight": [1024, 1],
    }.items():
        assert names[name] == shape


def test_what_each_clip_says_stays_in_its_range_and_depends_on_place_text_and_neighbours() -> None:
    model = network(univtg_weights(video=18, text=16))
    video, text = torch.randn(9, 18), torch.randn(4, 16)
    with torch.no_grad():
        foreground, reach, saliency = model(video, text)
        assert foreground.shape == saliency.shape == (9,)
        assert reach.shape == (9, 2)
        assert (reach[:, 0] <= 0).all()
        assert (reach[:, 1] >= 0).all()
        assert ((foreground > 0) & (foreground < 1)).all()
        assert (saliency.abs() <= 1).all()
        other = model(video, torch.randn(4, 16))[0]
        turned = model(video.flip(0), text)[0].flip(0)
    assert not torch.allclose(foreground, other, atol=1e-4)
    assert not torch.allclose(foreground, turned, atol=1e-4), "clips know their place"


def waves(shape: list[int], start: int) -> Tensor:
    """Numbers in [-1, 1] without a pattern, the same on every machine."""
    count = torch.arange(start, start + torch.Size(shape).numel(), dtype=torch.float64)
    return torch.sin(0.37 * count**2).reshape(shape).float()


@pytest.mark.parametrize(
    ("text_places", "foreground", "reach"),
    [
        (
            False,
            [0.57632, 0.57338, 0.6785, 0.52728],
            [[-0.54498, 0.59715], [-0.65083, 0.66986], [-0.5859, 0.60577], [-0.43777, 0.54524]],
        ),
        (
            True,
            [0.57667, 0.5735, 0.67892, 0.52764],
            [[-0.54511, 0.59727], [-0.65056, 0.66904], [-0.58543, 0.60556], [-0.43777, 0.54504]],
        ),
    ],
)
def test_its_mathematics_stay_what_they_are(text_places: bool, foreground: Any, reach: Any) -> None:
    # What this module said when it agreed with the authors' code, on these weights and inputs, to the last bit or two.
    names = sorted(univtg_weights(18, 16).items())
    weights = {name: 0.3 * waves(list(weight.shape), 10 * at) for at, (name, weight) in enumerate(names)}
    model = UniVTG(Sizes.of({name: list(weight.shape) for name, weight in weights.items()}), 2, text_places).eval()
    model.load_state_dict(weights)
    with torch.no_grad():
        found = model(waves([4, 18], 3), waves([3, 16], 5))
    assert torch.allclose(found[0], torch.tensor(foreground), atol=2e-5)
    assert torch.allclose(found[1], torch.tensor(reach), atol=2e-5)
    assert torch.allclose(found[2], torch.tensor([0.23159, 0.09775, 0.17707, 0.17513]), atol=2e-5)


def test_words_in_another_order_say_the_same_unless_their_places_are_used() -> None:
    weights = univtg_weights(video=18, text=16)
    video, text = torch.randn(5, 18), torch.randn(4, 16)
    with torch.no_grad():
        plain = network(weights)
        assert torch.allclose(plain(video, text)[0], plain(video, text.flip(0))[0], atol=1e-5)
        placed = UniVTG(Sizes.of({name: list(weight.shape) for name, weight in weights.items()}), 2, True).eval()
        placed.load_state_dict(weights)
        assert not torch.allclose(placed(video, text)[0], placed(video, text.flip(0))[0], atol=1e-5)


def test_windows_are_told_as_the_authors_tell_them() -> None:
    reach = torch.tensor([[-0.5, 0.1], [-0.25, 0.25], [-0.1, 0.5], [0.0, 0.0]])
    # With clips of 2 s the place of clip i is its end.
    expected = torch.tensor([[0.0, 0.35], [0.25, 0.75], [0.65, 1.0], [1.0, 1.0]])
    assert torch.allclose(windows(torch.zeros(4), reach, 2.0), expected)


def test_a_moment_lies_inside_the_clip_that_was_asked(tmp_path: Path, clip_model: Path) -> None:
    ours = grounder(tmp_path, clip_model)
    whole = Clip.whole(Moving())
    for clip in (whole, whole.span(2, 5), whole.keep([1, 4, 5]), whole.span(3, 4), whole.crop({2: (0, 0, 20, 20)})):
        found = ours.ground(clip, "person opening the closet/cabinet")
        assert found is not None
        assert found.start in clip.numbers
        assert found.end - 1 in clip.numbers
        assert found.start < found.end
        assert found.score is not None
        assert 0 <= found.score <= 1
    assert ours.ground(whole.span(9, 9), "cup") is None
    assert ours.ground(whole, " ") is None


class Told(torch.nn.Module):
    """In place of the network: one clip is surely it, and its window reaches so far."""

    def __init__(self, best: int, before: float, after: float) -> None:
        super().__init__()
        self.weightedpool = torch.nn.ParameterDict({"weight": torch.nn.Parameter(torch.zeros(1, 1))})
        self._said = best, before, after
        self.video = torch.zeros(0)

    def forward(self, video: Tensor, text: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        best, before, after = self._said
        self.video = video
        foreground = torch.full((len(video),), 0.1)
        foreground[best] = 0.9
        return foreground, torch.tensor([[-before, after]]).expand(len(video), 2), foreground


@pytest.mark.parametrize(
    ("best", "before", "after", "span"),
    [(1, 0.25, 0.25, (2, 6)), (0, 1.0, 1.0, (0, 8)), (3, 0.0, 0.0, (7, 8)), (1, 0.05, 0.05, (4, 5))],
)
def test_a_window_comes_back_in_frames(
    tmp_path: Path, clip_model: Path, monkeypatch: pytest.MonkeyPatch, best: int, before: float, after: float, span: Any
) -> None:
    ours = grounder(tmp_path, clip_model)
    told = Told(best, before, after)
    monkeypatch.setattr(ours, "_load", lambda: told)
    # 8 frames of 8 s are 4 clips of 2 s: the place of clip i is (i + 1) / 4.
    video = Moving(frames=8, end_s=8.0)
    found = ours.ground(Clip.whole(video), "cup")
    assert found is not None
    assert ((found.start, found.end), found.score) == (span, 0.9)
    # The frame in the middle of each clip, its feature at length 1, and the clip's edges.
    seen = ours._towers.frames(Clip.whole(video))[[1, 3, 5, 7]]
    assert torch.allclose(told.video[:, :16], torch.nn.functional.normalize(seen, dim=1), atol=1e-4)
    assert told.video[:, 16:].tolist() == [[0.0, 0.25], [0.25, 0.5], [0.5, 0.75], [0.75, 1.0]]


def test_frames_that_were_filtered_lie_side_by_side(
    tmp_path: Path, clip_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = grounder(tmp_path, clip_model)
    monkeypatch.setattr(ours, "_load", lambda: Told(1, 0.5, 0.0))
    found = ours.ground(Clip.whole(Moving(frames=8, end_s=8.0)).keep([0, 3, 6, 7]), "cup")
    assert found is not None
    assert (found.start, found.end) == (6, 8), "the second half of four frames"


def stored(folder: Path, ending: str, rows: Any) -> None:
    if ending == ".npz":
        np.savez(folder / "moving.npz", features=rows)
    elif ending == ".npy":
        np.save(folder / "moving.npy", rows)
    else:
        save_file({"features": torch.from_numpy(rows)}, folder / "moving.safetensors")


@pytest.mark.parametrize("ending", [".npz", ".npy", ".safetensors"])
def test_slowfast_features_go_before_clips(
    tmp_path: Path, clip_model: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    rows = np.eye(6, SLOWFAST, dtype=np.float32) * 5
    stored(tmp_path, ending, rows)
    ours = grounder(tmp_path, clip_model, features=str(tmp_path))
    told = Told(0, 0.0, 0.5)
    monkeypatch.setattr(ours, "_load", lambda: told)
    # The question's part begins at second 4 of the file: row 2.
    assert ours.ground(Clip.whole(Moving(frames=8, start_s=4.0, end_s=12.0)), "cup")
    assert told.video.shape == (4, SLOWFAST + 16 + 2)
    assert told.video[:, :SLOWFAST].argmax(dim=1).tolist() == [2, 3, 4, 5]
    assert torch.allclose(told.video[:, :SLOWFAST].norm(dim=1), torch.ones(4), atol=1e-4)


def test_features_that_cannot_be_had_fail_the_question(tmp_path: Path, clip_model: Path) -> None:
    ours = grounder(tmp_path, clip_model, features=str(tmp_path))
    video = Clip.whole(Moving(frames=8, end_s=8.0))
    for rows, why in (
        (None, "there are no SlowFast features of video moving"),
        (np.zeros((2, SLOWFAST), np.float32), "end at 4 s of 8"),
        (np.zeros((4, 7), np.float32), r"wants \[clips, 2304\], and holds \[4, 7\]"),
        (np.array([{"a": 1}], dtype=object), "no features can be read"),
    ):
        if rows is not None:
            np.save(tmp_path / "moving.npy", rows)
        ours._slowfast = None
        with pytest.raises(QuestionError, match=why) as caught:
            ours.ground(video, "cup")
        assert caught.value.outcome is Outcome.tool_failed
    (tmp_path / "moving.npz").write_bytes(b"PK\x03\x04 no zip")
    with pytest.raises(QuestionError, match=r"moving\.npz: no features can be read"):
        read_features(str(tmp_path), "moving")
    for name in ("../moving", "moving\0", "m" * 5000):  # the id of one video, which must not end the run
        with pytest.raises(QuestionError, match="video") as caught:
            read_features(str(tmp_path), name)
        assert caught.value.outcome is Outcome.tool_failed


def test_a_checkpoint_that_wants_slowfast_is_refused_without(tmp_path: Path, clip_model: Path) -> None:
    write_univtg(tmp_path / "u", video=SLOWFAST + 16 + 2, text=16)
    with pytest.raises(UserError, match=r"width 2320 .*SlowFast's among them: set specialists\.grounding\.features"):
        load_univtg(GroundingConfig(model=str(tmp_path / "u"), clip=str(clip_model)), ModelCache())


@pytest.mark.parametrize(
    ("break_it", "why"),
    [
        ("folder", r"there is no model\.safetensors; univtg wants a folder"),
        ("opt", r"there is no opt\.json"),
        ("options", r"opt\.json: .*clip_length"),
        ("variant", "names a variant of UniVTG that is not built here"),
        ("names", r"is not UniVTG's: it has no weight 'input_txt_proj\.0\.net\.1\.weight'"),
        ("missing", r"is not UniVTG's: .*Missing key.*class_embed"),
        ("torn", r"model\.safetensors cannot be read"),
        ("NaN", r"the weights .* hold NaN or infinity"),
        ("no heads", r"is not UniVTG's"),
        ("odd heads", r"is not UniVTG's"),
        ("deep", r"opt\.json is nested too deeply"),
        ("list", r"opt\.json is not a JSON object"),
        ("width", r"trained on features of width 20 for clips and 16 for words; specialists\.grounding\.clip="),
    ],
)
def test_errors_are_one_line(tmp_path: Path, clip_model: Path, break_it: str, why: str) -> None:
    folder = tmp_path / "u"
    write_univtg(folder, video=22 if break_it == "width" else 18, text=16)
    weights, options = folder / "model.safetensors", folder / "opt.json"
    if break_it == "folder":
        weights.rename(folder / "model_best.ckpt")
    elif break_it == "opt":
        options.unlink()
    elif break_it == "options":
        options.write_text(json.dumps({"clip_length": 0}), encoding="utf-8")
    elif break_it == "variant":
        options.write_text(json.dumps({"pre_norm": True}), encoding="utf-8")
    elif break_it == "names":
        save_file({"encoder.weight": torch.zeros(2)}, weights)
    elif break_it == "missing":
        kept = {name: weight for name, weight in univtg_weights(18, 16).items() if not name.startswith("class_embed")}
        save_file(kept, weights)
    elif break_it == "NaN":
        save_file(
            {name: torch.full_like(weight, torch.nan) for name, weight in univtg_weights(18, 16).items()}, weights
        )
    elif break_it.endswith("heads"):
        heads = 0 if break_it == "no heads" else 7
        options.write_text(json.dumps({**json.loads(options.read_text()), "nheads": heads}), encoding="utf-8")
    elif break_it == "deep":
        options.write_text('{"a":' * 50_000, encoding="utf-8")
    elif break_it == "list":
        options.write_text("[]", encoding="utf-8")
    elif break_it == "torn":
        weights.write_bytes(weights.read_bytes()[:40])
    with pytest.raises(UserError, match=why) as caught:
        load_univtg(GroundingConfig(model=str(folder), clip=str(clip_model)), ModelCache()).ground(
            Clip.whole(Moving()), "cup"
        )
    assert "\n" not in str(caught.value)


def test_weights_saved_from_several_gpus_load_too(tmp_path: Path, clip_model: Path) -> None:
    ours = grounder(tmp_path, clip_model)
    expected = ours.ground(Clip.whole(Moving()), "cup")
    wrapped = {f"module.{name}": weight for name, weight in univtg_weights(18, 16).items()}
    save_file(wrapped, tmp_path / "univtg" / "model.safetensors")
    again = load_univtg(GroundingConfig(model=str(tmp_path / "univtg"), clip=str(clip_model)), ModelCache())
    assert again.ground(Clip.whole(Moving()), "cup") == expected


def test_packing_is_refused(tmp_path: Path, clip_model: Path) -> None:
    with pytest.raises(UserError, match=r"specialists\.grounding\.precision=int8: univtg takes"):
        grounder(tmp_path, clip_model, precision=Precision.int8)


def test_the_documented_conversion_makes_a_checkpoint(
    tmp_path: Path, clip_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_univtg(tmp_path / "models" / "univtg", video=18, text=16)
    (folder / "model.safetensors").unlink()
    told = argparse.Namespace(nheads=2, exp_id="x", train_path=["a"], lr=1e-4)
    saved = {"model": univtg_weights(18, 16), "optimizer": {"state": {}}, "epoch": 3, "opt": told}
    torch.save(saved, folder / "model_best.ckpt")
    text = (Path(__file__).parents[2] / "docs" / "specialists.md").read_text(encoding="utf-8")
    code = text.split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "docs/specialists.md", "exec"), {})
    config = GroundingConfig(model=str(folder), clip=str(clip_model))
    assert load_univtg(config, ModelCache()).ground(Clip.whole(Moving()), "cup") is not None
    # A file that would run something is refused by the same lines.
    torch.save({**saved, "opt": Trap(folder / "sprung")}, folder / "model_best.ckpt")
    with pytest.raises(pickle.UnpicklingError):
        exec(compile(code, "docs/specialists.md", "exec"), {})
    assert not (folder / "sprung").exists()


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self._path,)
