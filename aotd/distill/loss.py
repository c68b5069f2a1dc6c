"""The loss of distillation (paper §3.4): `label + λ * rationale`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aotd.distill.batch import ANSWER, RATIONALE


@dataclass(frozen=True)
class Loss:
    """Both terms of a batch, and their weighted sum."""

    total: Tensor
    label: Tensor
    rationale: Tensor


def distillation_loss(
    logits: Tensor, labels: Tensor, branch_of: Tensor, row_of: Tensor, rows: int, weight: float
) -> Loss:
    """`label + weight * rationale`, each the mean over the batch's questions of the mean over a reply's tokens.

    A question without a rationale counts 0 in the second term (paper: its loss is set to 0), so that a
    reply weighs the same however long it is, and whoever else is in the batch.

    Args:
        logits: of each target token, `[M, vocabulary]`.
        labels, branch_of, row_of: the token, its branch and its question, `[M]`.
        rows: questions in the batch.
    """
    each = torch.nn.functional.cross_entropy(logits.float(), labels, reduction="none")
    label, rationale = (_mean_of_rows(each, branch_of == branch, row_of, rows) for branch in (ANSWER, RATIONALE))
    return Loss(label + weight * rationale, label, rationale)


def _mean_of_rows(each: Tensor, chosen: Tensor, row_of: Tensor, rows: int) -> Tensor:
    zeros = each.new_zeros(rows)
    sums = zeros.index_add(0, row_of[chosen], each[chosen])
    counts = zeros.index_add(0, row_of[chosen], torch.ones_like(each[chosen]))
    return (sums / counts.clamp(min=1)).mean()
