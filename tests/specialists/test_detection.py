"""Detectors with random weights: the boxes are those of transformers' own way, and frames are looked at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers.models.grounding_dino.image_processing_pil_grounding_dino import GroundingDinoImageProcessorPil
from transformers.models.owlv2.image_processing_pil_owlv2 import Owlv2ImageProcessorPil
from transformers.models.owlvit.image_processing_pil_owlvit import OwlViTImageProcessorPil

from aotd.errors import UserError
from aotd.models import Precision
from aotd.models.cpu import linear
from aotd.models.model_cache import ModelCache
from aotd.records import Detection
from aotd.specialists import DetectionConfig
from aotd.specialists.detection import FrameDetector
from aotd.specialists.grounding_dino import GroundingDino
from aotd.specialists.owl import OWLv2, OWLViT
from aotd.video.clip import Clip, Pixels
from tests.specialists.pictures import Moving
from tests.specialists.tiny import write_checkpoint

KINDS: dict[str, Any] = {"owlv2": OWLv2, "owlvit": OWLViT, "grounding_dino": GroundingDino}
CROP = (7.4, 3.0, 40.0, 33.6)


@pytest.fixture(scope="module", params=list(KINDS))
def named(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    return request.param, write_checkpoint(request.param, tmp_path_factory.mktemp(request.param))


def detector(named: tuple[str, Path], shelf: ModelCache | None = None, **more: Any) -> FrameDetector:
    made: FrameDetector = KINDS[named[0]](DetectionConfig(model=str(named[1]), **more), shelf or ModelCache())
    return made


def whole() -> Clip:
    return Clip.whole(Moving())


def theirs(named: tuple[str, Path], picture: Pixels, texts: list[str]) -> list[tuple[float, list[float]]]:
    """Score and box of every box, by the architecture's own model, processor and post-processing."""
    name, folder = named
    model_class, processor_class, picture_class = {
        "owlv2": (transformers.Owlv2ForObjectDetection, transformers.Owlv2Processor, Owlv2ImageProcessorPil),
        "owlvit": (transformers.OwlViTForObjectDetection, transformers.OwlViTProcessor, OwlViTImageProcessorPil),
        "grounding_dino": (
            transformers.GroundingDinoForObjectDetection,
            transformers.GroundingDinoProcessor,
            GroundingDinoImageProcessorPil,
        ),
    }[name]
    model: Any = model_class.from_pretrained(folder).eval()  # type: ignore[attr-defined]
    words: Any = transformers.AutoTokenizer.from_pretrained(folder)
    processor: Any = processor_class(picture_class.from_pretrained(folder), words)
    owl = name != "grounding_dino"
    text = [[f"a photo of a {text}" for text in texts]] if owl else [texts]
    # The tiny OWL reads more of a text than the real one, whose length its processor takes for granted.
    more = {"padding": "max_length", "max_length": 24} if owl else {}
    inputs = processor(images=[picture], text=text, return_tensors="pt", **more)
    with torch.inference_mode():
        outputs = model(**inputs)
    result = processor.post_process_grounded_object_detection(outputs, threshold=0.0, target_sizes=[picture.shape[:2]])
    found = list(zip(result[0]["scores"].tolist(), result[0]["boxes"].tolist(), strict=True))
    return sorted(found, key=lambda item: -item[0])


def inside(box: list[float], picture: Pixels) -> list[float]:
    high, wide = picture.shape[:2]
    return [min(max(value, 0.0), limit) for value, limit in zip(box, (wide, high, wide, high), strict=True)]


@pytest.mark.parametrize(("query", "texts"), [("cup/glass/bottle", ["cup", "glass", "bottle"]), ("the door", ["door"])])
@pytest.mark.parametrize("crop", [None, CROP])
def test_boxes_and_scores_are_transformers_own(
    named: tuple[str, Path], crop: Any, query: str, texts: list[str]
) -> None:
    clip = whole() if crop is None else whole().crop({3: CROP})
    left, top = (0, 0) if crop is None else (7, 3)
    picture = clip.pixels(3)
    assert picture.shape[0] != picture.shape[1]
    expected = [
        (score, [box[0] + left, box[1] + top, box[2] + left, box[3] + top])
        for score, raw in theirs(named, picture, texts)
        if (box := inside(raw, picture))[0] + 0.05 < box[2] and box[1] + 0.05 < box[3]
    ]
    found = [box for box in detector(named, threshold=0.0).detect(clip, query) if box.frame == 3]
    assert len(found) == len(expected) > 3
    assert [box.score for box in found] == pytest.approx([score for score, _ in expected], abs=2e-3)
    for score, box in expected:
        near = [one for one in found if one.box == pytest.approx(box, abs=0.11)]
        assert any(one.score == pytest.approx(score, abs=2e-3) for one in near), (score, box)


