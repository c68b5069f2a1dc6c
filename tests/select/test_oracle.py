"""What the always-right tools say about a scene of the test's own: 8 frames of a second each."""

from __future__ import annotations

import pytest

from aotd.datasets.star import StarSituation
from aotd.records import EvidenceBox, Question
from aotd.select.oracle import Oracle
from aotd.video.clip import Clip
from tests.conftest import BlankVideo, Scripted

QUESTION = Question(
    question_id="q",
    dataset="star",
    split="val",
    video_id="v",
    start_s=0,
    end_s=8,
    question="Which?",
    type="Interaction_T1",
)


def box(label: str, x: float, time: float) -> EvidenceBox:
    return EvidenceBox(label=label, time_s=time, box=(x, 0, x + 5, 5))


SCENE = [
    StarSituation(0.5, (), (box("door", 1, 0.5), box("cup/glass/bottle", 20, 0.5))),
    StarSituation(2.5, ("open door",), (box("door", 2, 2.5), box("person", 8, 2.5))),
    StarSituation(
        4.5, ("take cup/glass/bottle",), (box("cup/glass/bottle", 21, 4.5), box("cup/glass/bottle", 30, 4.5))
    ),
    StarSituation(6.5, (), (), held=("cup/glass/bottle",)),
    StarSituation(7.9, ("sit bed",), ()),
]


@pytest.fixture
def oracle(scripted: Scripted) -> Oracle:
    return Oracle(QUESTION, SCENE, scripted)


@pytest.fixture
def clip() -> Clip:
    return Clip.whole(BlankVideo())


def test_things_are_where_they_are_marked_on_the_nearest_key_frame(oracle: Oracle, clip: Clip) -> None:
    found = oracle.detect(clip, "glass")
    assert [(one.frame, one.box[0]) for one in found] == [(0, 20), (1, 20), (4, 21), (4, 30), (5, 21), (5, 30)]
    assert oracle.detect(clip, "shoe") == []


def test_moments_are_when_the_marked_action_happens(oracle: Oracle, clip: Clip) -> None:
    opening = oracle.ground(clip, "person opening the door")
    assert opening is not None
    assert (opening.start, opening.end) == (1, 3)
    anything = oracle.ground(clip.span(3, 8), "person taking something")
    assert anything is not None
    assert (anything.start, anything.end) == (3, 5)
    assert oracle.ground(clip.span(5, 8), "person opening the door") is None
    holding = oracle.ground(clip, "person holding the cup/glass/bottle")
    assert holding is not None
    assert 6 in range(holding.start, holding.end)


def test_actions_are_told_in_order_or_picked_from_candidates(oracle: Oracle, clip: Clip) -> None:
    assert oracle.actions(clip, None, ())[:2] == ["opening the door", "taking the cup/glass/bottle"]
    assert oracle.actions(clip, "door", ()) == ["opening the door"]
    options = ("Sat on the floor.", "Took the cup/glass/bottle.", "Opened the door.")
    assert oracle.actions(clip, None, options) == ["Opened the door.", "Took the cup/glass/bottle."]


def test_questions_are_answered_by_what_their_words_want(oracle: Oracle, clip: Clip) -> None:
    assert oracle.answer(clip.span(3, 5), "What is the person taking?") == "cup/glass/bottle"
    assert oracle.answer(clip.span(0, 6), "What is the person about to do?") == "sit bed"
    assert oracle.answer(clip, "How many cups are there?") == "2"
    assert oracle.answer(clip, "Which things could the person open?") == "door, cup/glass/bottle"


def test_the_option_told_first_is_chosen_and_none_where_none_is_told(oracle: Oracle) -> None:
    options = ("The door.", "The cup/glass/bottle.")
    assert oracle.choose("Which?", {"taken": "cup/glass/bottle", "seen": "door"}, options) == options[1]
    assert oracle.choose("Which?", {"taken": "nothing"}, options) is None
