"""decompose: write a program for each question.

Reads load/ and the example programs; writes one Program per question. The author `annotated` translates
the functional program that the benchmark ships; `fixed` takes the program of the question's type from
programs/; `llm` has a language model write it. A question for which no valid program can be had ends as
`program_invalid`, with the reason.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from aotd.agents.program.examples import programs_digest, read_programs
from aotd.agents.program.prompting import PROMPTS, allowed_tools
from aotd.decompose import Author, DecomposeConfig, annotated, fixed, llm
from aotd.errors import QuestionError
from aotd.llm import LLMConfig, role_llm, thinking_setting
from aotd.llm.base import Reply
from aotd.llm.load import load_engine
from aotd.prompts import digest
from aotd.records import Dropped, Program, Question
from aotd.runtime.meter import Meter, carried
from aotd.runtime.progress import progress
from aotd.store.cache import Cache, CacheConfig, load_cache
from aotd.store.files import digest as value_digest
from aotd.store.run import Run
from aotd.store.stage import Stage, StageWriter
from aotd.tools.toolbox import Toolbox
from aotd.tools.video import VIDEO_TOOLS

MAX_HELD = 1024
"""Questions in memory at once, where hardly any has a new text."""
DECIDES = ("num_examples", "examples", "exclude_tools", "retries", "max_tokens", "candidates", "temperature")
"""Settings of the author `llm` that decide what it writes."""


@dataclass(frozen=True)
class ProgramWriter:
    """An author, ready to write."""

    write: Callable[[Sequence[Question]], list[tuple[Program | Dropped, list[Reply]]]]
    """One Program or Dropped per question, in order, and the model's replies that it took."""
    settings: dict[str, object] = field(default_factory=dict)
    """The settings that decide what it writes, for the manifest."""
    made_from: dict[str, dict[str, str]] = field(default_factory=dict)
    """Hashes and names of what else decides it, for the manifest."""
    batch: int = 1
    """How many questions it takes at once, at best."""
    asks_once: bool = False
    """Whether a program also serves the same question about another video."""


def job(
    run: Run,
    *,
    decompose: DecomposeConfig,
    llm: LLMConfig,
    cache: CacheConfig,
    toolbox: Toolbox = VIDEO_TOOLS,
) -> None:
    """Write a Program, or the reason why there is none, for every question of the run.

    Args:
        toolbox: the tools that programs may call.

    Raises:
        UserError: `load` has not run, an example program is malformed, or the author's model is not there.
    """
    questions = run.questions
    author = load_author(decompose, llm, load_cache(cache, run), toolbox)
    with run.programs.open(**_decides(run, decompose, author)) as out:
        known = _known(questions, out) if author.asks_once and out.done else {}
        count = questions.count() - len(out.done)
        for batch in _batches(progress("decompose", questions.stream(without=out.done), count), known, author):
            new = _new(batch, known) if author.asks_once else batch
            with Meter() as meter:
                written = {record.question_id: (record, replies) for record, replies in author.write(new)}
            for question in batch:
                key = question.question_id
                if key in written:
                    record, replies = written[key]
                    place = out.write(record, meter.cost(key, batch=len(new), replies=replies))
                else:
                    record = out.read(known[_text(question)])
                    place = out.write(record.model_copy(update={"question_id": key}), carried(key), again=True)
                if author.asks_once:
                    known.setdefault(_text(question), place)
        out.sort(questions.ids())


def decides(
    run: Run,
    *,
    decompose: DecomposeConfig,
    llm: LLMConfig,
    cache: CacheConfig,
    toolbox: Toolbox = VIDEO_TOOLS,
) -> dict[str, Any]:
    """What decides the programs, as `Stage.open` takes it.

    Raises:
        UserError: as `job`.
    """
    author = load_author(decompose, llm, load_cache(cache, run), toolbox)
    return _decides(run, decompose, author)


def _decides(run: Run, decompose: DecomposeConfig, author: ProgramWriter) -> dict[str, Any]:
    settings = {"author": decompose.author.value, **author.settings}
    return {"settings": settings, "inputs": {"load": run.questions.manifest_digest()}, **author.made_from}