def test_the_image_tower_sees_each_frame_once_and_the_text_tower_each_query(named: tuple[str, Path]) -> None:
    shelf, clip = ModelCache(), whole()
    ours = detector(named, shelf, batch=4)
    model: Any = ours._model()
    seen: list[int] = []
    read: list[int] = []
    if named[0] == "grounding_dino":
        tower, reader = model.model.backbone.conv_encoder.model.backbone, model.model.text_backbone.encoder
    else:
        tower, reader = model.base_model.vision_model, model.base_model.text_model
    tower.register_forward_hook(
        lambda module, given, more, made: seen.append(len(more.get("pixel_values", given[0] if given else None))),
        with_kwargs=True,
    )
    reader.register_forward_hook(lambda module, given, made: read.append(1))
    for query in ("cup", "door", "cup", "book", "cup"):
        ours.detect(clip, query)
    assert (sum(seen), sum(read)) == (clip.video.frames, 3)
    ours.detect(clip.span(2, 4), "door")
    assert sum(seen) == clip.video.frames, "trimmed frames are the same frames"
    cropped = clip.crop({3: CROP})
    for query in ("cup", "door"):
        ours.detect(cropped, query)
    assert (sum(seen), sum(read)) == (clip.video.frames + 1, 3), "a crop is another picture"
    ours.detect(Clip.whole(Moving(video_id="other", seed=1)), "door")
    assert sum(seen) == 2 * clip.video.frames + 1


def test_findings_do_not_depend_on_the_batch(named: tuple[str, Path]) -> None:
    def found(batch: int) -> list[Detection]:
        return detector(named, batch=batch, threshold=0.2).detect(
            whole().crop({1: CROP, 2: CROP, 4: (0, 0, 9, 20)}), "cup"
        )

    one = found(1)
    assert one
    assert found(8) == one


def test_a_threshold_leaves_out_and_overlap_keeps_the_best(named: tuple[str, Path]) -> None:
    every = detector(named, threshold=0.0).detect(whole(), "cup")
    cut = sorted(box.score for box in every)[len(every) // 2]
    some = detector(named, threshold=cut + 5e-4).detect(whole(), "cup")
    assert [box for box in every if box.score > cut] == some
    apart = detector(named, threshold=0.0, overlap=0.0).detect(whole(), "cup")
    assert 0 < len(apart) < len(every)
    best = [next(box for box in boxes if box.frame == 2) for boxes in (every, apart)]
    assert best[0] == best[1]


def test_labels_are_the_query_and_boxes_lie_in_what_the_clip_shows(named: tuple[str, Path]) -> None:
    found = detector(named, threshold=0.0).detect(whole().crop({2: CROP}), "the cup/glass")
    assert {(box.label, box.frame) for box in found} == {("the cup/glass", 2)}
    assert all(box.box[0] >= 7 and box.box[1] >= 3 and box.box[2] <= 40 and box.box[3] <= 34 for box in found)


def test_nothing_is_found_of_nothing(named: tuple[str, Path]) -> None:
    ours = detector(named, threshold=0.0)
    assert ours.detect(whole(), " / ") == []
    assert ours.detect(whole().span(9, 9), "cup") == []
    for strip in ((59.8, 0.0, 60.0, 40.0), (8.0, 2.0, 10.0, 38.0), (8.0, 2.0, 40.0, 3.0)):
        assert ours.detect(whole().crop({1: strip}), "cup") == [], "no pixel is left, or too few"


def test_a_model_is_named_by_its_weights(named: tuple[str, Path]) -> None:
    assert detector(named).model == detector(named).model
    assert named[1].name in detector(named).model


def test_the_weights_are_loaded_when_they_are_needed_and_make_room(named: tuple[str, Path]) -> None:
    shelf = ModelCache(budget_gb=1e-9)
    ours = detector(named, shelf)
    with pytest.raises(UserError, match=r"specialists\.memory_gb: .* takes"):
        ours.detect(whole(), "cup")


@pytest.mark.parametrize("precision", [Precision.int8, Precision.int4])
@pytest.mark.skipif(torch.cuda.is_available(), reason="says that it needs a GPU")
def test_packed_weights_need_a_gpu(named: tuple[str, Path], precision: Precision) -> None:
    wanted = "takes float32, bfloat16 or float16" if named[0] == "grounding_dino" else "needs a GPU"
    with pytest.raises(UserError, match=rf"specialists\.detection\.precision={precision.value}:? .*{wanted}"):
        detector(named, precision=precision).detect(whole(), "cup")


def test_half_precision_finds_nearly_the_same(named: tuple[str, Path]) -> None:
    full = detector(named, threshold=0.0).detect(whole(), "cup")
    half = detector(named, threshold=0.0, precision=Precision.bfloat16).detect(whole(), "cup")
    assert len(half) == pytest.approx(len(full), rel=0.1)
    assert half[0].score == pytest.approx(full[0].score, abs=0.1)


def test_a_query_longer_than_the_model_reads_is_cut(named: tuple[str, Path]) -> None:
    assert detector(named, threshold=0.0).detect(whole(), "cup " * 400)


def test_damaged_checkpoints_are_one_line(named: tuple[str, Path], tmp_path: Path) -> None:
    for file in named[1].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(UserError, match=r"^specialists\.detection\.model=.* cannot be loaded: [^\n]*$"):
        detector((named[0], tmp_path)).detect(whole(), "cup")
    settings = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps({**settings, "text_config": 3}), encoding="utf-8")
    with pytest.raises(UserError, match=r"^specialists\.detection\.model=.*: there is no checkpoint there [^\n]*$"):
        detector((named[0], tmp_path))


