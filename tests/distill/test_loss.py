"""loss = label + λ·rationale, over the replies' tokens only."""

from __future__ import annotations

import pytest
import torch

from aotd.distill.batch import ANSWER, RATIONALE, make_batch, tokenize_example
from aotd.distill.loss import distillation_loss
from aotd.prompts.student import suffix
from aotd.records import Example, Mode
from aotd.students import StudentConfig, ValleySettings
from aotd.students.valley.student import new_valley
from aotd.video_llms.base import VideoFeatures, VideoLLM

LOGITS = torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 3.0], [1.0, 1.0, 0.0], [0.5, 0.0, 0.0]])
LABELS = torch.tensor([0, 1, 0, 2, 1])
KINDS = torch.tensor([ANSWER, ANSWER, RATIONALE, RATIONALE, ANSWER])
SHARES = torch.tensor([1 / 4, 1 / 4, 1 / 4, 1 / 4, 1 / 2])
"""Two questions; the first has an answer and a rationale of two tokens each, the second an answer of one."""


def by_hand(place: int) -> float:
    row = LOGITS[place].exp()
    return -float((row[LABELS[place]] / row.sum()).log())


def test_loss_equals_the_sum_worked_out_by_hand() -> None:
    label = ((by_hand(0) + by_hand(1)) / 2 + by_hand(4)) / 2
    rationale = ((by_hand(2) + by_hand(3)) / 2 + 0) / 2
    loss = distillation_loss(LOGITS, LABELS, KINDS, SHARES, weight=0.5)
    assert torch.allclose(loss.label, torch.tensor(label))
    assert torch.allclose(loss.rationale, torch.tensor(rationale))
    assert torch.allclose(loss.total, torch.tensor(label + 0.5 * rationale))


def test_loss_with_weight_zero_ignores_rationales() -> None:
    answers = KINDS == ANSWER
    without = distillation_loss(LOGITS[answers], LABELS[answers], KINDS[answers], SHARES[answers], weight=1.0)
    assert without.rationale == 0
    assert torch.equal(distillation_loss(LOGITS, LABELS, KINDS, SHARES, weight=0.0).total, without.total)


@pytest.fixture(scope="module")
def student() -> VideoLLM:
    sizes = ValleySettings(image=8, channels=8, patches=1, hidden=8, layers=1, heads=1, vocabulary=300)
    return new_valley(
        StudentConfig(frames=1, valley=sizes), 4, ["What is it?", "I see it. So the answer is yes."], seed=0
    )


VIEW: VideoFeatures = {
    "places": torch.zeros(1, 1, 8, dtype=torch.float16),
    "whole": torch.zeros(1, 8, dtype=torch.float16),
    "numbers": torch.zeros(1, dtype=torch.long),
    "frames": torch.ones(1, dtype=torch.long),
}


def said(rationale: str | None = "I see it.") -> Example:
    return Example(question_id="q", prompt="What is it?", answer="yes", rationale=rationale)


def test_batch_targets_replies_only(student: VideoLLM) -> None:
    batch = make_batch(student, [(VIEW, [tokenize_example(student, said(), letter=False)])], questions=1)
    assert batch["labels"].tolist() == [*student.encode_reply("yes"), *student.encode_reply("I see it.")]
    end = student.tokenizer.eos_token_id
    ids, at = batch["input_ids"][0].tolist(), batch["at"].tolist()
    for place, label in zip(at, batch["labels"].tolist(), strict=True):
        assert label == end or ids[place + 1] == label
    asked = [student.encode_prompt("What is it?" + suffix(False, mode)) for mode in Mode]
    opening = len(student.video_prefix(VIEW).tokens)
    assert at[0] == opening + len(asked[0]) - 1
    # Both replies stand behind one copy of the video and of what their prompts begin with.
    same = next(i for i, (one, other) in enumerate(zip(*asked, strict=False)) if one != other)
    assert len(ids) == opening + sum(map(len, asked)) - same + len(batch["labels"]) - 2
    assert (
        batch["positions"][0, 0, batch["at"][-1]]
        == opening + len(asked[1]) + len(student.encode_reply("I see it.")) - 2
    )


def test_shares_make_means_over_replies_and_questions(student: VideoLLM) -> None:
    examples = [tokenize_example(student, said(), False), tokenize_example(student, said(None), False)]
    batch = make_batch(student, [(VIEW, examples)], questions=4)
    answers = batch["shares"][batch["kinds"] == ANSWER]
    assert torch.allclose(answers.sum(), torch.tensor(2 / 4, dtype=torch.float64))
    assert torch.allclose(batch["shares"][batch["kinds"] == RATIONALE].sum(), torch.tensor(1 / 4, dtype=torch.float64))


def test_example_without_rationale_has_one_reply(student: VideoLLM) -> None:
    assert len(tokenize_example(student, said(None), letter=True).texts) == 1
