"""Scenes are played and rendered the same way every time, and what is written down is where it says."""

from __future__ import annotations

from pathlib import Path
from random import Random

import av
import numpy as np
import pytest

from aotd.datasets.playroom import Difficulty
from aotd.datasets.playroom.build import render
from aotd.datasets.playroom.render import draw
from aotd.datasets.playroom.scene import PlayroomScene
from aotd.datasets.playroom.staging import LAST_START, MIN_FRAMES, play
from aotd.datasets.playroom.storyboard import FAMILY, ScenePlan, family, legal
from aotd.datasets.playroom.things import FPS, HEIGHT, PLAYROOM_VERBS, THINGS, WIDTH

NAMES = ("a", "b", "c", "d")


def families(many: int) -> list[ScenePlan]:
    return [plan for seed in range(many) for plan in family(Random(str(seed)), NAMES)]


@pytest.fixture(scope="module")
def scenes() -> list[PlayroomScene]:
    return [play(plan, "0") for plan in families(25)]


def test_every_script_can_be_played() -> None:
    for plan in families(50):
        assert legal(plan.script)
        assert len(plan.script) >= 3
        assert all(act.thing in PLAYROOM_VERBS[act.verb].objects and act.thing in plan.things for act in plan.script)
        touched = {act.thing for act in plan.script}
        assert all(plan.things.count(name) == 1 for name in touched)


def test_family_shares_its_anchor_and_differs_around_it() -> None:
    plans = family(Random("x"), NAMES)
    assert [plan.scene for plan in plans] == list(NAMES)
    assert len({(plan.script[1].verb, plan.script[1].thing) for plan in plans}) == 1
    for place in (0, 2):
        assert len({(plan.script[place].verb, plan.script[place].thing) for plan in plans}) == FAMILY


def test_actions_follow_each_other_within_the_video(scenes: list[PlayroomScene]) -> None:
    for scene in scenes:
        assert len(scene.frames) >= MIN_FRAMES
        assert all(action.approach <= LAST_START + 10 for action in scene.actions)
        end = 0
        for action in scene.actions:
            assert end <= action.approach <= action.reach < action.start < action.end <= len(scene.frames)
            end = action.end


def test_scene_goes_on_past_twelve_seconds_until_its_last_action_has_ended() -> None:
    names = tuple(f"train-{number:04d}" for number in range(268, 268 + FAMILY))
    scene = play(family(Random("0/train/268"), names)[0], "0")
    assert len(scene.frames) > 12 * FPS
    assert scene.actions[-1].end <= len(scene.frames)


def test_boxes_lie_within_the_frame(scenes: list[PlayroomScene]) -> None:
    for scene in scenes:
        for frame in range(0, len(scene.frames), 7):
            boxes = [scene.item_box(frame, item) for item in range(len(scene.things))]
            boxes += [scene.person_box(frame, person) for person in range(len(scene.shirts))]
            for box in boxes:
                if box is not None:
                    assert 0 <= box[0] < box[2] <= WIDTH
                    assert 0 <= box[1] < box[3] <= HEIGHT


def test_actions_change_the_state_of_things(scenes: list[PlayroomScene]) -> None:
    for scene in scenes:
        for action in scene.actions:
            before, after = (scene.frames[frame].items[action.item] for frame in (action.start - 1, action.end - 1))
            if action.verb in ("open", "close"):
                assert (before.open, after.open) == (action.verb == "close", action.verb == "open")
            if action.verb == "take":
                assert (before.holder, after.holder) == (None, action.actor)
            if action.verb in ("put", "throw"):
                assert (before.holder, after.holder) == (action.actor, None)
            if action.verb == "hold":
                assert before.holder == after.holder == action.actor


def test_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    plan = families(1)[0]
    for difficulty in Difficulty:
        for name in ("first", "second"):
            render(play(plan, "0"), "0", tmp_path / name, difficulty)
        assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    render(play(plan, "1"), "1", tmp_path / "other", difficulty)
    assert (tmp_path / "other").read_bytes() != (tmp_path / "first").read_bytes()


def test_file_is_h264_and_shows_the_drawn_frames(tmp_path: Path) -> None:
    scene = play(families(1)[0], "0")
    render(scene, "0", tmp_path / "a.mp4", Difficulty.standard)
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    drawn = draw(scene, "0", Difficulty.standard)
    assert len(decoded) == len(drawn) == len(scene.frames)
    assert all(np.abs(a.astype(int) - b).mean() < 12 for a, b in zip(decoded, drawn, strict=True))


def test_thing_is_drawn_in_its_colour_inside_its_box(scenes: list[PlayroomScene]) -> None:
    scene = scenes[0]
    pixels = draw(scene, "0", Difficulty.easy)[0].astype(int)
    item = next(number for number, thing in enumerate(scene.things) if thing.place == "wall")
    box = scene.item_box(0, item)
    assert box is not None
    near = np.abs(pixels - scene.things[item].colour).sum(2) < 60
    x1, y1, x2, y2 = (round(value) for value in box)
    assert near[y1:y2, x1:x2].mean() > 0.25
    assert near[y1:y2, x1:x2].sum() > 0.9 * near.sum()


def test_things_have_distinct_colours_and_codes() -> None:
    assert len({thing.colour for thing in THINGS.values()}) == len(THINGS)
    assert len({thing.code for thing in THINGS.values()}) == len(THINGS)
    assert all(bool(thing.open_parts) == thing.openable for thing in THINGS.values())
