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

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from random import Random

from rich.console import Console

from aotd.config import Config
from aotd.datasets.base import DatasetName, Loaded, locate, read
from aotd.disk import digest
from aotd.errors import UserError
from aotd.load.clips import examine, files_below, show_facts, write_facts
from aotd.records import Dropped, Outcome, Question
from aotd.specialists import SourceName
from aotd.store import Stage
from aotd.tables import printable

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
    if config.dataset.name is DatasetName.clips:
        _clips(config, console)
        return
    world = Path(config.dataset.root) / "world.json"
    if config.load.dry_run and config.dataset.name is DatasetName.playroom and not world.is_file():
        made = config.dataset.playroom
        count = made.train_videos + made.val_videos + made.test_videos
        console.print(f"would render {count} videos with their questions into {config.dataset.root}", highlight=False)
        _plan(config, console)
        return
    loaded = _readable(read(config.dataset))
    _check(loaded.questions, config)
    loaded = _drawn(loaded, config)
    missing = _missing(loaded.questions, config)
    _summary(loaded, missing, config, console)
    if config.load.dry_run:
        _plan(config, console)
        return
    _write(loaded.questions, missing, config, console)


def _clips(config: Config, console: Console) -> None:
    names = files_below(config.dataset.root, config.dataset.limit)
    if config.load.dry_run:
        console.print(f"would decode {len(names)} files below {config.dataset.root}; writes nothing", highlight=False)
        return
    facts = examine(config.dataset.root, names, config.specialists.decode_deadline_s)
    show_facts(facts, console)
    write_facts(Path(config.run) / "clips.jsonl", facts)


def _readable(loaded: Loaded) -> Loaded:
    """Without the questions that are too long for anyone's prompt: they would take the memory of all the others."""
    kept, skipped = [], list(loaded.skipped)
    for question in loaded.questions:
        length = sum(len(text) for text in (question.question, *question.options, question.answer or ""))
        if length > LONGEST:
            skipped.append(f"{question.question_id[:_NAMED]}: {length} characters long, and at most {LONGEST} are read")
        else:
            kept.append(question)
    return Loaded(kept, skipped)


def _check(questions: Sequence[Question], config: Config) -> None:
    if not questions:
        raise UserError(f"dataset={config.dataset.name.value}: there is no question in {config.dataset.questions}")
    ids = Counter(question.question_id for question in questions)
    question_id, count = ids.most_common(1)[0]
    if count > 1:
        raise UserError(
            f"dataset={config.dataset.name.value}: {count} questions have the id {question_id!r}: ids must be unique"
        )


def _drawn(loaded: Loaded, config: Config) -> Loaded:
    """`dataset.sample` of the questions, in their order; all of them where there are no more."""
    most = config.dataset.sample
    if most is None or most >= len(loaded.questions):
        return loaded
    if most < 1:
        raise UserError(f"dataset.sample={most}: draw one question or more, or leave it out to read all")
    kept = sorted(Random(f"{config.seed}/sample").sample(range(len(loaded.questions)), most))  # noqa: S311
    return replace(loaded, questions=[loaded.questions[number] for number in kept])


def _missing(questions: Sequence[Question], config: Config) -> set[str]:
    """The videos that questions name and that are no files below the root."""
    videos = {question.video for question in questions if question.video is not None}
    return {video for video in videos if not locate(config.dataset.root, video).is_file()}


def _summary(loaded: Loaded, missing: set[str], config: Config, console: Console) -> None:
    def say(text: str) -> None:
        console.print(printable(text).replace("\n", " "), highlight=False, markup=False, soft_wrap=True)

    questions = loaded.questions
    types = Counter(question.type for question in questions)
    splits = Counter(question.split for question in questions)
    videos = {question.video_id for question in questions}
    opened = sum(not question.options for question in questions)
    unlabelled = sum(question.answer is None for question in questions)
    say(f"{config.dataset.name.value}: {len(questions)} questions about {len(videos)} videos")
    say("splits: " + ", ".join(f"{name} {count}" for name, count in sorted(splits.items())))
    say("types: " + ", ".join(f"{name} {count}" for name, count in sorted(types.items())))
    say(f"{len(questions) - opened} multiple-choice, {opened} open-ended; {unlabelled} without a true answer")
    if loaded.skipped:
        say(f"skipped: {len(loaded.skipped)} ({_some(loaded.skipped, '; ')})")
    if missing and config.specialists.source is SourceName.video:
        count = sum(question.video in missing for question in questions)
        say(
            f"warning: {len(missing)} of {len(videos)} videos are not in {config.dataset.root} "
            f"({_some(sorted(missing), ', ')}): {count} questions end as video_unreadable"
        )


def _some(texts: Sequence[str], separator: str) -> str:
    more = f"{separator}and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return separator.join(texts[:_SHOWN]) + more


def _write(questions: Sequence[Question], missing: set[str], config: Config, console: Console) -> None:
    """Write every question; with video files as the source, one whose video cannot be read is dropped."""
    run = Path(config.run)
    from_files = config.specialists.source is SourceName.video
    defects = dict.fromkeys(missing, "no such file")
    settings = {
        **{name: getattr(config.dataset, name) for name in ("split", "limit", "sample")},
        "dataset": config.dataset.name.value,
        "source": config.specialists.source.value,
        "check_videos": config.load.check_videos,
    }
    if config.dataset.name is DatasetName.playroom:
        settings["playroom"] = {
            **asdict(config.dataset.playroom),
            "difficulty": config.dataset.playroom.difficulty.value,
        }
    content = digest([question.model_dump(mode="json") for question in questions])
    with Stage(run, "load", Question).open(settings, inputs={"questions": content}) as out:
        if config.load.check_videos:
            present = sorted({q.video for q in questions if q.video is not None} - missing)
            facts = examine(config.dataset.root, present, config.specialists.decode_deadline_s)
            show_facts(facts, console)
            write_facts(run / "load" / "videos.jsonl", facts)
            defects |= {name: str(found.defect) for name, found in facts.items() if not found.frames}
        for question in questions:
            if question.question_id in out.done:
                continue
            if from_files and question.video in defects:
                reason = f"{question.video}: {defects[question.video]}"
                out.write(Dropped(question_id=question.question_id, outcome=Outcome.video_unreadable, reason=reason))
            elif question.video in missing:
                out.write(question.model_copy(update={"video": None}))  # perception is stored text
            else:
                out.write(question)


def _plan(config: Config, console: Console) -> None:
    """What `aotd run` would do, with the settings that matter most."""
    seen_by = config.specialists
    told = {
        "load": "write the questions above",
        "decompose": f"a program for each question, by author {config.decompose.author.value}",
        "execute": f"run the programs on {seen_by.frames} frames of {seen_by.source.value}; "
        f"grounding by {seen_by.grounding.name.value}, answering by {seen_by.answering.name.value}",
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
