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
from functools import partial
from pathlib import Path
from random import Random

from rich.console import Console

from aotd.datasets.base import DatasetConfig, LoadedQuestions, locate
from aotd.datasets.benchmarks import CLIPS, PLAYROOM, read
from aotd.errors import UserError
from aotd.load import LoadConfig
from aotd.load.clips import examine, files_below, show_facts, write_facts
from aotd.records import Dropped, Outcome, Question
from aotd.runtime.output import StandardConsole
from aotd.specialists import SourceName, SpecialistsConfig
from aotd.store.run import Run
from aotd.video.clip import part_shown
from aotd.video.decode import Examined
from aotd.view.tables import printable

LONGEST = 20_000
"""Characters that a question, its options and its answer may have together; a benchmark's have some hundreds."""
_NAMED = 80
"""How much of an id is shown where its question is skipped."""
_ROUNDING_S = 0.1
"""Annotated times are rounded; a part that ends so little after its video is not counted."""
_SHOWN = 3
"""How many missing videos and skipped entries are named before the rest is counted."""


def job(run: Run, *, load: LoadConfig, dataset: DatasetConfig, specialists: SpecialistsConfig, seed: int) -> None:
    """Write the questions of a dataset, or the table of a folder of clips.

    Raises:
        UserError: a file is not there or malformed, two questions have one id, or there are no questions.
    """
    if not load.dry_run:
        run.questions.check_place()
    console = StandardConsole()
    if dataset.name == CLIPS:
        _clips(run, load, dataset, specialists.decode_deadline_s, console)
        return
    world = Path(dataset.root) / "world.json"
    if load.dry_run and dataset.name == PLAYROOM and not world.is_file():
        made = dataset.playroom
        count = made.train_videos + made.val_videos + made.test_videos
        console.print(f"would render {count} videos with their questions into {dataset.root}", soft_wrap=True)
        return
    loaded = read(dataset)
    drawn = _drawn(loaded, dataset.sample, seed)
    survey = _survey(loaded, drawn, dataset)
    from_files = specialists.source is SourceName.video
    _summary(survey, dataset, from_files, console)
    if not load.dry_run:
        _write(run, _chosen(loaded, drawn), survey, load, dataset, specialists, console)


def _clips(run: Run, load: LoadConfig, dataset: DatasetConfig, deadline_s: float, console: Console) -> None:
    names = files_below(dataset.root, dataset.limit)
    if load.dry_run:
        console.print(f"would decode {len(names)} files below {dataset.root}; writes nothing", soft_wrap=True)
        return
    facts = examine(dataset.root, names, deadline_s)
    show_facts(facts, console)
    write_facts(run.folder / "clips.jsonl", facts)


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


def _drawn(loaded: LoadedQuestions, most: int | None, seed: int) -> Container[int] | None:
    """The numbers of the questions that `dataset.sample` draws; None is all."""
    if most is None:
        return None
    count = sum(1 for _ in _chosen(loaded, None))
    if most >= count:
        return None
    if most < 1:
        raise UserError(f"dataset.sample={most}: draw one question or more, or leave it out to read all")
    return set(Random(f"{seed}/sample").sample(range(count), most))  # noqa: S311


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
class _Survey:
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
    notes: list[str] = field(default_factory=list)
    """What reading found out beside."""
    missing: set[str] = field(default_factory=set)
    """Those that are no files below the root."""


def _survey(loaded: LoadedQuestions, drawn: Container[int] | None, dataset: DatasetConfig) -> _Survey:
    """Go through all questions before anything is written.

    Raises:
        UserError: an entry is malformed, or there are no questions.
    """
    survey, content = _Survey(list(loaded.skipped)), _Content()
    for question in _chosen(loaded, drawn, survey.skipped):
        content.add(question)
        survey.types[question.type] += 1
        survey.splits[question.split] += 1
        survey.opened += not question.options
        survey.unlabelled += question.answer is None
        survey.videos.add(question.video_id)
        if question.video is not None:
            survey.files[question.video] += 1
    if not survey.types:
        raise UserError(f"dataset={dataset.name}: there is no question in {dataset.questions}")
    survey.content = content.digest()
    survey.notes = loaded.notes
    survey.missing = {video for video in survey.files if not locate(dataset.root, video).is_file()}
    return survey


