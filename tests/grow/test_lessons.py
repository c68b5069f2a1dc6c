"""Lessons say what is true of the scene, in the words of rationales, and are no questions of the benchmark."""

from __future__ import annotations

import re
from random import Random

import numpy as np
import pytest

from aotd.datasets.playroom import Difficulty
from aotd.datasets.playroom.questions import candidates
from aotd.datasets.playroom.things import COUNTED, PLAYROOM_VERBS
from aotd.grow.lessons import Lesson, lessons_of
from aotd.grow.scenes import SampledPart, SceneSource, parts_of

SOURCE = SceneSource(seed=0, difficulty=Difficulty.standard, frames=32, size=(128, 96))


@pytest.fixture(scope="module")
def told() -> list[tuple[SampledPart, Lesson]]:
    parts = [part for number in range(40) for part in parts_of(SOURCE, number, 1)]
    return [(part, lesson) for number, part in enumerate(parts) for lesson in lessons_of(part, Random(number))]


def of(told: list[tuple[SampledPart, Lesson]], kind: str) -> list[tuple[SampledPart, Lesson]]:
    found = [(part, lesson) for part, lesson in told if lesson.kind == kind]
    assert found
    return found


def test_changes_name_what_each_frame_shows(told: list[tuple[SampledPart, Lesson]]) -> None:
    for part, lesson in of(told, "changes"):
        begins = {int(number): words for number, words in re.findall(r"(?:^|, )([0-9]+) ([^,]+)", lesson.reply)}
        words = ""
        for frame, number in enumerate(part.numbers):
            words = begins.get(frame, words)
            doing = next((act for act in part.scene.actions if act.start <= number < act.end), None)
            if doing is not None:
                name = part.scene.things[doing.item].name
                assert words == f"{PLAYROOM_VERBS[doing.verb].doing} the {name}"
            else:
                assert words == "nothing" or words.startswith("about to ")


def test_span_is_that_of_the_action(told: list[tuple[SampledPart, Lesson]]) -> None:
    for part, lesson in of(told, "when"):
        acts = {
            f"Look for person {PLAYROOM_VERBS[act.verb].doing} the {part.scene.things[act.item].name}.\n": act
            for act in part.scene.actions
            if any(act.start <= number < act.end for number in part.numbers)
        }
        if lesson.reply == "It is not seen.":
            assert lesson.prompt not in acts
            continue
        act = acts[lesson.prompt]
        first, last = map(int, re.findall("[0-9]+", lesson.reply))
        assert [first <= frame <= last for frame in range(32)] == [act.start <= n < act.end for n in part.numbers]


def test_box_is_that_of_the_thing(told: list[tuple[SampledPart, Lesson]]) -> None:
    for part, lesson in of(told, "where"):
        found = re.fullmatch(r"Where is (.+) in frame ([0-9]+)\?\n", lesson.prompt)
        assert found is not None
        item = [thing.name for thing in part.scene.things].index(found[1])
        box = part.scene.item_box(part.numbers[int(found[2])], item)
        assert np.allclose([int(number) for number in re.findall("[0-9]+", lesson.reply)], box, atol=0.5)


def test_counts_are_those_of_the_scene(told: list[tuple[SampledPart, Lesson]]) -> None:
    for part, lesson in [*of(told, "count"), *of(told, "inventory")]:
        names = [thing.name for thing in part.scene.things]
        for name, count in re.findall(r"Count of ([^:]+): ([0-9]+)\.", lesson.reply):
            assert names.count(name) == int(count)


def test_states_are_those_of_the_frame(told: list[tuple[SampledPart, Lesson]]) -> None:
    for kind in ("held", "open"):
        for part, lesson in of(told, kind):
            state = part.scene.frames[part.numbers[int(re.findall("[0-9]+", lesson.prompt)[0])]]
            names = {
                thing.name
                for thing, item in zip(part.scene.things, state.items, strict=True)
                if (item.open if kind == "open" else item.holder is not None)
            }
            said = set() if lesson.reply == "nothing" else set(lesson.reply.removeprefix("the ").split(" and the "))
            assert said == names


def test_only_action_of_a_verb_is_looked_for_without_its_thing(told: list[tuple[SampledPart, Lesson]]) -> None:
    for part, lesson in of(told, "when_something"):
        found = re.fullmatch(r"Look for person (.+) something\.\n", lesson.prompt)
        assert found is not None
        shown = [
            [row for row, number in enumerate(part.numbers) if act.start <= number < act.end]
            for act in part.scene.actions
            if PLAYROOM_VERBS[act.verb].doing == found[1]
        ]
        (frames,) = filter(None, shown)
        assert lesson.reply == f"It happens from frame {frames[0]} to frame {frames[-1]}."


def test_no_lesson_is_a_question_of_the_benchmark(told: list[tuple[SampledPart, Lesson]]) -> None:
    asked = {candidate.text for number in range(40) for part in parts_of(SOURCE, number, 1)
             for candidate in candidates(part.scene, 0)}  # fmt: skip
    forms = {re.sub("[0-9]+", "", " ".join(text.split()[:3])).lower() for text in asked}
    for _, lesson in told:
        assert not any(text in lesson.prompt for text in asked)
        assert " ".join(lesson.prompt.removeprefix("Question: ").split()[:3]).lower() not in forms


def test_each_thing_is_told_with_its_box_or_how_many_there_are(told: list[tuple[SampledPart, Lesson]]) -> None:
    boxes = 0
    for part, lesson in of(told, "things"):
        names = [thing.name for thing in part.scene.things]
        said = re.findall(r"([a-z/]+) (?:([0-9]+)|\[([0-9, ]+)\])", lesson.reply)
        assert [name for name, _, _ in said] == sorted(set(names))
        for name, count, box in said:
            if count:
                assert int(count) == names.count(name)
                continue
            boxes += 1
            true = part.labels.things[:, names.index(name)]
            assert names.count(name) == 1
            assert np.abs(true[~np.isnan(true).any(1)] - list(map(int, box.split(", ")))).max() < 5
    assert boxes > 100


def test_amounts_are_counts_in_the_words_of_a_caption(told: list[tuple[SampledPart, Lesson]]) -> None:
    for part, lesson in of(told, "amount"):
        plural = lesson.prompt.removeprefix("Count ").rstrip(".\n")
        (name,) = [name for name, several in COUNTED.items() if several == plural]
        count = [thing.name for thing in part.scene.things].count(name)
        assert lesson.reply == f"{count} {name if count == 1 else plural}."


def test_half_of_the_counts_are_of_several_where_there_are(told: list[tuple[SampledPart, Lesson]]) -> None:
    told_counts = [*of(told, "count"), *of(told, "amount")]
    counts = [int(re.findall("[0-9]+", lesson.reply)[0]) for _, lesson in told_counts]
    assert 0 in counts
    assert 1 in counts
    assert sum(count > 1 for count in counts) >= 0.3 * len(counts)
