"""Author `fixed`: one general program per question type, from `programs/`, run as it is."""

from __future__ import annotations

from collections.abc import Sequence

from aotd.agents.program.examples import ExampleProgram, kinds_of
from aotd.errors import QuestionError
from aotd.records import Outcome, Question


def write(question: Question, programs: Sequence[ExampleProgram]) -> str:
    """The program that serves the question's type; the most exact name of the type wins.

    Raises:
        QuestionError: `program_invalid`, where no program serves it.
    """
    served = {kind: program for program in programs for kind in program.serves}
    for kind in kinds_of(question):
        if kind in served:
            return served[kind].code
    raise QuestionError(
        Outcome.program_invalid, f"no program in decompose.programs serves {question.dataset}/{question.type}"
    )
