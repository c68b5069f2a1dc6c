"""Our side of the wall around wandb: a file that things to keep are appended to, and a process that reads it.

wandb talks to a server, to a service process and to the disk, and leaves something to do for the interpreter's end.
All of that happens in `worker`, which follows the file and removes it when all is kept. Here nothing waits for it until
the job is done, and then for `FINISH_S` at most. What it did not come to keep stands in the file; if this process is
killed, it reads the file to its end and finishes. wandb's service does not write at once, and loses what it holds when
it is killed with all the others: the file is what is left then, and the worker can be given it again.
"""

from __future__ import annotations

import base64
import io
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from aotd.errors import spelt_out
from aotd.store.run import Run
from aotd.tracking import (
    KEY,
    Artifact,
    Cell,
    NullTracker,
    Picture,
    Tracker,
    TrackerName,
    TrackingConfig,
    group_name,
    take_key,
)

_log = logging.getLogger(__name__)

FINISH_S = 60.0
"""How long a job that is done waits for wandb, which hashes the records and writes; online, it sends them."""
LEAVE_S = 1.0
"""The same of a job that failed or was told to stop; the process then ends by itself."""
WIDTH = 320
"""Width of a picture in pixels."""
_WORKER = Path(__file__).with_name("worker.py").resolve()
_leaving: list[subprocess.Popen[bytes]] = []
"""Processes that are left to end by themselves."""


class WandbTracker:
    """One wandb run; `group` is the run's folder, and `job_type` the verb.

    Args:
        key: wandb's key, for mode online; None is left to what `wandb login` has stored.
    """

    def __init__(self, config: TrackingConfig, run: Run, verb: str, name: str, key: str | None) -> None:
        folder = run.folder.resolve() / "wandb"
        self._path = folder / f"{name.replace('/', '-')}-{time.strftime('%Y%m%d_%H%M%S')}-{os.getpid()}.jsonl"
        self._process: subprocess.Popen[bytes] | None = None
        self._lost = False
        self._started = time.time()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115
        # What `distill` writes first are examples, and how far a training is its steps say.
        watched = folder.parent / verb if verb != "distill" else None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._put(
                open={
                    "project": config.project,
                    "group": group_name(run),
                    "job_type": verb,
                    "name": name,
                    "mode": config.mode.value,
                    "dir": str(folder.parent),
                    "pid": os.getpid(),
                    "started": self._started,
                    "watched": str(watched) if watched else None,
                    "sizes": {str(path): path.stat().st_size for path in (watched.rglob("*.jsonl") if watched else ())},
                }
            )
            if self._lost:
                return
            self._process = subprocess.Popen(
                [sys.executable, str(_WORKER), str(self._path)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._said,
                env={**os.environ, **({KEY: key} if key else {})},
                cwd=folder.parent,
                start_new_session=True,  # a terminal's Ctrl-C is not for it
            )
        except OSError as error:
            self._lost = True
            _say(f"wandb cannot be started ({error.strerror}); the run goes on without it")

    def log(self, values: Mapping[str, float | int]) -> None:
        self._put(log=dict(values))

    def done(self, seconds: float) -> None:
        self._put(done=seconds)

    def describe(self, values: Mapping[str, Any]) -> None:
        self._put(describe=dict(values))

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        cells = [[_drawn(cell) if isinstance(cell, Picture) else cell for cell in row] for row in rows]
        self._put(table={"name": name, "columns": list(columns), "rows": cells})

    def artifact(self, artifact: Artifact, *, used: bool) -> None:
        self._put(
            artifact={
                "name": artifact.name,
                "type": artifact.type,
                "files": {name: str(path.resolve()) for name, path in artifact.files.items()},
                "references": [path.resolve().as_uri() for path in artifact.references],
                "used": used,
            }
        )

    def finish(self, *, failed: bool) -> None:
        """Wait until all is kept, but not for long; say in a line what is not."""
        if self._process is None:
            self._said.close()
            return
        if failed:
            self._put(progress=time.time() - self._started)
        self._put(end=int(failed))
        try:
            status = self._process.wait(LEAVE_S if failed or self._lost else FINISH_S)
        except subprocess.TimeoutExpired:
            if failed or self._lost:  # it ends by itself, when we do at the latest
                _leaving.append(self._process)
                self._said.close()
                return
            self._process.kill()
            self._process.wait()
            status, why = -1, f"was not done {FINISH_S:g} s after the job"
        else:
            why = f"has failed: {self._last_words(status)}"
        self._said.close()
        if status:
            _say(f"wandb {why}; to try again: python -m aotd.tracking.worker {self._path}")

    def _put(self, **message: Any) -> None:
        """Append to the file, which is on the disk that the run is written to."""
        if self._lost:
            return
        try:
            with self._path.open("ab") as out:
                out.write(json.dumps(message).encode() + b"\n")
        except OSError as error:
            self._lost = True
            _say(f"{self._path} cannot be written ({error.strerror}); the run goes on without it")

    def _last_words(self, status: int) -> str:
        """The last error's line on standard error; what is set in under it is detail."""
        self._said.seek(0)
        lines = [line for line in self._said.read().decode(errors="replace").splitlines() if line[:1].strip()]
        errors = [line for line in lines if ": " in line] or lines
        return spelt_out(errors[-1])[:300] if errors else f"status {status}"


@contextmanager
def open_tracker(config: TrackingConfig, run: Run, verb: str, name: str) -> Iterator[Tracker]:
    """The tracker a config names; of processes that train together, the first one's.

    Args:
        verb: the job's type.
        name: its name; the verb, and the arm where it has arms.
    """
    if config.tracker is TrackerName.none or os.environ.get("RANK", "0") != "0":
        yield NullTracker()
        return
    tracker = WandbTracker(config, run, verb, name, take_key())
    try:
        yield tracker
    except BaseException:
        tracker.finish(failed=True)
        raise
    tracker.finish(failed=False)


def _drawn(picture: Picture) -> dict[str, Any]:
    """A picture as JSON; its boxes are for wandb to draw."""
    scale = min(WIDTH / picture.pixels.shape[1], 1.0)
    image = Image.fromarray(picture.pixels)
    image = image.resize((round(image.width * scale) or 1, round(image.height * scale) or 1))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=85)
    boxes = [[*(value * scale for value in box.box), box.label, box.score] for box in picture.boxes]
    return {"jpeg": base64.b64encode(out.getvalue()).decode(), "boxes": boxes}


def _say(text: str) -> None:
    _log.warning(f"tracking: {text}")
