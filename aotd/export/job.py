"""export: write kept chains of thought and their questions for other trainers.

Reads load/, decompose/, execute/, convert/ and verify/; writes
<run>/export/<format>/, or the folder export.to.

    aotd export run=runs/demo
        parquet and a card, for Hugging Face datasets
    aotd export run=runs/demo export.format=llamafactory
        conversations; also swift (ms-swift) and trl
    aotd export run=runs/demo export.format=lmms_eval export.split=test
        the questions alone, as a task of lmms-eval; reads load/ only
    aotd export run=runs/told export.format=llava
        the dialogues of aotd instruct in LLaVA's form; reads instruct/ only

A question with an answer is one conversation, and a second one where its
thought was kept. They name the video files below dataset.root; with
export.frames=true, and always with trl, the frames that the specialists saw
are written as pictures. A folder that export wrote before is replaced as a
whole.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from aotd import __version__
from aotd.datasets.base import DatasetConfig
from aotd.errors import QuestionError, UserError
from aotd.export import ExportConfig, ExportFormat
from aotd.export.conversations import WRITERS, Conversation, conversations
from aotd.export.folder import check_replaceable, new_folder
from aotd.export.llava import write_llava
from aotd.export.lmms_eval import write_tasks
from aotd.export.media import Pictures, VideoFiles
from aotd.export.parquet import write_card, write_parquet
from aotd.prompts import digest
from aotd.prompts.student import SUFFIXES
from aotd.records import SCHEMA, Example, Outcome, Question, Trace
from aotd.runtime.output import say
from aotd.runtime.progress import progress
from aotd.specialists import SpecialistsConfig
from aotd.store.ledger import ledger
from aotd.store.run import Run
from aotd.students.examples import CHECKS, make_example, read_thoughts
from aotd.verbs import FLOW
from aotd.video.source import DecodedVideos


@dataclass(frozen=True)
class ExportItem:
    """A question, and the example that a student would be trained on."""

    question: Question
    example: Example


def job(run: Run, *, export: ExportConfig, dataset: DatasetConfig, specialists: SpecialistsConfig) -> None:
    """Write the export's folder.

    Raises:
        UserError: a verb before has not run, nothing to write, or settings that make no sense.
    """
    _check(export)
    if export.format is ExportFormat.lmms_eval:
        _export_tasks(run, export, dataset.root)
        return
    if export.format is ExportFormat.llava:
        _export_dialogues(run, export)
        return
    items = _items(run, export)
    target = _target(run, export)
    splits = list(dict.fromkeys(item.question.split for item in items))
    manifest = _manifest(run, export, FLOW)
    with new_folder(target, manifest) as folder:
        if export.format is ExportFormat.datasets:
            _write_table(folder, run, export, items, splits)
            manifest["rows"] = {split: sum(item.question.split == split for item in items) for split in splits}
        else:
            traces = _traces(run)
            with closing(DecodedVideos(dataset.root, _frames(traces), specialists.decode_deadline_s)) as source:
                pictured = export.frames or export.format is ExportFormat.trl
                media = Pictures(folder, target, source) if pictured else VideoFiles(dataset.root, source)
                written, left_out = _conversations(items, media, source, traces)
            _check_parts(media, export, len(items))
            by_split = {split: written[split] for split in splits if written.get(split)}
            WRITERS[export.format](folder, by_split)
            manifest["rows"] = {split: len(rows) for split, rows in by_split.items()}
            manifest["left_out"] = left_out
    thoughts = sum(item.example.rationale is not None for item in items)
    _print_summary(target, f"{len(items)} questions, {thoughts} with a chain of thought", manifest)


def _export_tasks(run: Run, settings: ExportConfig, root: str) -> None:
    questions = _questions(run, settings)
    if not questions:
        raise UserError("no question has a known answer, so there is nothing to score: see `aotd load`")
    splits: dict[str, list[Question]] = {}
    for question in questions:
        splits.setdefault(question.split, []).append(question)
    target = _target(run, settings)
    manifest = _manifest(run, settings, ("load",))
    with new_folder(target, manifest) as folder:
        write_tasks(folder, root, splits)
        manifest["rows"] = {split: len(rows) for split, rows in splits.items()}
    _print_summary(target, f"{len(questions)} questions", manifest)


def _export_dialogues(run: Run, settings: ExportConfig) -> None:
    if not run.instructions.count():
        raise UserError(f"no instruction was kept: see {run.instructions.dropped_path}")
    target = _target(run, settings)
    manifest = _manifest(run, settings, ("instruct",))
    with new_folder(target, manifest) as folder:
        manifest["rows"] = {"dialogues": write_llava(folder, run.instructions.stream())}
    _print_summary(target, "dialogues in LLaVA's form", manifest)


def _target(run: Run, settings: ExportConfig) -> Path:
    target = Path(settings.to or run.folder / "export" / settings.format.value).resolve()
    check_replaceable(target)
    return target


def _check(settings: ExportConfig) -> None:
    for check in settings.require:
        if check not in CHECKS:
            raise UserError(f"export.require: there is no check {check!r}; one of {', '.join(CHECKS)}")
    if settings.format is ExportFormat.trl and settings.frames is False:
        raise UserError("export.format=trl: TRL's SFTTrainer takes pictures and no video file: leave out export.frames")
    if settings.format is ExportFormat.datasets and settings.frames:
        raise UserError("export.format=datasets holds no pictures: leave out export.frames")
    if settings.format is ExportFormat.llava and (settings.frames or settings.split or not settings.labels):
        setting = "frames" if settings.frames else "split" if settings.split else "labels"
        raise UserError(f"export.format=llava names video files and holds dialogues alone: leave out export.{setting}")
    if settings.format is ExportFormat.lmms_eval and (settings.frames or not settings.labels):
        setting = "frames" if settings.frames else "labels"
        raise UserError(f"export.format=lmms_eval names video files and holds no thoughts: leave out export.{setting}")


def _questions(run: Run, settings: ExportConfig) -> list[Question]:
    """The questions with an answer of the split or splits that are asked for, in the order of loading."""
    questions = run.questions.records()
    there = sorted({question.split for question in questions})
    if settings.split and settings.split not in there:
        raise UserError(f"export.split={settings.split}: the run has no such split; it has {', '.join(there)}")
    wanted = [q for q in questions if settings.split in ("", q.split) and q.answer is not None]
    for split in {question.split for question in wanted}:
        # It becomes a file's name, and a name in other programs' settings.
        if not re.fullmatch(r"[A-Za-z0-9_]+", split):
            raise UserError(
                f"split {split!r} is to name a file: letters, digits and _ only; "
                "load the questions with another dataset.split"
            )
    return wanted


def _items(run: Run, settings: ExportConfig) -> list[ExportItem]:
    """The questions to write, in the order of loading."""
    questions = _questions(run, settings)
    known = read_thoughts(run)
    items = [
        ExportItem(question, make_example(question, known, rationales=True, require=settings.require))
        for question in questions
    ]
    if not any(item.example.rationale for item in items):
        raise UserError(
            f"no chain of thought{f' of split {settings.split}' if settings.split else ''} passed "
            f"{', '.join(settings.require) or 'no check'}: look at `aotd show {run}`, or ask for less in export.require"
        )
    return [item for item in items if settings.labels or item.example.rationale is not None]


# ── datasets ──────────────────────────────────────────────────────────────────────────────────────


def _write_table(
    folder: Path, run: Run, settings: ExportConfig, items: Sequence[ExportItem], splits: list[str]
) -> None:
    book = ledger(run)
    programs = {program.question_id: program.code for program in run.programs.records()}
    programs |= {trace.question_id: trace.code for trace in _traces(run).values() if trace.code is not None}
    tables: dict[str, list[dict[str, Any]]] = {split: [] for split in splits}
    for item in items:
        question, key = item.question, item.question.question_id
        names = ("question_id", "dataset", "split", "video", "start_s", "end_s", "question", "answer", "type")
        tables[question.split].append(
            {name: getattr(question, name) for name in names}
            | {"options": list(question.options), "rationale": item.example.rationale}
            | {"program": programs.get(key), "outcome": book.places[key].name}
        )
    write_parquet(folder, tables)
    write_card(folder, run, tables, settings.require, _frames(_traces(run)), settings.licence, book)


# ── conversations ─────────────────────────────────────────────────────────────────────────────────


def _conversations(
    items: Sequence[ExportItem], media: Pictures | VideoFiles, source: DecodedVideos, traces: Mapping[str, Trace]
) -> tuple[dict[str, list[Conversation]], dict[str, str]]:
    """The conversations by split, and the questions whose video cannot be read with the reason.

    Raises:
        UserError: no video can be read.
    """
    by_split: dict[str, list[Conversation]] = {}
    left_out: dict[str, str] = {}
    for item in progress("export", items):
        try:
            _check_video(source, item.question, traces)
            shown = media.of(item.question)
        except QuestionError as error:
            left_out[item.question.question_id] = str(error)
            continue
        of_item = conversations(item.example, bool(item.question.options), shown)
        by_split.setdefault(item.question.split, []).extend(of_item)
    if not by_split:
        raise UserError(f"no question's video can be read ({next(iter(left_out.values()))}): set dataset.root")
    return by_split, left_out


def _check_parts(media: Pictures | VideoFiles, settings: ExportConfig, count: int) -> None:
    """
    Raises:
        UserError: questions are about a part of their video, and the format names whole files.
    """
    if isinstance(media, VideoFiles) and media.parts and not settings.whole_videos:
        raise UserError(
            f"{len(media.parts)} of {count} questions are about a part of their video (first: {media.parts[0]}), "
            f"and {settings.format.value}'s format cannot say so: add export.frames=true, "
            "or export.whole_videos=true to show the whole file all the same"
        )


def _check_video(source: DecodedVideos, question: Question, traces: Mapping[str, Trace]) -> None:
    """
    Raises:
        QuestionError: the video cannot be read, or boxes in the question's thought are not about it.
    """
    video, trace = source.open(question), traces.get(question.question_id)
    if trace and trace.width and (video.width, video.height) != (trace.width, trace.height):
        raise QuestionError(Outcome.video_unreadable, f"{question.video} is not the video that the trace is about")


def _traces(run: Run) -> dict[str, Trace]:
    return {trace.question_id: trace for trace in run.traces.records()}


def _frames(traces: Mapping[str, Trace]) -> int:
    """How many frames of each part of a video the specialists saw: one number for a whole run."""
    return next(iter(traces.values())).frames


# ── manifest and summary ─────────────────────────────────────────────────────────────────────────────────


def _manifest(run: Run, settings: ExportConfig, reads: Sequence[str]) -> dict[str, Any]:
    values = {key: value.value if isinstance(value, Enum) else value for key, value in asdict(settings).items()}
    return {
        "schema": SCHEMA,
        "version": __version__,
        "settings": {key: value for key, value in values.items() if key != "to"},
        "inputs": {verb: run.stage(verb).manifest_digest() for verb in reads},
        "prompts": {name: digest(name) for name in SUFFIXES},
    }


def _print_summary(target: Path, written: str, manifest: Mapping[str, Any]) -> None:
    say(written)
    say("rows: " + ", ".join(f"{split} {rows}" for split, rows in manifest["rows"].items()))
    left_out = manifest.get("left_out")
    if left_out:
        key, reason = next(iter(left_out.items()))
        say(f"{len(left_out)} questions left out, their video cannot be read (first: {key}: {reason})")
    say(str(target))
