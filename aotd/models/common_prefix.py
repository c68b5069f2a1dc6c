"""The common prefix of token sequences."""

from __future__ import annotations

from collections.abc import Sequence


def common_prefix_length(sequences: Sequence[Sequence[int]], begin: int = 0) -> int:
    """Count the tokens that all sequences begin with, given that they share the first `begin`."""
    stop = min(map(len, sequences))
    for other in sequences[1:]:
        pairs = zip(sequences[0][begin:stop], other[begin:stop], strict=True)
        stop = next((at for at, (one, two) in enumerate(pairs, begin) if one != two), stop)
    return stop
