"""The groups of question types in which the authors of a benchmark report accuracy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

_NEXTQA = {
    "CW": ("causal",),
    "CH": ("causal",),
    "TN": ("temporal", "before or after"),
    "TP": ("temporal", "before or after"),
    "TC": ("temporal",),
    "DC": ("descriptive",),
    "DL": ("descriptive",),
    "DO": ("descriptive",),
}


def _of_nextqa(kind: str) -> Sequence[str]:
    return _NEXTQA.get(kind, ())


def _of_star(kind: str) -> Sequence[str]:
    """`Interaction_T1` is one of the templates of Interaction."""
    stem, found, _ = kind.partition("_T")
    return (stem,) if found else ()


GROUPS: Mapping[str, Callable[[str], Sequence[str]]] = {
    "nextqa": _of_nextqa,
    "nextqa_oe": _of_nextqa,
    "star": _of_star,
}
"""Dataset -> the groups that a type belongs to: NExT-QA's `eval_mc.py` (Xiao et al., CVPR 2021), STAR's four question
types (Wu et al., NeurIPS 2021)."""


def groups_of(dataset: str, kind: str) -> Sequence[str]:
    """The groups that a question's type belongs to; none where the benchmark has none."""
    return GROUPS[dataset](kind) if dataset in GROUPS else ()
