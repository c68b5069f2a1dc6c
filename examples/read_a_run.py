"""Read a run with pandas: what became of its questions, what the programs did, and one question by its id.

python examples/read_a_run.py runs/demo [QUESTION_ID]      (needs pandas)
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas

from aotd.errors import UserError
from aotd.store.ledger import ledger
from aotd.store.run import Run


def questions(run: Run) -> pandas.DataFrame:
    """A row for each question: its type and split, where it ended, and why."""
    places = ledger(run).places.values()
    rows = [(place.question_id, place.split, place.type, place.name, place.reason) for place in places]
    return pandas.DataFrame(rows, columns=["question_id", "split", "type", "place", "reason"]).set_index("question_id")


def tool_calls(run: Run) -> pandas.DataFrame:
    """A row for each call of a tool. Traces are read one by one; no list holds them."""
    rows = [
        (trace.question_id, event.step, event.tool, event.query, len(event.frames))
        for trace in run.traces.stream()
        for event in trace.events
    ]
    return pandas.DataFrame(rows, columns=["question_id", "step", "tool", "query", "frames"])


def costs(run: Run) -> pandas.DataFrame:
    """A row for each question whose program was timed, under the names of `aotd.records.Cost`."""
    return pandas.DataFrame([cost.model_dump() for cost in run.traces.costs().values()])


def main(folder: str, question_id: str = "") -> None:
    run = Run(Path(folder))
    table = questions(run)
    print(pandas.crosstab(table["type"], table["place"]), end="\n\n")
    if run.traces.exists:
        print(tool_calls(run).groupby("tool").agg(calls=("step", "size"), frames=("frames", "mean")), end="\n\n")
    if question_id:
        if question_id not in table.index:
            raise UserError(f"{run} has no question {question_id!r}")
        print(table.loc[question_id].to_string(), end="\n\n")
        thought = run.thoughts.find(question_id)  # an index tells where its line is: no other line is read
        print(thought.text if thought else "it has no chain of thought")


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        sys.exit("usage: python examples/read_a_run.py RUN [QUESTION_ID]")
    try:
        main(*sys.argv[1:])
    except UserError as error:
        sys.exit(str(error))
