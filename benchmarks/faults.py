"""Power cuts: every verb of a small run is killed over and over, and what it leaves is held against an unkilled run.

    python -m benchmarks.faults --kills 200 --seed 0
    python -m benchmarks.faults --kills 8 --verbs load decompose convert verify

First `aotd run` does the verbs, untouched. Then each verb is begun anew from what stood before it, killed, started
again, killed again …, until it comes to its end by itself; its files must then be those of the first run, byte for
byte, but for measured times. Each kill is SIGKILL, of the main process alone or of its whole group, either at a random
moment of the verb's work, or at the N-th operation on a file (before it, in the middle of a write, after it), or there
with everything lost that had not been synced (`benchmarks/crash.py`). A start is forked from a process that has
imported everything already, so that kills meet the work and not the imports.

The last line is JSON: `kills`; `lost`, questions without their one line; `doubled`, questions with two; `redone`,
items that were begun again after a kill, and `redone_power`, after what was not synced was lost; `orphans`, processes
still there 5 s after a kill; `equal`, whether all bytes are.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import importlib
import json
import os
import pkgutil
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.crash import Disk, cut_after, cut_before, cut_half, power_cut

VERBS = ("load", "select", "decompose", "execute", "convert", "verify", "distill", "evaluate", "report")
SPLITS = {"train": "load", "val": "select", "test": "evaluate"}
"""Split of the questions -> the first verb that needs it."""
SETTINGS = [
    *("dataset.playroom.difficulty=easy", "specialists.frames=8", "execute.workers=1"),
    *("select.items=6", "select.detection=[{name: playroom}]", "select.grounding=[{name: trivial}]"),
    *("select.action=[{name: mock}]", "select.answering=[]"),
    *(f"student.valley.{size}" for size in ("image=16", "channels=16", "patches=1", "hidden=32", "layers=1")),
    *("student.valley.heads=2", "student.valley.vocabulary=400", "student.frames=4"),
    *("distill.only=[instruct,aotd]", "distill.epochs=1", "distill.questions_per_step=8", "distill.save_steps=1"),
    *("distill.workers=1", "evaluate.arms=[blind,agent,aotd]", "evaluate.batch=8", "evaluate.resamples=50"),
    *("evaluate.max_rationale_tokens=8", "report.questions=3", "report.frames=2"),
]
WORKERS = {"execute": "execute.workers=2", "distill": "distill.workers=2"}
"""Verbs that may share their work out, and how; kills at an operation are of one process."""
FAULTS = {"before": cut_before, "half": cut_half, "after": cut_after, "power": power_cut}
STARTED = "started.log"
"""One line per item that a verb began to work on, in the folder that every process of a run is started in."""
LINGER_S = 5.0


# ── what is begun again ───────────────────────────────────────────────────────────────────────────


def note(key: str) -> None:
    with Path(STARTED).open("a") as out:
        out.write(f"{key}\n")


def _noting(whole: Callable[..., Any], key: Callable[..., str]) -> Callable[..., Any]:
    def noted(*arguments: Any, **named: Any) -> Any:
        note(key(*arguments))
        return whole(*arguments, **named)

    return noted


def execute_worker(*given: Any) -> None:
    """In place of `aotd.execute.worker.start_worker`: a worker notes what it begins."""
    from aotd.execute import worker

    worker.start_worker(*given)
    worker.work_on = _noting(worker.work_on, lambda agent, task, *_: task.question.question_id)


def select_ask(item: Any) -> Any:
    """In place of `aotd.select.measure._measure_item`, in the candidate's process."""
    from aotd.select import measure

    note(f"{type(item).__name__} {item.question.question_id}")
    return measure._measure_item(item)


_asked = ""
"""The arm and the mode that `evaluate` is at."""


def evaluate_settings(context: Any, arm: str, mode: Any) -> Any:
    """In place of `aotd.evaluate.job.settings_of`, which is asked once for each arm and mode."""
    from aotd.evaluate import arms

    global _asked
    _asked = f"{arm} {mode.value}"
    return arms.settings_of(context, arm, mode)


