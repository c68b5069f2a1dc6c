"""Students that come with aotd: whole, as their cards say, and named by a setting."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
import torch

from aotd.config.compose import compose
from aotd.datasets.playroom import Difficulty
from aotd.datasets.playroom.things import PLAYROOM_VERBS
from aotd.errors import UserError
from aotd.grow.lessons import frames_of
from aotd.grow.scenes import SceneSource, draw_parts, parts_of
from aotd.grow.speak import SeenPart
from aotd.students.packaged import student_folder
from aotd.students.registry import new_student
from aotd.students.valley.grown_encoder import GrownEncoder

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


def test_grown_student_is_named_by_a_setting_and_sees() -> None:
    config = compose(["student=valley_grown"]).student
    student = new_student(config, config.frames, [], 0)
    assert isinstance(student.model.encoder, GrownEncoder)
    source = SceneSource(7, Difficulty.standard, config.frames, (128, 96))
    right = []
    for number in range(6):
        (part,) = parts_of(source, number, 1)
        with torch.inference_mode():
            encoded = student.model.encoder.encode_shrunk(draw_parts(source, [part])[0])
        features = SeenPart(encoded.whole.half().numpy(), encoded.places.half().numpy(), (), ()).features()
        for action in part.scene.actions:
            if frames := frames_of(part, action):
                row = student.prompt_row(features, f"What is seen in frame {frames[len(frames) // 2]}?\n")
                (reply,) = student.generate([row], 12)
                name = part.scene.things[action.item].name
                right.append(reply.text == f"{PLAYROOM_VERBS[action.verb].doing} the {name}")
    assert len(right) > 10
    assert sum(right) >= 0.5 * len(right)
