"""What `--json` prints: one JSON document on standard output, for scripts (docs/settings.md#output-for-scripts).

It is ASCII, whatever the locale is. All else that is said goes to standard error, and the exit status is the same.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from typing import Any

from pydantic import BaseModel

from aotd.evaluate import EvaluateConfig
from aotd.store.ledger import Ledger, Passage, kept_by_tries
from aotd.store.run import Run
from aotd.view.question import Story, agreements, comparisons, leaks, scores


def print_document(document: Mapping[str, Any]) -> None:
    """Print a document."""
    print(json.dumps(document, indent=1, allow_nan=False))  # noqa: T201


@contextmanager
def evaluation_printed(run: Run, evaluate: EvaluateConfig) -> Iterator[None]:
    """Have `evaluate` print its tables on standard error, and then print what they say as a document.

    Raises:
        UserError: as `evaluate`.
    """
    with redirect_stdout(sys.stderr):
        yield
    from aotd.evaluate.arms import expand

    print_document({"run": str(run), **evaluation(run, expand(run, evaluate))})


def evaluation(run: Run, arms: Collection[str] | None = None) -> dict[str, Any]:
    """What `evaluate` found out, under the names of `aotd.scoring.tables`.

    Args:
        arms: the arms that are told of; None: all that have been evaluated.

    Raises:
        UserError: a file of it is damaged.
    """
    found = {"arms": scores(run), "contamination": leaks(run), "agreements": agreements(run)}
    of_arms = {
        name: [_plain(one) for one in part if arms is None or one.arm in arms]  # type: ignore[attr-defined]
        for name, part in found.items()
    }
    return {**of_arms, "comparisons": [_plain(one) for one in comparisons(run)]}


def run_document(run: Run, book: Ledger, examples: int) -> dict[str, Any]:
    """A run's funnel, and what `evaluate` found out.

    Args:
        examples: how many questions are named for each outcome of a verb.

    Raises:
        UserError: a file is damaged.
    """
    counts = book.counts()
    return {
        "run": str(run),
        "questions": len(book.places),
        "outcomes": counts,
        "verbs": [_passage(passage, examples) for passage in book.passages()],
        "kept_by_tries": kept_by_tries(run, book) if "kept" in counts else {},
        **evaluation(run),
    }


def _passage(passage: Passage, examples: int) -> dict[str, Any]:
    return {
        "verb": passage.verb,
        "in": passage.reached,
        "out": passage.passed,
        "pending": passage.pending,
        "ended": [
            {
                "outcome": outcome.value,
                "count": len(places),
                "examples": [{"question_id": one.question_id, "reason": one.reason} for one in places[:examples]],
            }
            for outcome, places in passage.ended.items()
        ],
    }


def question_document(run: Run, story: Story) -> dict[str, Any]:
    """One question's whole way; what no verb has made is null."""
    place = story.place
    return {
        "run": str(run),
        "place": {
            "name": place.name,
            "verb": place.verb,
            "outcome": place.outcome and place.outcome.value,
            "reason": place.reason,
        },
        "question": _plain(story.question),
        "program": _plain(story.program),
        "code": story.code,
        "trace": _plain(story.trace),
        "thought": _plain(story.thought),
        "verdict": _plain(story.verdict),
        "arms": [
            {
                "arm": arm.arm,
                "replies": {mode.value: _plain(reply) for mode, reply in arm.replies.items()},
                "judgements": {judge: _plain(judgement) for judge, judgement in arm.judgements.items()},
            }
            for arm in story.arms
        ],
    }


def _plain(record: BaseModel | None) -> Any:
    """A record as JSON has it: what is no number is null."""
    return None if record is None else json.loads(record.model_dump_json())
