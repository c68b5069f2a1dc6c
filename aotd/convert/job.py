"""convert: write each trace as a chain of thought.

Reads load/, decompose/ and execute/; writes one Thought per trace. The writer `template` says what the
trace holds and nothing else; the writer `llm` has a language model tell it, and `verify` holds it to the
trace.
"""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import track

from aotd.config import Config
from aotd.convert import ConvertConfig, WriterName, llm, template
from aotd.errors import QuestionError
from aotd.llm import Engine, load_engine
from aotd.prompts import digest
from aotd.records import Dropped, Program, Question, Thought, Trace
from aotd.store import Stage


def job(config: Config) -> None:
    """Write a Thought for every trace of the run.

    Raises:
        UserError: `execute` has not run, or the writer's model is not there.
    """
    run, settings = Path(config.run), config.convert
    programs, traces = Stage(run, "decompose", Program), Stage(run, "execute", Trace)
    questions = {question.question_id: question for question in Stage(run, "load", Question).records()}
    code = {program.question_id: program for program in programs.records()}
    engine = load_engine(config.llm, "convert.writer=llm") if settings.writer is WriterName.llm else None
    made_from = {"inputs": {"execute": traces.manifest_digest()}}
    if engine:
        made_from |= {"prompts": {"write_thought": digest("write_thought")}, "models": {"writer": engine.model}}
    decides = {"writer": settings.writer.value, "boxes": settings.boxes}
    if engine:
        decides |= {"max_tokens": settings.max_tokens}
    with Stage(run, "convert", Thought).open(decides, **made_from) as out:
        todo = [trace for trace in traces.records() if trace.question_id not in out.done]
        for trace in track(todo, "convert", console=Console(stderr=True)):
            out.write(write_thought(questions[trace.question_id], code[trace.question_id], trace, settings, engine))


def write_thought(
    question: Question, program: Program, trace: Trace, settings: ConvertConfig, engine: Engine | None
) -> Thought | Dropped:
    """One trace as a Thought, or the outcome `thought_cut`. `engine` is needed by the writer `llm` only."""
    if engine is None:
        text = template.write(trace, settings.boxes)
    else:
        try:
            text = llm.write(engine, question, program, trace, max_tokens=settings.max_tokens, boxes=settings.boxes)
        except QuestionError as error:
            return Dropped(question_id=question.question_id, outcome=error.outcome, reason=error.reason)
    return Thought(question_id=question.question_id, text=text, answer=trace.answer, writer=settings.writer.value)
