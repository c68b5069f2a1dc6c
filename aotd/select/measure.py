"""Measure one candidate on the items of its sub-task: score, seconds and memory, in a process of its own.

The metrics are the paper's (Table 1): IoU of the most confident box; IoU and recall of the span; whether the first
action is the true one; whether the option chosen is the true one; whether a program whose tools are always right comes
to the true answer. An empty finding scores 0, and so does a candidate that fails on an item. The table of sub-tasks
(`aotd.specialists.subtasks`) names the functions of this module and of `aotd.select.items`.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol

from aotd.errors import QuestionError, UserError
from aotd.records import Measured, Program, Question
from aotd.runtime.meter import gpu_peak_mb
from aotd.runtime.pools import worker_pool
from aotd.sandbox.layers import Layer, raised
from aotd.sandbox.process import Limits, Sandbox
from aotd.scoring.answers import same_answer
from aotd.scoring.iou import box_iou, moment_scores
from aotd.select.items import ActionItem, AnsweringItem, DetectionItem, GroundingItem, Item, Truth
from aotd.select.oracle import Oracle
from aotd.specialists import SpecialistsConfig
from aotd.specialists.load import SOURCES, load_specialist
from aotd.specialists.protocols import Answerer, Detector, Grounder, Recogniser, Source
from aotd.specialists.subtasks import SUBTASKS, resolve
from aotd.tools.toolbox import ToolSession
from aotd.tools.video import VIDEO_TOOLS
from aotd.video.clip import Clip, Video, frame_times, span_seconds


def measure(subtask: str, config: SpecialistsConfig, root: str, items: Sequence[Item]) -> Iterator[Measured]:
    """Ask a candidate some items, in order, in a process of its own.

    Args:
        config: with the candidate in its sub-task's place.

    Raises:
        UserError: its model is not there, or its process died.
    """
    try:
        with worker_pool(1, _start, subtask, config, root) as pool:
            yield from pool.map(_measure_item, items)
    except BrokenProcessPool:
        raise UserError(
            f"select: the process of a candidate for {subtask} died (out of memory?): "
            "run the verb again to go on, or take it out of the list"
        ) from None


class SandboxSettings(Protocol):
    """The settings of `execute` that say how programs run."""

    layers: list[Layer]
    run_without_kernel_layers: bool
    limits: Limits


Score = Callable[[Any, Any, Video], tuple[float, float | None]]
"""(item, specialist, video) -> score, and recall where the metric has one."""

_candidate: tuple[Score, object, Source] | UserError
"""The process's own metric, candidate and source, or why the candidate could not be loaded."""


def _start(subtask: str, config: SpecialistsConfig, root: str) -> None:
    global _candidate
    try:
        score = resolve(SUBTASKS[subtask].score)
        _candidate = score, load_specialist(subtask, config, root), SOURCES[config.source](config, root)
    except UserError as error:
        _candidate = error


def _measure_item(item: Item) -> Measured:
    if isinstance(_candidate, UserError):
        raise _candidate
    measure_one, specialist, source = _candidate
    started = time.monotonic()
    try:
        (score, recall), failed = measure_one(item, specialist, source.open(item.question)), None
    except QuestionError as error:
        score, recall, failed = 0.0, 0.0 if isinstance(item, GroundingItem) else None, error.reason
    return Measured(
        question_id=item.question.question_id,
        score=score,
        recall=recall,
        failed=failed,
        seconds=round(time.monotonic() - started, 4),
        memory_mb=peak_mb(),
    )


def run_programs(
    pairs: Sequence[tuple[Question, Program | None]], truth: Truth, source: Source, execute: SandboxSettings
) -> Iterator[Measured]:
    """Run an author's programs over tools that are always right; a question without a program scores 0."""
    layers = raised(execute.layers, execute.run_without_kernel_layers)
    with Sandbox(execute.limits, layers) as sandbox:
        for question, program in pairs:
            started, failed, right = time.monotonic(), None, False
            if program is None:
                failed = "no program"
            else:
                try:
                    oracle = Oracle(question, truth[question.question_id], source)
                    clip = Clip.whole(source.open(question))
                    tools = ToolSession(VIDEO_TOOLS, oracle.specialists())
                    answer = sandbox.run(program.code, clip, question.question, question.options, tools)
                    right = question.answer is not None and same_answer(answer, question.answer, question.options)
                except QuestionError as error:
                    failed = f"{error.outcome.value}: {error.reason}"
            seconds = round(time.monotonic() - started, 4)
            yield Measured(
                question_id=question.question_id, score=float(right), failed=failed, seconds=seconds, memory_mb=0
            )


def peak_mb() -> float:
    """Return the most memory that this process has taken, in MiB: a GPU's where there is one, else the machine's."""
    if (of_gpu := gpu_peak_mb()) is not None:
        return of_gpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def score_detection(item: DetectionItem, detector: Detector, video: Video) -> tuple[float, None]:
    """Score the most confident box on the nearest frame by its IoU with the best of the true ones."""
    times = frame_times(video.start_s, video.end_s, video.frames)
    nearest = min(range(video.frames), key=lambda number: abs(times[number] - item.time_s))
    boxes = detector.detect(Clip(video, (nearest,)), item.label)
    if not boxes:
        return 0.0, None
    best = max(boxes, key=lambda detection: detection.score)
    return max(box_iou(best.box, true.box) for true in item.boxes), None


def score_grounding(item: GroundingItem, grounder: Grounder, video: Video) -> tuple[float, float]:
    """Score the span by its IoU with the true ones, and by recall."""
    span = grounder.ground(Clip.whole(video), item.query)
    if span is None:
        return 0.0, 0.0
    seconds = span_seconds(span.start, span.end, video.start_s, video.end_s, video.frames)
    return moment_scores(seconds, item.spans)


def score_action(item: ActionItem, recogniser: Recogniser, video: Video) -> tuple[float, None]:
    """Score whether the first action is the true one."""
    actions = recogniser.actions(_during(video, [item.span]), None, item.candidates)
    return float(actions[:1] == [item.true]), None


def score_answering(item: AnsweringItem, answerer: Answerer, video: Video) -> tuple[float, None]:
    """Score whether the option chosen from the answerer's own words is the true one."""
    question = item.question
    text = answerer.answer(_during(video, item.spans), question.question)
    chosen = answerer.choose(question.question, {"what is seen": text}, question.options)
    return float(chosen == question.answer), None


def _during(video: Video, spans: Sequence[tuple[float, float]]) -> Clip:
    """The frames whose moment lies in one of some spans; the nearest one where none does."""
    times = frame_times(video.start_s, video.end_s, video.frames)
    inside = [n for n in range(video.frames) if any(start <= times[n] < end for start, end in spans)]
    if not inside:
        middle = sum(spans[0]) / 2
        inside = [min(range(video.frames), key=lambda number: abs(times[number] - middle))]
    return Clip(video, tuple(inside))
