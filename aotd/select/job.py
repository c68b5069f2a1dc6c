"""select: compare candidates for each sub-task against STAR-style ground truth, and choose the best.

Reads load/ and the benchmark's own annotation (dataset=playroom, or star's JSON). Each candidate is asked the
same items, with the ground truth of all the steps before: the detector gets the frame, the recogniser the
moment, a program the right answer of every tool it calls (paper, Table 1). Candidates are lists:

    aotd select 'select.detection=[{name: owlv2, model: google/owlv2-base-patch16-ensemble}, {name: trivial}]'
    aotd select 'select.decomposition=[runs/qwen, runs/deepseek]'      runs that have been decomposed

`trivial` (the whole frame, the whole clip, the first option) and `mock` (a guess) are the floors. Writes each
candidate's scores to select/, the table to select/rankings.json, and the winners as a config:

    aotd run configs=runs/demo/select specialists=winners
"""

from __future__ import annotations

import json
import logging
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from enum import Enum
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from omegaconf import OmegaConf
from rich.console import Console
from rich.table import Table

from aotd.config.tree import Config
from aotd.datasets.base import locate
from aotd.datasets.benchmarks import PLAYROOM, STAR
from aotd.errors import UserError
from aotd.records import Measured, Program, Question, Ranking
from aotd.runtime.progress import progress
from aotd.scoring.intervals import estimate, percent
from aotd.select import SubTask
from aotd.select.acts import named, read_names
from aotd.select.items import Truth, answers, grounds, looks, recognitions
from aotd.select.measure import Item, measure, run_programs
from aotd.specialists import SpecialistsConfig, SubTaskConfig
from aotd.store.files import digest, write_atomically
from aotd.store.stage import Stage

_log = logging.getLogger(__name__)

METRICS = {
    SubTask.decomposition: "accuracy",
    SubTask.detection: "IoU",
    SubTask.grounding: "IoU",
    SubTask.action: "top-1",
    SubTask.answering: "accuracy",
}
ITEMS: dict[SubTask, Callable[[Sequence[Question], Truth, Random], Sequence[Item]]] = {
    SubTask.detection: looks,
    SubTask.grounding: grounds,
    SubTask.action: recognitions,
    SubTask.answering: answers,
}
RESAMPLES = 2000


def job(config: Config) -> None:
    """Measure every candidate, print the table, and write the winners.

    Raises:
        UserError: `load` has not run, the benchmark has no ground truth, there is no candidate, or a
            candidate's model or run is not there.
    """
    settings = config.select
    loaded = Stage(Path(config.run), "load", Question)
    questions = [question for question in loaded.records() if question.split == settings.split]
    if not questions:
        raise UserError(f"select.split={settings.split}: {config.run} holds no question of that split")
    truth = _truth(config)
    questions = [question for question in questions if truth.get(question.question_id)]
    if not questions:
        raise UserError(f"select: no question of {config.run} has annotated key frames")
    Random(config.seed).shuffle(questions)  # noqa: S311
    rankings = []
    for subtask in SubTask:
        candidates = getattr(settings, subtask.value)
        done = [_candidate(config, subtask, one, questions, truth) for one in candidates]
        rankings += sorted(done, key=lambda ranking: -ranking.score.mean)
    if not rankings:
        raise UserError("select: no candidate is named; see `aotd select --help`")
    folder = Path(config.run) / "select"
    write_atomically(folder / "rankings.json", json.dumps([r.model_dump() for r in rankings], indent=1) + "\n")
    _write_winners(folder, config, rankings)
    console = Console()
    # A table squeezed into the 80 columns of a pipe cannot be read.
    Console(width=None if console.is_terminal else 120).print(table(rankings))


def table(rankings: Sequence[Ranking]) -> Table:
    """The candidates of each sub-task, the best first, in percent with 95 % intervals."""
    shown = Table()
    for head in ("sub-task", "candidate", "metric", "%", "recall", "items", "failed", "seconds", "MiB"):
        shown.add_column(head, justify="left" if head in ("sub-task", "candidate", "metric") else "right")
    before = ""
    for one in rankings:
        shown.add_section() if before not in ("", one.subtask) else None
        shown.add_row(
            one.subtask if one.subtask != before else "",
            one.candidate,
            one.metric,
            percent(one.score),
            percent(one.recall),
            str(one.score.n),
            str(one.failed),
            f"{one.seconds:.3f}",
            f"{one.memory_mb:.0f}" if one.memory_mb else "–",
        )
        before = one.subtask
    return shown


# ── ground truth ──────────────────────────────────────────────────────────────────────────────────


def _truth(config: Config) -> Truth:
    from aotd.datasets import star
    from aotd.datasets.playroom import build

    name = config.dataset.name
    if name == PLAYROOM:
        return build.situations(config.dataset)
    if name != STAR:
        raise UserError(f"select: dataset={name} has no annotated key frames; use dataset=star or playroom")

    from aotd.video.decode import Decoder, frame_rate

    names = read_names(config.select.actions) if config.select.actions else {}
    decoder = Decoder(config.specialists.decode_deadline_s)
    try:
        found = star.situations(config.dataset, lambda video: frame_rate(locate(config.dataset.root, video), decoder))
    finally:
        decoder.close()
    return {key: named(marked, names) for key, marked in found.items()}


