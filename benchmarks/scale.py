"""Whether costs stay flat: time and memory of a question in small and large runs, resuming, and a second worker.

    python -m benchmarks.scale
    python -m benchmarks.scale --only flow --sizes 100 1000

The flow, `load` to `verify`, is done through the command line's own entry on generated questions (specialists `mock`,
programs `fixed`, thoughts by template, programs in the real sandbox), each size in a process of its own. The process
does the flow once to have everything imported; then it does it with one question and with all of them in turn. The
time of a question is the difference over the questions but one, so that the start of a verb (settings, manifest, the
sandbox's first process) does not count. A hundred questions are short: their process does ten such pairs, and one
stands between any two of the larger sizes; medians are taken. Memory is the most that the main process held (`VmHWM`)
and the most of its largest child. Growth is the largest size over the smallest: 1.03 is 3 % more.

A million: a run is written in which `convert` has one question left, of a million. What is timed is `aotd convert` in a
process that has imported everything, from its call to the first trace that is handed to the writer.

Two workers: `execute` on rendered videos with the specialists of playroom, one worker and two in turn, on two videos
and on all of them. Each worker is a process that imports and starts what it needs, a second or two whatever it has to
do: the ratio is of the differences, larger less smaller run, and the ratio with those seconds stands beside it. The
bytes must be equal.

The last line is JSON: `time_growth` (wall), `cpu_growth` (the same of processor time, which other work on the machine
changes less), `memory_growth`, `open_million_s`, `two_worker_ratio`, `two_worker_ratio_with_start`, `equal_bytes`.
Linux; some 4 GB of disk.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

VERBS = ("load", "decompose", "execute", "convert", "verify")
SIZES = (100, 1_000, 10_000)
PAIRS = 10
"""How often a run of the smallest size is repeated in its process."""
MILLION = 1_000_000
VIDEOS = 48
"""Rendered for the workers; five questions each on the mean."""
ROUNDS = 2
"""How often each number of workers is measured."""


# ── in a process of its own ───────────────────────────────────────────────────────────────────────


def questions(path: Path, count: int) -> Path:
    """A file of questions of one's own, five about each video."""
    with path.open("w") as out:
        for number in range(count):
            asked = {
                "id": f"Interaction_T1_{number}",
                "video": f"{number // 5:06d}.mp4",
                "question": f"Which object was opened by the person after they held the book in scene {number}?",
                "options": ["The door.", "The book.", "The bag.", "The towel."],
                "answer": "The door.",
                "type": "Interaction_T1",
            }
            out.write(json.dumps(asked) + "\n")
    return path


def do(verb: str, run: Path, *more: str) -> float:
    """Seconds that a verb takes, done as the command line does it."""
    from aotd.cli.main import main

    started = time.perf_counter()
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        status = main([verb, f"run={run}", *more])
    if status:
        raise SystemExit(f"{verb} {run} ended with status {status}")
    return time.perf_counter() - started


def cpu_s() -> float:
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def flow(folder: Path, asked: Path) -> dict[str, list[float]]:
    """Verb -> (wall, processor) seconds of a run from its beginning; the run and its cache are removed."""
    words = ["dataset=files", f"dataset.root={folder}", f"dataset.questions={asked}", "specialists=mock"]
    words += ["decompose.author=fixed", "execute.workers=1"]
    spent = {}
    for verb in VERBS:
        before = cpu_s()
        spent[verb] = [do(verb, folder / "run", *words), cpu_s() - before]
    shutil.rmtree(folder / "run")
    shutil.rmtree(folder / "cache")
    return spent


def flow_child(folder: Path, count: int, pairs: int) -> dict[str, Any]:
    """Seconds a question at each verb, pair by pair, and the most MiB that were held."""
    one, many = questions(folder / "one.jsonl", 1), questions(folder / "many.jsonl", count)
    flow(folder, one)
    gc.collect()
    gc.freeze()  # else the collector looks through all that was imported about once, in a run of any size
    found = []
    for _ in range(pairs):
        start, whole = flow(folder, one), flow(folder, many)
        found.append(
            {verb: [(b - a) / (count - 1) for a, b in zip(start[verb], whole[verb], strict=True)] for verb in VERBS}
        )
    status = Path("/proc/self/status").read_text().split()
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return {"pairs": found, "main_mb": int(status[status.index("VmHWM:") + 1]) / 1024, "child_mb": children / 1024}


