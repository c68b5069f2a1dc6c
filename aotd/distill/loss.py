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


def distillation_loss(logits: Tensor, labels: Tensor, kinds: Tensor, shares: Tensor, weight: float) -> Loss:
    """`label + weight * rationale`, each the mean over a step's questions of the mean over a reply's tokens.

    A question without a rationale counts 0 in the second term (paper: its loss is set to 0), so that a
    reply weighs the same however long it is, and whoever else is in the step. The terms of a step's
    batches add up to the step's.

    Args:
        logits: of each target token, `[M, vocabulary]`.
        labels, kinds: the token, and whether an answer or a rationale is said, `[M]`.
        shares: each target's part in the means, `[M]`.
    """
    precise = logits if logits.dtype == torch.float64 else logits.float()
    each = torch.nn.functional.cross_entropy(precise, labels, reduction="none") * shares.to(precise.dtype)
    label, rationale = (each[kinds == kind].sum() for kind in (ANSWER, RATIONALE))
    return Loss(label + weight * rationale, label, rationale)
