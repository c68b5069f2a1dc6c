"""Overlap of spans and boxes on known cases, and the benchmark that scores temporal grounders by it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aotd.records import Box
from aotd.scoring.iou import apart, box_iou, iou_and_recall, moment_scores, union

SCORER = Path(__file__).parents[2] / "benchmarks" / "temporal_scorer.py"


def test_union_joins_overlapping_spans() -> None:
    assert union([(3, 5), (0, 1), (4, 7), (9, 9), (1, 2)]) == [(0, 2), (3, 7)]


def test_iou_and_recall_of_all_spans() -> None:
    assert iou_and_recall([(0, 4), (2, 6)], [(4, 8)]) == (0.25, 0.5)
    assert iou_and_recall([(0, 4)], []) == (0.0, 0.0)


def test_moment_scores_take_the_true_window_that_fits_best() -> None:
    assert moment_scores((10, 20), [(0, 4), (12, 20)]) == (0.8, 8 / 12)
    assert moment_scores(None, [(0, 4)]) == (0.0, 0.0)
    assert moment_scores((5, 3), [(0, 4)]) == (0.0, 0.0)


def test_box_iou_of_overlapping_and_empty_boxes() -> None:
    assert box_iou((0, 0, 2, 2), (0, 0, 2, 2)) == 1
    assert box_iou((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert box_iou((0, 0, 2, 2), (5, 5, 6, 6)) == 0
    assert box_iou((2, 2, 0, 0), (0, 0, 2, 2)) == 0


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(*[st.integers(0, 9)] * 4), max_size=12).map(
        lambda found: [(float(min(a, c)), float(min(b, d)), max(a, c) + 1.0, max(b, d) + 1.0) for a, b, c, d in found]
    ),
    st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]),
)
def test_apart_agrees_with_the_plain_rule(boxes: list[Box], most: float) -> None:
    kept: list[int] = []
    for at, box in enumerate(boxes):
        if all(box_iou(box, boxes[other]) <= most for other in kept):
            kept.append(at)
    assert apart(boxes, most) == kept


def written(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def score(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    truth = [
        {"qid": 1, "query": "a", "relevant_windows": [[0, 10]]},
        {"qid": 2, "query": "b", "relevant_windows": [[0, 4], [12, 20]]},
    ]
    # The most confident window counts, wherever it stands in its line.
    told = [{"qid": 1, "pred_relevant_windows": [[90, 99, 0.1], [0, 5, 0.9]]}]
    full = [*told, {"qid": 2, "pred_relevant_windows": [[10, 20, 0.5]]}]
    written(folder / "gt.jsonl", truth), written(folder / "half.jsonl", told), written(folder / "full.jsonl", full)
    arguments = ["--truth", "gt.jsonl", *(more or ("full=full.jsonl", "half=half.jsonl"))]
    return subprocess.run(
        [sys.executable, SCORER, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(SCORER.parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )


def test_temporal_scorer_counts_a_missing_query_as_zero(tmp_path: Path) -> None:
    done = score(tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "full": {"miou": 0.65, "recall": 0.5833, "queries": 2, "missing": 0},
        "half": {"miou": 0.25, "recall": 0.25, "queries": 2, "missing": 1},
    }
    assert "half: no prediction for 1 of 2 queries" in done.stderr


def test_temporal_scorer_names_a_malformed_line(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"qid": 1}\n', encoding="utf-8")
    done = score(tmp_path, "bad=bad.jsonl")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("bad.jsonl:1: ")
    assert len(done.stderr.splitlines()) == 1