NOTED: dict[str, tuple[str, str, Callable[..., str]]] = {
    "load": ("aotd.datasets.playroom.build", "render", lambda scene, seed, path, look: path.name.split(".")[1]),
    "decompose": ("aotd.decompose.annotated", "write", lambda question: question.question_id),
    "execute": ("aotd.execute.worker", "work_on", lambda agent, task, *_: task.question.question_id),
    "convert": ("aotd.convert.template", "write", lambda trace, boxes: trace.question_id),
    "verify": ("aotd.verify.job", "check_faithful", lambda question, *_: question.question_id),
    "distill": ("aotd.distill.train._LossLog", "write", lambda to, it: f"{to._lines._path.parent.name} {it['step']}"),
    "evaluate": (
        "aotd.evaluate.ask",
        "_read_features",
        lambda features, question, *_: f"{_asked} {question.question_id}",
    ),
    "report": ("aotd.report.job", "_card", lambda story, *_: story.question.question_id),
}
"""Verb -> where, and by what function, it begins to work on an item, and the name of that item."""
INSTEAD: dict[str, tuple[str, str, Callable[..., Any]]] = {
    "select": ("aotd.select.measure", "_measure_item", select_ask),
    "execute": ("aotd.execute.job", "start_worker", execute_worker),
    "evaluate": ("aotd.evaluate.job", "settings_of", evaluate_settings),
}


def watch(verb: str) -> None:
    """Have a verb note the items that it begins."""
    if verb in NOTED:
        place, name, key = NOTED[verb]
        owner = pkgutil.resolve_name(place)
        setattr(owner, name, _noting(getattr(owner, name), key))
    if verb in INSTEAD:
        place, name, other = INSTEAD[verb]
        setattr(pkgutil.resolve_name(place), name, other)


# ── one start of a verb ───────────────────────────────────────────────────────────────────────────


@dataclass
class Bench:
    """A folder with `run/`, which is killed, and what is known of the run that was not."""

    folder: Path
    chance: Random
    verbs: list[str]
    seconds: dict[str, float] = field(default_factory=dict)
    """Verb -> how long it takes from a fork."""
    operations: dict[str, int] = field(default_factory=dict)
    """Verb -> how many operations it makes below `folder`/data."""
    expected: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Verb -> its files, as `final` reads them."""

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def words(self, verb: str, *more: str) -> list[str]:
        sizes = [f"dataset.playroom.{split}_videos={4 * (by in self.verbs)}" for split, by in SPLITS.items()]
        return [verb, f"run={self.data}/run", f"dataset.root={self.data}/world", *sizes, *SETTINGS, *more]

    def fork(self, words: Sequence[str], disk: Disk) -> int:
        """Start a verb in a process group of its own; the pid."""
        pid = os.fork()
        if pid:
            return pid
        code = 70
        try:
            os.setsid()
            os.chdir(self.folder)
            log = os.open("log.txt", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
            for number in (1, 2):
                os.dup2(log, number)
            import aotd.runtime.pools
            from aotd.cli.main import main

            watch(words[0])
            aotd.runtime.pools._started_s = time.time()  # that is when a process of its own would have begun
            with disk:
                code = main(words)
            Path("operations.txt").write_text(str(disk.count))
        except BaseException:  # noqa: BLE001  this process is not to go back into the benchmark
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def finish(self, verb: str) -> None:
        """Let a verb come to its end, timed and counted."""
        started = time.monotonic()
        _, status = os.waitpid(self.fork(self.words(verb), Disk(str(self.data))), 0)
        self.seconds[verb] = time.monotonic() - started
        self.operations[verb] = int((self.folder / "operations.txt").read_text()) if status == 0 else 0
        self.check(status)

    def differences(self, verb: str, found: dict[str, bytes]) -> list[str]:
        """The files that are not as they should be. Of the videos' views, those of later verbs may be missing."""
        whole = self.expected[verb]
        names = {name for name in whole if "/views/" not in name} | found.keys()
        return [name for name in names if found.get(name) != whole.get(name)]

    def check(self, status: int) -> None:
        if status:
            raise SystemExit(f"ended with status {status}:\n{(self.folder / 'log.txt').read_text()[-3000:]}")

    def kill_once(self, verb: str) -> str | None:
        """Start a verb and kill it somewhere; how, or None where it was at its end before."""
        how = self.chance.choice(["moment", *FAULTS, "power"])
        group = self.chance.random() < 0.5
        more = [WORKERS[verb]] if how == "moment" and verb in WORKERS and self.chance.random() < 0.5 else []
        # A verb that is gone on with has less to do, so half of the kills are to come early.
        share = self.chance.random() ** 2
        disk = Disk(str(self.data), group=group)
        if how != "moment":
            disk.at, disk.fault = 1 + int(share * self.operations[verb]), FAULTS[how]
        pid = self.fork(self.words(verb, *more), disk)
        if how == "moment":
            until = time.monotonic() + share * self.seconds[verb]
            while time.monotonic() < until:
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    self.check(status)
                    return None
                time.sleep(0.002)
            if group:
                with contextlib.suppress(ProcessLookupError):  # it has no group of its own yet
                    os.killpg(pid, signal.SIGKILL)
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if status != signal.SIGKILL:
            self.check(status)
            return None
        return f"{how}{' of the group' if group else ''}"


