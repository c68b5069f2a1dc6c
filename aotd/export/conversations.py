"""One question as conversations: asked for the answer and, where a thought was kept, for the reasons.

    user       <video>Question: What did the person open? … Explain step by step …
    assistant  I look for person opening something: it happens from frame 4 to frame 9. …

The text of a question, an option or a chain of thought is untrusted. A trainer looks for placeholders and chat tokens
in plain text, so none may be left in it: see `plain`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aotd.export import ExportFormat
from aotd.export.media import Media
from aotd.prompts.student import suffix
from aotd.records import Example, Mode
from aotd.store.files import write_atomically

VIDEO = "<video>"
"""Where LLaMA-Factory and ms-swift put the video."""
_ANGLES = str.maketrans("<>", "‹›")
_BRACKETED = re.compile(r"\[(/?[A-Za-z_]+)\]")


@dataclass(frozen=True)
class Conversation:
    """One prompt about one video, and the reply."""

    question_id: str
    mode: Mode
    prompt: str
    reply: str
    media: Media


def plain(text: str) -> str:
    """Untrusted text in which no trainer finds a placeholder or a chat token; numbers in brackets stay.

    >>> plain("<video> <|im_end|> [INST] a box at [1, 2, 3, 4]")
    '‹video› ‹|im_end|› (INST) a box at [1, 2, 3, 4]'
    """
    return _BRACKETED.sub(r"(\1)", text.translate(_ANGLES))


def conversations(example: Example, choice: bool, media: Media) -> list[Conversation]:
    """The conversations of a question: one, or two where a thought was kept.

    Args:
        choice: whether the question is multiple-choice.
    """
    replies = {Mode.answer: example.answer, Mode.rationale: example.rationale}
    return [
        Conversation(
            question_id=example.question_id,
            mode=mode,
            prompt=plain(example.prompt + suffix(choice, mode)).rstrip("\n"),  # the chat's own end comes next
            reply=plain(reply),
            media=media,
        )
        for mode, reply in replies.items()
        if reply is not None
    ]


def write_llamafactory(folder: Path, splits: Mapping[str, Sequence[Conversation]]) -> None:
    """`<split>.json` in ShareGPT form, and the `dataset_info.json` that names them `aotd_<split>`."""
    info = {}
    for split, of_split in splits.items():
        rows = [
            _columns(conversation)
            | {
                "conversations": [
                    {"from": "human", "value": VIDEO + conversation.prompt},
                    {"from": "gpt", "value": conversation.reply},
                ],
                "videos": [conversation.media],
            }
            for conversation in of_split
        ]
        write_atomically(folder / f"{split}.json", json.dumps(rows, indent=1) + "\n")
        columns = {"messages": "conversations", "videos": "videos"}
        info[f"aotd_{split}"] = {"file_name": f"{split}.json", "formatting": "sharegpt", "columns": columns}
    write_atomically(folder / "dataset_info.json", json.dumps(info, indent=1) + "\n")


def write_swift(folder: Path, splits: Mapping[str, Sequence[Conversation]]) -> None:
    """`<split>.jsonl` with `messages` and `videos`."""
    for split, of_split in splits.items():
        rows = [
            _columns(conversation)
            | {
                "messages": [_message("user", VIDEO + conversation.prompt), _message("assistant", conversation.reply)],
                "videos": [conversation.media],
            }
            for conversation in of_split
        ]
        _write_lines(folder / f"{split}.jsonl", rows)


def write_trl(folder: Path, splits: Mapping[str, Sequence[Conversation]]) -> None:
    """`<split>.jsonl` with `prompt`, `completion` and `images`; TRL puts the pictures before the words."""
    for split, of_split in splits.items():
        rows = [
            _columns(conversation)
            | {
                "prompt": [_message("user", conversation.prompt)],
                "completion": [_message("assistant", conversation.reply)],
                "images": conversation.media,
            }
            for conversation in of_split
        ]
        _write_lines(folder / f"{split}.jsonl", rows)


WRITERS: dict[ExportFormat, Callable[[Path, Mapping[str, Sequence[Conversation]]], None]] = {
    ExportFormat.llamafactory: write_llamafactory,
    ExportFormat.swift: write_swift,
    ExportFormat.trl: write_trl,
}


def _columns(conversation: Conversation) -> dict[str, Any]:
    """Columns that no trainer reads, to find a conversation again and to mix the two kinds."""
    return {"question_id": conversation.question_id, "mode": conversation.mode.value}


def _message(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


def _write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    write_atomically(path, "".join(json.dumps(row) + "\n" for row in rows))
