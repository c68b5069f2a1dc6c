"""Questions of stage obey have one right answer, reasons that are true, and no type of the benchmark's."""

from __future__ import annotations

import re
from random import Random

import numpy as np
import pytest

from aotd.datasets.playroom import Difficulty
from aotd.datasets.playroom.questions import candidates
from aotd.datasets.playroom.things import COUNTED, past_option
from aotd.grow.questions import ReasonedQuestion, questions_of
from aotd.grow.scenes import SampledPart, SceneSource, parts_of
from aotd.scoring.answers import read_answer, same_answer
from aotd.scoring.claims import final_answer, read_claims

SOURCE = SceneSource(seed=0, difficulty=Difficulty.standard, frames=32, size=(128, 96))


@pytest.fixture(scope="module")
def told() -> list[tuple[SampledPart, ReasonedQuestion]]:
    parts = [part for number in range(40) for part in parts_of(SOURCE, number, 1)]
    return [(part, one) for number, part in enumerate(parts) for one in questions_of(part, Random(number))]


def of(told: list[tuple[SampledPart, ReasonedQuestion]], kind: str) -> list[tuple[SampledPart, ReasonedQuestion]]:
    found = [(part, one) for part, one in told if one.kind == kind]
    assert found
    return found


def test_one_of_the_options_is_done(told: list[tuple[SampledPart, ReasonedQuestion]]) -> None:
    for part, one in of(told, "done"):
        shown = set(part.numbers)
        true = {
            past_option(act.verb, part.scene.things[act.item].name)
            for act in part.scene.actions
            if shown & set(range(act.start, act.end))
        }
        assert [option for option in one.options if option in true] == [one.answer]
        assert len(set(one.options)) == len(one.options)


def test_one_of_the_options_is_there(told: list[tuple[SampledPart, ReasonedQuestion]]) -> None:
    for part, one in of(told, "there"):
        names = [f"The {thing.name}." for thing in part.scene.things]
        assert [option for option in one.options if option in names] == [one.answer]


def test_state_is_that_of_the_frame(told: list[tuple[SampledPart, ReasonedQuestion]]) -> None:
    for kind in ("held", "opened"):
        for part, one in of(told, kind):
            state = part.scene.frames[part.numbers[int(re.findall("[0-9]+", one.question)[0])]]
            names = [
                f"The {thing.name}."
                for thing, item in zip(part.scene.things, state.items, strict=True)
                if (item.open if kind == "opened" else item.holder is not None)
            ]
            assert names == [one.answer if one.options else f"The {one.answer}."]


def test_there_are_at_least_so_many_or_not(told: list[tuple[SampledPart, ReasonedQuestion]]) -> None:
    answers = []
    for part, one in of(told, "at_least"):
        number, plural = one.question.removeprefix("Are there at least ").rstrip("?").split()
        (name,) = [name for name, several in COUNTED.items() if several == plural]
        count = sum(thing.name == name for thing in part.scene.things)
        assert (count >= int(number)) == (one.answer == "Yes")
        assert one.steps == (f"Count of {name}: {count}.",)
        answers.append(one.answer)
    assert 10 <= answers.count("Yes") <= 30


def test_letter_stands_before_the_answer(told: list[tuple[SampledPart, ReasonedQuestion]]) -> None:
    letters = set()
    for _, one in told:
        lessons = {lesson.kind: lesson for lesson in one.lessons()}
        assert ("letter" in lessons) == bool(one.options)
        if one.options:
            assert read_answer(lessons["letter"].reply, one.options) == one.answer
            letters.add(lessons["letter"].reply)
    assert letters == set("ABCD")


def test_reasons_are_read_as_claims_that_are_true(told: list[tuple[SampledPart, ReasonedQuestion]]) -> None:
    boxes = 0
    for part, one in told:
        (thought,) = (lesson.reply for lesson in one.lessons() if lesson.kind == "rationale")
        assert same_answer(read_answer(final_answer(thought) or "", one.options), one.answer, one.options)
        things = [thing.name for thing in part.scene.things]
        for box in read_claims(thought).boxes:
            assert box.frame is not None
            frame = part.numbers[box.frame]
            if box.label == "person":
                true = [part.scene.person_box(frame, person) for person in range(len(part.scene.shirts))]
            else:
                true = [part.scene.item_box(frame, item) for item, name in enumerate(things) if name == box.label]
            assert any(np.allclose(box.box, one, atol=0.5) for one in true if one is not None)
            boxes += 1
    assert boxes > 200


def test_no_question_is_of_a_type_of_the_benchmark(told: list[tuple[SampledPart, ReasonedQuestion]]) -> None:
    asked = {candidate.text for number in range(40) for part in parts_of(SOURCE, number, 1)
             for candidate in candidates(part.scene, 0)}  # fmt: skip
    forms = {re.sub("[0-9]+", "", " ".join(text.split()[:3])).lower() for text in asked}
    for _, one in told:
        assert one.question not in asked
        assert " ".join(one.question.split()[:3]).lower() not in forms
