"""What it costs that lines are on the disk soon: the same lines appended without syncs, with ours, and with one each.

    python -m benchmarks.syncs DIR

DIR is a folder on the disk that is meant. The last line is JSON: microseconds per line each way, and milliseconds per
sync.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from aotd.records import Program
from aotd.store import files

LINES = 100_000
ROUNDS = 3
CODE = "def execute_command(video_clip, query, possible_answers):\n" + "    clip = Find(clip, 'door')\n" * 20


def append(folder: Path, sync_s: float, lines: int) -> float:
    """Seconds per line, the last sync left out."""
    files.SYNC_S = sync_s
    shard = files.Shard(folder / f"{sync_s}.jsonl")
    started = time.perf_counter()
    for number in range(lines):
        shard.append(Program(question_id=str(number), code=CODE, author="llm", attempts=1))
    seconds = time.perf_counter() - started
    shard.close()
    return seconds / lines


def main() -> None:
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        ways = {"none": (1e9, LINES), "ours": (files.SYNC_S, LINES), "each": (0.0, 500)}
        found = {}
        for name, (sync_s, lines) in ways.items():
            taken = []
            for number in range(ROUNDS):
                (place := Path(folder) / f"{name}{number}").mkdir()
                taken.append(append(place, sync_s, lines))
            found[name] = statistics.median(taken)
    sync_ms = 1e3 * (found["each"] - found["none"])
    print(
        json.dumps({f"{name}_us": round(1e6 * one, 1) for name, one in found.items()} | {"sync_ms": round(sync_ms, 2)})
    )


if __name__ == "__main__":
    main()
