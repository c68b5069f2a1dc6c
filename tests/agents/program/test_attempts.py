"""Which program is run next, with records of the test's own."""

from __future__ import annotations

from aotd.agents.base import Turn
from aotd.agents.program.attempts import Attempt, candidate, first, settled
from aotd.records import Dropped, Event, Outcome, Program, Question, SpanFinding, TextFinding, Trace

GOOD = "def execute_command(video_clip, query, possible_answers):\n    return Video_query(video_clip, query)\n"
QUESTION = Question(
    question_id="q",
    dataset="star",
    split="train",
    video_id="v",
    question="Which was opened?",
    type="Interaction_T1",
    options=("The door.", "The book."),
    answer="The book.",
)
SEEN = (
    Event(
        step=0,
        tool="Filter_frames_with_act",
        frames=(0,),
        query="person opening it",
        finding=SpanFinding(start=2, end=5),
    ),
    Event(step=1, tool="Video_query", frames=(2,), query="What?", finding=TextFinding(text="a book")),
)


def attempt(*others: str) -> Attempt:
    return first(QUESTION, Program(question_id="q", code=GOOD, author="llm", attempts=1, others=others))


def answered(now: Attempt, answer: str) -> Turn[Attempt]:
    trace = Trace(
        question_id="q", frames=8, start_s=0, end_s=8, width=4, height=4, events=SEEN, answer=answer, tries=now.tries
    )
    return Turn(now, trace, SEEN)


def failed(now: Attempt, outcome: Outcome = Outcome.program_error) -> Turn[Attempt]:
    return Turn(now, Dropped(question_id="q", outcome=outcome, reason="line 2: IndexError: list"), SEEN)


def test_true_answer_settles_question() -> None:
    result = answered(attempt("other"), "The book.")
    assert settled(result, 2) == result.record


def test_wrong_answer_runs_next_candidate_and_first_wrong_one_stays() -> None:
    wrong = answered(attempt("second", "third"), "The door.")
    assert settled(wrong, 0) is None
    second = candidate(wrong)
    assert (second.code, second.others, second.tries) == ("second", ("third",), 2)
    third = candidate(failed(second))
    assert (third.code, third.others, third.tries) == ("third", (), 3)
    for repairs in (0, 2):  # one that ran to an answer is not sent back
        assert settled(failed(third), repairs) == wrong.record
    assert settled(answered(third, "The book."), 0) == answered(third, "The book.").record


def test_failed_program_goes_back_after_last_candidate() -> None:
    before = failed(attempt("second"))
    assert settled(before, 0) is None
    last = failed(candidate(before))
    assert settled(last, 1) is None
    end = settled(last, 0)
    assert isinstance(end, Dropped)
    assert end.reason == "after 2 programs: line 2: IndexError: list"


def test_wrong_answer_and_crashed_specialist_are_not_repaired() -> None:
    wrong = answered(attempt(), "The door.")
    assert settled(wrong, 2) == wrong.record
    crashed = failed(attempt("other"), Outcome.tool_failed)
    assert settled(crashed, 2) == crashed.record


def test_unlabelled_question_takes_first_program_that_runs() -> None:
    now = attempt("other")
    open_ended = Attempt(QUESTION.model_copy(update={"answer": None}), now.program, now.code, now.others)
    result = answered(open_ended, "The door.")
    assert settled(result, 0) == result.record
