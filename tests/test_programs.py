"""Every file in `programs/` passes the check and runs in the sandbox to an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from aotd.agents.program.examples import ExampleProgram, read_programs
from aotd.records import Detection, SpanFinding
from aotd.sandbox.layers import Layer, missing
from aotd.sandbox.process import Limits, Sandbox
from aotd.tools.toolbox import ToolSession
from aotd.tools.video import VIDEO_TOOLS
from aotd.video.clip import Clip
from tests.conftest import BlankVideo, Scripted

PROGRAMS = read_programs()


class Everything(Scripted):
    """Sees whatever it is asked for in each frame, in the middle of each clip; or, where it `finds` nothing, never."""

    finds = True

    def detect(self, clip: Clip, query: str) -> list[Detection]:
        found = [Detection(frame=n, box=(1, 1, 9, 9), label=query, score=0.9) for n in clip.numbers]
        return found if self.finds else []

    def ground(self, clip: Clip, query: str) -> SpanFinding | None:
        middle = clip.numbers[len(clip.numbers) // 4 : -(len(clip.numbers) // 4) or None]
        return SpanFinding(start=middle[0], end=middle[-1] + 1, score=0.9) if middle and self.finds else None

    def actions(self, clip: Clip, obj: str | None, candidates: Sequence[str]) -> list[str]:
        return list(candidates or ("opened the door",)) if self.finds else []

    def choose(self, question: str, info: Mapping[str, str], options: Sequence[str]) -> str | None:
        assert info, "nothing was found out"
        return options[0] if options else "a door"


@pytest.mark.parametrize("finds", [True, False], ids=["seen", "unseen"])
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_shipped_program_runs_to_an_answer(program: ExampleProgram, finds: bool) -> None:
    world = Everything()
    world.finds = finds
    clip = Clip.whole(BlankVideo(frames=16))
    with Sandbox(Limits(), [layer for layer in Layer if not missing(layer)]) as sandbox:
        tools = ToolSession(VIDEO_TOOLS, world.bundle())
        answer = sandbox.run(program.code, clip, program.question, program.options, tools)
    assert answer == (program.options[0] if program.options else "a door")
    assert len(tools.events) >= 2


@pytest.mark.parametrize("program", [p for p in PROGRAMS if p.serves], ids=lambda program: program.name)
def test_serving_program_names_nothing_of_its_own_question(program: ExampleProgram) -> None:
    for option in program.options:
        assert option not in program.code
