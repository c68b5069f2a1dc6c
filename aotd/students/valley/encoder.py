"""Frame encoders: what a frame shows as a whole and at each place. Valley's is frozen from the beginning to the end.

Of the three kinds, two are here, and encode each frame by itself: a vision model of transformers with its own way of
preparing pictures, and a small convolutional one of our own with random weights. The third is grown
(`aotd.students.valley.grown_encoder`).
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import numpy as np
import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from transformers import CLIPModel, CLIPVisionModel, SiglipModel, SiglipVisionModel

from aotd.errors import UserError
from aotd.models.checkpoints import COMPLAINTS, first_line
from aotd.models.loading import load_frozen, read_config
from aotd.students.valley.encoded import Encoded, FrameEncoder
from aotd.students.valley.grown_encoder import GrownSettings
from aotd.video.clip import Pixels
from aotd.video_llms.pretrained import AT_ONCE, check_pictures, prepare_pictures, read_pictures


class ConvSettings(BaseModel):
    """What a `ConvEncoder` is made from; a saved student says it."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["conv"] = "conv"
    image: Annotated[int, Field(ge=8, le=1024, multiple_of=8)]
    """Side of the square that a frame is squeezed into, in pixels."""
    channels: Annotated[int, Field(ge=8, le=1 << 16, multiple_of=8)]
    places: Annotated[int, Field(ge=1)]
    """A square number."""


class VisionSettings(BaseModel):
    """What a `VisionModelEncoder` is made from beside the vision model itself; a saved student says it."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["vision_model"] = "vision_model"
    skip: Annotated[int, Field(ge=0, le=4096)]
    """Layers at the end that are left out."""
    pictures: dict[str, Any]
    """How pictures are prepared, in the names of a `preprocessor_config.json`."""


EncoderSettings = Annotated[ConvSettings | VisionSettings | GrownSettings, Field(discriminator="kind")]


class ConvEncoder(FrameEncoder):
    """A small convolutional encoder. A frame's cells stand 8 pixels apart; a place is the mean of some of them."""

    def __init__(self, settings: ConvSettings) -> None:
        super().__init__()
        self.image, self.channels, self.places = settings.image, settings.channels, settings.places
        half = self.channels // 2
        self.convolutions = nn.Sequential(
            nn.Conv2d(3, half, 4, stride=4),
            nn.GELU(),
            nn.Conv2d(half, self.channels, 3, stride=2, padding=1),
            nn.GELU(),
            nn.Conv2d(self.channels, self.channels, 3, padding=1),
        )
        for layer in self.convolutions:
            if isinstance(layer, nn.Conv2d):
                # torch's own weights would shrink what is seen, layer by layer, until positions drown it.
                nn.init.kaiming_normal_(layer.weight)
        self.position = nn.Parameter(_grid_positions(self.image // 8, self.channels))
        self.norm = nn.LayerNorm(self.channels)

    def forward(self, frames: Pixels) -> Encoded:
        size = (self.image, self.image)
        small = [np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BOX)) for frame in frames]
        pixels = torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).to(self.position) / 128 - 1
        cells = self.convolutions(pixels).flatten(2).transpose(1, 2)
        normed = self.norm(cells + self.position)
        grid = normed.transpose(1, 2).unflatten(2, (self.image // 8, self.image // 8))
        pooled = nn.functional.adaptive_avg_pool2d(grid, math.isqrt(self.places))
        return Encoded(normed.mean(1), pooled.flatten(2).transpose(1, 2))


def _grid_positions(side: int, channels: int) -> Tensor:
    """Sines and cosines of the row and the column of each cell of a square grid, `[side * side, channels]`."""
    waves = math.pi / side * torch.arange(1, channels // 4 + 1)
    angles = (torch.arange(side)[:, None] + 0.5) * waves
    line = torch.cat([angles.sin(), angles.cos()], dim=1)
    return torch.cat([line[:, None].expand(-1, side, -1), line[None].expand(side, -1, -1)], dim=2).flatten(0, 1)


class VisionModelEncoder(FrameEncoder):
    """A vision model of transformers.

    A CLIP's [CLS] is the whole of a frame and its patches are the places, both of one layer. The projection into the
    space that CLIP shares with text is left out. A SigLIP has no [CLS]: its pooled output is the whole.
    """

    def __init__(self, vision: Any, settings: VisionSettings) -> None:
        super().__init__()
        self.vision, self.settings = vision, settings
        self.channels = int(vision.config.hidden_size)
        self.places = int(vision.config.image_size // vision.config.patch_size) ** 2
        self.has_cls = isinstance(vision, CLIPVisionModel)

    def forward(self, frames: Pixels) -> Encoded:
        weight = next(self.vision.parameters())
        pixels = prepare_pictures(frames, self.settings.pictures).to(weight)
        encoded = [self._encode(part) for part in torch.split(pixels, AT_ONCE)]
        return Encoded(torch.cat([part.whole for part in encoded]), torch.cat([part.places for part in encoded]))

    def _encode(self, pixels: Tensor) -> Encoded:
        output = self.vision(pixels, output_hidden_states=True)
        features = output.hidden_states[-1 - self.settings.skip]
        return Encoded(features[:, 0], features[:, 1:]) if self.has_cls else Encoded(output.pooler_output, features)


VISION_MODELS: dict[str, Any] = {"clip_vision_model": CLIPVisionModel, "siglip_vision_model": SiglipVisionModel}
"""`model_type` of a vision model -> its class."""
_WHOLE: dict[str, Any] = {"clip": CLIPModel, "siglip": SiglipModel}
"""`model_type` of a vision model with a model of text beside it -> the class of both."""


def read_encoder(path: str, skip: int, dtype: torch.dtype) -> VisionModelEncoder:
    """Load the vision model of a checkpoint of CLIP or SigLIP.

    Args:
        path: a folder or hub id.
        skip: layers at its end that are left out.

    Raises:
        UserError: there is no such checkpoint, it is of another family or damaged, or it has too few layers.
    """
    setting = "student.valley.encoder"
    config = read_config(path, setting, *VISION_MODELS, *_WHOLE)
    vision = getattr(config, "vision_config", config)
    pictures = read_pictures(path, setting)
    if vision.model_type == "siglip_vision_model":
        pictures = {"do_center_crop": False, **pictures}
    check_pictures(pictures, f"{setting}={path}")
    model = load_frozen(path, setting, _WHOLE.get(config.model_type) or VISION_MODELS[vision.model_type], config, dtype)
    encoder = VisionModelEncoder(getattr(model, "vision_model", model), VisionSettings(skip=skip, pictures=pictures))
    check_encoder(encoder, f"{setting}={path}", f"student.valley.encoder_skip={skip}")
    return encoder


def check_encoder(encoder: VisionModelEncoder, where: str, skip: str) -> None:
    """Encode a black frame, to find out whether a vision model and how pictures are prepared fit together.

    Raises:
        UserError: they do not, the model has too few layers, or it has nothing that stands for the whole.
    """
    count = encoder.vision.config.num_hidden_layers
    if encoder.settings.skip >= count:
        raise UserError(f"{skip}: the model has {count} layers: leave out fewer")
    try:
        with torch.no_grad():
            encoded = encoder(np.zeros((1, 64, 96, 3), dtype=np.uint8))
        fits = encoded.whole.shape == (1, encoder.channels)
        fits &= encoded.places.shape == (1, encoder.places, encoder.channels)
    except COMPLAINTS as error:
        raise UserError(f"{where}: its pictures do not fit its model ({first_line(error)})") from None
    if not fits:
        raise UserError(f"{where}: it does not give one vector for a frame and one for each of its patches")
