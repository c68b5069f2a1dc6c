"""What the encoder is told is true of the frame, and it can learn it."""

from __future__ import annotations

from collections import deque
from random import Random

import numpy as np
import pytest
import torch

from aotd.datasets.playroom import Difficulty
from aotd.datasets.playroom.labels import PHASES, THING_NAMES
from aotd.grow import EncoderSizes
from aotd.grow.eyes import DrawnPart, FrameTargets, draw_scene, encoder_losses, new_encoder, targets_of
from aotd.grow.scenes import SceneSource
from aotd.students.valley.grown_encoder import (
    ACTOR,
    BOX_SCALE,
    PERSON,
    TARGET,
    EncoderOutputs,
    GrownEncoder,
    with_changes,
)

SOURCE = SceneSource(seed=0, difficulty=Difficulty.easy, frames=32, size=(128, 96))


@pytest.fixture(scope="module")
def encoder() -> GrownEncoder:
    return new_encoder(EncoderSizes(cells=16, blocks=1), seed=0)


@pytest.fixture(scope="module")
def parts() -> list[DrawnPart]:
    return [draw_scene(SOURCE, number) for number in range(4)]


def true_of(part: DrawnPart, frame: int, encoder: GrownEncoder) -> FrameTargets:
    return FrameTargets(
        *(torch.from_numpy(values)[None] for values in targets_of(part.labels, frame, encoder.settings))
    )


def perfect(true: FrameTargets) -> EncoderOutputs:
    """What a net finds that makes no mistake."""
    verb, phase, thing = (int(value) for value in true.done[0])
    return EncoderOutputs(
        centers=torch.where(true.centers == 1, 12.0, -12.0),
        edges=true.edges / BOX_SCALE,
        states=24 * true.states - 12,
        verb=24 * torch.eye(9)[[verb]],
        phase=24 * torch.eye(len(PHASES))[[phase]],
        thing=24 * torch.eye(len(THING_NAMES))[[max(thing, 0)]],
    )


def test_targets_put_each_box_where_it_is(encoder: GrownEncoder, parts: list[DrawnPart]) -> None:
    for part in parts:
        for frame in (0, 15, 31):
            true = true_of(part, frame, encoder)
            boxes = encoder.boxes(perfect(true))
            for item, kind in enumerate(part.labels.kinds):
                box = part.labels.things[frame, item]
                if np.isnan(box).any():
                    continue
                row, column = (int((box[first] + box[first + 2]) / 4 // 8) for first in (1, 0))
                assert true.centers[0, TARGET + 1 + kind, row, column] == 1
                others = part.labels.things[frame][part.labels.kinds != kind]
                if all(np.abs(other - box).max() > 16 for other in others if not np.isnan(other).any()):
                    assert np.allclose(boxes[0, 0, :, row, column], box, atol=0.1)


def test_perfect_sight_costs_nothing_and_wrong_sight_does(encoder: GrownEncoder, parts: list[DrawnPart]) -> None:
    for part in parts:
        true = true_of(part, 20, encoder)
        assert all(float(loss) < 1e-3 for loss in encoder_losses(perfect(true), true, 1.0).values())
    other = true_of(parts[1], 3, encoder)
    losses = encoder_losses(perfect(other), true, 1.0)
    assert float(losses["centers"]) > 0.05
    assert float(losses["boxes"]) > 0.05


def test_who_acts_and_what_is_acted_on_are_marked_only_while_something_is_done(
    encoder: GrownEncoder, parts: list[DrawnPart]
) -> None:
    for part in parts:
        for frame in range(0, 32, 5):
            true = true_of(part, frame, encoder)
            busy = bool(part.labels.phase[frame])
            hidden = np.isnan(part.labels.people[frame, part.labels.actor[frame]]).any()
            assert bool((true.centers[0, ACTOR] == 1).any()) == (busy and not hidden)
            assert bool((true.centers[0, TARGET] == 1).any()) <= busy
            seen = (~np.isnan(part.labels.people[frame]).any(-1)).sum()
            assert int((true.centers[0, PERSON] == 1).sum()) <= seen


def test_encoder_learns_a_few_frames(parts: list[DrawnPart]) -> None:
    encoder = new_encoder(EncoderSizes(cells=32, blocks=1), seed=0)
    rng = Random(0)
    chosen = deque((part, rng.randrange(1, 31)) for part in parts for _ in range(2))
    pictures = torch.stack(
        [with_changes(torch.from_numpy(part.frames[frame - 1 : frame + 2]))[1] for part, frame in chosen]
    )
    targets = [targets_of(part.labels, frame, encoder.settings) for part, frame in chosen]
    true = FrameTargets(*(torch.from_numpy(np.stack(values)) for values in zip(*targets, strict=True)))
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=3e-3)
    first: dict[str, float] = {}
    for _ in range(60):
        losses = encoder_losses(encoder.detect(pictures), true, 1.0)
        first = first or {name: loss.item() for name, loss in losses.items()}
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
    assert all(losses[name].item() < 0.5 * first[name] for name in ("centers", "boxes", "verb", "phase", "thing"))


def test_encoder_can_be_told_no_actions(encoder: GrownEncoder, parts: list[DrawnPart]) -> None:
    for part in parts:
        frame = int(np.flatnonzero(part.labels.target >= 0)[0])
        told, untold = (targets_of(part.labels, frame, encoder.settings, actions=told)[0] for told in (True, False))
        assert (told[[ACTOR, TARGET]] == 1).any()
        assert not untold[[ACTOR, TARGET]].any()
        others = [kind for kind in range(len(told)) if kind not in (ACTOR, TARGET)]
        assert (told[others] == untold[others]).all()
    true = true_of(parts[0], 20, encoder)
    assert set(encoder_losses(perfect(true), true, None)) == {"centers", "boxes", "states"}
