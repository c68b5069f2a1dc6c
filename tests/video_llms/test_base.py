"""What a Video-LLM says, with and without thinking first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aotd.llm.base import Reply
from aotd.llm.thinking import THINKING_TOKENS
from aotd.video_llms.base import VideoLLM


class Scripted:
    """Stands for a Video-LLM that writes each row as a text, a word a token."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[str], int]] = []

    def _generate(self, rows: Sequence[str], limit: int) -> list[Reply]:
        self.asked.append(([*rows], limit))
        cut = [(row.split()[:limit], len(row.split()) < limit) for row in rows]
        return [Reply.from_text(" ".join(words), finished, 3, len(words)) for words, finished in cut]


def generate(student: Scripted, rows: Sequence[str], *settings: Any) -> list[Reply]:
    return VideoLLM.generate(student, rows, *settings)  # type: ignore[arg-type]


def test_thought_gets_room_and_other_replies_stay() -> None:
    student, thought = Scripted(), f"<think> {'hm ' * 20}</think> a red bar"
    said, plain, cut = generate(student, [thought, "a kettle", "word " * 9], 8)
    assert (said.text, said.finished, plain.text, cut.text) == ("a red bar", True, "a kettle", " ".join(["word"] * 8))
    assert student.asked == [([thought, "a kettle", "word " * 9], 8), ([thought], 8 + THINKING_TOKENS)]


def test_rationale_of_a_student_is_left_as_it_is() -> None:
    text = "I think it is the bar. I look from frame 2 to frame 5. So the answer is (A) the bar."
    assert generate(Scripted(), [text], 64) == [Reply(text, True, 3, len(text.split()))]


def test_thought_without_room_says_nothing() -> None:
    student = Scripted()
    (reply,) = generate(student, [f"<think> {'hm ' * 20}</think> a red bar"], 8, 0)
    assert reply.silent
    assert len(student.asked) == 1
