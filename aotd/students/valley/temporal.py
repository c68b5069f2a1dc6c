"""Temporal modules: what each place shows over all frames, as one vector.

    [B, T, P, C] -> [B, P, C]

B videos of T frames, each with P places of C channels; T may be 1. The places of a video do not see each other.

Source: Valley §4.2, figure 5. What the paper leaves open is settled here: weights of frames add up to 1 (its text says
weighted average), and the transformer is given positions, since without them it could not tell the order of the frames
before the last.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from aotd.students import FrameWeights, TemporalKind


class MeanOverFrames(nn.Module):
    """v1: the mean over the frames. It has no weights and does not know the order of the frames."""

    def forward(self, places: Tensor) -> Tensor:
        return places.mean(1)


class WeightedOverFrames(nn.Module):
    """v2: a weighted mean over the frames, whose weights a linear layer finds. It does not know their order either.

    The paper's formula has a layer for each place (`per_place`): a frame may count more at one place than at another.
    Its release scores a frame once, by all places together (`per_frame`). The layers have no bias: it would add the
    same to the scores of all frames.
    """

    def __init__(self, channels: int, places: int, weights: FrameWeights) -> None:
        super().__init__()
        self.per_frame = weights is FrameWeights.per_frame
        bound = 1 / math.sqrt(channels * places if self.per_frame else channels)  # as `nn.Linear` begins
        self.score = nn.Parameter(torch.empty(places, channels).uniform_(-bound, bound))

    def forward(self, places: Tensor) -> Tensor:
        scores = torch.einsum("btpc,pc->btp", places, self.score)
        if self.per_frame:
            scores = scores.sum(2, keepdim=True)
        return (scores.softmax(1)[..., None] * places).sum(1)


class TransformerOverFrames(nn.Module):
    """v3: the last frame's output of a one-layer transformer over the frames, plus their mean."""

    def __init__(self, channels: int, frames: int) -> None:
        """
        Args:
            frames: the most that a video has.
        """
        super().__init__()
        self.position = nn.Parameter(0.02 * torch.randn(frames, channels))
        self.layer = nn.TransformerEncoderLayer(
            channels, math.gcd(8, channels), 2 * channels, 0.0, "gelu", batch_first=True, norm_first=True
        )

    def forward(self, places: Tensor) -> Tensor:
        rows = places.transpose(1, 2).flatten(0, 1) + self.position[: places.shape[1]]
        # The layer, for the last frame alone: of the others only keys and values are used.
        seen = self.layer.norm1(rows)
        last: Tensor = rows[:, -1:] + self.layer.self_attn(seen[:, -1:], seen, seen, need_weights=False)[0]
        last = last + self.layer.linear2(functional.gelu(self.layer.linear1(self.layer.norm2(last))))
        return last.view_as(places[:, 0]) + places.mean(1)


def temporal_module(kind: TemporalKind, weights: FrameWeights, *, channels: int, places: int, frames: int) -> nn.Module:
    """Make a temporal module with random weights.

    Args:
        weights: of v2.
        frames: the most that a video has.
    """
    if kind is TemporalKind.v1:
        return MeanOverFrames()
    if kind is TemporalKind.v2:
        return WeightedOverFrames(channels, places, weights)
    return TransformerOverFrames(channels, frames)
