"""What the program agent is to do in a run: run each question's program, and have programs that fail repaired."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from aotd.agents.base import Turn
from aotd.agents.program.attempts import Attempt, first, settled
from aotd.agents.program.examples import programs_digest, read_programs
from aotd.agents.program.prompting import (
    PROMPTS,
    PromptSettings,
    allowed_tools,
    examples_for,
    program_prompt,
    read_program,
)
from aotd.agents.program.repair import Repairer, repaired
from aotd.llm import LLMConfig, role_llm
from aotd.llm.load import load_engine
from aotd.prompts import digest
from aotd.records import Question
from aotd.store.cache import Cache
from aotd.store.run import Run
from aotd.tools.toolbox import Toolbox


class ProgramAssignment:
    """The programs of a run, as tasks."""

    def __init__(self, run: Run, repairer: Repairer | None, examples: str = "") -> None:
        """Args:
        repairer: repairs programs that failed; None: they do not go back.
        examples: digest of the example programs that its prompts take from.
        """
        self._run, self._repairer, self._examples = run, repairer, examples

    def decides(self) -> dict[str, dict[str, Any]]:
        """As `Assignment.decides`."""
        parts: dict[str, dict[str, Any]] = {
            "settings": {"repairs": self._repairer.repairs if self._repairer else 0},
            "inputs": {name: self._run.stage(name).manifest_digest() for name in ("load", "decompose")},
        }
        if self._repairer is None:
            return parts
        return parts | {
            "models": {"mender": self._repairer.engine.model},
            "prompts": {name: digest(name) for name in PROMPTS},
            "programs": {"examples": self._examples},
        }

    @contextmanager
    def tasks(self, done: Collection[str]) -> Iterator[Iterator[Attempt]]:
        """As `Assignment.tasks`."""
        programs = self._run.programs
        with self._run.questions.beside(programs) as question_of:
            yield (first(question_of(program.question_id), program) for program in programs.stream(without=done))

    def ids(self) -> Iterable[str]:
        """As `Assignment.ids`."""
        return self._run.programs.ids()

    def count(self) -> int:
        """As `Assignment.count`."""
        return self._run.programs.count()

    @property
    def revises(self) -> bool:
        """As `Assignment.revises`."""
        return self._repairer is not None

    def revise(self, turns: Sequence[Turn[Attempt]]) -> tuple[list[Attempt], list[Turn[Attempt]]]:
        """As `Assignment.revise`: the programs go back to the code LLM."""
        assert self._repairer is not None
        attempts: list[Attempt] = []
        ended: list[Turn[Attempt]] = []
        while turns:
            more, failed = repaired(turns, self._repairer)
            attempts += more
            ends = [(turn, settled(turn, self._repairer.repairs)) for turn in failed]
            ended += [replace(turn, record=record) for turn, record in ends if record is not None]
            turns = [turn for turn, record in ends if record is None]
        return attempts, ended


def program_assignment(
    run: Run, repairs: int, decompose: PromptSettings, llm: LLMConfig, cache: Cache | None, toolbox: Toolbox
) -> ProgramAssignment:
    """The program agent's assignment.

    Args:
        repairs: how often a program that failed goes back to the code LLM (`execute.repairs`).
        decompose: with what the code LLM is asked.
        llm: the code LLM, unless `decompose.llm` names another; loaded where there are repairs.

    Raises:
        UserError: the code LLM is not there, or an example program is malformed.
    """
    if not repairs:
        return ProgramAssignment(run, None)
    engine = load_engine(role_llm(llm, decompose.llm, "decompose.llm"), f"execute.repairs={repairs}", cache)
    programs = read_programs(decompose.programs, toolbox)
    allowed = allowed_tools(toolbox, decompose)

    def prompt(question: Question) -> str:
        return program_prompt(question, examples_for(question, programs, decompose), allowed)

    repairer = Repairer(
        engine=engine,
        prompt=prompt,
        read=lambda reply: read_program(reply, decompose.max_tokens, allowed),
        max_tokens=decompose.max_tokens,
        repairs=repairs,
    )
    return ProgramAssignment(run, repairer, programs_digest(programs))
