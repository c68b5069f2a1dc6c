"""What is true of chosen frames of a scene, as arrays: what a frame encoder is told while it is grown.

Boxes are in pixels of the video's frames, [x1, y1, x2, y2].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aotd.datasets.playroom.scene import PlayroomScene
from aotd.datasets.playroom.things import PLAYROOM_VERBS, THINGS

THING_NAMES = tuple(sorted(THINGS))
VERB_NAMES = tuple(PLAYROOM_VERBS)
PHASES = ("nothing", "approach", "reach", "action")
"""What part of an action a frame shows: walking there, stretching out the hand, the action itself."""


@dataclass(frozen=True)
class SceneLabels:
    """Labels of F frames of a scene with N things and up to two people."""

    verb: NDArray[np.int64]
    """`[F]`: 0 for none, else 1 + its place in `VERB_NAMES`. An action's run-up counts as it."""
    phase: NDArray[np.int64]
    """`[F]`: place in `PHASES`."""
    target: NDArray[np.int64]
    """`[F]`: the thing that is acted on, one of N; -1 for none."""
    actor: NDArray[np.int64]
    """`[F]`: the person who acts; -1 for none."""
    kinds: NDArray[np.int64]
    """`[N]`: place of each thing's name in `THING_NAMES`."""
    things: NDArray[np.float32]
    """Boxes, `[F, N, 4]`; not a number where one is out of sight."""
    people: NDArray[np.float32]
    """Boxes, `[F, 2, 4]`; not a number where there is nobody or one is out of sight."""
    is_open: NDArray[np.bool_]
    """`[F, N]`."""
    is_held: NDArray[np.bool_]
    """`[F, N]`."""


def label_frames(scene: PlayroomScene, numbers: Sequence[int]) -> SceneLabels:
    """Label frames of a scene.

    Args:
        numbers: of the video's own frames; one may come more than once.
    """
    count, things = len(numbers), len(scene.things)
    labels = SceneLabels(
        verb=np.zeros(count, np.int64),
        phase=np.zeros(count, np.int64),
        target=np.full(count, -1, np.int64),
        actor=np.full(count, -1, np.int64),
        kinds=np.array([THING_NAMES.index(thing.name) for thing in scene.things], np.int64),
        things=np.full((count, things, 4), np.nan, np.float32),
        people=np.full((count, 2, 4), np.nan, np.float32),
        is_open=np.zeros((count, things), np.bool_),
        is_held=np.zeros((count, things), np.bool_),
    )
    for row, frame in enumerate(numbers):
        for item in range(things):
            labels.things[row, item] = scene.item_box(frame, item) or np.nan
            state = scene.frames[frame].items[item]
            labels.is_open[row, item], labels.is_held[row, item] = state.open, state.holder is not None
        for person in range(len(scene.shirts)):
            labels.people[row, person] = scene.person_box(frame, person) or np.nan
        for action in scene.actions:
            if action.approach <= frame < action.end:
                labels.verb[row] = 1 + VERB_NAMES.index(action.verb)
                labels.phase[row] = 1 + (frame >= action.reach) + (frame >= action.start)
                labels.target[row], labels.actor[row] = action.item, action.actor
    return labels
