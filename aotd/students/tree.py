"""Token sequences that begin alike, laid out as one: a tree in which what is shared stands once.

    <video> Question: ... Options: ... | Answer with the letter ...   A
                                       | Explain ...                  First, I look for ...
            Question: ...              | Answer with the letter ...   C

A token sees itself and the tokens before it on its own path, and is at the position it has there. So
every path has the same outputs, and gives the same gradients, as in a sequence of its own, while the
video and whatever else is shared is computed once (design §3).

The tree is written in pre-order. Then a subtree is one stretch of places, and one number for each token,
the place behind its subtree, says who sees whom: `i` sees `j` if `j <= i < end[j]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

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


def grow(sequences: Sequence[Sequence[int]]) -> Tree:
    """The tree of some token sequences. One that another begins with ends inside that other's path."""
    token, parent, depth = [-1], [-1], [-1]
    children: list[dict[int, int]] = [{}]
    paths = []
    for sequence in sequences:
        node, path = 0, []
        for one in sequence:
            child = children[node].get(one)
            if child is None:
                child = children[node][one] = len(token)
                token.append(one)
                parent.append(node)
                depth.append(depth[node] + 1)
                children.append({})
            node = child
            path.append(node)
        paths.append(path)
    size = [1] * len(token)
    for node in range(len(token) - 1, 0, -1):  # a child is always made after its parent
        size[parent[node]] += size[node]
    place = [-1] * len(token)
    for node in range(len(token)):
        free = place[node] + 1
        for child in children[node].values():
            place[child] = free
            free += size[child]
    order = sorted(range(1, len(token)), key=place.__getitem__)
    return Tree(
        tokens=[token[node] for node in order],
        depth=[depth[node] for node in order],
        end=[place[node] + size[node] for node in order],
        paths=[[place[node] for node in path] for path in paths],
    )


def sees(end: Tensor) -> Tensor:
    """Who sees whom: `[B, 1, S, S]`, true where token `i` sees token `j`.

    Args:
        end: the place behind each token's subtree, `[B, S]`; of padding, the place behind itself.
    """
    import torch

    place = torch.arange(end.shape[1], device=end.device)
    return ((place[None, :] <= place[:, None]) & (place[None, :, None] < end[:, None, :]))[:, None]