def million(run: Path, count: int) -> None:
    """A run in which all but the last of `count` questions have been converted, or dropped there."""
    from aotd.records import (
        BoxesFinding,
        Detection,
        Dropped,
        Event,
        Outcome,
        Program,
        Question,
        Record,
        SpanFinding,
        TextFinding,
        Thought,
        Trace,
    )
    from aotd.store.stage import Stage

    box = Detection(frame=8, box=(101.5, 44.25, 180.0, 200.0), label="door", score=0.912)
    events = (
        Event(step=0, tool="Filter_frames_with_act", frames=tuple(range(32)), query="person opening the door",
              finding=SpanFinding(start=8, end=12, score=0.8)),
        Event(step=1, tool="Find", frames=(8, 9, 10, 11), query="door", finding=BoxesFinding(boxes=(box,) * 4)),
        Event(step=2, tool="select_answer", frames=(), query="Which?", finding=TextFinding(text="The door.")),
    )  # fmt: skip
    samples: dict[str, Record] = {
        "load": Question(
            question_id="ID", dataset="star", split="train", video_id="6H78U", video="videos/6H78U.mp4", start_s=11.1,
            end_s=19.6, question="Which object was opened by the person?", type="Interaction_T1", answer="The door.",
            options=("The door.", "The book.", "The bag.", "The towel."),
        ),
        "decompose": Program(question_id="ID", code="x = Find(clip, 'door')\n" * 30, author="annotated", attempts=1),
        "execute": Trace(question_id="ID", frames=32, start_s=11.1, end_s=19.6, width=640, height=480, events=events,
                         answer="The door."),
        "convert": Thought(question_id="ID", text="The door is opened. " * 45, answer="The door.", writer="template"),
    }  # fmt: skip
    dropped = Dropped(question_id="ID", outcome=Outcome.thought_cut, reason="the writer's reply was empty")
    for verb in VERBS[:3]:
        with Stage(run, verb, type(samples[verb])).open({"of": "a benchmark"}):
            pass
    do("convert", run)  # of nothing: it leaves its manifest
    for verb, sample in samples.items():
        stage, last = Stage(run, verb, type(sample)), verb == "convert"
        lines = [one.model_dump_json(exclude_defaults=True).split('"ID"') for one in (sample, dropped)]
        with stage.records_path.open("w") as records, stage.dropped_path.open("w") as ended:
            for number in range(count - last):
                drop = last and number % 50 == 7
                head, tail = lines[drop]
                (ended if drop else records).write(f'{head}"Interaction_T1_{number}"{tail}\n')


def open_child(folder: Path, count: int) -> dict[str, float]:
    """Seconds until the first new question is at hand, and until the verb is at its end."""
    from aotd.convert import job
    from aotd.store.run import Run

    run = folder / "run"
    million(run, count)
    started = at_hand = 0.0
    write = job.write_thoughts

    def timed(*given: Any) -> Any:
        nonlocal at_hand
        at_hand = time.perf_counter() - started
        return write(*given)

    job.write_thoughts = timed
    begun = cpu_s()
    started = time.perf_counter()
    whole = do("convert", run)
    stage = Run(run).thoughts
    assert stage.count() + len(stage.dropped()) == count, "it has not gone on where it stopped"
    status = Path("/proc/self/status").read_text().split()
    mb = int(status[status.index("VmHWM:") + 1]) / 1024
    megabytes = sum(path.stat().st_size for path in run.rglob("*.jsonl")) / 1e6
    return {"at_hand_s": at_hand, "whole_s": whole, "cpu_s": cpu_s() - begun, "mb": mb, "files_mb": megabytes}


def workers_child(folder: Path, videos: int, rounds: int) -> dict[str, Any]:
    """Seconds of `execute` with one worker and with two, of two videos and of all, in turn; whether bytes are equal."""
    words = [f"dataset.root={folder}/world", f"dataset.playroom.train_videos={videos}"]
    words += ["dataset.playroom.val_videos=0", "dataset.playroom.test_videos=0", "cache.gb=0"]
    for size in (2, videos):
        for verb in VERBS[:2]:
            do(verb, folder / str(size), *words, f"dataset.limit={size}")
    spent: dict[str, list[float]] = {}
    written: dict[int, dict[str, bytes]] = {}
    for turn in range(rounds + 1):
        for size in (2, videos) if turn else (2,):  # the first turn has modules and files in memory
            for workers in (1, 2):
                run = folder / str(size)
                before = cpu_s()
                seconds = do("execute", run, *words, f"execute.workers={workers}")
                spent.setdefault(f"{size} {workers}", []).append(seconds)
                spent.setdefault(f"cpu {size} {workers}", []).append(cpu_s() - before)
                names = ("records.jsonl", "dropped.jsonl", "manifest.json")
                written[workers] = {name: (run / "execute" / name).read_bytes() for name in names}
                shutil.rmtree(run / "execute")
    asked = sum(text.count(b"\n") for name, text in written[1].items() if name != "manifest.json")
    return {"questions": asked, "spent": spent, "equal": written[1] == written[2]}


