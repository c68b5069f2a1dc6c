"""How many honest programs the sandbox lets run unchanged.

    python benchmarks/honest.py [RUN ...] [RECORD.jsonl ...]

Each program runs twice with the same question and the same tools, over `specialists.mock`: plainly, in a fork of this
process with all of Python and no check; and as `execute` runs it. A program is honest where the plain run ends with an
answer. A false alarm is an honest program that the sandbox stops, or lets end with another answer or another trace.
What the plain run does not bring to an answer is broken, and counts for nothing but the table. The plain run has your
rights: give it programs that you would run.

Programs are those of `programs/`, those that the author `annotated` writes for the questions of the built-in world
(no video is rendered), those of each RUN's `decompose` and `execute`, with their questions, and those of each file of
recorded replies (`llm.record`), the refused ones too; what asked for these is not in the file, so all of them get one
question.

A table by source, the false alarms by name, and in the last line JSON: `programs`, `honest`, `false_alarms`, `share`
(of the honest, those without a false alarm). The exit status is 1 where the share is below 0.99. Not for Windows.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from aotd.agents.program.examples import read_programs
from aotd.agents.program.reply_code import extract, written
from aotd.datasets import star
from aotd.datasets.base import DatasetConfig
from aotd.datasets.playroom import PlayroomConfig
from aotd.datasets.playroom.build import SPLITS, entries
from aotd.decompose.annotated import write
from aotd.errors import QuestionError
from aotd.llm.replay import RecordedReply
from aotd.records import Detection, Event, Program, Question, Trace
from aotd.sandbox.layers import raised
from aotd.sandbox.process import Limits, Sandbox
from aotd.specialists.mock import Mock
from aotd.specialists.protocols import Specialists
from aotd.store.stage import Stage, read_jsonl
from aotd.tools.toolbox import ToolSession
from aotd.tools.video import VIDEO_TOOLS
from aotd.video.clip import Clip

FRAMES = 32
SECONDS = 10.0
"""Time of the plain run; the sandbox has its own default limits."""
MEMORY = 4 << 30
"""Address space of the plain run, in bytes."""
STAND_IN = Question(
    question_id="stand-in",
    dataset="playroom",
    split="val",
    video_id="stand-in",
    question="Which object did the person take after they opened the door?",
    type="Sequence_T1",
    options=("The book.", "The bag.", "The cup/glass/bottle.", "The towel."),
)


@dataclass(frozen=True)
class Job:
    """A program and the question it is run for."""

    source: str
    code: str
    question: Question
    written: str = ""
    """What its author wrote, where `code` is only a part of that; the plain run runs it whole."""


@dataclass(frozen=True)
class End:
    """How a run ended: an answer and a trace, or a named outcome and why."""

    answer: str | None
    events: tuple[Event, ...] = ()
    outcome: str = "answered"
    reason: str = ""


# ── the sandbox ───────────────────────────────────────────────────────────────────────────────────


def sandboxed(job: Job, mock: Mock, sandbox: Sandbox) -> End:
    """The program as `execute` runs it."""
    clip, options = Clip.whole(mock.open(job.question)), job.question.options
    tools = ToolSession(VIDEO_TOOLS, _bundle(mock))
    try:
        answer = sandbox.run(job.code, clip, job.question.question, options, tools)
    except QuestionError as error:
        return End(None, tools.events, error.outcome.value, error.reason)
    return End(answer, tools.events)


# ── the plain run ─────────────────────────────────────────────────────────────────────────────────


class Seen(Clip):
    """A clip with the fields that a program is promised."""

    @property
    def frames(self) -> list[int]:
        return list(self.numbers)

    @property
    def start(self) -> int:
        return self.numbers[0] if self.numbers else 0

    @property
    def end(self) -> int:
        return self.numbers[-1] + 1 if self.numbers else 0

    def __len__(self) -> int:
        return len(self.numbers)


class Box(Detection):
    """A box with the fields that a program is promised; unlike a record, it is nothing to go through."""

    __iter__ = None  # type: ignore[assignment]

    @property
    def x1(self) -> float:
        return self.box[0]

    @property
    def y1(self) -> float:
        return self.box[1]

    @property
    def x2(self) -> float:
        return self.box[2]

    @property
    def y2(self) -> float:
        return self.box[3]


def plain(job: Job, mock: Mock) -> End:
    """The program in a fork of this process, with no wall but a clock and a limit on memory."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    worker = multiprocessing.get_context("fork").Process(target=_work, args=(theirs, job, mock))
    worker.start()
    theirs.close()
    try:
        end: End = ours.recv() if ours.poll(SECONDS) else End(None, outcome="ran out of time")
    except EOFError:
        end = End(None, outcome="its process died")
    worker.kill()
    worker.join()
    ours.close()
    return end


def _work(pipe: Connection, job: Job, mock: Mock) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    sys.stdout = sys.stderr  # what a program prints is no row of ours
    tools = ToolSession(VIDEO_TOOLS, _bundle(mock))
    try:
        clip = Clip.whole(mock.open(job.question))
        answer = called(job.written or job.code, clip, job.question, tools)
        end = End(answer, tools.events) if answer else End(None, outcome="no_answer")
    except QuestionError as error:
        end = End(None, outcome=error.outcome.value, reason=error.reason)
    except BaseException as error:  # noqa: BLE001  whatever a program raises, it is broken
        end = End(None, outcome=type(error).__name__, reason=str(error))
    pipe.send(end)


