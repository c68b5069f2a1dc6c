"""What the sandbox costs: one program in a process of its own, beside the same program called in this one.

    python benchmarks/sandbox.py

The last line is JSON: milliseconds per program each way, and the ratio.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aotd.records import Detection, Question, SpanFinding
from aotd.sandbox.process import Limits, run_program
from aotd.sandbox.tools import Tools, signatures
from aotd.specialists.base import Specialists
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


def sandboxed(specialists: Specialists, clip: Clip) -> str:
    return run_program(CODE, clip, "what?", ("opened", "closed"), specialists, Limits()).answer


def direct(specialists: Specialists, clip: Clip) -> str:
    tools = Tools(specialists)
    scope = {name: getattr(tools, name) for name in signatures()}
    exec(CODE, scope)  # what the sandbox is there to avoid; here the code is ours
    return str(scope["execute_command"](clip, "what?", ["opened", "closed"]))  # type: ignore[operator]


def main() -> None:
    instant = Instant()
    specialists = Specialists(instant, instant, instant, instant, instant)
    clip = Clip.whole(instant)
    times: dict[str, list[float]] = {"sandboxed": [], "direct": []}
    for _ in range(ROUNDS):  # in turn, so that a machine that slows down slows both
        for name, way in (("sandboxed", sandboxed), ("direct", direct)):
            started = time.perf_counter()
            assert way(specialists, clip) == "opened"
            times[name].append(1000 * (time.perf_counter() - started))
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, value in medians.items():
        print(f"{name:<10} {value:8.2f} ms per program (median of {ROUNDS})")
    print(
        json.dumps(
            {
                "sandboxed_ms": round(medians["sandboxed"], 2),
                "direct_ms": round(medians["direct"], 2),
                "extra_ms": round(medians["sandboxed"] - medians["direct"], 2),
            }
        )
    )


if __name__ == "__main__":
    main()