def test_code_beside_a_checkpoint_is_not_run(named: tuple[str, Path], tmp_path: Path) -> None:
    for file in named[1].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\nclass Evil: pass\n", encoding="utf-8")
    for name, entry in (
        ("config.json", {"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"}),
        ("tokenizer_config.json", {"AutoTokenizer": ["evil.Evil", None]}),
        ("preprocessor_config.json", {"AutoImageProcessor": "evil.Evil"}),
    ):
        settings = json.loads((tmp_path / name).read_text(encoding="utf-8"))
        (tmp_path / name).write_text(json.dumps({**settings, "auto_map": entry}), encoding="utf-8")
    expected = detector(named, threshold=0.2).detect(whole(), "cup")
    assert detector((named[0], tmp_path), threshold=0.2).detect(whole(), "cup") == expected
    assert not (tmp_path / "sprung").exists()


def test_errors_name_the_setting(tmp_path: Path, named: tuple[str, Path]) -> None:
    with pytest.raises(UserError, match=r"specialists\.detection\.model is not set"):
        OWLv2(DetectionConfig(), ModelCache())
    with pytest.raises(UserError, match=r"specialists\.detection\.model=/nowhere: there is no checkpoint"):
        OWLv2(DetectionConfig(model="/nowhere"), ModelCache())
    other = {"owlv2": OWLViT, "owlvit": GroundingDino, "grounding_dino": OWLv2}[named[0]]
    with pytest.raises(UserError, match=r"specialists\.detection\.model=.* holds a .* model, and .* is wanted"):
        other(DetectionConfig(model=str(named[1])), ModelCache())


def test_pickled_weights_are_refused(tmp_path: Path, named: tuple[str, Path]) -> None:
    for file in named[1].iterdir():
        if file.suffix == ".json":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(UserError, match=r"specialists\.detection\.model=.* cannot be loaded: .*safetensors"):
        detector((named[0], tmp_path)).detect(whole(), "cup")


@pytest.mark.skipif(not linear._can(), reason="oneDNN does not pack here")
@pytest.mark.skipif(torch.cuda.is_available(), reason="on a GPU nothing is packed")
def test_layers_are_packed_in_float32_alone(named: tuple[str, Path]) -> None:
    shares = []
    for precision in (Precision.float32, Precision.bfloat16):
        model = detector(named, precision=precision)._model()
        layers = [part for part in model.modules() if hasattr(part, "in_features")]
        shares.append(sum(isinstance(part, linear.PackedLinear) for part in layers) / len(layers))
    assert shares[0] > 0.8
    assert shares[1] < shares[0]
