"""A synthetic video in memory: a bright block moves over a dark ground, wider than high."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np

from aotd.video.clip import Pixels


@dataclass
class Moving:
    video_id: str = "moving"
    frames: int = 6
    start_s: float = 0.0
    end_s: float = 12.0
    width: int = 60
    height: int = 40
    seed: int = 0
    _made: list[Pixels] = field(default_factory=list)

    @property
    def content(self) -> str:
        return hashlib.sha256(f"{self.video_id} {self.seed}".encode()).hexdigest()

    def pixels(self) -> Pixels:
        if not self._made:
            rng = np.random.default_rng(self.seed)
            made = rng.integers(0, 60, (self.frames, self.height, self.width, 3), dtype=np.uint8)
            for number in range(self.frames):
                left = number * (self.width - 16) // max(self.frames - 1, 1)
                made[number, 10:30, left : left + 16] += np.uint8(150)
            self._made.append(made)
        return self._made[0]
