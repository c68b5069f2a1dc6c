"""Sequences that begin alike stand in one tree, and none of them can tell."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from aotd.video_llms.tree import build_tree, visibility

SEQUENCES = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=8), min_size=1, max_size=6)


def test_what_is_shared_stands_once() -> None:
    tree = build_tree([[7, 8, 1, 2], [7, 8, 1, 3], [7, 9]])
    assert tree.tokens == [7, 8, 1, 2, 3, 9]
    assert tree.depth == [0, 1, 2, 3, 3, 1]
    assert tree.end == [6, 5, 5, 4, 5, 6]
    assert tree.paths == [[0, 1, 2, 3], [0, 1, 2, 4], [0, 5]]


@given(SEQUENCES)
def test_each_token_sees_its_own_path_and_nothing_else(sequences: list[list[int]]) -> None:
    tree = build_tree(sequences)
    mask = visibility(torch.tensor([tree.end]))[0, 0]
    for sequence, path in zip(sequences, tree.paths, strict=True):
        assert [tree.tokens[place] for place in path] == sequence
        assert [tree.depth[place] for place in path] == list(range(len(sequence)))
        for number, place in enumerate(path):
            assert mask[place].nonzero().flatten().tolist() == path[: number + 1]
    assert sorted({place for path in tree.paths for place in path}) == list(range(len(tree)))
