"""The process in which wandb runs: it follows a file with a line of JSON for each thing to keep.

    python -m aotd.tracking.worker runs/demo/wandb/execute-20261121_225008-4711.jsonl

makes a run of a file that was left (`tracking.process`). An error ends this process and nothing else. Run as a file;
imports nothing of aotd.
"""

from __future__ import annotations

import base64
import importlib
import io
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

LOOK_S = 0.2
"""How often the file is looked at."""
WATCH_S = 30.0
"""How often it is looked how far the verb is."""
INIT_S = 30.0
"""How long a server may take to answer before the run is kept offline."""
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
_LINES = ("records.jsonl", "dropped.jsonl")


def main(path: Path, again: bool) -> None:
    """Follow a file in the `wandb/` of a run, and keep all of wandb's beside it."""
    # A job that is told to stop is told in all of its processes. This one ends when the job has.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    os.environ |= {
        "WANDB_DATA_DIR": str(path.parent / "data"),
        "WANDB_CACHE_DIR": str(path.parent / "cache"),
        "WANDB_ERROR_REPORTING": "false",  # to its makers
        "WANDB_SILENT": "true",
    }
    wandb: Any = importlib.import_module("wandb")
    try:
        follow(wandb, path)
    except ConnectionError:  # the service does not know that, ends, and loses what it has not written
        if again:
            raise
        if wandb.run is not None and wandb.run.offline:
            shutil.rmtree(Path(wandb.run.dir).parent, ignore_errors=True)  # torn; the file has all of it
        os.environ.pop("WANDB_SERVICE", None)
        os.execv(sys.executable, [sys.executable, __file__, str(path), "again"])  # noqa: S606


def follow(wandb: Any, path: Path) -> None:
    """Keep what is in the file, and what comes to be in it, and remove it at the end."""
    coming = messages(path)
    opened = next(coming, None)
    if opened is None:
        return
    told = opened["open"]
    run, offline = start(wandb, told)
    watched = Watched(told) if told["watched"] else None
    lineage: dict[str, dict[str, str]] = {"used": {}, "made": {}}
    status = 1  # unless we are told that the job came to its end
    for message in coming:
        if message is None and watched:
            run.log(watched.progress(time.time() - told["started"]))
        for kind, value in (message or {}).items():
            if kind == "log":
                run.log(value)
            elif kind == "progress" and watched:
                run.log(watched.progress(value))
            elif kind == "done":
                run.log({"seconds": value, **(watched.progress(value) if watched else {})})
            elif kind == "describe":
                run.config.update(value, allow_val_change=True)
            elif kind == "table":
                rows = [[drawn(wandb, cell) for cell in row] for row in value["rows"]]
                run.log({value["name"]: wandb.Table(columns=value["columns"], data=rows)})
            elif kind == "artifact":
                made = keep(wandb, run, value, offline)
                lineage["used" if value["used"] else "made"][value["name"]] = made.digest
            elif kind == "end":
                status = value
    run.config.update({"lineage": lineage}, allow_val_change=True)
    run.finish(exit_code=status)
    path.unlink()


def messages(path: Path) -> Iterator[dict[str, Any] | None]:
    """The messages as they come, None where none has come for a while; ends behind `end`, or when the job has ended."""
    last, rest, job, gone = time.monotonic(), b"", 0, False
    with path.open("rb") as source:
        while True:
            rest += source.readline()
            if rest.endswith(b"\n"):
                message = json.loads(rest)
                yield message
                if "end" in message:
                    return
                job = message["open"]["pid"] if "open" in message else job
                last, rest = time.monotonic(), b""
            elif gone:  # before the file was at its end; of a file that was left it has long been
                return
            elif os.getppid() != job:
                gone = True
            elif time.monotonic() - last > WATCH_S:
                last = time.monotonic()
                yield None
            else:
                time.sleep(LOOK_S)


def start(wandb: Any, told: dict[str, Any]) -> tuple[Any, bool]:
    """A wandb run, and whether it is kept offline: so it is too where the server does not take it."""
    settings = wandb.Settings(
        console="off",  # progress bars
        program="aotd",
        disable_git=True,
        disable_code=True,
        save_code=False,
        x_disable_meta=True,  # who started it, with which words, on what machine
        x_save_requirements=False,
        x_stats_pid=told["pid"],
        init_timeout=INIT_S,
        silent=True,
    )
    named = {name: told[name] for name in ("project", "group", "job_type", "name", "dir")}
    try:
        return wandb.init(**named, mode=told["mode"], settings=settings), told["mode"] == "offline"
    except wandb.Error:
        if told["mode"] == "offline":
            raise
        return wandb.init(**named, mode="offline", settings=settings), True


def keep(wandb: Any, run: Any, told: dict[str, Any], offline: bool) -> Any:
    """Declare an artifact as made or used."""
    artifact = wandb.Artifact(told["name"], type=told["type"])
    for name, path in told["files"].items():
        # Left where they are: `wandb sync` reads them, and a copy could be gigabytes.
        artifact.add_file(path, name=name, policy="immutable", skip_cache=True)
    for uri in told["references"]:
        artifact.add_reference(uri, checksum=False)
    if not told["used"]:
        run.log_artifact(artifact)
    elif not offline:
        run.use_artifact(artifact)
    else:
        # `use_artifact` refuses offline, for an artifact of one's own too. This is what it does with one: a note in the
        # run's file by which `wandb sync` declares the use. The server knows by the digest that it has it already.
        run._log_artifact(artifact, is_user_created=True, use_after_commit=True)
    return artifact


def drawn(wandb: Any, cell: Any) -> Any:
    """A table's cell; a picture has its boxes beside it, which wandb can hide and filter by score."""
    if not isinstance(cell, dict):
        return cell
    labels = {label: number for number, label in enumerate(dict.fromkeys(box[4] for box in cell["boxes"]))}
    found = [
        {
            "position": {"minX": x1, "minY": y1, "maxX": x2, "maxY": y2},
            "domain": "pixel",
            "class_id": labels[label],
            "box_caption": label,
            "scores": {"score": score},
        }
        for x1, y1, x2, y2, label, score in cell["boxes"]
    ]
    classes = {number: label for label, number in labels.items()}
    boxes = {"found": {"box_data": found, "class_labels": classes}} if found else None
    return wandb.Image(Image.open(io.BytesIO(base64.b64decode(cell["jpeg"]))), boxes=boxes, file_type="jpg")


class Watched:
    """How many lines a verb has written since it was opened: records, and questions that it dropped."""

    def __init__(self, told: dict[str, Any]) -> None:
        self._folder = Path(told["watched"])
        self._read = {Path(path): size for path, size in told["sizes"].items()}
        self._lines = 0

    def progress(self, seconds: float) -> dict[str, float]:
        for path in (path for name in _LINES for path in self._folder.rglob(name)):
            with path.open("rb") as source:
                source.seek(self._read.get(path, 0))
                while piece := source.read(1 << 20):
                    self._lines += piece.count(b"\n")
                self._read[path] = source.tell()
        return {"handled": self._lines, "questions_per_second": self._lines / max(seconds, 1e-9)}


if __name__ == "__main__":
    sys.path.pop(0)  # this folder, or the working directory
    main(Path(sys.argv[1]).resolve(), again="again" in sys.argv)
