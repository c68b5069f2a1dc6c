"""The published way of running programs, restated plainly on our specialists: the rival of `benchmarks/execute.py`.

What the executors of ViperGPT (cvlab-columbia/viper: `main_batch.py`, `vision_processes.py`) and of AoTD
(zhengrongz/AoTD: `agent_system/`) do, as their code has it, and what stands for it here:

- Programs run one after the other, each by `exec` in the process that holds the models. The same (`honest.called`).
- A video is opened and decoded for each question, AoTD's in 32 frames of all of it. The source keeps nothing.
- Each call of the detector is, for each frame, the processor, the image tower, the text tower and the heads, on that
  one picture, one after the other. `batch=1`, and nothing is kept.
- Each grounding takes CLIP's image tower over all frames of the clip, one at a time, and its text tower. The same.
- Each call of the Video-LLM takes its vision tower over the frames of the clip, together, and then one prompt, also
  what all prompts begin with. The same, eight frames at a time, as everywhere in `aotd`.
- What came of a call is not there for the next one, nor for the next program or question.

It is meant to lose for no other reason. It shares process, threads, `inference_mode`, precision and checkpoints with
ours; weights, tokenizers and the decoder's process are there before the clock starts. Frames of one program stay in
memory. Programs are called here and not in a sandbox, which would cost it some milliseconds. Its traces are records
and go through the writer that ours go through. No picture is prepared while another is in a tower, which is our way.

Left out, in its favour: AoTD's `exist` looks for a thing, asks the Video-LLM about the crops, and looks for it once
more; its `Query_Actions` and `select_answer` have a model write, where our specialists score the options in one pass.
Left out as well is ViperGPT's `multiprocessing: True` (off by default): a process for each model and a pool of
programs. It collects calls of BLIP into batches; its detectors take one picture at a time all the same, nothing is kept
between calls, and where models share one device it saves no pass.

The module counts what goes through image towers, for this executor and for ours (`pictures_counted`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from aotd.config.tree import Config
from aotd.errors import QuestionError
from aotd.models.cpu import threads
from aotd.models.lru import FeatureLRU
from aotd.records import Dropped, Program, Question, Trace
from aotd.specialists import SpecialistsConfig
from aotd.specialists.imagetext import ImageText
from aotd.specialists.load import load_specialists
from aotd.specialists.protocols import Specialists
from aotd.specialists.video_llm import VideoLLMSpecialist
from aotd.store.stage import Stage
from aotd.tools.toolbox import ToolSession
from aotd.tools.video import VIDEO_TOOLS
from aotd.video.clip import Clip
from aotd.video.source import DecodedVideos
from benchmarks.honest import called

T = TypeVar("T")
U = TypeVar("U")

DETECTING = ("Query_Objs", "Filter_frames_with_obj", "Find", "exist", "Count")
"""Tools that ask the detector."""
ASKING = ("Video_query", "Video_summary")
"""Tools that show a clip to the Video-LLM."""


@dataclass
class Count:
    """What was counted so far."""

    total: int = 0


class Forgetful(ToolSession):
    """The tools, over specialists that remember nothing of the call before."""

    def call(self, name: str, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
        for part in (self._specialists.action, self._specialists.answering):
            if isinstance(part, VideoLLMSpecialist):
                part._loaded()._features.clear()
                part._loaded()._choice_prefix = None
        return super().call(name, arguments, keywords)


def load_rival(config: Config) -> Specialists:
    """The specialists of a run, each of which takes one picture or prompt at a time and keeps nothing."""
    specialists = load_specialists(_one_by_one(config.specialists), config.dataset.root)
    for part in (specialists.detection, specialists.grounding, specialists.action, specialists.answering):
        _keep_nothing(part)
    return specialists


def run_sequentially(config: Config, specialists: Specialists) -> None:
    """Write `execute/` of a run as `aotd execute` does."""
    run = Path(config.run)
    by_id = {question.question_id: question for question in Stage(run, "load", Question).records()}
    programs = Stage(run, "decompose", Program).records()
    stage = Stage(run, "execute", Trace)
    with _one_thing_at_a_time(), stage.open({"executor": "sequential"}, models=specialists.models()) as out:
        for program in programs:
            out.write(_traced(by_id[program.question_id], program, specialists))


def shown(done: Trace, specialists: SpecialistsConfig, action_frames: int) -> int:
    """How many pictures the tools of a program were given to look at, all of its calls together.

    Args:
        action_frames: how many frames the recogniser takes of a clip.
    """
    count = 0
    for event in done.events:
        if event.tool in ASKING:
            count += min(len(event.frames), specialists.answering.frames)
        elif event.tool == "Query_Actions":
            count += action_frames if event.frames else 0
        elif event.tool in (*DETECTING, "Filter_frames_with_act"):
            count += len(event.frames)
    return count


@contextmanager
def pictures_counted() -> Iterator[Count]:
    """Counts the pictures that go through an image tower meanwhile, whosever it is.

    Each of the towers here begins with one convolution over the three colours, which cuts pictures into patches.
    """
    count, lock, forward = Count(), threading.Lock(), torch.nn.Conv2d.forward

    def counting(layer: torch.nn.Conv2d, pictures: torch.Tensor) -> torch.Tensor:
        if layer.in_channels == 3:
            with lock:
                count.total += len(pictures)
        return forward(layer, pictures)

    torch.nn.Conv2d.forward = counting  # type: ignore[method-assign]
    try:
        yield count
    finally:
        torch.nn.Conv2d.forward = forward  # type: ignore[method-assign]


@contextmanager
def calls_counted() -> Iterator[Count]:
    """Counts how often a model, or a part of one, is called from outside of it."""
    count, lock, depth = Count(), threading.Lock(), threading.local()

    def enter(module: torch.nn.Module, given: Any) -> None:
        depth.now = getattr(depth, "now", 0) + 1
        if depth.now == 1:
            with lock:
                count.total += 1

    def leave(module: torch.nn.Module, given: Any, made: Any) -> None:
        depth.now -= 1

    hooks = (
        torch.nn.modules.module.register_module_forward_pre_hook(enter),
        torch.nn.modules.module.register_module_forward_hook(leave, always_call=True),
    )
    try:
        yield count
    finally:
        for hook in hooks:
            hook.remove()


def _traced(question: Question, program: Program, specialists: Specialists) -> Trace | Dropped:
    source, tools = specialists.source, Forgetful(VIDEO_TOOLS, specialists)
    assert isinstance(source, DecodedVideos)
    source._cached.clear()
    source._held.clear()
    source._facts.clear()
    try:
        video = source.open(question)
        answer = called(program.code, Clip.whole(video), question, tools)
    except QuestionError as error:
        return Dropped(question_id=question.question_id, outcome=error.outcome, reason=error.reason)
    assert answer is not None, "programs here end in an answer"
    return Trace(
        question_id=question.question_id,
        frames=video.frames,
        start_s=video.start_s,
        end_s=video.end_s,
        width=video.width,
        height=video.height,
        events=tools.events,
        answer=answer,
    )


@contextmanager
def _one_thing_at_a_time() -> Iterator[None]:
    """Each picture is prepared and goes through a tower by itself, on all cores. Every model has all cores: none
    computes beside it."""
    ours = threads.through, threads.beside

    def through(batches: Iterable[T], prepare: Callable[[T], Any], tower: Callable[[Any], Iterable[U]]) -> Iterator[U]:
        return (made for batch in batches for made in tower(prepare(batch)))

    def beside(size: int, ask: Callable[[], T]) -> T:
        return ask()

    threads.through, threads.beside = through, beside
    try:
        yield
    finally:
        threads.through, threads.beside = ours


def _one_by_one(config: SpecialistsConfig) -> SpecialistsConfig:
    parts = ("detection", "grounding", "action", "answering")
    return replace(config, **{name: replace(getattr(config, name), batch=1) for name in parts})


def _keep_nothing(part: Any) -> None:
    """Take from a specialist, and from the towers it has, the memory of what went through them."""
    for name, value in vars(part).items():
        if isinstance(value, FeatureLRU):
            setattr(part, name, FeatureLRU(0))
        elif isinstance(value, ImageText):
            _keep_nothing(value)