def orphans() -> int:
    """How many processes of a killed start are there after a while; they are ended then."""
    import psutil

    until = time.monotonic() + LINGER_S
    while left := [one for one in psutil.Process().children(recursive=True) if one.is_running()]:
        for one in left:
            with contextlib.suppress(psutil.NoSuchProcess):  # it has ended in between
                if one.status() == psutil.STATUS_ZOMBIE:
                    one.wait()
        if time.monotonic() > until:
            for one in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    print("still there:", one.pid, one.cmdline(), file=sys.stderr)
                    one.kill()
                    one.wait()
            return len(left)
        time.sleep(0.01)
    return 0


# ── what must be equal ────────────────────────────────────────────────────────────────────────────


def outputs(verb: str, data: Path) -> list[Path]:
    """The files and folders that a verb makes."""
    run = data / "run"
    made = {
        "load": [run / "load", data / "world"],
        "evaluate": [run / "evaluate", run / "distill" / "views"],
        "report": [run / "report.html"],
    }
    return made.get(verb, [run / verb])


def final(verb: str, data: Path) -> dict[str, bytes]:
    """A verb's files without what was measured; of costs, whose they are."""
    files = {}
    for made in outputs(verb, data):
        for path in sorted(made.rglob("*")) if made.is_dir() else [made]:
            if path.is_file():
                files[str(path.relative_to(data))] = _unmeasured(path)
            elif not any(path.iterdir()):
                files[f"{path.relative_to(data)}/"] = b"empty"
    return files


def _unmeasured(path: Path) -> bytes:
    data = path.read_bytes()
    if path.name == "costs.jsonl":
        return b"\n".join(sorted({json.loads(line)["question_id"].encode() for line in data.splitlines()}))
    if path.suffix == ".safetensors":
        return re.sub(rb'"seconds":"[0-9.]+" *', b"", data[8:])  # the header's length is in the first eight bytes
    if path.name == "scores.json":
        return re.sub(rb'"cost": (null|\{.*?^ \}),?', b"", data, flags=re.S | re.M)
    if path.name == "report.html":
        return re.sub(rb"<figcaption>What a question costs.*?</figure>", b"", data, flags=re.S)
    if "select" in path.parts and path.name == "records.index":
        return b""  # where lines begin follows from how long the seconds before them are
    if "select" in path.parts and path.suffix in (".json", ".jsonl"):
        return re.sub(rb'"(seconds|memory_mb)": ?[0-9.e-]+', b"", data)
    return data


def lines(verb: str, data: Path) -> Counter[str]:
    """How many lines each question has in each of a verb's stages."""
    found: Counter[str] = Counter()
    for path in (data / "run" / verb).rglob("*.jsonl"):
        if path.name in ("records.jsonl", "dropped.jsonl"):
            for line in path.read_bytes().splitlines():
                found[f"{path.parent} {json.loads(line)['question_id']}"] += 1
    return found


# ── all of it ─────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Tally:
    kills: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    doubled: int = 0
    redone: int = 0
    redone_power: int = 0
    """The same after what was not synced was lost."""
    most: int = 0
    """The most items that one kill has had begun again."""
    orphans: int = 0
    unequal: list[str] = field(default_factory=list)


