"""Questions in nearly the same words.

A text is compared as its set of pairs of neighbouring words, without case, articles and punctuation
(`aotd.scoring.answers.plain`); its first and last word also make a pair with its edge. The likeness of two sets is
their Jaccard index: the pairs that both have, divided by the pairs that either has. One other word in a question of
seventeen words or more leaves it nearly the same; in a shorter question it does not.
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

WordPair = tuple[str, str, str]
"""Where it stands (`question`, `option`), and two neighbouring words."""
_CELLS = 1 << 21
"""Most pairs of texts that are compared at once: some 100 MB where all of them share a word."""


def pairs_of_text(question: Question) -> frozenset[WordPair]:
    """The pairs of a question's own text."""
    return _pairs("question", question.question)


def pairs_of_question(question: Question) -> frozenset[WordPair]:
    """The pairs of a question's text and of each option by itself, so that the order of options does not matter."""
    return pairs_of_text(question).union(*(_pairs("option", option) for option in question.options))


def _pairs(place: str, text: str) -> frozenset[WordPair]:
    return frozenset((place, a, b) for a, b in pairwise(["", *plain(text).split(), ""]))


def are_alike(a: frozenset[WordPair], b: frozenset[WordPair]) -> bool:
    """Whether two texts are nearly the same."""
    both = len(a & b)
    return both >= ALIKE * (len(a) + len(b) - both)


def all_alike(ours: Sequence[frozenset[WordPair]], theirs: Sequence[frozenset[WordPair]]) -> Iterator[tuple[int, int]]:
    """The positions in both of every two texts that are nearly the same: `are_alike`, for very many texts at once."""
    if not ours or not theirs:
        return
    columns: dict[WordPair, int] = {}
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


def _matrix(texts: Sequence[frozenset[WordPair]], columns: dict[WordPair, int]) -> Any:
    """`[texts, columns]`, sparse: 1 where a text has the pair of a column; pairs without a column are left out."""
    from scipy.sparse import csr_matrix  # late, so that `aotd show` starts at once

    rows = [[columns[pair] for pair in pairs if pair in columns] for pairs in texts]
    starts: NDArray[np.int64] = np.cumsum([0, *map(len, rows)])
    places = np.fromiter((place for row in rows for place in row), np.int32, int(starts[-1]))
    return csr_matrix((np.ones(len(places), np.int32), places, starts), shape=(len(texts), len(columns)))