CHILDREN = {"flow": flow_child, "open": open_child, "workers": workers_child}


# ── in this process ───────────────────────────────────────────────────────────────────────────────


def child(name: str, *given: int) -> dict[str, Any]:
    """What a part of the benchmark finds, in a process and a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="scale-") as folder:
        command = [sys.executable, "-m", "benchmarks.scale", "--child", name, folder, *map(str, given)]
        ran = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return found


def flow_table(sizes: list[int]) -> dict[str, float]:
    """Print the flow's time and memory by size; the growth from the smallest to the largest."""
    order = [size for larger in sizes[1:] for size in (sizes[0], larger)] + [sizes[0]]
    found: dict[int, list[dict[str, Any]]] = {size: [] for size in sizes}
    for size in order:
        found[size].append(child("flow", size, PAIRS if size == sizes[0] else 1))
    print(f"{'questions':>10} {'ms each':>8} {'cpu ms':>8} " + "".join(f"{verb:>11}" for verb in VERBS), end="")
    print(f" {'main MiB':>9} {'child MiB':>9}")
    rows = []
    for size, ran in found.items():
        pairs = [pair for one in ran for pair in one["pairs"]]
        wall = {verb: 1000 * statistics.median(pair[verb][0] for pair in pairs) for verb in VERBS}
        total = [1000 * statistics.median(sum(pair[verb][at] for verb in VERBS) for pair in pairs) for at in (0, 1)]
        main, largest = (statistics.median(one[name] for one in ran) for name in ("main_mb", "child_mb"))
        rows.append((*total, main, largest))
        print(
            f"{size:>10} {total[0]:>8.3f} {total[1]:>8.3f} " + "".join(f"{wall[verb]:>11.3f}" for verb in VERBS), end=""
        )
        print(f" {main:>9.1f} {largest:>9.1f}", flush=True)
    growths = [round(last / first, 3) for first, last in zip(rows[0], rows[-1], strict=True)]
    for what, growth in zip(("time", "processor time", "memory", "memory of a child"), growths, strict=True):
        print(f"{what}: {100 * (growth - 1):+.1f} % from {sizes[0]} to {sizes[-1]} questions")
    return {"time_growth": growths[0], "cpu_growth": growths[1], "memory_growth": max(growths[2:])}


def open_table(count: int) -> dict[str, float]:
    found = child("open", count)
    print(
        f"resuming at the last of {count} questions ({found['files_mb']:.0f} MB in four verbs): it is at hand after "
        f"{found['at_hand_s']:.2f} s; {found['whole_s']:.2f} s to the end ({found['cpu_s']:.2f} s of a processor); "
        f"{found['mb']:.0f} MiB",
        flush=True,
    )
    return {"open_million_s": round(found["at_hand_s"], 2)}


def workers_table(videos: int) -> dict[str, float]:
    """Print what a second worker brings to `execute`: with the start of the processes, and without."""
    found = child("workers", videos, ROUNDS)
    seconds = {name: statistics.median(values) for name, values in found["spent"].items()}
    print(f"{'execute':>10} {'videos':>7} {'s':>8} {'cpu s':>8}")
    for size in (2, videos):
        for workers in (1, 2):
            name = f"{size} {workers}"
            print(f"{workers:>8} w {size:>7} {seconds[name]:>8.2f} {seconds[f'cpu {name}']:>8.2f}")
    one, two = (seconds[f"{videos} {workers}"] for workers in (1, 2))
    ratio = (one - seconds["2 1"]) / (two - seconds["2 2"])
    print(
        f"{found['questions']} questions: two workers are {one / two:.2f} times as fast, {ratio:.2f} times without the "
        f"start of the processes; the bytes are {'equal' if found['equal'] else 'NOT EQUAL'}",
        flush=True,
    )
    whole = round(one / two, 2)
    return {"two_worker_ratio": round(ratio, 2), "two_worker_ratio_with_start": whole, "equal_bytes": found["equal"]}


def main() -> None:
    parser = argparse.ArgumentParser(description="Whether costs stay flat.")
    parser.add_argument("--only", choices=list(CHILDREN), nargs="+", default=list(CHILDREN))
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="questions of the flow")
    parser.add_argument("--million", type=int, default=MILLION, help="questions of the run that is gone on with")
    parser.add_argument("--videos", type=int, default=VIDEOS, help="videos for the workers")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        name, folder, *given = asked.child
        print(json.dumps(CHILDREN[name](Path(folder), *map(int, given))))  # type: ignore[operator]
        return
    parts = {
        "flow": lambda: flow_table(asked.sizes),
        "open": lambda: open_table(asked.million),
        "workers": lambda: workers_table(asked.videos),
    }
    found: dict[str, float] = {}
    for name in asked.only:
        found |= parts[name]()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
