"""Author `annotated`: every playroom question, and STAR's own shapes, become programs that pass the check."""

from __future__ import annotations

from functools import lru_cache
from random import Random

import pytest

from aotd.datasets.playroom.questions import candidates
from aotd.datasets.playroom.staging import play
from aotd.datasets.playroom.storyboard import family
from aotd.datasets.star import STAR_VERBS
from aotd.decompose.annotated import write
from aotd.decompose.functional import FunctionalTarget, read
from aotd.errors import QuestionError
from aotd.records import Outcome, Question, Step
from aotd.sandbox.check import check
from aotd.tools.video import VIDEO_TOOLS

TYPES = {
    *(f"Interaction_T{number}" for number in (1, 2, 3)),
    *(f"Sequence_T{number}" for number in (1, 2, 3, 4, 5, 6)),
    *(f"Prediction_T{number}" for number in (1, 2, 3, 4)),
    *("Feasibility_T1", "Feasibility_T5", "Counting", "Ordering"),
}


def question(kind: str, *steps: tuple[str, ...], answer: str | None = None) -> Question:
    return Question(
        question_id="q",
        dataset="star",
        split="val",
        video_id="v",
        question="?",
        type=kind,
        answer=answer,
        steps=tuple(Step(function=name, inputs=inputs) for name, *inputs in steps),
    )


@lru_cache(maxsize=1)
def asked_in_playroom() -> tuple[Question, ...]:
    """Questions of some families of scenes, until every type is there; each way of asking twice at most."""
    found: dict[tuple[str, ...], list[Question]] = {}
    for number in range(40):
        if {kind for kind, *_ in found} == TYPES:
            break
        for index, plan in enumerate(family(Random(f"annotated/{number}"), ("a", "b", "c", "d"))):
            for item in candidates(play(plan, str(number)), index):
                alike = found.setdefault((item.type, *(name for name, _ in item.steps)), [])
                if len(alike) < 2:
                    steps = ((name, *inputs) for name, inputs in item.steps)
                    alike.append(question(item.type, *steps, answer=item.answer))
    return tuple(item for alike in found.values() for item in alike)


def test_annotated_translates_every_type_of_playroom() -> None:
    asked = asked_in_playroom()
    assert {item.type for item in asked} == TYPES
    for item in asked:
        code = write(item)
        check(code, VIDEO_TOOLS)
        assert "select_answer(query, info, possible_answers)" in code
        assert any(f"{tool}(" in code for tool in ("Find", "Query_Objs", "Query_Actions"))


def test_annotated_ignores_true_answer() -> None:
    for item in asked_in_playroom():
        assert write(item) == write(item.model_copy(update={"answer": None}))


ACTIONS = (("Situations",), ("Actions",))


def test_annotated_looks_after_named_action() -> None:
    code = write(
        question(
            "Sequence_T1",
            *ACTIONS,
            *ACTIONS,
            ("Filter_Actions_with_Verb", "open"),
            ("Filter_Actions_with_Obj", "door"),
            ("Unique",),
            ("Filter_After_Actions",),
            ("Filter_Actions_with_Verb", "put"),
            ("Unique",),
            ("Query_Objs",),
        )
    )
    before, after = code.index('"person opening the door"'), code.index('"person putting down something"')
    assert before < code.index("trim(video_clip, first.end, None)") < after


def test_annotated_narrows_two_relations_in_turn() -> None:
    code = write(
        question(
            "Interaction_T4",
            ("Situations",),
            ("Filter_Situations_with_Rel", "sitting_on"),
            ("Filter_Situations_with_Obj", "bed"),
            ("Filter_Situations_with_Rel", "touching"),
            ("Filter_Situations_with_Obj", "table"),
            ("Actions",),
            ("Unique",),
            ("Query_Actions",),
        )
    )
    assert 'meanwhile = Filter_frames_with_act(video_clip, "person sitting on the bed")' in code
    assert 'meanwhile_2 = Filter_frames_with_act(meanwhile, "person touching the table")' in code


@pytest.mark.parametrize("verb", sorted(STAR_VERBS))
def test_every_star_verb_has_words(verb: str) -> None:
    steps = (*ACTIONS, ("Filter_Actions_with_Verb", verb), ("Unique",), ("Query_Objs",))
    assert f"person {STAR_VERBS[verb].doing} something" in write(question("Interaction_T1", *steps))


@pytest.mark.parametrize(
    "steps",
    [
        (),
        (("Situations",), ("Actions",)),
        (("Situations",), ("Somersault",)),
        (("Filter_Actions_with_Verb", "open"),),
        (("Situations",), ("Filter_Actions_with_Verb",)),
        (*ACTIONS, ("Filter_After_Actions", "open"), ("Query_Objs",)),
        (*ACTIONS, ("Filter_Actions_with_Verb", "juggle"), ("Query_Objs",)),
        (*ACTIONS, ("Query_Verbs",)),
        (*ACTIONS, ("Count",)),
    ],
)
def test_untranslatable_steps_are_program_invalid(steps: tuple[tuple[str, ...], ...]) -> None:
    with pytest.raises(QuestionError) as error:
        write(question("Interaction_T1", *steps))
    assert error.value.outcome is Outcome.program_invalid


def test_untrusted_word_stays_inside_its_string() -> None:
    hostile = 'door")\n    __import__("os'
    steps = (*ACTIONS, ("Filter_Actions_with_Obj", hostile), ("Unique",), ("Query_Verbs",))
    with pytest.raises(QuestionError) as error:
        write(question("Interaction_T2", *steps))
    assert error.value.outcome is Outcome.program_invalid


def test_functional_query_is_read_from_steps() -> None:
    steps = (*ACTIONS, ("Filter_Actions_with_Verb", "open"), ("Unique",), ("Query_Objs",))
    asked = read(question("Interaction_T1", *steps).steps)
    assert (asked.verb, asked.obj, asked.wanted) == ("open", None, FunctionalTarget.objects)
