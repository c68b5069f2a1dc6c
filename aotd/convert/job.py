"""convert: write each trace as a chain of thought.

Reads load/, decompose/ and execute/; writes one Thought per trace. The writer `template` says what the
trace holds and nothing else; the writer `llm` has a language model tell it, and `verify` holds it to the
trace.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aotd.config.tree import Config
from aotd.convert import ConvertConfig, WriterName, llm, template
from aotd.errors import QuestionError
from aotd.llm.base import Engine, Reply
from aotd.llm.load import load_engine
from aotd.prompts import digest
from aotd.records import Dropped, Outcome, Program, Question, Thought, Trace
from aotd.runtime.batches import batches
from aotd.runtime.meter import Meter
from aotd.runtime.progress import progress
from aotd.store.cache import load_cache
from aotd.store.run import Run
from aotd.store.stage import Stage

LONGEST = 20_000
"""Characters of a chain of thought; one of fifty steps has some thousands. A program can put any text into a trace."""


def job(config: Config) -> None:
    """Write a Thought for every trace of the run.

    Raises:
        UserError: `execute` has not run, or the writer's model is not there.
    """
    run, settings = Path(config.run), config.convert
    questions, programs = Stage(run, "load", Question), Stage(run, "decompose", Program)
    traces = Stage(run, "execute", Trace)
    engine = _engine(config)
    batch_size = max(config.llm.batch, 1) if engine else 1
    with (
        Stage(run, "convert", Thought).open(**_decides(config, engine)) as out,
        questions.beside(traces) as question_of,
        programs.beside(traces) as program_of,
    ):
        count = traces.count() - len(out.done)
        for batch in batches(progress("convert", traces.stream(without=out.done), count), batch_size):
            tasks = [
                (question_of(trace.question_id), trace.code or program_of(trace.question_id).code, trace)
                for trace in batch
            ]
            with Meter() as meter:
                written = write_thoughts(tasks, settings, engine)
            for record, replies in written:
                out.write(record, meter.cost(record.question_id, batch=len(batch), replies=replies))
        out.sort(traces.ids())


def decides(config: Config) -> dict[str, Any]:
    """What decides the thoughts, as `Stage.open` takes it.

    Raises:
        UserError: as `job`.
    """
    return _decides(config, _engine(config))


def _decides(config: Config, engine: Engine | None) -> dict[str, Any]:
    settings: dict[str, Any] = {"writer": config.convert.writer.value, "boxes": config.convert.boxes}
    made_from = {"inputs": {"execute": Stage(Path(config.run), "execute", Trace).manifest_digest()}}
    if engine:
        settings["max_tokens"] = config.convert.max_tokens
        made_from |= {"prompts": {"write_thought": digest("write_thought")}, "models": {"writer": engine.model}}
    return {"settings": settings, **made_from}


def _engine(config: Config) -> Engine | None:
    if config.convert.writer is not WriterName.llm:
        return None
    return load_engine(config.llm, "convert.writer=llm", load_cache(config.cache, Run(Path(config.run))))


def write_thought(
    question: Question, code: str, trace: Trace, settings: ConvertConfig, engine: Engine | None
) -> Thought | Dropped:
    """One trace as a Thought, or the outcome `thought_cut`. `engine` is needed by the writer `llm` only."""
    return write_thoughts([(question, code, trace)], settings, engine)[0][0]


def write_thoughts(
    tasks: Sequence[tuple[Question, str, Trace]], settings: ConvertConfig, engine: Engine | None
) -> list[tuple[Thought | Dropped, list[Reply]]]:
    """`write_thought` for many (question, program, trace), in order, and the replies that each took.

    An engine is asked for all of them at once.
    """
    texts: list[tuple[str | QuestionError, list[Reply]]]
    if engine is None:
        texts = [(template.write(trace, settings.boxes), []) for _, _, trace in tasks]
    else:
        texts = llm.write_all(engine, tasks, max_tokens=settings.max_tokens, boxes=settings.boxes)
    written: list[tuple[Thought | Dropped, list[Reply]]] = []
    for (question, _, trace), (text, replies) in zip(tasks, texts, strict=True):
        key = question.question_id
        record: Thought | Dropped
        if isinstance(text, str) and len(text) > LONGEST:
            text = QuestionError(
                Outcome.thought_cut, f"{len(text)} characters long, and nobody learns from more than {LONGEST}"
            )
        if isinstance(text, QuestionError):
            record = Dropped(question_id=key, outcome=text.outcome, reason=text.reason)
        else:
            record = Thought(question_id=key, text=text, answer=trace.answer, writer=settings.writer.value)
        written.append((record, replies))
    return written
