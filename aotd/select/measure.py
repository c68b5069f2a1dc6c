"""One candidate on the items of its sub-task: score, seconds and memory, in a process of its own.

The metrics are the paper's (Table 1): IoU of the most confident box; IoU and recall of the span; whether
the first action is the true one; whether the option chosen is the true one; whether a program whose tools
are always right comes to the true answer. What is not found, and a candidate that fails on an item, score 0.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool

from aotd.config.tree import Config
from aotd.errors import QuestionError, UserError
from aotd.records import Measured, Program, Question
from aotd.runtime.meter import gpu_peak_mb
from aotd.runtime.pools import worker_pool
from aotd.sandbox.layers import raised
from aotd.sandbox.process import Sandbox
from aotd.scoring.answers import same_answer
from aotd.scoring.iou import box_iou, moment_scores
from aotd.select import SubTask
from aotd.select.items import Answer, Ground, Look, Recognise, Truth
from aotd.select.oracle import Oracle
from aotd.specialists import SpecialistsConfig
from aotd.specialists.load import SOURCES, load_specialist
from aotd.specialists.protocols import Answerer, Detector, Grounder, Recogniser, Source
from aotd.tools.toolbox import ToolSession
from aotd.tools.video import VIDEO_TOOLS
from aotd.video.clip import Clip, Video, frame_times, span_seconds

Item = Look | Ground | Recognise | Answer


def measure(subtask: SubTask, config: SpecialistsConfig, root: str, items: Sequence[Item]) -> Iterator[Measured]:
    """Ask a candidate some items, in order, in a process of its own.

    Args:
        config: with the candidate in its sub-task's place.

    Raises:
        UserError: its model is not there, or its process died.
    """
    try:
        with worker_pool(1, _start, subtask, config, root) as pool:
            yield from pool.map(_ask, items)
    except BrokenProcessPool:
        raise UserError(
            f"select: the process of a candidate for {subtask.value} died (out of memory?): "
            "run the verb again to go on, or take it out of the list"
        ) from None


_asked: tuple[object, Source] | UserError
"""The process's own candidate and source, or why it could not be loaded."""


def _start(subtask: SubTask, config: SpecialistsConfig, root: str) -> None:
    global _asked
    try:
        _asked = load_specialist(subtask.value, config, root), SOURCES[config.source](config, root)
    except UserError as error:
        _asked = error


def _ask(item: Item) -> Measured:
    if isinstance(_asked, UserError):
        raise _asked
    specialist, source = _asked
    started = time.monotonic()
    try:
        (score, recall), failed = _score(item, specialist, source), None
    except QuestionError as error:
        score, recall, failed = 0.0, 0.0 if isinstance(item, Ground) else None, error.reason
    return Measured(
        question_id=item.question.question_id,
        score=score,
        recall=recall,
        failed=failed,
        seconds=round(time.monotonic() - started, 4),
        memory_mb=peak_mb(),
    )


def run_programs(pairs: Sequence[tuple[Question, Program | None]], truth: Truth, config: Config) -> Iterator[Measured]:
    """An author's programs, over tools that are always right; a question without a program scores 0."""
    source = SOURCES[config.specialists.source](config.specialists, config.dataset.root)
    layers = raised(config.execute.layers, config.execute.run_without_kernel_layers)
    with Sandbox(config.execute.limits, layers) as sandbox:
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
    """The most memory this process has taken, in MiB: a GPU's where there is one, else the machine's."""
    if (of_gpu := gpu_peak_mb()) is not None:
        return of_gpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def _score(item: Item, specialist: object, source: Source) -> tuple[float, float | None]:
    video = source.open(item.question)
    if isinstance(item, Look):
        return _look(item, specialist, video), None  # type: ignore[arg-type]
    if isinstance(item, Ground):
        return _ground(item, specialist, video)  # type: ignore[arg-type]
    if isinstance(item, Recognise):
        return _recognise(item, specialist, video), None  # type: ignore[arg-type]
    return _answer(item, specialist, video), None  # type: ignore[arg-type]


def _look(item: Look, detector: Detector, video: Video) -> float:
    times = frame_times(video.start_s, video.end_s, video.frames)
    nearest = min(range(video.frames), key=lambda number: abs(times[number] - item.time_s))
    found = detector.detect(Clip(video, (nearest,)), item.label)
    if not found:
        return 0.0
    best = max(found, key=lambda detection: detection.score)
    return max(box_iou(best.box, true.box) for true in item.boxes)


def _ground(item: Ground, grounder: Grounder, video: Video) -> tuple[float, float]:
    span = grounder.ground(Clip.whole(video), item.query)
    if span is None:
        return 0.0, 0.0
    said = span_seconds(span.start, span.end, video.start_s, video.end_s, video.frames)
    return moment_scores(said, item.spans)


def _recognise(item: Recognise, recogniser: Recogniser, video: Video) -> float:
    actions = recogniser.actions(_during(video, [item.span]), None, item.candidates)
    return float(actions[:1] == [item.true])


def _answer(item: Answer, answerer: Answerer, video: Video) -> float:
    question = item.question
    text = answerer.answer(_during(video, item.spans), question.question)
    return float(answerer.choose(question.question, {"what is seen": text}, question.options) == question.answer)


def _during(video: Video, spans: Sequence[tuple[float, float]]) -> Clip:
    """The frames whose moment lies in one of some spans; the nearest one where none does."""
    times = frame_times(video.start_s, video.end_s, video.frames)
    inside = [n for n in range(video.frames) if any(start <= times[n] < end for start, end in spans)]
    if not inside:
        middle = sum(spans[0]) / 2
        inside = [min(range(video.frames), key=lambda number: abs(times[number] - middle))]
    return Clip(video, tuple(inside))