def torment(bench: Bench, verb: str, kills: int, expected: Counter[str]) -> Tally:
    """Kill a verb so many times, and hold what it leaves against what it should."""
    tally = Tally()
    log = bench.folder / STARTED
    while sum(tally.kills.values()) < kills:
        for path in outputs(verb, bench.data):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        started: dict[str, int] = {}
        """Item -> the last start that began it."""
        ways: list[str] = []
        how: str | None = ""
        while how is not None:
            log.write_text("")
            how = bench.kill_once(verb) if sum(tally.kills.values()) < kills else None
            if how is not None:
                tally.kills[how] += 1
                tally.orphans += orphans()
            elif sum(tally.kills.values()) == kills:
                _, status = os.waitpid(bench.fork(bench.words(verb), Disk(str(bench.data))), 0)
                bench.check(status)
            begun = set(log.read_text().splitlines())
            again = [started[key] for key in begun & started.keys()]
            by_power = [start for start in again if any(way.startswith("power") for way in ways[start:])]
            tally.redone += len(again) - len(by_power)
            tally.redone_power += len(by_power)
            tally.most = max([tally.most, *Counter(start for start in again if start not in by_power).values()])
            started |= dict.fromkeys(begun, len(ways))
            ways.append(how or "")
        got = lines(verb, bench.data)
        tally.lost += len(expected.keys() - got.keys())
        tally.doubled += sum(count > 1 for count in got.values())
        found = final(verb, bench.data)
        different = bench.differences(verb, found)
        if any(way.startswith("power") for way in ways):
            # What a question took is written beside its line, and may be lost where the line is not.
            different = [name for name in different if Path(name).name != "costs.jsonl"]
        tally.unequal += different
        if different:
            print(verb, "differs in", sorted(different), file=sys.stderr)
            shutil.copytree(bench.data, bench.folder / f"unequal-{verb}-{len(tally.unequal)}", dirs_exist_ok=True)
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbs", nargs="*", default=list(VERBS), choices=VERBS)
    parser.add_argument("--folder", type=Path, help="kept; default: a temporary one, which is removed")
    given = parser.parse_args()
    folder = Path(given.folder or tempfile.mkdtemp(prefix="aotd-faults-")).resolve()
    try:
        result = bench(folder, given.kills, Random(given.seed), [verb for verb in VERBS if verb in given.verbs])
    finally:
        if not given.folder:
            shutil.rmtree(folder)
    print(json.dumps(result))
    return 0 if result["equal"] and not (result["lost"] or result["doubled"] or result["orphans"]) else 1


def bench(folder: Path, kills: int, chance: Random, verbs: list[str]) -> dict[str, Any]:
    from aotd.config.command_line import read_settings
    from aotd.verbs import VERBS as TABLE

    one = Bench(folder, chance, verbs)
    one.data.mkdir(parents=True)
    words = [*one.words("run"), f"verbs=[{','.join(verbs)}]"]
    subprocess.run([sys.executable, "-m", "aotd", *words], check=True, capture_output=True)
    expected = {}
    for verb in verbs:
        one.expected[verb] = final(verb, one.data)
        expected[verb] = lines(verb, one.data)
    # The killed run lies at the same path: some files name it.
    one.data.rename(folder / "whole")
    one.data.mkdir()
    for verb in verbs:
        importlib.import_module(TABLE[verb].module)
    if "distill" in verbs:
        importlib.import_module("aotd.distill.parallel")
    read_settings("run", one.words("run")[1:])  # a process that has composed settings gives its forks the same
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: orphans become ours, and can be counted
    tallies = {}
    for number, verb in enumerate(verbs):
        one.finish(verb)
        assert not one.differences(verb, final(verb, one.data)), f"{verb} is not reproducible"
        share = kills // len(verbs) + (number < kills % len(verbs))
        tallies[verb] = tally = torment(one, verb, share, expected[verb])
        print(
            f"{verb:<10} {one.seconds[verb]:5.1f} s {one.operations[verb]:>5} operations  kills {share:>3}  "
            f"lost {tally.lost}  doubled {tally.doubled}  redone {tally.redone} (at most {tally.most} by a kill), "
            f"{tally.redone_power} by a power cut  "
            f"orphans {tally.orphans}  {'equal' if not tally.unequal else 'UNEQUAL'}",
            flush=True,
        )
    kinds = sum((tally.kills for tally in tallies.values()), Counter[str]())
    print(", ".join(f"{name} {count}" for name, count in sorted(kinds.items())))
    sums = {
        name: sum(getattr(tally, name) for tally in tallies.values())
        for name in ("lost", "doubled", "redone", "redone_power", "orphans")
    }
    return {"kills": sum(kinds.values()), **sums, "equal": not any(tally.unequal for tally in tallies.values())}


if __name__ == "__main__":
    sys.exit(main())
