"""Dialogues about videos in LLaVA's form, as Valley, LLaVA and `aotd export export.format=llava` write them.

    {"id": "jukin_1", "v_id": "1", "video": "jukinmedia_v_1.mp4", "source": "jukinmedia", "conversations": [
        {"from": "human", "value": "<video>\\nWhat does the dog do?"}, {"from": "gpt", "value": "It barks."}]}

The shape is that of appendix B of Valley. The first question holds `<video>` once (`<image>` in a file of LLaVA's own,
with `image` in place of `video`), no other text does. Each question with its answer becomes an open question about the
video. What was said before it in the dialogue is not shown with it.

An entry without a video, or with a placeholder lost, doubled or in an answer, is skipped and named. `v_id` and `source`
may be left out. `kind` is ours: `detail`, `conversation` or `reasoning`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from pydantic import Field

from aotd.datasets.base import Benchmark, DatasetConfig, LoadedQuestions
from aotd.datasets.reader import AnnotationEntry, ReadEntry, collect, list_entries, question_of, questions_file
from aotd.datasets.video_files import VideoIndex
from aotd.records import DialogueTurn, Instruction, InstructionKind

PLACEHOLDER = "<video>"
_PLACEHOLDER = re.compile(r"\s*<(?:video|image)>\s*")


class LlavaMessage(AnnotationEntry):
    speaker: str = Field(alias="from")
    value: str


class LlavaEntry(AnnotationEntry):
    id: str
    v_id: str | None = None
    video: str | None = None
    image: str | None = None
    source: str | None = None
    kind: str | None = None
    conversations: list[LlavaMessage]


class ReadDialogue(NamedTuple):
    """What one entry gives."""

    where: str
    """File and entry, for messages."""
    instruction: Instruction | str
    """The dialogue, or why there is none."""


def read_dialogues(path: Path) -> Iterator[ReadDialogue]:
    """The dialogues of a file, in order.

    Raises:
        UserError: it is not JSON, or an entry is malformed; names the file, the entry and what is wrong.
    """
    for where, entry in list_entries(path, LlavaEntry, "a file of LLaVA's dialogues"):
        yield ReadDialogue(where, _instruction(entry))


def read(config: DatasetConfig) -> LoadedQuestions:
    """A question for each turn of the dialogues in `config.questions`.

    Raises:
        UserError: the file is not there, or an entry is malformed.
    """
    path = questions_file(config, "a file of dialogues in LLaVA's form (.json)")
    videos = VideoIndex(config.root)
    return collect(_entries(path, config, videos), config.limit, videos.notes)


def _entries(path: Path, config: DatasetConfig, videos: VideoIndex) -> Iterator[ReadEntry]:
    for number, (where, found) in enumerate(read_dialogues(path), start=1):
        if isinstance(found, str):
            yield ReadEntry(where, where, found)
            continue
        video = videos.file(where, found.video)
        for turn_number, turn in enumerate(found.turns, start=1):
            # Ids of Valley's come again: a video has several dialogues. The place in the file does not.
            question = question_of(
                config,
                question_id=f"llava_{number}_{turn_number}",
                video_id=found.video_id,
                video=video,
                question=turn.question,
                type=found.kind.value,
                answer=turn.answer,
            )
            yield ReadEntry(where, found.video_id, question)


def _instruction(entry: LlavaEntry) -> Instruction | str:
    """The dialogue of an entry, or why it gives none."""
    video = entry.video or entry.image
    if not video:
        return "there is no video"
    turns = _turns(entry.conversations)
    if isinstance(turns, str):
        return turns
    kinds = {kind.value: kind for kind in InstructionKind}
    return Instruction(
        question_id=entry.id,
        kind=kinds.get(entry.kind or "", InstructionKind.other),
        source=entry.source or "",
        video_id=entry.v_id or PurePosixPath(video).stem or video,
        video=video,
        turns=turns,
        author="",
    )


def _turns(messages: Sequence[LlavaMessage]) -> tuple[DialogueTurn, ...] | str:
    """The turns of a dialogue without the placeholder, or what is wrong with them."""
    if not messages:
        return "nothing is said"
    for number, message in enumerate(messages):
        expected = ("human", "gpt")[number % 2]
        if message.speaker != expected:
            return f"message {number + 1} is by {message.speaker[:40]!r}, and {expected!r} has the turn"
    if len(messages) % 2:
        return "the last question has no answer"
    places = [len(_PLACEHOLDER.findall(message.value)) for message in messages]
    if any(places[1::2]):
        return "a placeholder of the video stands in an answer"
    if sum(places) > 1:
        return f"the placeholder of the video is there {sum(places)} times"
    if not places[0]:
        where = "stands behind the first question" if sum(places) else "is lost"
        return f"the placeholder of the video {where}"
    texts = [_without_placeholder(message.value) for message in messages]
    return tuple(
        DialogueTurn(question=question, answer=answer) for question, answer in zip(texts[::2], texts[1::2], strict=True)
    )


def _without_placeholder(text: str) -> str:
    return _PLACEHOLDER.sub(" ", text).strip()


BENCHMARK = Benchmark(read=read, origin=None)
