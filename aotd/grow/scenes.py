"""The scenes that a student grows on: made for it, never repeated, and none of a world that it is tested on.

A scene's plan and looks come from `grow.scenes` and its number. Worlds are made from other seeds, under other names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random

import numpy as np

from aotd.datasets.playroom import Difficulty
from aotd.datasets.playroom.labels import SceneLabels, label_frames
from aotd.datasets.playroom.render import draw
from aotd.datasets.playroom.scene import PlayroomScene
from aotd.datasets.playroom.staging import play
from aotd.datasets.playroom.storyboard import FAMILY, ScenePlan, family
from aotd.students.valley.grown_encoder import shrink
from aotd.video.clip import Pixels


@dataclass(frozen=True)
class SceneSource:
    """What scenes are made from."""

    seed: int
    difficulty: Difficulty
    frames: int
    """Frames sampled from a part, as the specialists of a run sample them."""
    size: tuple[int, int]
    """Width and height that frames are shrunk to."""


@dataclass(frozen=True)
class SampledPart:
    """A part of a scene, cut as questions cut them, and what is true of the frames that are sampled from it."""

    scene: PlayroomScene
    start: int
    """Its first frame among the scene's own."""
    end: int
    """The frame behind its last one."""
    numbers: tuple[int, ...]
    """Its sampled frames among the scene's own."""
    labels: SceneLabels


def scene_of(source: SceneSource, number: int) -> PlayroomScene:
    """Play the scene of a number."""
    first = number - number % FAMILY
    return play(_family(source.seed, first)[number - first], str(source.seed))


@lru_cache(8)
def _family(seed: int, first: int) -> list[ScenePlan]:
    names = tuple(f"grow-{number:07d}" for number in range(first, first + FAMILY))
    return family(Random(f"{seed}/grow/{first}"), names)  # noqa: S311


def parts_of(source: SceneSource, number: int, count: int) -> list[SampledPart]:
    """Cut parts out of the scene of a number."""
    scene = scene_of(source, number)
    rng = Random(f"{source.seed}/grow/{number}/parts")  # noqa: S311
    return [_sampled(scene, *_part(scene, rng), source.frames) for _ in range(count)]


def draw_parts(source: SceneSource, parts: Sequence[SampledPart]) -> list[Pixels]:
    """Draw parts of one scene, shrunk: RGB `[F, height, width, 3]` each."""
    wanted = sorted({frame for part in parts for frame in part.numbers})
    frames = shrink(np.stack(draw(parts[0].scene, str(source.seed), source.difficulty, set(wanted))), *source.size)
    rows = {frame: row for row, frame in enumerate(wanted)}
    return [frames[[rows[frame] for frame in part.numbers]] for part in parts]


def _part(scene: PlayroomScene, rng: Random) -> tuple[int, int]:
    """A part `[start, end)`: half the time all of it, else up to an action, or some actions with their run-ups."""
    edges = [0, *(action.approach for action in scene.actions[1:]), len(scene.frames)]
    kind = rng.random()
    if kind < 0.5 or len(edges) < 3:
        return 0, len(scene.frames)
    if kind < 0.7:
        return 0, rng.choice(scene.actions).start
    first = rng.randrange(len(edges) - 1)
    return edges[first], edges[rng.randrange(first + 1, len(edges))]


def _sampled(scene: PlayroomScene, start: int, end: int, count: int) -> SampledPart:
    """Sample frames in the middle of equal parts of `[start, end)`; a short part shows some twice."""
    numbers = tuple(start + int((number + 0.5) * (end - start) / count) for number in range(count))
    return SampledPart(scene, start, end, numbers, label_frames(scene, numbers))
