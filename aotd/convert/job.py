"""convert: write each trace as a chain of thought.

Reads load/, decompose/ and execute/; writes one Thought per trace. The writer `template` writes what the trace holds
and nothing else. The writer `llm` has a language model tell it, and `verify` checks the result against the trace. The
writer `caption` writes a caption of the video, for an arm that learns from as much text without reasons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aotd.convert import ConvertConfig, WriterName, template
from aotd.convert import llm as llm_writer
from aotd.convert.caption import caption_of, captions_file, captions_of
from aotd.errors import QuestionError
from aotd.llm import LLMConfig, role_llm, thinking_setting
from aotd.llm.base import Engine, Reply
from aotd.llm.load import load_engine
from aotd.prompts import digest
from aotd.records import Dropped, Outcome, Question, Thought, Trace
from aotd.runtime.batches import batches
from aotd.runtime.meter import Meter
from aotd.runtime.progress import progress
from aotd.store.cache import Cache, CacheConfig, load_cache
from aotd.store.files import file_digest
from aotd.store.run import Run

MAX_CHARACTERS = 20_000
"""Longest chain of thought; one of fifty steps has some thousands. A program can put any text into a trace."""


def job(run: Run, *, convert: ConvertConfig, llm: LLMConfig, cache: CacheConfig) -> None:
    """Write a Thought for every trace of the run.

    Raises:
        UserError: `execute` has not run, or the writer's model is not there.
    """
    traces, engine = run.traces, load_writer(convert, llm, load_cache(cache, run))
    batch_size = max(role_llm(llm, convert.llm, "convert.llm").batch, 1) if engine else 1
    captions = captions_of(convert.captions) if convert.writer is WriterName.caption else None
    with (
        run.thoughts.open(**_decides(run, convert, llm, engine)) as out,
        run.questions.beside(traces) as question_of,
        run.programs.beside(traces) as program_of,
    ):
        count = traces.count() - len(out.done)
        for batch in batches(progress("convert", traces.stream(without=out.done), count), batch_size):
            tasks = [
                (question_of(trace.question_id), trace.code or program_of(trace.question_id).code, trace)
                for trace in batch
            ]
            with Meter() as meter:
                written = write_thoughts(tasks, convert, engine, captions)
            for record, replies in written:
                out.write(record, meter.cost(record.question_id, batch=len(batch), replies=replies))
        out.sort(traces.ids())


def decides(run: Run, *, convert: ConvertConfig, llm: LLMConfig, cache: CacheConfig) -> dict[str, Any]:
    """What decides the thoughts, as `Stage.open` takes it.

    Raises:
        UserError: as `job`.
    """
    return _decides(run, convert, llm, load_writer(convert, llm, load_cache(cache, run)))


def _decides(run: Run, convert: ConvertConfig, llm: LLMConfig, engine: Engine | None) -> dict[str, Any]:
    settings: dict[str, Any] = {"writer": convert.writer.value, "boxes": convert.boxes}
    made_from = {"inputs": {"execute": run.traces.manifest_digest()}}
    if convert.writer is WriterName.caption:
        settings["captions"] = file_digest(captions_file(convert.captions))
    if engine:
        settings["max_tokens"] = convert.max_tokens
        settings |= thinking_setting(role_llm(llm, convert.llm, "convert.llm"))
        made_from |= {"prompts": {"write_thought": digest("write_thought")}, "models": {"writer": engine.model}}
    return {"settings": settings, **made_from}


def _told(question: Question, captions: Mapping[str, str]) -> str | QuestionError:
    return caption_of(question, captions) or QuestionError(
        Outcome.nothing_said, "convert.captions has no caption of its video"
    )


def load_writer(convert: ConvertConfig, llm: LLMConfig, cache: Cache | None = None) -> Engine | None:
    """The language model that writes thoughts; None where the template does.

    Raises:
        UserError: it is not there.
    """
    if convert.writer is not WriterName.llm:
        return None
    return load_engine(role_llm(llm, convert.llm, "convert.llm"), "convert.writer=llm", cache)


def write_thought(
    question: Question, code: str, trace: Trace, settings: ConvertConfig, engine: Engine | None
) -> Thought | Dropped:
    """One trace as a Thought, or `thought_cut` or `nothing_said`. `engine` is needed by the writer `llm` only."""
    return write_thoughts([(question, code, trace)], settings, engine)[0][0]


def write_thoughts(
    tasks: Sequence[tuple[Question, str, Trace]],
    settings: ConvertConfig,
    engine: Engine | None,
    captions: Mapping[str, str] | None = None,
) -> list[tuple[Thought | Dropped, list[Reply]]]:
    """`write_thought` for many (question, program, trace), in order, and the replies that each took.

    An engine is asked for all of them at once.

    Args:
        captions: of the videos, which are written in place of the traces.
    """
    texts: list[tuple[str | QuestionError, list[Reply]]]
    if captions is not None:
        texts = [(_told(question, captions), []) for question, _, _ in tasks]
    elif engine is None:
        texts = [(template.write(trace, settings.boxes), []) for _, _, trace in tasks]
    else:
        texts = llm_writer.write_all(engine, tasks, max_tokens=settings.max_tokens, boxes=settings.boxes)
    written: list[tuple[Thought | Dropped, list[Reply]]] = []
    for (question, _, trace), (text, replies) in zip(tasks, texts, strict=True):
        key = question.question_id
        record: Thought | Dropped
        if isinstance(text, str) and len(text) > MAX_CHARACTERS:
            text = QuestionError(
                Outcome.thought_cut, f"{len(text)} characters long, and nobody learns from more than {MAX_CHARACTERS}"
            )
        if isinstance(text, QuestionError):
            record = Dropped(question_id=key, outcome=text.outcome, reason=text.reason)
        else:
            record = Thought(question_id=key, text=text, answer=trace.answer, writer=settings.writer.value)
        written.append((record, replies))
    return written
