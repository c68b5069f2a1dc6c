"""What the sandbox costs: a program in a process of its own, beside the same program called in this one.

    python benchmarks/sandbox.py

A row for each set of layers that this machine has, warm, and one for a sandbox that is started anew for each program.
The last line is JSON: `p50_ms`, the median of what a program takes longer under all layers than called here, and
milliseconds per program each way.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from aotd.records import Detection, Question, SpanFinding
from aotd.sandbox.layers import Layer, missing
from aotd.sandbox.process import Limits, Sandbox
from aotd.specialists.protocols import Specialists
from aotd.tools.toolbox import ToolSession
from aotd.tools.video import VIDEO_TOOLS
from aotd.video.clip import Clip, Pixels, Video

ROUNDS = 60
CODE = """\
def execute_command(video_clip, query, possible_answers):
    clip = Filter_frames_with_act(video_clip, "person opening the door")
    door = Find(clip, "door")
    actions = Query_Actions(door, "door", possible_answers)
    return select_answer(query, {"what was done with the door": actions}, possible_answers)
"""


@dataclass
class Instant:
    """Specialists that answer at once, so that only the way to them is timed; also an empty video."""

    model: str = "instant"
    video_id: str = "v"
    frames: int = 32
    start_s: float = 0.0
    end_s: float = 8.0
    width: int = 4
    height: int = 4
    content: str = "0" * 64

    def pixels(self) -> Pixels:
        return np.zeros((self.frames, self.height, self.width, 3), dtype=np.uint8)

    def open(self, question: Question) -> Video:
        return self

    def detect(self, clip: Clip, query: str) -> list[Detection]:
        return [Detection(frame=number, box=(0, 0, 2, 2), label=query, score=1) for number in clip.numbers]

    def ground(self, clip: Clip, query: str) -> SpanFinding:
        return SpanFinding(start=4, end=20, score=1)

    def actions(self, clip: Clip, obj: str | None, candidates: Sequence[str]) -> list[str]:
        return list(candidates[:1])

    def answer(self, clip: Clip, question: str) -> str:
        return "yes"

    def summarise(self, clip: Clip, query: str) -> str:
        return "nothing"

    def choose(self, question: str, info: Mapping[str, str], options: Sequence[str]) -> str:
        return options[0]


def sandboxed(sandbox: Sandbox, specialists: Specialists, clip: Clip) -> str:
    return sandbox.run(CODE, clip, "what?", ("opened", "closed"), ToolSession(VIDEO_TOOLS, specialists))


def cold(layers: list[Layer], specialists: Specialists, clip: Clip) -> str:
    with Sandbox(Limits(), layers) as sandbox:
        return sandboxed(sandbox, specialists, clip)


def direct(specialists: Specialists, clip: Clip) -> str:
    tools = ToolSession(VIDEO_TOOLS, specialists)
    scope: dict[str, Any] = {name: _function(tools, name) for name in VIDEO_TOOLS.names}
    exec(CODE, scope)  # what the sandbox is there to avoid; here the code is ours
    return str(scope["execute_command"](clip, "what?", ["opened", "closed"]))


def _function(tools: ToolSession, name: str) -> Callable[..., Any]:
    return lambda *arguments, **keywords: tools.call(name, arguments, keywords)


def main() -> None:
    instant = Instant()
    specialists = Specialists.from_one(instant)
    clip = Clip.whole(instant)
    here = [layer for layer in Layer if not missing(layer)]
    sets = {"no layers": [], **{layer.value: [layer] for layer in here}, "all layers": here}
    with ExitStack() as stack:
        ways: dict[str, Callable[[], str]] = {"called here": lambda: direct(specialists, clip)}
        for name, layers in sets.items():
            sandbox = stack.enter_context(Sandbox(Limits(), layers))
            sandboxed(sandbox, specialists, clip)  # the first program finds no warm process
            ways[name] = partial(sandboxed, sandbox, specialists, clip)
        ways["all layers, cold"] = partial(cold, here, specialists, clip)
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):  # in turn, so that a machine that slows down slows all
            for name, way in ways.items():
                started = time.perf_counter()
                assert way() == "opened"
                times[name].append(1000 * (time.perf_counter() - started))
    for layer in set(Layer) - set(here):
        print(f"not here: {layer.value}: {missing(layer)}")
    medians = {name: round(statistics.median(values), 2) for name, values in times.items()}
    for name, value in medians.items():
        print(f"{name:<18} {value:8.2f} ms per program (median of {ROUNDS})")
    extra = [there - here for there, here in zip(times["all layers"], times["called here"], strict=True)]
    print(json.dumps({"p50_ms": round(statistics.median(extra), 2), **medians}))


if __name__ == "__main__":
    main()
