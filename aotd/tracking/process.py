"""Our side of the wall around wandb: a process of its own, a queue that never fills the run, and a last deadline.

wandb talks to a server, to a service process and to the disk, and leaves something to do for the interpreter's end.
All of that happens in `worker`, which is sent a line of JSON for each thing to keep. Here nothing waits: a queue that
is full leaves out what comes, and a process that is not done `FINISH_S` after the job is killed. If this process is
killed, its end of the wire closes, and the other one finishes what it has.
"""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import Full, Queue
from threading import Thread
from typing import Any

from PIL import Image

from aotd.errors import spelt_out
from aotd.tracking import KEY, Artifact, Cell, Picture, TrackingConfig, run_name

FINISH_S = 60.0
"""How long a finished job waits for its tracker: wandb starts, hashes the records and writes."""
LEAVE_S = 1.0
"""The same of a job that failed or was told to stop; the tracker then ends by itself."""
MOST = 10_000
"""Things that wait to be sent; wandb takes seconds to start."""
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

    def __init__(self, config: TrackingConfig, run: str, verb: str, name: str, key: str | None) -> None:
        self._folder = Path(run).resolve() / "wandb"
        self._lines: Queue[bytes | None] = Queue(MOST)
        self._left_out = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._said = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._process = subprocess.Popen(
                [sys.executable, str(_WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._said,
                env={**os.environ, **_environment(self._folder), **({KEY: key} if key else {})},
                cwd=self._folder.parent,
                start_new_session=True,  # Ctrl-C and a job's SIGTERM are for us
            )
        except OSError as error:
            self._said.close()
            _say(f"wandb cannot be started ({error.strerror}); the run goes on without it")
            return
        self._sender = Thread(target=_send, args=(self._process, self._lines), daemon=True)
        self._sender.start()
        # What `distill` writes first are examples, and how far a training is its steps say.
        watched = self._folder.parent / verb if verb != "distill" else None
        self._put(
            open={
                "project": config.project,
                "group": run_name(run),
                "job_type": verb,
                "name": name,
                "mode": config.mode.value,
                "dir": str(self._folder.parent),
                "pid": os.getpid(),
                "started": time.time(),
                "watched": str(watched) if watched else None,
                "sizes": {str(path): path.stat().st_size for path in (watched.rglob("*.jsonl") if watched else ())},
            }
        )

    def log(self, values: Mapping[str, float | int]) -> None:
        self._put(log=dict(values))

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
            return
        self._put(end=int(failed))
        wait_s = LEAVE_S if failed else FINISH_S
        until = time.monotonic() + wait_s
        late = False
        try:
            self._lines.put(None, timeout=wait_s)
            self._process.wait(max(until - time.monotonic(), 0.0))
        except (Full, subprocess.TimeoutExpired):
            late = True
        if late and failed:
            _leaving.append(self._process)
            self._said.close()
            return
        if late:
            self._process.kill()
            self._process.wait()
            self._lines.put(None)  # where there was no room for it: with nobody to read, the queue runs empty
            _say(
                f"wandb was not done {FINISH_S:g} s after the job and was ended; {self._folder} has what it had written"
            )
        elif self._process.returncode:
            _say(f"wandb has failed ({self._last_words()}); the run went on without it")
        self._sender.join()
        self._said.close()
        if self._left_out:
            _say(f"{self._left_out} values were left out, since wandb did not keep up")

    def _put(self, **message: Any) -> None:
        if self._process is None:
            return
        try:
            self._lines.put_nowait(json.dumps(message).encode() + b"\n")
        except Full:
            self._left_out += 1

    def _last_words(self) -> str:
        assert self._process is not None
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return spelt_out(lines[-1])[:300] if lines else f"status {self._process.returncode}"


def _send(process: subprocess.Popen[bytes], lines: Queue[bytes | None]) -> None:
    """Send what is in the queue until it ends. What nobody reads any more is taken out all the same."""
    assert process.stdin is not None
    dead = False
    while (line := lines.get()) is not None:
        try:
            if not dead:
                process.stdin.write(line)
                process.stdin.flush()
        except OSError:
            dead = True
    try:
        process.stdin.close()
    except OSError:  # what was still to be flushed
        return


def _environment(folder: Path) -> dict[str, str]:
    """What keeps wandb's files in the run's folder, and its own reports of its errors at home."""
    folders = {name: str(folder / name.split("_")[1].lower()) for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR")}
    return {**folders, "WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}


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
    print(f"aotd: tracking: {text}", file=sys.stderr)  # noqa: T201
