"""How long it takes to look up one question of a large run, and what the index adds to writing.

    python -m benchmarks.find_question
    python -m benchmarks.find_question --questions 1000000 --lookups 1000

Writes a stage of traces, each of some kilobytes, then looks up questions at random: with the index, and in a stage
whose index is gone (the first look-up makes it again). `write_s` is the time of a line with its entry, `line_s` of a
line alone. The last line is JSON; times are in milliseconds, medians and the longest.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from pathlib import Path

from aotd.records import ActionsFinding, Event, Trace
from aotd.store.files import Shard, as_line
from aotd.store.index import index_path
from aotd.store.run import Run
from aotd.store.stage import Stage


def trace(number: int) -> Trace:
    """A trace of 20 tool calls, some 3 KB."""
    finding = ActionsFinding(actions=("open the fridge", "take the milk"))
    call = Event(step=0, tool="query_actions", query="what happens?", frames=tuple(range(16)), finding=finding)
    events = tuple(call.model_copy(update={"step": step}) for step in range(20))
    size = {"frames": 32, "start_s": 0.0, "end_s": 30.0, "width": 320, "height": 240}
    return Trace.model_validate({"question_id": f"q{number}", "events": events, "answer": "the milk", **size})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=10_000)
    parser.add_argument("--lookups", type=int, default=500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measured(Path(folder), options.questions, options.lookups)))


def measured(folder: Path, questions: int, lookups: int) -> dict[str, float]:
    stage, lines = Run(folder).traces, [as_line(trace(number)) for number in range(min(questions, 1000))]
    with stage.open({}) as out:
        started = time.perf_counter()
        for number in range(questions):
            out.write(trace(number))
        write_s = (time.perf_counter() - started) / questions
    alone = Shard(folder / "alone.jsonl")
    started = time.perf_counter()
    for number in range(questions):
        as_line(trace(number))
        alone.add(lines[number % len(lines)])
    line_s = (time.perf_counter() - started) / questions
    alone.close()
    chosen = random.Random(0).choices(range(questions), k=lookups)
    times = [find_s(stage, number) for number in chosen]
    index_path(stage.records_path).unlink()
    first = find_s(stage, chosen[0])
    started = time.perf_counter()
    assert stage.find("none") is None
    return {
        "questions": questions,
        "megabytes": round(stage.records_path.stat().st_size / 1e6, 1),
        "median_ms": round(1000 * statistics.median(times), 3),
        "longest_ms": round(1000 * max(times), 3),
        "rebuild_ms": round(1000 * first, 1),
        "none_ms": round(1000 * (time.perf_counter() - started), 3),
        "write_ms": round(1000 * write_s, 4),
        "line_ms": round(1000 * line_s, 4),
    }


def find_s(stage: Stage[Trace], number: int) -> float:
    started = time.perf_counter()
    record = stage.find(f"q{number}")
    took = time.perf_counter() - started
    assert record is not None
    assert record.question_id == f"q{number}"
    return took


if __name__ == "__main__":
    main()
