"""Scenes that students grow on: the same again, of no world, and drawn as they are played."""

from __future__ import annotations

import numpy as np

from aotd.datasets.playroom import Difficulty, PlayroomConfig
from aotd.datasets.playroom.build import plans
from aotd.datasets.playroom.render import draw
from aotd.grow.scenes import SceneSource, draw_parts, parts_of, scene_of
from aotd.students.valley.grown_encoder import shrink

SOURCE = SceneSource(seed=0, difficulty=Difficulty.standard, frames=32, size=(128, 96))


def test_scene_is_the_same_again_and_another_for_another_number_or_seed() -> None:
    first = scene_of(SOURCE, 6)
    assert scene_of(SOURCE, 6) == first
    assert scene_of(SOURCE, 7).frames != first.frames
    assert scene_of(SceneSource(1, Difficulty.standard, 32, (128, 96)), 6).frames != first.frames


def test_no_scene_is_of_a_world_with_the_same_seed() -> None:
    worlds = {
        (plan.things, plan.script)
        for split in ("train", "val", "test")
        for plan in plans(PlayroomConfig(seed=0, train_videos=48, val_videos=20, test_videos=20), split)
    }
    grown = [scene_of(SOURCE, number) for number in range(40)]
    played = {tuple(thing.name for thing in scene.things) for scene in grown}
    assert not played & {things for things, _ in worlds}


def test_parts_are_cut_within_the_scene_and_sampled_in_order() -> None:
    cuts = set()
    for number in range(12):
        for part in parts_of(SOURCE, number, 2):
            assert len(part.numbers) == SOURCE.frames
            assert list(part.numbers) == sorted(part.numbers)
            assert 0 <= part.numbers[0] <= part.numbers[-1] < len(part.scene.frames)
            cuts.add((part.numbers[0] > 2, part.numbers[-1] < len(part.scene.frames) - 3))
    assert cuts == {(False, False), (False, True), (True, False), (True, True)}


def test_drawn_part_is_the_shrunk_video() -> None:
    parts = parts_of(SOURCE, 3, 2)
    whole = shrink(np.stack(draw(parts[0].scene, "0", Difficulty.standard)), 128, 96)
    for part, frames in zip(parts, draw_parts(SOURCE, parts), strict=True):
        assert np.array_equal(frames, whole[list(part.numbers)])