def called(code: str, clip: Clip, question: Question, tools: ToolSession) -> str | None:
    """What a program answers, called in this process; None where that is no answer."""
    scope: dict[str, Any] = {name: _showing(tools, name) for name in tools.toolbox.names}
    exec(compile(code, "<program>", "exec"), scope)
    return _text(scope["execute_command"](_shown(clip), question.question, list(question.options)))


def _showing(tools: ToolSession, name: str) -> Any:
    return lambda *arguments, **keywords: _shown(tools.call(name, arguments, keywords))


def _shown(value: Any) -> Any:
    """A tool's value with the fields that a program is promised."""
    if isinstance(value, Clip):
        return Seen(value.video, value.numbers, value.crops)
    if isinstance(value, Detection):
        return Box(**value.model_dump())
    return [_shown(item) for item in value] if isinstance(value, list) else value


def _text(answer: Any) -> str | None:
    """An answer as text: also of what is not text, a number or a yes; None of what is no answer."""
    if isinstance(answer, list | tuple) and len(answer) == 1:
        answer = answer[0]
    if isinstance(answer, bool):
        return "yes" if answer else "no"
    if isinstance(answer, int | float):
        return str(answer)
    return answer if isinstance(answer, str) and answer.strip() else None


def _bundle(mock: Mock) -> Specialists:
    return Specialists.from_one(mock)


# ── the programs ──────────────────────────────────────────────────────────────────────────────────


def examples() -> Iterator[Job]:
    for program in read_programs():
        asked = STAND_IN.model_copy(update={"question": program.question, "options": program.options})
        yield Job("programs/", program.code, asked)


def playroom() -> Iterator[Job]:
    """The questions of the world as it is by default, and what the author `annotated` writes for them."""
    with tempfile.TemporaryDirectory() as folder:
        for split in SPLITS:
            path = Path(folder) / f"{split}.json"
            path.write_text(json.dumps(entries(PlayroomConfig(), split)))
            config = replace(DatasetConfig(), root=folder, questions=str(path), split=split)
            for question in star.read(config).questions:
                yield Job("playroom, annotated", write(question), question)


def of_run(run: Path) -> Iterator[Job]:
    """The programs of a run: those that were written, and those that `execute` had mended."""
    questions = {question.question_id: question for question in Stage(run, "load", Question).records()}
    for program in Stage(run, "decompose", Program).records():
        for code in (program.code, *program.others):
            yield Job(str(run), code, questions[program.question_id])
    for done in read_jsonl(run / "execute" / "records.jsonl", Trace):
        if done.code is not None:
            yield Job(str(run), done.code, questions[done.question_id])


def of_record(path: Path) -> Iterator[Job]:
    """The programs in recorded replies; one that was cut off holds none."""
    for line in read_lines(path):
        if line.finished:
            yield Job(str(path), extract(line.text), STAND_IN, written(line.text))


def read_lines(path: Path) -> list[RecordedReply]:
    return [RecordedReply.model_validate_json(line) for line in path.read_bytes().split(b"\n") if line]


def different(jobs: Sequence[Job]) -> list[Job]:
    """The jobs without those that would run the same again."""
    asked = {
        (job.source, job.written or job.code, job.question.question, job.question.options, job.question.video_id): job
        for job in jobs
    }
    return list(asked.values())


# ── what came of them ─────────────────────────────────────────────────────────────────────────────


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", type=Path, metavar="RUN|RECORD")
    paths = parser.parse_args().paths
    more = [job for path in paths for job in (of_record(path) if path.is_file() else of_run(path))]
    jobs = different([*examples(), *playroom(), *more])
    mock = Mock(FRAMES)
    counts: dict[str, Counter[str]] = {}
    broken: Counter[str] = Counter()
    alarms = []
    with Sandbox(Limits(), raised([], without_kernel=False)) as sandbox:
        for job in jobs:
            row = counts.setdefault(job.source, Counter())
            row["programs"] += 1
            free, held = plain(job, mock), sandboxed(job, mock, sandbox)
            if free.answer is None:
                broken[f"{free.outcome} -> {held.outcome}"] += 1
                continue
            row["honest"] += 1
            if (free.answer, free.events) != (held.answer, held.events):
                row["false alarms"] += 1
                why = f"{held.outcome}: {held.reason}" if held.answer is None else "another answer or trace"
                alarms.append(f"{job.source}: {job.question.question_id}: {why}")
    print("| source | programs | honest | false alarms |\n|---|---:|---:|---:|")
    for source, row in counts.items():
        print(f"| {source} | {row['programs']} | {row['honest']} | {row['false alarms']} |")
    print(f"\nbroken, as the plain run ended and then the sandbox: {dict(broken.most_common())}")
    print("".join(f"false alarm: {alarm!a}\n" for alarm in alarms), end="")
    honest = sum(row["honest"] for row in counts.values())
    share = (honest - len(alarms)) / honest
    print(json.dumps({"programs": len(jobs), "honest": honest, "false_alarms": len(alarms), "share": share}))
    sys.exit(0 if share >= 0.99 else 1)


if __name__ == "__main__":
    main()
