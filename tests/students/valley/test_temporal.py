"""Temporal modules against what the paper writes, in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from aotd.students import FrameWeights, TemporalKind
from aotd.students.valley.temporal import (
    MeanOverFrames,
    TransformerOverFrames,
    WeightedOverFrames,
    temporal_module,
)

BATCH, FRAMES, PLACES, CHANNELS = 2, 5, 3, 8


def module(kind: TemporalKind, weights: FrameWeights = FrameWeights.per_place) -> nn.Module:
    torch.manual_seed(1)
    return temporal_module(kind, weights, channels=CHANNELS, places=PLACES, frames=6).double()


def places(frames: int = FRAMES) -> Tensor:
    torch.manual_seed(2)
    return torch.randn(BATCH, frames, PLACES, CHANNELS, dtype=torch.float64)


ALL = [
    module(TemporalKind.v1),
    module(TemporalKind.v2),
    module(TemporalKind.v2, FrameWeights.per_frame),
    module(TemporalKind.v3),
]
NAMES = ["v1", "v2 per place", "v2 per frame", "v3"]
each = pytest.mark.parametrize("made", ALL, ids=NAMES)


def test_mean_module_equals_reference() -> None:
    given = places()
    assert isinstance(ALL[0], MeanOverFrames)
    expected = torch.stack([given[:, :, place].sum(1) / FRAMES for place in range(PLACES)], dim=1)
    assert (ALL[0](given) - expected).abs().max() <= 1e-6


def test_module_of_weights_per_place_equals_reference() -> None:
    given, made = places(), ALL[1]
    assert isinstance(made, WeightedOverFrames)
    for place in range(PLACES):
        frames = given[:, :, place]
        weights = torch.softmax(frames @ made.score[place], dim=1)
        assert (made(given)[:, place] - (weights[:, :, None] * frames).sum(1)).abs().max() <= 1e-6


def test_module_of_weights_per_frame_equals_reference() -> None:
    given, made = places(), ALL[2]
    assert isinstance(made, WeightedOverFrames)
    weights = torch.softmax(nn.functional.linear(given.flatten(2), made.score.flatten()[None])[..., 0], dim=1)
    expected = torch.stack([sum(w * v for w, v in zip(*row, strict=True)) for row in zip(weights, given, strict=True)])
    assert (made(given) - expected).abs().max() <= 1e-6


def test_transformer_module_equals_reference() -> None:
    given, made = places(), ALL[3]
    assert isinstance(made, TransformerOverFrames)
    for place in range(PLACES):
        frames = given[:, :, place]
        expected = made.layer(frames + made.position[:FRAMES])[:, -1] + frames.mean(1)
        assert (made(given)[:, place] - expected).abs().max() <= 1e-6


@each
def test_one_frame_gives_one_vector_for_each_place(made: nn.Module) -> None:
    given = places(1)
    assert made(given).shape == (BATCH, PLACES, CHANNELS)
    if not isinstance(made, TransformerOverFrames):
        assert torch.allclose(made(given), given[:, 0])


@each
def test_order_of_the_frames_counts_in_v3_only(made: nn.Module) -> None:
    given = places()
    shuffled = given[:, [2, 0, 3, 1, 4]]  # the last frame stays
    difference = (made(given) - made(shuffled)).abs().max()
    assert difference > 1e-4 if isinstance(made, TransformerOverFrames) else difference < 1e-12


@each
def test_places_do_not_see_each_other_but_for_the_weights_of_frames(made: nn.Module) -> None:
    given, other = places(), places()
    other[:, :, 0] += 1 + torch.arange(FRAMES)[None, :, None]
    same = torch.allclose(made(given)[:, 1:], made(other)[:, 1:])
    assert same is not (isinstance(made, WeightedOverFrames) and made.per_frame)


@each
def test_gradients_are_exact(made: nn.Module) -> None:
    given = places(3).requires_grad_()
    assert torch.autograd.gradcheck(lambda *_: made(given), (given, *made.parameters()), fast_mode=True)