def write_program(
    question: Question,
    decompose: DecomposeConfig,
    llm: LLMConfig,
    cache: Cache | None = None,
    toolbox: Toolbox = VIDEO_TOOLS,
) -> Program:
    """One program for one question (`aotd ask`).

    Raises:
        QuestionError: `program_invalid`.
        UserError: the author's model is not there.
    """
    record, _ = load_author(decompose, llm, cache, toolbox).write([question])[0]
    if isinstance(record, Dropped):
        raise QuestionError(record.outcome, record.reason)
    return record


def load_author(decompose: DecomposeConfig, llm: LLMConfig, cache: Cache | None, toolbox: Toolbox) -> ProgramWriter:
    """The author that the settings name.

    Raises:
        UserError: an example program is malformed, or the author's model is not there.
    """
    if decompose.author is Author.annotated:
        return _one_by_one(Author.annotated, annotated.write)
    if decompose.author is Author.fixed:
        programs = read_programs(decompose.programs, toolbox)
        made_from = {"programs": {"examples": programs_digest(programs)}}
        return _one_by_one(Author.fixed, lambda question: fixed.write(question, programs), made_from)
    return _llm(decompose, llm, cache, toolbox)


def _llm(settings: DecomposeConfig, engine_settings: LLMConfig, cache: Cache | None, toolbox: Toolbox) -> ProgramWriter:
    programs = read_programs(settings.programs, toolbox)
    engine_settings = role_llm(engine_settings, settings.llm, "decompose.llm")
    engine = load_engine(engine_settings, "decompose.author=llm", cache)
    allowed = allowed_tools(toolbox, settings)
    return ProgramWriter(
        write=lambda questions: llm.write(engine, questions, programs, settings, allowed),
        settings={name: getattr(settings, name) for name in DECIDES} | thinking_setting(engine_settings),
        made_from={
            "programs": {"examples": programs_digest(programs), "tools": value_digest(allowed.prompt_text())},
            "prompts": {name: digest(name) for name in PROMPTS},
            "models": {"author": engine.model},
        },
        batch=max(engine_settings.batch, 1),
        asks_once=True,
    )


def _one_by_one(
    author: Author, write: Callable[[Question], str], made_from: dict[str, dict[str, str]] | None = None
) -> ProgramWriter:
    """An author that needs no engine."""

    def write_all(questions: Sequence[Question]) -> list[tuple[Program | Dropped, list[Reply]]]:
        records: list[tuple[Program | Dropped, list[Reply]]] = []
        for question in questions:
            key = question.question_id
            try:
                program = Program(question_id=key, code=write(question), author=author.value, attempts=1)
                records.append((program, []))
            except QuestionError as error:
                records.append((Dropped(question_id=key, outcome=error.outcome, reason=error.reason), []))
        return records

    return ProgramWriter(write_all, made_from=made_from or {})


def _text(question: Question) -> bytes:
    """What a program may depend on, as a hash: the same text asked about another video has the same program."""
    text = json.dumps((question.dataset, question.type, question.question, *question.options))
    return hashlib.sha256(text.encode()).digest()[:16]


Known = dict[bytes, int]
"""Text of a question -> the place of a line with what was written for it (`aotd.store.stage.StageWriter.read`)."""


def _known(questions: Stage[Question], out: StageWriter[Program]) -> Known:
    """What an earlier start of this run has already asked."""
    out.sort(questions.ids())
    known: Known = {}
    for question, place in out.written(questions.stream()):
        known.setdefault(_text(question), place)
    return known


def _batches(questions: Iterable[Question], known: Known, author: ProgramWriter) -> Iterator[list[Question]]:
    """As many questions as bring the author a batch of new texts, and those of known texts between them."""
    batch: list[Question] = []
    new: set[object] = set()
    for question in questions:
        batch.append(question)
        if not author.asks_once:
            new.add(question.question_id)
        elif _text(question) not in known:
            new.add(_text(question))
        if len(new) == author.batch or len(batch) == MAX_HELD:
            yield batch
            batch, new = [], set()
    if batch:
        yield batch


def _new(batch: Sequence[Question], known: Known) -> list[Question]:
    """The questions of a batch whose text was not asked before; of those that share one, the first."""
    return list({_text(q): q for q in reversed(batch) if _text(q) not in known}.values())[::-1]
