"""Questions in nearly the same words.

What is compared are sets of pairs of neighbouring words, without case, articles and punctuation
(`aotd.scoring.answers.plain`); a text's first and last word also make a pair with its edge. How much two sets
are alike is their Jaccard index: the pairs they share, of the pairs that either has. Another word inside
a question of seventeen or more leaves it nearly the same; in a shorter one it does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from aotd.records import Question
from aotd.scoring.answers import plain

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALIKE = 0.8
"""The least Jaccard index of two texts that count as nearly the same."""

Pair = tuple[str, str, str]
"""Where it stands (`question`, `option`), and two neighbouring words."""
_CELLS = 1 << 21
"""Most pairs of texts that are compared at once: some 100 MB where all of them share a word."""


def asked_in(question: Question) -> frozenset[Pair]:
    """The pairs of a question's own text."""
    return _pairs("question", question.question)


def asked_and_offered(question: Question) -> frozenset[Pair]:
    """The pairs of a question's text and of each option by itself, so that the order of options is nothing."""
    return asked_in(question).union(*(_pairs("option", option) for option in question.options))


def _pairs(place: str, text: str) -> frozenset[Pair]:
    return frozenset((place, a, b) for a, b in pairwise(["", *plain(text).split(), ""]))


def alike(a: frozenset[Pair], b: frozenset[Pair]) -> bool:
    """Whether two texts are nearly the same."""
    both = len(a & b)
    return both >= ALIKE * (len(a) + len(b) - both)


def all_alike(ours: Sequence[frozenset[Pair]], theirs: Sequence[frozenset[Pair]]) -> Iterator[tuple[int, int]]:
    """The positions in both of every two texts that are nearly the same: `alike`, for very many texts at once."""
    if not ours or not theirs:
        return
    columns: dict[Pair, int] = {}
    for pairs in theirs:
        for pair in pairs:
            columns.setdefault(pair, len(columns))
    a, b = _matrix(ours, columns), _matrix(theirs, columns).T.tocsr()
    a_sizes, b_sizes = (np.array([len(pairs) for pairs in side]) for side in (ours, theirs))
    rows = max(1, _CELLS // len(theirs))
    for first in range(0, len(ours), rows):
        shared = (a[first : first + rows] @ b).tocoo()
        at, to = shared.row + first, shared.col
        near = shared.data >= ALIKE * (a_sizes[at] + b_sizes[to] - shared.data)
        yield from zip(at[near].tolist(), to[near].tolist(), strict=True)


def _matrix(texts: Sequence[frozenset[Pair]], columns: dict[Pair, int]) -> Any:
    """`[texts, columns]`, sparse: 1 where a text has the pair of a column; pairs without a column are left out."""
    from scipy.sparse import csr_matrix  # late, so that `aotd show` starts at once

    held = [[columns[pair] for pair in pairs if pair in columns] for pairs in texts]
    starts: NDArray[np.int64] = np.cumsum([0, *map(len, held)])
    places = np.fromiter((place for row in held for place in row), np.int32, int(starts[-1]))
    return csr_matrix((np.ones(len(places), np.int32), places, starts), shape=(len(texts), len(columns)))
