"""What a model finds is the same to the last bit, however many pictures and texts go through it together."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from aotd.models import WeightsConfig
from aotd.models.model_cache import ModelCache
from aotd.specialists import ActionConfig, DetectionConfig
from aotd.specialists.imagetext import ImageText
from aotd.specialists.owl import OWLv2
from aotd.specialists.xclip import XCLIPRecogniser
from aotd.video.clip import Clip
from tests.corners import one_thread
from tests.specialists import tiny
from tests.specialists.pictures import Moving

__all__ = ["one_thread"]
BATCHES = (1, 2, 3, 8)
TEXTS = ["a door", "a bottle on the table by the door", "a cup"]


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Towers wide enough for a batch to be multiplied in another way than a single row."""
    for name, value in {"hidden_size": 96, "intermediate_size": 192, "num_attention_heads": 4}.items():
        monkeypatch.setitem(tiny.TOWER, name, value)


def clip() -> Clip:
    return Clip.whole(Moving(frames=8))


@pytest.mark.usefixtures("one_thread")
def test_owl(tmp_path: Path) -> None:
    folder = tiny.write_checkpoint("owlv2", tmp_path)
    seen = []
    for batch in BATCHES:
        detector = OWLv2(DetectionConfig(model=str(folder), batch=batch, threshold=0.0), ModelCache())
        detector.detect(clip(), "door")
        features = [*detector._seen._cached.values()]
        with torch.inference_mode():
            alone = [detector._ask([one], ["door"])[0] for one in features]
            together = detector._ask(features, ["door"])[0]
        assert torch.equal(torch.cat(alone), together)
        seen.append((features, together))
    for features, logits in seen[1:]:
        assert torch.equal(logits, seen[0][1])
        assert all(map(torch.equal, sum(features, ()), sum(seen[0][0], ())))
    texts = ["door", "refrigerator", "cup"]
    both = OWLv2(DetectionConfig(model=str(folder), threshold=0.0), ModelCache())
    both.detect(clip(), "/".join(texts))
    each = OWLv2(DetectionConfig(model=str(folder), threshold=0.0), ModelCache())
    for text in texts:
        each.detect(clip(), text)
    assert both._read._cached.keys() == each._read._cached.keys()
    assert all(torch.equal(both._read._cached[key][0], each._read._cached[key][0]) for key in each._read._cached)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("family", ["clip", "siglip"])
def test_vectors_of_frames(family: str, tmp_path: Path) -> None:
    folder = tiny.write_checkpoint(family, tmp_path)
    vectors = [
        ImageText("grounding", WeightsConfig(model=str(folder), batch=batch), ModelCache(), ("clip", "siglip")).frames(
            clip()
        )
        for batch in BATCHES
    ]
    assert all(torch.equal(one, vectors[0]) for one in vectors)


@pytest.mark.usefixtures("one_thread")
def test_texts_of_xclip(tmp_path: Path) -> None:
    config = ActionConfig(model=str(tiny.write_checkpoint("xclip", tmp_path)))
    together, alone = XCLIPRecogniser(config, ModelCache()), XCLIPRecogniser(config, ModelCache())
    together.actions(clip(), None, TEXTS)
    for text in TEXTS:
        alone.actions(clip(), None, [text])
    assert together._read._cached.keys() == alone._read._cached.keys()
    assert all(torch.equal(together._read._cached[key][0], alone._read._cached[key][0]) for key in alone._read._cached)
