"""A server of specialists that want no weights, as a program: python own_server.py PORT SETTINGS …"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from aotd.errors import QuestionError, UserError
from aotd.records import Detection, Outcome
from aotd.specialists.mock import Mock
from aotd.specialists.subtasks import SUBTASKS, Builder
from aotd.video.clip import Clip


class Told(Mock):
    """A mock that looks at its frames, and does what a query says."""

    model = "told-1"
    batch = 3

    def __init__(self) -> None:
        super().__init__(8)
        self.together: list[int] = []

    def detect(self, clip: Clip, query: str) -> list[Detection]:
        self.together.append(1)
        assert clip.video.pixels().any()
        if query == "poison":
            os._exit(3)
        if query == "odd":
            raise QuestionError(Outcome.tool_failed, "this is odd")
        if query == "crash":
            raise RuntimeError("out of order")
        if query == "stuck":
            raise UserError("specialists.memory_gb is too small")
        return super().detect(clip, query)

    def answer_all(self, asked: Sequence[tuple[Clip, str]]) -> list[str]:
        self.together.append(len(asked))
        return [self.answer(*one) for one in asked]

    def summarise_all(self, asked: Sequence[tuple[Clip, str]]) -> list[str]:
        return [self.summarise(*one) for one in asked]


if __name__ == "__main__":
    SUBTASKS["detection"].builders["owlv2"] = Builder(lambda: Told())
    SUBTASKS["answering"].builders["qwen_vl"] = Builder(lambda: Told())
    from aotd.serve.own import main

    print("begins", os.getpid(), flush=True)
    sys.exit(main(sys.argv[1:]))
