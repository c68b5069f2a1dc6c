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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import Enum
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from omegaconf import OmegaConf
from rich.table import Table

from aotd.datasets.base import DatasetConfig, locate
from aotd.datasets.benchmarks import PLAYROOM, STAR
from aotd.errors import UserError
from aotd.records import Measured, Program, Question, Ranking
from aotd.runtime.output import wide_console
from aotd.runtime.progress import progress
from aotd.scoring.intervals import estimate, percent
from aotd.select import DECOMPOSITION, SelectConfig
from aotd.select.acts import named, read_names
from aotd.select.items import Item, Truth
from aotd.select.measure import SandboxSettings, measure, run_programs
from aotd.specialists import SpecialistsConfig, SubTaskConfig
from aotd.specialists.load import SOURCES
from aotd.specialists.subtasks import SUBTASKS, resolve
from aotd.store.files import digest, write_atomically
from aotd.store.run import Run
from aotd.store.stage import Stage

_log = logging.getLogger(__name__)

RESAMPLES = 2000


def job(
    run: Run,
    *,
    select: SelectConfig,
    dataset: DatasetConfig,
    specialists: SpecialistsConfig,
    execute: SandboxSettings,
    seed: int,
) -> None:
    """Measure every candidate, print the table, and write the winners.

    Raises:
        UserError: `load` has not run, the benchmark has no ground truth, there is no candidate, or a
            candidate's model or run is not there.
    """
    questions = [question for question in run.questions.records() if question.split == select.split]
    if not questions:
        raise UserError(f"select.split={select.split}: {run.folder} holds no question of that split")
    truth = _truth(dataset, select.actions, specialists.decode_deadline_s)
    questions = [question for question in questions if truth.get(question.question_id)]
    if not questions:
        raise UserError(f"select: no question of {run.folder} has annotated key frames")
    Random(seed).shuffle(questions)  # noqa: S311
    comparison = _Comparison(run, questions, truth, select, seed)
    authors = [_author(comparison, author, dataset.root, specialists, execute) for author in select.decomposition]
    rankings = sorted(authors, key=_by_score)
    for subtask in SUBTASKS:
        candidates = getattr(select, subtask)
        measured = [_candidate(comparison, subtask, one, dataset.root, specialists) for one in candidates]
        rankings += sorted(measured, key=_by_score)
    if not rankings:
        raise UserError("select: no candidate is named; see `aotd select --help`")
    folder = run.folder / "select"
    write_atomically(folder / "rankings.json", json.dumps([r.model_dump() for r in rankings], indent=1) + "\n")
    _write_winners(run, select, specialists, rankings)
    wide_console().print(table(rankings))


def _by_score(ranking: Ranking) -> float:
    return -ranking.score.mean


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


def _truth(dataset: DatasetConfig, actions: str, deadline_s: float) -> Truth:
    """Read the key frames of a benchmark.

    Args:
        actions: the file that names STAR's action codes (`select.actions`).
        deadline_s: for reading a video's frame rate.
    """
    from aotd.datasets import star
    from aotd.datasets.playroom import build

    if dataset.name == PLAYROOM:
        return build.situations(dataset)
    if dataset.name != STAR:
        raise UserError(f"select: dataset={dataset.name} has no annotated key frames; use dataset=star or playroom")

    from aotd.video.decode import Decoder, frame_rate

    names = read_names(actions) if actions else {}
    decoder = Decoder(deadline_s)
    try:
        situations = star.situations(dataset, lambda video: frame_rate(locate(dataset.root, video), decoder))
    finally:
        decoder.close()
    return {key: named(marked, names) for key, marked in situations.items()}


# ── candidates ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _Comparison:
    """What all candidates are compared on."""

    run: Run
    questions: Sequence[Question]
    truth: Truth
    select: SelectConfig
    seed: int


def _author(
    comparison: _Comparison, author: str, root: str, specialists: SpecialistsConfig, execute: SandboxSettings
) -> Ranking:
    """Measure the programs of another run, or go on where an earlier start has stopped."""
    questions = [question for question in comparison.questions if question.options and question.answer]
    programs = Run(Path(author)).programs

    def measured(todo: Sequence[Question]) -> Iterator[Measured]:
        source = SOURCES[specialists.source](specialists, root)
        return run_programs(_programs(author, programs.records(), todo), comparison.truth, source, execute)

    return _measured(
        comparison,
        DECOMPOSITION,
        label=Path(author).resolve().name,
        metric="accuracy",
        items={question.question_id: question for question in questions},
        frames=specialists.frames,
        settings={},
        inputs=lambda: {"decompose": programs.manifest_digest()},
        measure=measured,
    )


