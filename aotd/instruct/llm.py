"""Author `llm`: a language model writes dialogues from a title and a caption (Valley, appendix C).

It is shown one example of ours and is asked once. Nothing that it writes is mended: `check` keeps it or refuses it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from random import Random

from pydantic import BaseModel, ConfigDict, ValidationError

from aotd.datasets.captions import VideoCaption
from aotd.errors import QuestionError
from aotd.instruct import InstructConfig
from aotd.instruct.words import lines
from aotd.llm.base import Engine, Reply
from aotd.prompts import one_line, render
from aotd.records import DialogueTurn, InstructionKind, Outcome
from aotd.runtime.meter import once

PROMPTS = {
    InstructionKind.detail: "instruct_detail",
    InstructionKind.conversation: "instruct_conversation",
    InstructionKind.reasoning: "instruct_reasoning",
}
_FENCE = re.compile(r"^```\w*\s*|\s*```$")


class _Pair(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    question: str
    answer: str


def write_all(
    engine: Engine, tasks: Sequence[tuple[VideoCaption, InstructionKind]], settings: InstructConfig
) -> list[tuple[tuple[DialogueTurn, ...] | QuestionError, list[Reply]]]:
    """Ask for a dialogue of each kind about each caption, in order.

    Returns:
        With each dialogue the reply that it took; none where an earlier one had the same prompt.

    Raises:
        UserError: the model cannot be reached.
    """
    prompts = [prompt(caption, kind, settings) for caption, kind in tasks]
    replies = engine.generate(prompts, max_tokens=settings.max_tokens)
    paid = once(prompts, replies)
    return [
        (_dialogue(reply, caption, kind, settings), own)
        for (caption, kind), reply, own in zip(tasks, replies, paid, strict=True)
    ]


def prompt(caption: VideoCaption, kind: InstructionKind, settings: InstructConfig) -> str:
    """What a model is asked. Title and caption stand between marks that they cannot close."""
    told = {"title": one_line(caption.title), "caption": one_line(caption.caption)}
    if kind is InstructionKind.detail:
        told |= {"shortest": str(settings.detail_min_words), "longest": str(settings.detail_max_words)}
    return render(PROMPTS[kind], **told)


def request(caption: VideoCaption, seed: int) -> str:
    """What is asked of a model that is to describe this video."""
    return Random(f"{seed}/{caption.key}/request").choice(lines("requests"))  # noqa: S311


def read_reply(text: str, kind: InstructionKind, asked: str) -> tuple[DialogueTurn, ...] | QuestionError:
    """The dialogue in a reply: plain text for `detail`, else objects of JSON, in a fence or a list or by themselves.

    Args:
        asked: the question of a `detail`.
    """
    text = _FENCE.sub("", text.strip())
    if not text:
        return QuestionError(Outcome.instruction_form, "the reply is empty")
    if kind is InstructionKind.detail:
        if text[0] in "{[":
            return QuestionError(Outcome.instruction_form, "the reply is JSON, and a description is plain text")
        return (DialogueTurn(question=asked, answer=" ".join(text.strip('"').split())),)
    try:
        pairs = [_Pair.model_validate(value) for value in _values(text)]
    except (ValueError, RecursionError) as error:
        first = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        return QuestionError(Outcome.instruction_form, f"not JSON of a question and an answer ({first[:100]})")
    return tuple(
        DialogueTurn(question=" ".join(pair.question.split()), answer=" ".join(pair.answer.split())) for pair in pairs
    )


def _values(text: str) -> list[object]:
    """The values of JSON that stand one behind the other, or in one list."""
    decoder, at, found = json.JSONDecoder(), 0, list[object]()
    while at < len(text):
        value, at = decoder.raw_decode(text, at)
        found += value if isinstance(value, list) else [value]
        at += len(text[at:]) - len(text[at:].lstrip(" \t\r\n,"))
    return found


def _dialogue(
    reply: Reply, caption: VideoCaption, kind: InstructionKind, settings: InstructConfig
) -> tuple[DialogueTurn, ...] | QuestionError:
    if reply.failed:
        return QuestionError(Outcome.model_refused, f"the author: {reply.failed}")
    if reply.silent:
        return QuestionError(Outcome.nothing_said, f"the author: {reply.silence()}")
    if not reply.finished:
        return QuestionError(
            Outcome.instruction_form, f"the reply was cut off at instruct.max_tokens={settings.max_tokens}"
        )
    return read_reply(reply.text, kind, request(caption, settings.seed))
