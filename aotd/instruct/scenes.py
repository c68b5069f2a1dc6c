"""playroom's scenes that dialogues are written about, with a title and a caption each.

They are a split of their own, `instruct`: none is a scene of the questions' splits, whatever the seed. A video is
rendered only where it is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random

from aotd.datasets.captions import VideoCaption
from aotd.datasets.playroom import Difficulty
from aotd.datasets.playroom.build import render_plans
from aotd.datasets.playroom.captions import SceneFacts, facts_of, tell
from aotd.datasets.playroom.scene import PlayroomScene
from aotd.datasets.playroom.staging import play
from aotd.datasets.playroom.storyboard import FAMILY, ScenePlan, family
from aotd.store.files import make_folder

FOLDER = "instruct"
"""Folder of the videos, below that of all playroom's videos."""


@dataclass(frozen=True)
class ToldScene:
    """A scene's facts, and how they are told."""

    facts: SceneFacts
    caption: VideoCaption


def told_scenes(seed: int, count: int, difficulty: Difficulty) -> list[ToldScene]:
    """Scenes with a title and a caption each; the same seed and number give the same texts.

    Args:
        difficulty: of the videos that they name.
    """
    return [_told(play(plan, str(seed)), seed, difficulty) for plan in _plans(seed, count)]


def write_videos(root: Path, seed: int, count: int, difficulty: Difficulty) -> None:
    """Render the videos of `told_scenes` that are not there yet.

    Raises:
        UserError: the disk does not take them.
    """
    folder = root / FOLDER / difficulty.value
    make_folder(folder)
    render_plans(_plans(seed, count), folder, seed, difficulty)


def _plans(seed: int, count: int) -> list[ScenePlan]:
    """As those of the questions' splits (`build.plans`), under a split's name that no question has."""
    every: list[ScenePlan] = []
    for first in range(0, count, FAMILY):
        names = tuple(f"instruct-{seed}-{number:05d}" for number in range(first, first + FAMILY))
        every += family(Random(f"{seed}/instruct/{first}"), names)  # noqa: S311
    return every[:count]


def _told(scene: PlayroomScene, seed: int, difficulty: Difficulty) -> ToldScene:
    facts = facts_of(scene)
    title, caption = tell(facts, Random(f"{seed}/{scene.name}/caption"))  # noqa: S311
    video = f"{FOLDER}/{difficulty.value}/{scene.name}.mp4"
    return ToldScene(facts, VideoCaption(scene.name, video, title, caption, "playroom"))
