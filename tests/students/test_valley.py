"""The student valley: save and load, batches, trees, and that the video reaches it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aotd.distill.batch import make_batch, tokenize_example
from aotd.distill.loss import distillation_loss
from aotd.errors import UserError
from aotd.records import Example, Mode
from aotd.students import StudentConfig, ValleySizes
from aotd.students.registry import load_student, new_student
from aotd.students.tokens import decode, encode
from aotd.students.valley import ValleyStudent, new_valley
from aotd.video.clip import frame_numbers
from aotd.video_llms.base import PromptInput, VideoFeatures

SIZES = ValleySizes(image=16, channels=16, patches=4, tokens_per_frame=2, hidden=32, layers=2, heads=2)
SMALL = StudentConfig(frames=4, valley=SIZES)
TEXTS = ["What did the person take?", "I see the book at [10, 20, 30, 40] in frame 3. So the answer is the book."]


def view(seed: int) -> VideoFeatures:
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    return {"pixels": torch.from_numpy(pixels), "numbers": torch.tensor(frame_numbers(8, 4))}


@pytest.fixture(scope="module")
def student() -> ValleyStudent:
    made = new_valley(SMALL, 8, TEXTS, seed=1)
    made.model.train(False)
    return made


def examples() -> list[Example]:
    return [
        Example(
            question_id=str(i), prompt=f"What is thing {i}?" * (i + 1), answer="ABCD"[i],
            rationale=None if i == 1 else TEXTS[1][i:],
        )
        for i in range(4)
    ]  # fmt: skip


def arguments(batch: dict[str, Any]) -> dict[str, Any]:
    return {name: batch[name] for name in ("videos", "input_ids", "end", "positions", "at")}


def test_frame_numbers_spread_over_the_specialists_frames() -> None:
    assert frame_numbers(32, 4) == [4, 12, 20, 28]
    assert frame_numbers(4, 4) == [0, 1, 2, 3]
    assert frame_numbers(2, 4) == [0, 0, 1, 1]


@pytest.mark.parametrize("text", ["", "Ünïcode 🙂\n\ttabs", "in frame 7, [10, 200]", "<end> and <pad>", " a  b "])
def test_tokenizer_round_trips_any_text(student: ValleyStudent, text: str) -> None:
    assert decode(student.tokenizer, encode(student.tokenizer, text)) == text


def test_tokenizer_makes_numbers_single_tokens(student: ValleyStudent) -> None:
    for number in range(41):
        assert len(encode(student.tokenizer, f" {number}")) == 1


def test_saved_valley_loads_with_equal_logits(student: ValleyStudent, tmp_path: Path) -> None:
    student.save(tmp_path / "student")
    again = load_student(tmp_path / "student", SMALL)
    tokenized = [tokenize_example(student, example, True) for example in examples()]
    batch = make_batch(student, [(view(number), [one]) for number, one in enumerate(tokenized)], 4)
    with torch.no_grad():
        assert torch.equal(student.model(**arguments(batch)), again.model(**arguments(batch)))
    assert again.feature_key == student.feature_key
    assert again.encode_prompt(TEXTS[1]) == student.encode_prompt(TEXTS[1])


def test_folder_without_student_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no student"):
        load_student(tmp_path, SMALL)


def test_reply_in_a_batch_equals_reply_alone(student: ValleyStudent) -> None:
    asked = [PromptInput("What did the person take?" * (i + 1), i == 1, view(i)) for i in range(3)]
    together = student.reply(asked, Mode.rationale, 12)
    assert together == [student.reply([one], Mode.rationale, 12)[0] for one in asked]
    assert all(together)


def gradients(student: ValleyStudent, shared: bool) -> tuple[float, list[torch.Tensor]]:
    """Loss and gradients of a step about two videos: three questions about the one, one about the other."""
    tokenized = [tokenize_example(student, example, True) for example in examples()]
    batch = make_batch(student, [(view(0), tokenized[:3]), (view(1), tokenized[3:])], 4, shared)
    student.model.zero_grad()
    loss = distillation_loss(
        student.model(**arguments(batch)), batch["labels"], batch["kinds"], batch["shares"], weight=0.7
    ).total
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.item(), [one.grad.clone() for one in student.model.parameters() if one.grad is not None]


def test_tree_has_loss_and_gradients_of_separate_sequences(student: ValleyStudent) -> None:
    student.model.double()
    try:
        (loss, together), (alone, apart) = gradients(student, shared=True), gradients(student, shared=False)
        assert abs(loss - alone) <= 1e-12 * abs(alone)
        assert len(together) == len(list(student.model.parameters()))
        scale = torch.cat([one.flatten() for one in apart]).norm()
        differ = torch.cat([(one - other).flatten() for one, other in zip(together, apart, strict=True)])
        assert differ.norm() <= 1e-12 * scale
    finally:
        student.model.zero_grad()
        student.model.float()


def test_logits_depend_on_video_and_frame_order(student: ValleyStudent) -> None:
    tokenized = [tokenize_example(student, examples()[0], True)]
    seen = view(0)
    backwards = {**seen, "pixels": seen["pixels"].flip(0)}
    batch = make_batch(student, [(seen, tokenized), (backwards, tokenized), (view(1), tokenized)], 3)
    with torch.no_grad():
        first, second, third = student.model(**arguments(batch)).chunk(3)
    assert not torch.allclose(first, second)
    assert not torch.allclose(first, third)


@pytest.mark.parametrize("wrong", [{"image": 20}, {"patches": 5}, {"hidden": 31}, {"vocabulary": 10}, {"layers": 0}])
def test_sizes_that_do_not_fit_are_one_line(wrong: dict[str, int]) -> None:
    sizes = ValleySizes(**{**vars(SIZES), **wrong})
    with pytest.raises(UserError, match=f"student.valley.{next(iter(wrong))}"):
        new_student(replace(SMALL, valley=sizes), 8, TEXTS, seed=1)
