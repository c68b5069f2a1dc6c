"""Frame encoders give what transformers' own models give, and say what does not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from aotd.errors import UserError
from aotd.students.valley.encoder import ConvEncoder, ConvSettings, read_encoder
from tests.students.tiny import write_vision

KINDS = ["clip", "clip_vision_model", "siglip", "siglip_vision_model"]
FRAMES = np.random.default_rng(0).integers(0, 256, (10, 40, 56, 3), dtype=np.uint8)


def pictures(folder: Path) -> torch.Tensor:
    """The frames as the checkpoint's own picture processor prepares them."""
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    if "crop_size" not in settings:
        settings["do_center_crop"] = False
    prepared = CLIPImageProcessorPil(**settings)(list(FRAMES), return_tensors="pt", input_data_format="channels_last")
    return torch.as_tensor(np.stack(prepared["pixel_values"]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("skip", [1, 0])
def test_encoder_has_the_features_of_the_models_own_layer(kind: str, skip: int, tmp_path: Path) -> None:
    folder = write_vision(kind, tmp_path / "model")
    encoder = read_encoder(str(folder), skip, torch.float32)
    with torch.no_grad():
        encoded = encoder(FRAMES)
        whole: Any = getattr(transformers, transformers.CONFIG_MAPPING[kind]().__class__.__name__[:-6] + "Model")
        own = whole.from_pretrained(folder)
        vision = getattr(own, "vision_model", own)
        output = vision(pictures(folder), output_hidden_states=True)
    hidden = output.hidden_states[-1 - skip]
    assert hidden.shape[1] == (17 if kind.startswith("clip") else 16)
    assert encoded.places.shape == (10, encoder.places, encoder.channels) == (10, 16, 16)
    assert torch.allclose(encoded.places, hidden[:, -16:], atol=1e-5)
    expected = hidden[:, 0] if kind.startswith("clip") else output.pooler_output
    assert torch.allclose(encoded.whole, expected, atol=1e-5)
    assert not any(weight.requires_grad for weight in encoder.parameters())


def test_conv_encoder_sees_each_frame_by_itself() -> None:
    torch.manual_seed(0)
    encoder = ConvEncoder(ConvSettings(image=32, channels=16, places=4))
    with torch.no_grad():
        together, alone = encoder(FRAMES), encoder(FRAMES[3:4])
    assert together.whole.shape == (10, 16)
    assert together.places.shape == (10, 4, 16)
    assert torch.allclose(together.places[3], alone.places[0], atol=1e-6)
    assert torch.allclose(together.whole[3], alone.whole[0], atol=1e-6)
    assert not torch.allclose(together.places[3], together.places[4])


def test_conv_encoder_keeps_places_apart() -> None:
    torch.manual_seed(0)
    encoder = ConvEncoder(ConvSettings(image=64, channels=16, places=4))
    frames = np.zeros((2, 64, 64, 3), dtype=np.uint8)
    frames[1, :16, :16] = 255  # inside the first quarter, away from its neighbours
    with torch.no_grad():
        dark, bright = encoder(frames).places
    assert not torch.allclose(dark[0], bright[0], atol=1e-3)
    assert torch.allclose(dark[1:], bright[1:])


@pytest.mark.parametrize(
    ("kind", "skip", "harm", "says"),
    [
        ("clip", 3, {}, "encoder_skip=3: the model has 3 layers: leave out fewer"),
        ("clip", 1, {"crop_size": {"height": 24, "width": 24}}, "its pictures do not fit its model"),
        ("clip", 1, {"size": {"shortest_edge": 10**9}}, "larger than 4096"),
        ("siglip", 1, None, "no preprocessor_config.json"),
    ],
)
def test_encoder_that_does_not_fit_is_one_line(
    kind: str, skip: int, harm: dict[str, Any] | None, says: str, tmp_path: Path
) -> None:
    folder = write_vision(kind, tmp_path / "model")
    file = folder / "preprocessor_config.json"
    if harm is None:
        file.unlink()
    else:
        file.write_text(json.dumps({**json.loads(file.read_text()), **harm}))
    with pytest.raises(UserError, match=says):
        read_encoder(str(folder), skip, torch.float32)


def test_siglip_without_pooling_has_no_whole(tmp_path: Path) -> None:
    folder = write_vision("siglip_vision_model", tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "vision_use_head": False}))
    with pytest.raises(UserError, match=r"does not give one vector for a frame|do not fit"):
        read_encoder(str(folder), 1, torch.float32)


def test_encoder_of_another_family_is_one_line(tmp_path: Path) -> None:
    folder = write_vision("clip", tmp_path / "model")
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(UserError, match=r"student.valley.encoder=.* holds a bert model"):
        read_encoder(str(folder), 1, torch.float32)
