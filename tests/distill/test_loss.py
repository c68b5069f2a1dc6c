"""loss = label + λ·rationale, over the replies' tokens only."""

from __future__ import annotations

import torch

from aotd.distill.batch import ANSWER, RATIONALE, collate, lay_out
from aotd.distill.loss import distillation_loss
from aotd.records import Example, Mode
from aotd.students.frames import StudentFrames
from aotd.students.prompts import suffix
from aotd.students.tokens import encode, train_tokenizer

LOGITS = torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 3.0], [1.0, 1.0, 0.0], [0.5, 0.0, 0.0]])
LABELS = torch.tensor([0, 1, 0, 2, 1])
BRANCH = torch.tensor([ANSWER, ANSWER, RATIONALE, RATIONALE, ANSWER])
ROW = torch.tensor([0, 0, 0, 0, 1])


def by_hand(place: int) -> float:
    row = LOGITS[place].exp()
    return -float((row[LABELS[place]] / row.sum()).log())


def test_the_loss_is_the_one_worked_out_by_hand() -> None:
    label = ((by_hand(0) + by_hand(1)) / 2 + by_hand(4)) / 2
    rationale = ((by_hand(2) + by_hand(3)) / 2 + 0) / 2
    loss = distillation_loss(LOGITS, LABELS, BRANCH, ROW, rows=2, weight=0.5)
    assert torch.allclose(loss.label, torch.tensor(label))
    assert torch.allclose(loss.rationale, torch.tensor(rationale))
    assert torch.allclose(loss.total, torch.tensor(label + 0.5 * rationale))


def test_no_weight_is_as_no_rationale() -> None:
    answers = BRANCH == ANSWER
    without = distillation_loss(LOGITS[answers], LABELS[answers], BRANCH[answers], ROW[answers], rows=2, weight=1.0)
    assert without.rationale == 0
    assert torch.equal(distillation_loss(LOGITS, LABELS, BRANCH, ROW, rows=2, weight=0.0).total, without.total)


def test_only_the_replies_are_targets() -> None:
    tokenizer = train_tokenizer(["What is it?", "I see it. So the answer is yes."], 300)
    said = Example(question_id="q", prompt="What is it?", answer="yes", rationale="I see it.")
    row = lay_out(tokenizer, said, choice=False)
    frames = StudentFrames(torch.zeros(1, 8, 8, 3, dtype=torch.uint8).numpy(), 1, 0.0, 1.0)
    batch = collate([(row, frames)], tokenizer.pad_token_id)
    end = tokenizer.eos_token_id
    assert batch["labels"].tolist() == [*encode(tokenizer, "yes"), end, *encode(tokenizer, "I see it."), end]
    # Each target stands one place behind the token it is predicted from, in its own branch.
    ids, at = batch["input_ids"][0].tolist(), batch["at"].tolist()
    for place, label, branch in zip(at, batch["labels"].tolist(), batch["branch_of"].tolist(), strict=True):
        assert batch["branch"][0, place] == branch
        if label != end:
            assert ids[place + 1] == label
    prompt = encode(tokenizer, "What is it?")
    asked = [encode(tokenizer, suffix(False, mode)) for mode in Mode]
    assert min(at) == len(prompt) + len(asked[0]) - 1
    assert len(ids) == len(prompt) + sum(map(len, asked)) + len(batch["labels"]) - 2
    assert batch["positions"][0].tolist()[len(prompt) :].count(len(prompt)) == 2


def test_no_rationale_has_no_second_branch() -> None:
    tokenizer = train_tokenizer(["What is it?"], 300)
    row = lay_out(tokenizer, Example(question_id="q", prompt="What?", answer="A", rationale=None), choice=True)
    assert set(row.targets) == {ANSWER}