def _summary(survey: _Survey, dataset: DatasetConfig, from_files: bool, console: Console) -> None:
    say = partial(_say, console)
    count = survey.types.total()
    say(f"{dataset.name}: {count} questions about {len(survey.videos)} videos")
    say("splits: " + ", ".join(f"{name} {count}" for name, count in sorted(survey.splits.items())))
    say("types: " + ", ".join(f"{name} {count}" for name, count in sorted(survey.types.items())))
    closed, opened, unlabelled = count - survey.opened, survey.opened, survey.unlabelled
    say(f"{closed} multiple-choice, {opened} open-ended; {unlabelled} without a true answer")
    if survey.skipped:
        say(f"skipped: {len(survey.skipped)} ({_some(survey.skipped, '; ')})")
    if survey.notes:
        say(f"note: {_some(survey.notes, '; ')}")
    if survey.missing and from_files:
        lost = sum(survey.files[video] for video in survey.missing)
        say(
            f"warning: {len(survey.missing)} of {len(survey.videos)} videos are not in {dataset.root} "
            f"({_some(sorted(survey.missing), ', ')}): {lost} questions end as video_unreadable"
        )


def _say(console: Console, text: str) -> None:
    console.print(printable(text).replace("\n", " "), soft_wrap=True)


def _some(texts: Sequence[str], separator: str) -> str:
    more = f"{separator}and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return separator.join(texts[:_SHOWN]) + more


def _write(
    run: Run,
    questions: Iterable[Question],
    survey: _Survey,
    load: LoadConfig,
    dataset: DatasetConfig,
    specialists: SpecialistsConfig,
    console: Console,
) -> None:
    """Write every question; with video files as the source, one whose video cannot be read is dropped."""
    from_files = specialists.source is SourceName.video
    defects = dict.fromkeys(survey.missing, "no such file")
    settings = {
        **{name: getattr(dataset, name) for name in ("split", "limit", "sample")},
        "dataset": dataset.name,
        "source": specialists.source.value,
        "check_videos": load.check_videos,
    }
    if dataset.name == PLAYROOM:
        settings["playroom"] = {
            **asdict(dataset.playroom),
            "difficulty": dataset.playroom.difficulty.value,
        }
    content = _Content()
    with run.questions.open(settings, inputs={"questions": survey.content}) as out:
        facts: dict[str, Examined] = {}
        if load.check_videos:
            present = sorted(survey.files.keys() - survey.missing)
            facts = examine(dataset.root, present, specialists.decode_deadline_s)
            show_facts(facts, console)
            write_facts(run.questions.folder / "videos.jsonl", facts)
            defects |= {name: str(found.defect) for name, found in facts.items() if not found.facts}
        past = 0
        for question in questions:
            content.add(question)
            found = facts.get(question.video or "")
            if question.end_s is not None and found is not None and found.facts is not None:
                duration_s = found.facts.duration_s
                begins = part_shown(question.start_s, None, duration_s) is not None
                past += begins and question.end_s > duration_s + _ROUNDING_S
            if question.question_id in out.done:
                continue
            if from_files and question.video in defects:
                reason = f"{question.video}: {defects[question.video]}"
                out.write(Dropped(question_id=question.question_id, outcome=Outcome.video_unreadable, reason=reason))
            elif question.video in survey.missing:
                out.write(question.model_copy(update={"video": None}))  # perception is stored text
            else:
                out.write(question)
    if past:
        _say(console, f"parts that end after their video, and are shown up to its end: {past}")
    if content.digest() != survey.content:
        raise UserError(
            f"{dataset.questions} was changed while it was read: delete {run.questions.folder} and run again"
        )
