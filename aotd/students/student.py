"""Which families there are, and how a student of each is begun and loaded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from transformers.utils.logging import disable_progress_bar

from aotd.errors import UserError
from aotd.students import StudentConfig, StudentName
from aotd.students.base import Student
from aotd.students.valley import load_valley, new_valley

NOTE = "aotd.json"
"""What a saved student's folder says beside its family's own files."""


def new_student(config: StudentConfig, seen: int, texts: Sequence[str], seed: int) -> Student:
    """A student before it is distilled. The same arguments give the same weights.

    Args:
        seen: frames the specialists sample.
        texts: what a student without a tokenizer of its own trains one on.

    Raises:
        UserError: settings that do not fit together, or no such checkpoint.
    """
    assert config.name is StudentName.valley
    return new_valley(config, seen, texts, seed)


def load_student(folder: Path) -> Student:
    """A student that was saved.

    Raises:
        UserError: there is none in the folder.
    """
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder} holds no student: run `aotd distill` first")
    disable_progress_bar()  # type: ignore[no-untyped-call]
    kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    assert kind == "aotd_valley"
    return load_valley(folder)