# ── candidates ────────────────────────────────────────────────────────────────────────────────────


def _candidate(
    config: Config, subtask: SubTask, candidate: SubTaskConfig | str, questions: Sequence[Question], truth: Truth
) -> Ranking:
    """Measure a candidate, or go on where a start before has stopped."""
    label = _label(candidate)
    items: Sequence[Any]
    if isinstance(candidate, str):
        items = [question for question in questions if question.options and question.answer]
    else:
        items = ITEMS[subtask](questions, truth, Random(config.seed))  # noqa: S311
    items = items[: config.select.items or None]
    if not items:
        raise UserError(f"select.{subtask.value}: the ground truth of {config.run} holds nothing to ask for it")
    stage = Stage(Path(config.run), f"select/{subtask.value}/{_file_name(label)}", Measured)
    settings = {"items": config.select.items, "split": config.select.split, "frames": config.specialists.frames}
    inputs = {"load": Stage(Path(config.run), "load", Question).manifest_digest()}
    inputs["truth"] = digest([[q.question_id, repr(truth[q.question_id])] for q in questions])
    if isinstance(candidate, str):
        inputs["decompose"] = Stage(Path(candidate), "decompose", Program).manifest_digest()
    else:
        settings["candidate"] = _plain(candidate)
    with stage.open(settings | {"seed": config.seed}, inputs=inputs) as out:
        asked = items if isinstance(candidate, str) else [item.question for item in items]
        todo = [item for item, question in zip(items, asked, strict=True) if question.question_id not in out.done]
        if isinstance(candidate, str):
            results = run_programs(_programs(candidate, todo), truth, config)
        else:
            results = measure(subtask, _with(config.specialists, subtask, candidate), config.dataset.root, todo)
        for measured in progress(f"{subtask.value} {label}", results, len(todo)):
            out.write(measured)
    done = stage.records()
    if failed := [one for one in done if one.failed is not None]:
        why = f"such as {failed[0].question_id}: {failed[0].failed}"
        _log.info(f"{subtask.value} {label}: {len(failed)} of {len(done)} items failed and score 0, {why}")
    videos = {question.question_id: question.video_id for question in questions}
    return _ranking(subtask, label, done, videos, config.seed)


def _programs(run: str, questions: Sequence[Question]) -> list[tuple[Question, Program | None]]:
    programs = {program.question_id: program for program in Stage(Path(run), "decompose", Program).records()}
    if questions and not programs.keys() & {question.question_id for question in questions}:
        raise UserError(f"select.decomposition: {run} holds no program for the questions of this run")
    return [(question, programs.get(question.question_id)) for question in questions]


def _with(specialists: SpecialistsConfig, subtask: SubTask, candidate: SubTaskConfig) -> SpecialistsConfig:
    changed: dict[str, Any] = {subtask.value: candidate}
    return replace(specialists, **changed)


def _ranking(
    subtask: SubTask, label: str, measured: Sequence[Measured], videos: Mapping[str, str], seed: int
) -> Ranking:
    about = [videos[one.question_id] for one in measured]
    score = estimate([one.score for one in measured], RESAMPLES, seed, about)
    assert score is not None
    recalls = [np.nan if one.recall is None else one.recall for one in measured]
    return Ranking(
        subtask=subtask.value,
        candidate=label,
        metric=METRICS[subtask],
        score=score,
        recall=estimate(recalls, RESAMPLES, seed, about),
        failed=sum(one.failed is not None for one in measured),
        seconds=round(statistics.median(one.seconds for one in measured), 4),
        memory_mb=max(one.memory_mb for one in measured),
    )


def _label(candidate: SubTaskConfig | str) -> str:
    """How a candidate is called in the table: the run's name, or the specialist's with its model."""
    if isinstance(candidate, str):
        return Path(candidate).resolve().name
    name = candidate.name.value
    return f"{name} {candidate.model.rstrip('/').split('/')[-1]}" if candidate.model else name


def _file_name(label: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", label)


def _plain(candidate: SubTaskConfig) -> dict[str, Any]:
    return {key: value.value if isinstance(value, Enum) else value for key, value in asdict(candidate).items()}


def _write_winners(folder: Path, config: Config, rankings: Sequence[Ranking]) -> None:
    """The best candidate of each sub-task as a choice of `specialists`; what was not compared stays as it is."""
    chosen: dict[str, Any] = {}
    for subtask in ITEMS:
        candidates = {_label(one): one for one in getattr(config.select, subtask.value)}
        best = next((one for one in rankings if one.subtask == subtask.value), None)
        kept = candidates[best.candidate] if best else getattr(config.specialists, subtask.value)
        chosen[subtask.value] = _plain(kept)
    for key in ("source", "frames", "memory_gb", "captions", "embedder"):
        value = getattr(config.specialists, key)
        chosen[key] = value.value if isinstance(value, Enum) else value
    text = f"# The best of each sub-task, chosen by `aotd select` in {config.run}.\n"
    write_atomically(folder / "specialists" / "winners.yaml", text + OmegaConf.to_yaml(OmegaConf.create(chosen)))
