"""What a frame encoder is: Valley's is frozen from the beginning to the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

from aotd.video.clip import Pixels


@dataclass(frozen=True)
class Encoded:
    """What an encoder makes of T frames."""

    whole: Tensor
    """`[T, C]`."""
    places: Tensor
    """`[T, P, C]`."""


class FrameEncoder(nn.Module, ABC):
    """A frame encoder. What it gives for the frames of a video is computed once, and kept."""

    channels: int
    """Of what `unpack` gives."""
    places: int
    """Of a frame."""

    @abstractmethod
    def forward(self, frames: Pixels) -> Encoded:
        """Encode the frames of one video, in their order."""

    def unpack(self, encoded: Encoded) -> Encoded:
        """Turn what is kept into what the layers behind the encoder read, `channels` wide: the same, for most."""
        return encoded
