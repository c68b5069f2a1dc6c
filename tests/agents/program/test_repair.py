"""What the code LLM is told of a program that failed, with an engine of the test's own."""

from __future__ import annotations

from collections.abc import Sequence

from aotd.agents.program.attempts import settled
from aotd.agents.program.examples import ExampleProgram
from aotd.agents.program.prompting import program_prompt, read_program
from aotd.agents.program.repair import Repairer, repaired
from aotd.llm.base import Reply, prompt_too_long
from aotd.records import Dropped, Outcome, Question
from aotd.tools.video import VIDEO_TOOLS
from tests.agents.program.test_attempts import GOOD, attempt, failed

EXAMPLE = ExampleProgram("one", "Which was closed?", ("A.",), ("star/Interaction_T1",), (), GOOD)


class Says:
    model = "says"

    def __init__(self, *lines: str) -> None:
        self.lines, self.asked = list(lines), []  # type: ignore[var-annotated]

    def generate(self, prompts: Sequence[str], *, max_tokens: int, temperature: float = 0.0) -> list[Reply]:
        self.asked += prompts
        return [Reply(self.lines.pop(0), True, 1, 1) for _ in prompts]


def repairer(*lines: str, repairs: int = 2) -> Repairer:
    def prompt(question: Question) -> str:
        return program_prompt(question, [EXAMPLE], VIDEO_TOOLS)

    return Repairer(Says(*lines), prompt, lambda reply: read_program(reply, 100, VIDEO_TOOLS), 100, repairs)


def test_repair_prompt_holds_error_and_findings() -> None:
    llm = repairer(GOOD.replace("query)", "'what?')"))
    result = failed(attempt())
    assert settled(result, llm.repairs) is None
    (again,), unusable = repaired([result], llm)
    assert not unusable
    assert (again.tries, again.repaired) == (2, 1)
    assert "'what?'" in again.code
    (asked,) = llm.engine.asked  # type: ignore[attr-defined]
    assert "program_error: line 2: IndexError: list" in asked
    assert '1. looked for person opening it: from frame 2 to frame 4\n2. asked "What?": a book' in asked
    assert asked.count("The book.") == 1, "the true answer stands among the options and nowhere else"


def test_unusable_repair_uses_up_a_repair() -> None:
    llm = repairer("I cannot.", "I still cannot.")
    again, unusable = repaired([failed(attempt())], llm)
    assert not again
    assert settled(unusable[0], llm.repairs) is None
    again, unusable = repaired(unusable, llm)
    end = settled(unusable[0], llm.repairs)
    assert isinstance(end, Dropped)
    assert end.outcome is Outcome.program_invalid
    assert end.reason.startswith("after 3 programs: when mended: line 1: not Python")


def test_repair_that_is_all_reasoning_says_nothing() -> None:
    llm = repairer(repairs=1)
    llm.engine.generate = lambda prompts, **_: [Reply.from_text(f"<think>{GOOD}", False, 1, 9) for _ in prompts]  # type: ignore[method-assign]
    again, unusable = repaired([failed(attempt())], llm)
    assert not again
    end = settled(unusable[0], llm.repairs)
    assert isinstance(end, Dropped)
    assert end.outcome is Outcome.nothing_said


def test_repair_whose_prompt_is_refused_ends_the_question() -> None:
    llm = repairer(repairs=2)
    llm.engine.generate = lambda prompts, **_: [prompt_too_long(9) for _ in prompts]  # type: ignore[method-assign]
    again, unusable = repaired([failed(attempt())], llm)
    assert not again
    end = settled(unusable[0], llm.repairs)
    assert isinstance(end, Dropped)
    assert end.outcome is Outcome.model_refused
