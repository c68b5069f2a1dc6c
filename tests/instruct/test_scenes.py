"""Captions of playroom say what the simulation shows, of scenes that no question is about."""

from __future__ import annotations

from pathlib import Path

import pytest

from aotd.datasets.playroom import Difficulty, PlayroomConfig
from aotd.datasets.playroom.build import SPLITS, plans
from aotd.datasets.playroom.captions import facts_of, noun_of, plural
from aotd.datasets.playroom.staging import play
from aotd.instruct.scenes import _plans, told_scenes, write_videos

MANY = 60


def test_told_scenes_are_the_same_from_the_same_seed() -> None:
    told = told_scenes(3, 10, Difficulty.easy)
    assert told == told_scenes(3, 10, Difficulty.easy)
    assert told[:6] == told_scenes(3, 6, Difficulty.easy)
    assert {one.caption.caption for one in told}.isdisjoint(
        one.caption.caption for one in told_scenes(4, 10, Difficulty.easy)
    )


def test_captions_hold_people_things_states_and_deeds_in_order() -> None:
    for one in told_scenes(0, MANY, Difficulty.easy):
        facts, text = one.facts, one.caption.caption
        assert all(f" {shirt}" in text for shirt in facts.shirts)
        assert all(standing.words in text for standing in facts.standing)
        assert all(f"the {noun}" in text.lower() for _, noun in facts.held)
        assert all(f"the {noun}" in text.lower() and " open " in text for noun in facts.opened)
        told = text.rpartition(". ")[2]
        places = [told.find(f"the {deed.noun}") for deed in facts.deeds]
        assert -1 not in places
        assert len(facts.deeds) >= 3
        assert 30 <= len(text.split()) <= 160


def test_facts_are_those_of_the_simulation() -> None:
    for plan in _plans(0, MANY):
        scene = play(plan, "0")
        facts = facts_of(scene)
        held = {noun for _, noun in facts.held}
        standing = sum(one.count for one in facts.standing)
        assert standing + len(held) == len(scene.things)
        assert len(facts.shirts) == plan.people
        assert set(facts.opened) == {noun_of(name) for name in plan.opened}
        assert [(deed.verb, deed.noun) for deed in facts.deeds] == [
            (act.verb, noun_of(act.thing)) for act in plan.script[: len(facts.deeds)]
        ]
        for noun in facts.opened_at_end:
            assert noun in facts.opened or any((deed.verb, deed.noun) == ("open", noun) for deed in facts.deeds)


def test_no_scene_is_one_of_the_questions() -> None:
    def signature(plan: object) -> tuple[object, ...]:
        return plan.people, plan.things, plan.held, plan.opened, plan.script  # type: ignore[attr-defined]

    world = PlayroomConfig()
    asked = {signature(plan) for split in SPLITS for plan in plans(world, split)}
    told = _plans(world.seed, 400)
    assert {signature(plan) for plan in told}.isdisjoint(asked)
    assert {plan.scene for plan in told}.isdisjoint(plan.scene for split in SPLITS for plan in plans(world, split))


def test_plural_of_words() -> None:
    assert (plural("box"), plural("cup"), noun_of("paper/notebook"), noun_of("cup/glass/bottle")) == (
        *("boxes", "cups", "notebook", "cup"),
    )


def test_videos_are_rendered_where_captions_name_them(tmp_path: Path) -> None:
    (one,) = told_scenes(0, 1, Difficulty.easy)
    assert not list(tmp_path.iterdir())
    write_videos(tmp_path, 0, 1, Difficulty.easy)
    path = tmp_path / one.caption.video
    assert path.stat().st_size > 1000
    before = path.stat().st_mtime_ns
    write_videos(tmp_path, 0, 1, Difficulty.easy)
    assert path.stat().st_mtime_ns == before
    assert [found.name for found in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("count", [1, 3, 4, 5])
def test_any_number_of_scenes_can_be_told(count: int) -> None:
    assert len(told_scenes(0, count, Difficulty.easy)) == count
