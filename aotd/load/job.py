"""load: read questions, or say what video files are.

Reads a benchmark's own files (dataset=star, nextqa, mvbench, …: docs/benchmarks.md
names them all), or your own questions (dataset=files), and writes one Question each. Everything is checked
before anything is written. A question whose video file is not there is counted
and ends as `video_unreadable`.

With dataset=clips dataset.root=DIR there are no questions: every file of the
folder is decoded once and named with its frames, rate, duration, rotation
(degrees counterclockwise), size and codec, or its defect; the table is written
to clips.jsonl in the run's folder too. load.check_videos=true does that for the
videos of a dataset's questions.

load.dry_run=true says what would be read and what `aotd run` would do with it,
and writes nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random

from rich.console import Console

from aotd.config.tree import Config
from aotd.datasets.base import LoadedQuestions, locate
from aotd.datasets.benchmarks import CLIPS, PLAYROOM, read
from aotd.errors import UserError
from aotd.load.clips import examine, files_below, show_facts, write_facts
from aotd.records import Dropped, Outcome, Question
from aotd.specialists import SourceName
from aotd.store.stage import Stage
from aotd.view.tables import printable

LONGEST = 20_000
"""Characters that a question, its options and its answer may have together; a benchmark's have some hundreds."""
_NAMED = 80
"""How much of an id is shown where its question is skipped."""
_SHOWN = 3
"""How many missing videos and skipped entries are named before the rest is counted."""


def job(config: Config) -> None:
    """Write the questions of a dataset, or the table of a folder of clips.

    Raises:
        UserError: a file is not there or malformed, two questions have one id, or there are no questions.
    """
    console = Console()
    if config.dataset.name == CLIPS:
        _clips(config, console)
        return
    world = Path(config.dataset.root) / "world.json"
    if config.load.dry_run and config.dataset.name == PLAYROOM and not world.is_file():
        made = config.dataset.playroom
        count = made.train_videos + made.val_videos + made.test_videos
        console.print(f"would render {count} videos with their questions into {config.dataset.root}", highlight=False)
        _plan(config, console)
        return
    loaded = read(config.dataset)
    drawn = _drawn(loaded, config)
    seen = _survey(loaded, drawn, config)
    _summary(seen, config, console)
    if config.load.dry_run:
        _plan(config, console)
        return
    _write(_chosen(loaded, drawn), seen, config, console)


def _clips(config: Config, console: Console) -> None:
    names = files_below(config.dataset.root, config.dataset.limit)
    if config.load.dry_run:
        console.print(f"would decode {len(names)} files below {config.dataset.root}; writes nothing", highlight=False)
        return
    facts = examine(config.dataset.root, names, config.specialists.decode_deadline_s)
    show_facts(facts, console)
    write_facts(Path(config.run) / "clips.jsonl", facts)


def _chosen(
    loaded: LoadedQuestions, drawn: Container[int] | None, skipped: list[str] | None = None
) -> Iterator[Question]:
    """The questions that are written, one by one; those too long for anyone's prompt are none, and are added to
    `skipped`: they would take the memory of all the others."""
    number = 0
    for question in loaded.questions:
        length = sum(len(text) for text in (question.question, *question.options, question.answer or ""))
        if length <= LONGEST:
            if drawn is None or number in drawn:
                yield question
            number += 1
        elif skipped is not None:
            skipped.append(f"{question.question_id[:_NAMED]}: {length} characters long, and at most {LONGEST} are read")


def _drawn(loaded: LoadedQuestions, config: Config) -> Container[int] | None:
    """The numbers of the questions that `dataset.sample` draws; None is all."""
    most = config.dataset.sample
    if most is None:
        return None
    count = sum(1 for _ in _chosen(loaded, None))
    if most >= count:
        return None
    if most < 1:
        raise UserError(f"dataset.sample={most}: draw one question or more, or leave it out to read all")
    return set(Random(f"{config.seed}/sample").sample(range(count), most))  # noqa: S311


