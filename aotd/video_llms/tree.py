"""Token sequences that begin alike, laid out as one: a tree in which what is shared stands once.

    <video> Question: ... Options: ... | Answer with the letter ...   A
                                       | Explain ...                  First, I look for ...
            Question: ...              | Answer with the letter ...   C

A token sees itself and the tokens before it on its own path, and is at the position it has there. So
every path has the same outputs, and gives the same gradients, as in a sequence of its own, while the
video and whatever else is shared is computed once.

The tree is written in pre-order. Then a subtree is one stretch of places, and one number for each token,
the place behind its subtree, says who sees whom: `i` sees `j` if `j <= i < end[j]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aotd.models.common_prefix import common_prefix_length

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Tree:
    """Sequences that share what they have in common at the beginning. Lists are by place."""

    tokens: list[int]
    depth: list[int]
    """How many tokens stand before it on its path."""
    end: list[int]
    """The place behind its subtree."""
    paths: list[list[int]]
    """The place of each token, for each sequence in the order given."""

    def __len__(self) -> int:
        return len(self.tokens)


def build_tree(sequences: Sequence[Sequence[int]]) -> Tree:
    """Build the tree of some token sequences. A sequence that another begins with ends inside the other's path."""
    tree = Tree([], [], [], [[] for _ in sequences])
    _branch(tree, sequences, range(len(sequences)), 0)
    return tree


def _branch(tree: Tree, sequences: Sequence[Sequence[int]], members: Sequence[int], begin: int) -> None:
    """Put down what some sequences, which agree in their first `begin` tokens, have behind those."""
    branches: dict[int, list[int]] = {}
    for member in members:
        if len(sequences[member]) > begin:
            branches.setdefault(sequences[member][begin], []).append(member)
    for branch in branches.values():
        stop = common_prefix_length([sequences[member] for member in branch], begin)
        first, length = len(tree), stop - begin
        tree.tokens.extend(sequences[branch[0]][begin:stop])
        tree.depth.extend(range(begin, stop))
        for member in branch:
            tree.paths[member].extend(range(first, first + length))
        tree.end.extend([0] * length)  # known behind the subtree
        _branch(tree, sequences, branch, stop)
        tree.end[first : first + length] = [len(tree)] * length


def visibility(end: Tensor) -> Tensor:
    """Compute the attention mask: `[B, 1, S, S]`, true where token `i` sees token `j`.

    Args:
        end: the place behind each token's subtree, `[B, S]`; of padding, the place behind itself.
    """
    import torch

    place = torch.arange(end.shape[1], device=end.device)
    return ((place[None, :] <= place[:, None]) & (place[None, :, None] < end[:, None, :]))[:, None]
