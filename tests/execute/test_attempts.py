"""Which program is run next, with records and an engine of the test's own."""

from __future__ import annotations

from collections.abc import Sequence

from aotd.authoring import prompt, read_program
from aotd.decompose import DecomposeConfig
from aotd.example_programs import ExampleProgram
from aotd.execute.attempts import Attempt, Mender, Result, first, following, settled
from aotd.llm import Reply
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
EXAMPLE = ExampleProgram("one", "Which was closed?", ("A.",), ("star/Interaction_T1",), (), GOOD)


class Says:
    model = "says"

    def __init__(self, *lines: str) -> None:
        self.lines, self.asked = list(lines), []  # type: ignore[var-annotated]

    def complete(self, prompts: Sequence[str], *, max_tokens: int, temperature: float = 0.0) -> list[Reply]:
        self.asked += prompts
        return [Reply(self.lines.pop(0), True, 1, 1) for _ in prompts]


def mender(*lines: str, repairs: int = 2) -> Mender:
    settings = DecomposeConfig(max_tokens=100)

    def asked(question: Question) -> str:
        return prompt(question, [EXAMPLE])

    return Mender(Says(*lines), asked, lambda reply: read_program(reply, settings), 100, repairs)


def attempt(*others: str) -> Attempt:
    return first(QUESTION, Program(question_id="q", code=GOOD, author="llm", attempts=1, others=others))


def answered(now: Attempt, answer: str) -> Result:
    trace = Trace(
        question_id="q", frames=8, start_s=0, end_s=8, width=4, height=4, events=SEEN, answer=answer, tries=now.tries
    )
    return Result(now, trace, SEEN)


def failed(now: Attempt, outcome: Outcome = Outcome.program_error) -> Result:
    return Result(now, Dropped(question_id="q", outcome=outcome, reason="line 2: IndexError: list"), SEEN)


def test_the_true_answer_settles_a_question_at_once() -> None:
    result = answered(attempt("other"), "The book.")
    assert settled(result, mender()) == result.record


def test_a_wrong_answer_has_the_next_candidate_run_and_the_first_wrong_one_stays_if_none_is_right() -> None:
    wrong = answered(attempt("second", "third"), "The door.")
    assert settled(wrong, None) is None
    (second,), _ = following([wrong], None)
    assert (second.code, second.others, second.tries) == ("second", ("third",), 2)
    (third,), _ = following([failed(second)], None)
    assert (third.code, third.tries) == ("third", 3)
    assert settled(failed(third), None) == wrong.record
    assert settled(answered(third, "The book."), None) == answered(third, "The book.").record


def test_a_failed_program_goes_back_with_its_error_and_what_was_seen() -> None:
    llm = mender(GOOD.replace("query)", "'what?')"))
    result = failed(attempt())
    assert settled(result, llm) is None
    (again,), unusable = following([result], llm)
    assert not unusable
    assert (again.tries, again.mended) == (2, 1)
    assert "'what?'" in again.code
    (asked,) = llm.engine.asked  # type: ignore[attr-defined]
    assert "program_error: line 2: IndexError: list" in asked
    assert '1. looked for person opening it: from frame 2 to frame 4\n2. asked "What?": a book' in asked
    assert asked.count("The book.") == 1, "the true answer stands among the options and nowhere else"


def test_a_mended_text_that_is_no_program_uses_up_a_repair() -> None:
    llm = mender("I cannot.", "I still cannot.")
    again, unusable = following([failed(attempt())], llm)
    assert not again
    assert settled(unusable[0], llm) is None
    again, unusable = following(unusable, llm)
    end = settled(unusable[0], llm)
    assert isinstance(end, Dropped)
    assert end.outcome is Outcome.program_invalid
    assert end.reason.startswith("after 3 programs: when mended: line 1: not Python")


def test_a_wrong_answer_and_a_crashed_specialist_are_never_sent_back() -> None:
    llm = mender()
    wrong = answered(attempt(), "The door.")
    assert settled(wrong, llm) == wrong.record
    crashed = failed(attempt("other"), Outcome.tool_failed)
    assert settled(crashed, llm) == crashed.record


def test_a_question_without_a_true_answer_takes_the_first_program_that_runs() -> None:
    now = attempt("other")
    open_ended = Attempt(QUESTION.model_copy(update={"answer": None}), now.program, now.code, now.others)
    result = answered(open_ended, "The door.")
    assert settled(result, None) == result.record