def _candidate(
    comparison: _Comparison, subtask: str, candidate: SubTaskConfig, root: str, specialists: SpecialistsConfig
) -> Ranking:
    """Measure a specialist, or go on where an earlier start has stopped."""
    draw = resolve(SUBTASKS[subtask].items)
    items: Sequence[Item] = draw(comparison.questions, comparison.truth, Random(comparison.seed))  # noqa: S311
    changed: dict[str, Any] = {subtask: candidate}
    return _measured(
        comparison,
        subtask,
        label=_label(candidate),
        metric=SUBTASKS[subtask].metric,
        items={item.question.question_id: item for item in items},
        frames=specialists.frames,
        settings={"candidate": _plain(candidate)},
        inputs=dict,
        measure=lambda todo: measure(subtask, replace(specialists, **changed), root, todo),
    )


def _measured(
    comparison: _Comparison,
    subtask: str,
    *,
    label: str,
    metric: str,
    items: Mapping[str, Any],
    frames: int,
    settings: Mapping[str, Any],
    inputs: Callable[[], dict[str, str]],
    measure: Callable[[Sequence[Any]], Iterable[Measured]],
) -> Ranking:
    """Measure what is not measured yet, and sum it up.

    Args:
        items: question id -> what the candidate is asked.
        frames: as many of a video are sampled (`specialists.frames`).
        settings: of the candidate, for the manifest.
        inputs: digests of what it was made from, beside questions and ground truth.
        measure: measures items, in order.
    """
    run, select, truth = comparison.run, comparison.select, comparison.truth
    items = dict(islice(items.items(), select.items or None))
    if not items:
        raise UserError(f"select.{subtask}: the ground truth of {run.folder} holds nothing to ask for it")
    stage = Stage(run.folder, f"select/{subtask}/{_file_name(label)}", Measured)
    made_from = {
        "load": run.questions.manifest_digest(),
        "truth": digest([[q.question_id, repr(truth[q.question_id])] for q in comparison.questions]),
        **inputs(),
    }
    whole = {"items": select.items, "split": select.split, "frames": frames, **settings, "seed": comparison.seed}
    with stage.open(whole, inputs=made_from) as out:
        todo = [item for question_id, item in items.items() if question_id not in out.done]
        for measured in progress(f"{subtask} {label}", measure(todo), len(todo)):
            out.write(measured)
    done = stage.records()
    if failed := [one for one in done if one.failed is not None]:
        why = f"such as {failed[0].question_id}: {failed[0].failed}"
        _log.info(f"{subtask} {label}: {len(failed)} of {len(done)} items failed and score 0, {why}")
    videos = {question.question_id: question.video_id for question in comparison.questions}
    return _ranking(subtask, label, metric, done, videos, comparison.seed)


def _programs(
    author: str, programs: Iterable[Program], questions: Sequence[Question]
) -> list[tuple[Question, Program | None]]:
    by_id = {program.question_id: program for program in programs}
    if questions and not by_id.keys() & {question.question_id for question in questions}:
        raise UserError(f"select.decomposition: {author} holds no program for the questions of this run")
    return [(question, by_id.get(question.question_id)) for question in questions]


def _ranking(
    subtask: str, label: str, metric: str, measured: Sequence[Measured], videos: Mapping[str, str], seed: int
) -> Ranking:
    about = [videos[one.question_id] for one in measured]
    score = estimate([one.score for one in measured], RESAMPLES, seed, about)
    assert score is not None
    recalls = [np.nan if one.recall is None else one.recall for one in measured]
    return Ranking(
        subtask=subtask,
        candidate=label,
        metric=metric,
        score=score,
        recall=estimate(recalls, RESAMPLES, seed, about),
        failed=sum(one.failed is not None for one in measured),
        seconds=round(statistics.median(one.seconds for one in measured), 4),
        memory_mb=max(one.memory_mb for one in measured),
    )


def _label(candidate: SubTaskConfig) -> str:
    """Name a candidate in the table: the specialist with its model."""
    return f"{candidate.name} {candidate.model.rstrip('/').split('/')[-1]}" if candidate.model else candidate.name


def _file_name(label: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", label)


def _plain(candidate: SubTaskConfig) -> dict[str, Any]:
    return {key: value.value if isinstance(value, Enum) else value for key, value in asdict(candidate).items()}


def _write_winners(run: Run, select: SelectConfig, specialists: SpecialistsConfig, rankings: Sequence[Ranking]) -> None:
    """Write the best candidate of each sub-task as a choice of `specialists`; what was not compared stays as it is."""
    chosen: dict[str, Any] = {}
    for subtask in SUBTASKS:
        candidates = {_label(one): one for one in getattr(select, subtask)}
        best = next((one for one in rankings if one.subtask == subtask), None)
        chosen[subtask] = _plain(candidates[best.candidate] if best else getattr(specialists, subtask))
    for key in ("source", "frames", "memory_gb", "captions", "embedder"):
        value = getattr(specialists, key)
        chosen[key] = value.value if isinstance(value, Enum) else value
    text = f"# The best of each sub-task, chosen by `aotd select` in {run.folder}.\n"
    write_atomically(
        run.folder / "select" / "specialists" / "winners.yaml", text + OmegaConf.to_yaml(OmegaConf.create(chosen))
    )
