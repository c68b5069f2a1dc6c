"""The student: save and load, batches, branches, and that it can learn at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from aotd.distill.batch import collate, lay_out
from aotd.errors import UserError
from aotd.records import Example
from aotd.students import StudentConfig
from aotd.students.frames import StudentFrames, frame_numbers
from aotd.students.student import Student, load_student, new_student
from aotd.students.tokens import decode, encode
from aotd.students.valley import PADDING, branch_mask

SMALL = StudentConfig(frames=4, image=16, channels=16, patches=4, tokens_per_frame=2, hidden=32, layers=2, heads=2)
TEXTS = ["What did the person take?", "I see the book at [10, 20, 30, 40] in frame 3. So the answer is the book."]


def frames(seed: int) -> StudentFrames:
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    return StudentFrames(pixels, 8, 0.0, 4.0)


@pytest.fixture(scope="module")
def student() -> Student:
    made = new_student(SMALL, 8, TEXTS, seed=1)
    made.model.train(False)
    return made


def examples() -> list[Example]:
    return [
        Example(question_id=str(i), prompt=f"What is thing {i}?" * (i + 1), answer="ABCD"[i], rationale=TEXTS[1][i:])
        for i in range(4)
    ]


def test_frame_numbers_are_spread_over_the_specialists_frames() -> None:
    assert frame_numbers(32, 4) == [4, 12, 20, 28]
    assert frame_numbers(4, 4) == [0, 1, 2, 3]
    assert frame_numbers(2, 4) == [0, 0, 1, 1]


@pytest.mark.parametrize("text", ["", "Ünïcode 🙂\n\ttabs", "in frame 7, [10, 200]", "<end> and <pad>", " a  b "])
def test_any_text_comes_back(student: Student, text: str) -> None:
    assert decode(student.tokenizer, encode(student.tokenizer, text)) == text


def test_numbers_are_single_tokens(student: Student) -> None:
    for number in range(41):
        assert len(encode(student.tokenizer, f" {number}")) == 1


def test_saved_and_loaded_gives_equal_logits(student: Student, tmp_path: Path) -> None:
    student.save(tmp_path / "student")
    again = load_student(tmp_path / "student")
    batch = collate([(lay_out(student.tokenizer, e, True), frames(i)) for i, e in enumerate(examples())], 0)
    given = {name: batch[name] for name in ("pixels", "numbers", "input_ids", "branch", "positions", "at")}
    with torch.no_grad():
        assert torch.equal(student.model(**given), again.model(**given))
    assert again.sight == student.sight
    assert encode(again.tokenizer, TEXTS[1]) == encode(student.tokenizer, TEXTS[1])


def test_no_student_in_a_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no student"):
        load_student(tmp_path)


def test_a_batch_says_what_each_says_alone(student: Student) -> None:
    prompts = [encode(student.tokenizer, "What did the person take?" * (i + 1)) for i in range(3)]
    pixels = torch.stack([torch.from_numpy(frames(i).pixels) for i in range(3)])
    numbers = torch.stack([torch.from_numpy(frames(i).numbers) for i in range(3)])
    together = student.model.reply(pixels, numbers, prompts, 12)
    alone = [student.model.reply(pixels[i : i + 1], numbers[i : i + 1], prompts[i : i + 1], 12)[0] for i in range(3)]
    assert together == alone
    assert all(together)


def test_branches_do_not_see_each_other() -> None:
    mask = branch_mask(torch.tensor([[0, 0, 1, 1, 2, PADDING]]))[0, 0].tolist()
    assert mask[4] == [True, True, False, False, True, False]
    assert mask[3] == [True, True, True, True, False, False]
    assert mask[0] == [True, False, False, False, False, False]


def test_branches_have_the_logits_of_separate_sequences(student: Student) -> None:
    model = student.model.double()
    try:
        example = examples()[2]
        alone = [
            lay_out(student.tokenizer, example.model_copy(update={"rationale": None}), True),
            lay_out(student.tokenizer, example, True),
        ]
        batch = collate([(row, frames(0)) for row in alone], 0)
        names = ("pixels", "numbers", "input_ids", "branch", "positions", "at")
        with torch.no_grad():
            logits = model(**{name: batch[name] for name in names})
            answer = logits[(batch["row_of"] == 1) & (batch["branch_of"] == 1)]
            assert torch.allclose(answer, logits[batch["row_of"] == 0], atol=1e-9)
            # The rationale's branch by itself: cut the answer's branch out of the sequence.
            keep = batch["branch"][1] != 1
            lone = {
                **{name: batch[name][1:] for name in ("pixels", "numbers")},
                **{name: batch[name][1:, keep] for name in ("input_ids", "branch", "positions")},
            }
            width = len(keep)
            wanted = (batch["row_of"] == 1) & (batch["branch_of"] == 2)
            at = [int(keep[: place - width + 1].sum()) - 1 for place in batch["at"][wanted].tolist()]
            assert torch.allclose(model(**lone, at=torch.tensor(at)), logits[wanted], atol=1e-9)
    finally:
        model.float()


def test_the_video_and_its_order_reach_the_logits(student: Student) -> None:
    row = lay_out(student.tokenizer, examples()[0], True)
    seen = frames(0)
    backwards = StudentFrames(seen.pixels[::-1].copy(), seen.seen, seen.start_s, seen.end_s)
    batch = collate([(row, seen), (row, backwards), (row, frames(1))], 0)
    names = ("pixels", "numbers", "input_ids", "branch", "positions", "at")
    with torch.no_grad():
        first, second, third = student.model(**{name: batch[name] for name in names}).chunk(3)
    assert not torch.allclose(first, second)
    assert not torch.allclose(first, third)


@pytest.mark.parametrize("wrong", [{"image": 20}, {"patches": 5}, {"hidden": 31}, {"vocabulary": 10}, {"layers": 0}])
def test_sizes_that_do_not_fit_are_one_line(wrong: dict[str, int]) -> None:
    with pytest.raises(UserError, match=f"student.{next(iter(wrong))}"):
        new_student(StudentConfig(**{**vars(SMALL), **wrong}), 8, TEXTS, seed=1)