class _Content:
    """The hash of questions, one after the other: `aotd.store.files.digest` of the list of them all."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256(b"[")
        self._between = b""

    def add(self, question: Question) -> None:
        self._hash.update(self._between + json.dumps(question.model_dump(mode="json"), sort_keys=True).encode())
        self._between = b", "

    def digest(self) -> str:
        whole = self._hash.copy()
        whole.update(b"]")
        return whole.hexdigest()[:16]


@dataclass
class _Seen:
    """What is said about a dataset, counted as its questions go by."""

    skipped: list[str]
    content: str = ""
    types: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    opened: int = 0
    unlabelled: int = 0
    videos: set[str] = field(default_factory=set)
    files: Counter[str] = field(default_factory=Counter)
    """Video file -> how many questions are about it."""
    missing: set[str] = field(default_factory=set)
    """Those that are no files below the root."""


def _survey(loaded: LoadedQuestions, drawn: Container[int] | None, config: Config) -> _Seen:
    """Go through all questions before anything is written.

    Raises:
        UserError: an entry is malformed, or there are no questions.
    """
    seen, content = _Seen(list(loaded.skipped)), _Content()
    for question in _chosen(loaded, drawn, seen.skipped):
        content.add(question)
        seen.types[question.type] += 1
        seen.splits[question.split] += 1
        seen.opened += not question.options
        seen.unlabelled += question.answer is None
        seen.videos.add(question.video_id)
        if question.video is not None:
            seen.files[question.video] += 1
    if not seen.types:
        raise UserError(f"dataset={config.dataset.name}: there is no question in {config.dataset.questions}")
    seen.content = content.digest()
    seen.missing = {video for video in seen.files if not locate(config.dataset.root, video).is_file()}
    return seen


def _summary(seen: _Seen, config: Config, console: Console) -> None:
    def say(text: str) -> None:
        console.print(printable(text).replace("\n", " "), highlight=False, markup=False, soft_wrap=True)

    count = seen.types.total()
    say(f"{config.dataset.name}: {count} questions about {len(seen.videos)} videos")
    say("splits: " + ", ".join(f"{name} {count}" for name, count in sorted(seen.splits.items())))
    say("types: " + ", ".join(f"{name} {count}" for name, count in sorted(seen.types.items())))
    say(f"{count - seen.opened} multiple-choice, {seen.opened} open-ended; {seen.unlabelled} without a true answer")
    if seen.skipped:
        say(f"skipped: {len(seen.skipped)} ({_some(seen.skipped, '; ')})")
    if seen.missing and config.specialists.source is SourceName.video:
        lost = sum(seen.files[video] for video in seen.missing)
        say(
            f"warning: {len(seen.missing)} of {len(seen.videos)} videos are not in {config.dataset.root} "
            f"({_some(sorted(seen.missing), ', ')}): {lost} questions end as video_unreadable"
        )


def _some(texts: Sequence[str], separator: str) -> str:
    more = f"{separator}and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return separator.join(texts[:_SHOWN]) + more


def _write(questions: Iterable[Question], seen: _Seen, config: Config, console: Console) -> None:
    """Write every question; with video files as the source, one whose video cannot be read is dropped."""
    run = Path(config.run)
    from_files = config.specialists.source is SourceName.video
    defects = dict.fromkeys(seen.missing, "no such file")
    settings = {
        **{name: getattr(config.dataset, name) for name in ("split", "limit", "sample")},
        "dataset": config.dataset.name,
        "source": config.specialists.source.value,
        "check_videos": config.load.check_videos,
    }
    if config.dataset.name == PLAYROOM:
        settings["playroom"] = {
            **asdict(config.dataset.playroom),
            "difficulty": config.dataset.playroom.difficulty.value,
        }
    content = _Content()
    with Stage(run, "load", Question).open(settings, inputs={"questions": seen.content}) as out:
        if config.load.check_videos:
            present = sorted(seen.files.keys() - seen.missing)
            facts = examine(config.dataset.root, present, config.specialists.decode_deadline_s)
            show_facts(facts, console)
            write_facts(run / "load" / "videos.jsonl", facts)
            defects |= {name: str(found.defect) for name, found in facts.items() if not found.frames}
        for question in questions:
            content.add(question)
            if question.question_id in out.done:
                continue
            if from_files and question.video in defects:
                reason = f"{question.video}: {defects[question.video]}"
                out.write(Dropped(question_id=question.question_id, outcome=Outcome.video_unreadable, reason=reason))
            elif question.video in seen.missing:
                out.write(question.model_copy(update={"video": None}))  # perception is stored text
            else:
                out.write(question)
    if content.digest() != seen.content:
        raise UserError(
            f"{config.dataset.questions} was changed while it was read: delete {run / 'load'} and run again"
        )


def _plan(config: Config, console: Console) -> None:
    """What `aotd run` would do, with the settings that matter most."""
    seen_by = config.specialists
    told = {
        "load": "write the questions above",
        "decompose": f"a program for each question, by author {config.decompose.author.value}",
        "execute": f"run the programs on {seen_by.frames} frames of {seen_by.source.value}; "
        f"grounding by {seen_by.grounding.name}, answering by {seen_by.answering.name}",
        "convert": f"a chain of thought for each trace, by writer {config.convert.writer.value}",
        "verify": "keep the thoughts that are right, faithful and coherent",
        "distill": f"train student {config.student.name.value}, arms {', '.join(config.distill.arms)}",
        "evaluate": f"score {', '.join(config.evaluate.arms)} on the split {config.evaluate.split}",
        "report": "one page to read it all in",
    }
    console.print(f"aotd run would, in {config.run}:", highlight=False)
    for verb in config.verbs:
        console.print(f"  {verb:<10} {told.get(verb, '')}", highlight=False, markup=False, soft_wrap=True)
    console.print("dry run: nothing was written", highlight=False)
