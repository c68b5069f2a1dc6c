"""Students that come with aotd: whole, as their cards say, and named by a setting."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from aotd.config.compose import compose
from aotd.errors import UserError
from aotd.students.packaged import student_folder
from aotd.students.registry import new_student
from aotd.students.valley.grown_encoder import GrownEncoder
from tests.conftest import BlankVideo

GROWN = student_folder("packaged:valley_grown")


def test_other_names_are_folders() -> None:
    assert student_folder("runs/x/student") == Path("runs/x/student")


@pytest.mark.parametrize("name", ["nobody", "", "../packaged", "valley_grown/.."])
def test_unknown_name_is_one_line(name: str) -> None:
    with pytest.raises(UserError, match=r"no such student comes with aotd \(packaged:valley_grown\)"):
        student_folder(f"packaged:{name}")


def test_weights_are_those_of_the_card() -> None:
    weights, card = (GROWN / "model.safetensors").read_bytes(), (GROWN / "README.md").read_text(encoding="utf-8")
    assert sha256(weights).hexdigest() in card
    assert len(weights) < 8e6
    for part in ("scenes", "seed", "licence", "learning rate", "## Scores"):
        assert part in card


def test_grown_student_is_named_by_a_setting_and_answers() -> None:
    config = compose(["student=valley_grown"]).student
    student = new_student(config, config.frames, [], 0)
    assert isinstance(student.model.encoder, GrownEncoder)
    features = student.encode_video(BlankVideo(video_id="1"))
    (reply,) = student.generate([student.prompt_row(features, "What is seen in frame 3?\n")], 12)
    assert reply.text == "nothing"
