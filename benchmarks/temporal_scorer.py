"""How well temporal grounders find moments, by the score that `select` ranks them with.

    python benchmarks/temporal_scorer.py --truth gt.jsonl univtg=univtg.jsonl moment_detr=moment_detr.jsonl

The files are those of QVHighlights: `{"qid": …, "relevant_windows": [[start_s, end_s], …]}` in the truth, and
`{"qid": …, "pred_relevant_windows": [[start_s, end_s, confidence], …]}` in a candidate's predictions. Of these
the most confident window counts. `miou` is its mean IoU with the best fitting true window, `recall` the mean
share of the true windows that it covers; a query without a prediction scores 0. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from aotd.errors import UserError
from aotd.scoring.iou import Span, moment_scores


def read(path: Path, field: str, width: int) -> dict[Any, list[tuple[float, ...]]]:
    """Query id -> its windows, `width` numbers each.

    Raises:
        UserError: no such file, or a line that is not of this format.
    """
    found = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
            windows = [tuple(float(value) for value in window) for window in entry[field]]
            if any(len(window) != width for window in windows):
                raise ValueError(f"a window of {field} has {width} numbers")
            found[entry["qid"]] = windows
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(f"{path}:{number}: wants qid and {field} ({error})") from None
    if not found:
        raise UserError(f"{path}: has no lines")
    return found


def score(truth: dict[Any, list[tuple[float, ...]]], told: dict[Any, list[tuple[float, ...]]]) -> dict[str, Any]:
    """Mean scores over all queries of the truth."""
    scores = []
    for qid, windows in truth.items():
        best = max(told.get(qid, []), key=lambda window: window[2], default=None)
        top: Span | None = (best[0], best[1]) if best else None
        scores.append(moment_scores(top, [(window[0], window[1]) for window in windows]))
    means = (round(statistics.mean(column), 4) for column in zip(*scores, strict=True))
    missing = sum(not told.get(qid) for qid in truth)
    return dict(zip(("miou", "recall"), means, strict=True)) | {"queries": len(truth), "missing": missing}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("candidate", nargs="+", metavar="NAME=FILE")
    settings = parser.parse_args()
    truth = read(settings.truth, "relevant_windows", 2)
    result = {}
    for candidate in settings.candidate:
        name, equals, path = candidate.partition("=")
        if not equals:
            raise UserError(f"{candidate}: give a candidate as NAME=FILE")
        result[name] = score(truth, read(Path(path), "pred_relevant_windows", 3))
        if missing := result[name]["missing"]:
            print(f"{name}: no prediction for {missing} of {len(truth)} queries, counted as 0", file=sys.stderr)
    table = Table("candidate", "mIoU", "recall", "queries", "missing")
    for name, row in result.items():
        table.add_row(name, f"{row['miou']:.4f}", f"{row['recall']:.4f}", str(row["queries"]), str(row["missing"]))
    Console().print(table)
    print(json.dumps(result))


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
