"""The dialogues of `instruct` in LLaVA's form, which `dataset=llava` reads back.

Texts keep `<` and `>` as they are: a trainer that reads this form looks for its own placeholders and chat tokens, and
these are made plain words.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aotd.export.conversations import VIDEO
from aotd.prompts import inert
from aotd.records import Instruction
from aotd.store.files import write_atomically

FILE = "conversations.json"


def write_llava(folder: Path, instructions: Iterable[Instruction]) -> int:
    """`conversations.json`, an entry for each dialogue. Returns how many there are."""
    entries = [_entry(instruction) for instruction in instructions]
    write_atomically(folder / FILE, json.dumps(entries, indent=1, ensure_ascii=False) + "\n")
    return len(entries)


def _entry(instruction: Instruction) -> dict[str, Any]:
    messages = []
    for number, turn in enumerate(instruction.turns):
        before = "" if number else f"{VIDEO}\n"
        messages.append({"from": "human", "value": before + inert(turn.question)})
        messages.append({"from": "gpt", "value": inert(turn.answer)})
    return {
        "id": instruction.question_id,
        "v_id": instruction.video_id,
        "video": instruction.video,
        "source": instruction.source,
        "kind": instruction.kind.value,
        "conversations": messages,
    }
