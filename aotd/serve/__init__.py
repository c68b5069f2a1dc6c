"""serve: keep a model's server running beside a run, for all its jobs on whatever node.

    aotd serve runs/mine llm -- vllm serve Qwen/Qwen2.5-Coder-7B-Instruct --host 127.0.0.1 --port {port}
    aotd decompose run=runs/mine llm=openai llm.url=runs/mine/servers/llm.json llm.model=Qwen/Qwen2.5-Coder-7B-Instruct

    aotd serve runs/mine gpu specialists/detection=owlv2 dataset.root=videos
    aotd execute run=runs/mine specialists/detection=owlv2 dataset.root=videos \\
        specialists.detection.url=runs/mine/servers/gpu.json

With a command it keeps that one running. With settings it serves the specialists with weights that they name, to runs
that have the same settings and see the same videos.

It waits until the server answers, writes where it is to RUN/servers/NAME.json, and starts it again when it ends or
hangs. A prompt that ends it is found, answered with an error, and asked no more (`aotd.serve.gate`). Those who ask wait
while the server begins. Stopped, it ends the server and removes the file. What the server prints is in
RUN/servers/NAME.log.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from aotd.errors import UserError
from aotd.llm.served import Served
from aotd.runtime.output import say
from aotd.serve.backend import Backend
from aotd.serve.gate import Gate
from aotd.store.files import disk_errors, make_folder, write_atomically
from aotd.store.run import Run

_log = logging.getLogger(__name__)

USAGE = (
    "usage: aotd serve RUN NAME SETTINGS … for the run's own specialists, or aotd serve RUN NAME -- COMMAND …, "
    "with {port} in the command where it is told its port"
)


def main(arguments: Sequence[str]) -> int:
    """Keep a server running until it is told to stop. Returns the exit status.

    Args:
        arguments: of the command line, behind `serve`.

    Raises:
        UserError: no command, a name that is none, or the server does not start.
    """
    if "--help" in arguments[:1]:
        say((__doc__ or "").strip())
        return 0
    words, dashes = list(arguments), "--" in arguments
    at = words.index("--") if dashes else 2
    named, rest = words[:at], words[at + dashes :]
    if len(named) != 2 or not rest or (dashes and not any("{port}" in word for word in rest)):
        raise UserError(USAGE)
    run, name = Path(named[0]), named[1]
    if "=" in named[0] or not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
        raise UserError(f"serve: {name!r} is no name for a server (letters, digits, - and _); {USAGE}")
    if dashes and shutil.which(rest[0]) is None:
        raise UserError(f"serve: there is no command {rest[0]!r}")
    settings = ["url"] if dashes else _settings(run, rest)
    command = rest if dashes else [sys.executable, "-m", "aotd.serve.own", "{port}", f"run={run}", *rest]
    folder = run / "servers"
    Run(run).questions.check_place()
    with disk_errors(folder):
        make_folder(folder)
        _keep(folder / f"{name}.json", command, settings)


def _settings(run: Path, words: Sequence[str]) -> list[str]:
    """The settings by which those who ask name a server of the run's own specialists.

    Raises:
        UserError: the words are no settings, or name no specialist that can be served.
    """
    from aotd.config.command_line import read_settings
    from aotd.serve.own import served

    for word in words:
        if "=" not in word or word.startswith(("-", "run=")):
            raise UserError(f"serve: {word!r} is no setting of a specialist: write key=value; {USAGE}")
    return [f"specialists.{subtask}.url" for subtask in served(read_settings("execute", [f"run={run}", *words]))]


def _keep(file: Path, command: list[str], settings: list[str]) -> NoReturn:
    key, port = secrets.token_urlsafe(24), _free_port()
    log = file.with_suffix(".log")
    log.touch(mode=0o600)
    backend = Backend([word.replace("{port}", str(port)) for word in command], port, key, log)
    gate = Gate(backend, key)
    mine = ""
    try:
        _log.info(f"{command[0]} begins: what it prints is in {log}")
        backend.wait()
        mine = _written(file, gate.port, key, backend.model)
        where = " ".join(f"{setting}={file}" for setting in settings)
        while True:
            life = backend.wait()
            _log.info(f"{backend.model} is up: {where}")
            while not backend.ended(life):
                pass
            _log.info(f"{backend.model} has ended, and is started again: see {log}")
    finally:
        if mine and file.is_file() and file.read_text(encoding="utf-8") == mine:  # another one may have taken over
            file.unlink()
        backend.close()  # first, so that the gate has an answer for those who wait
        gate.close()


def _written(file: Path, port: int, key: str, model: str) -> str:
    host = _name()
    served = Served(
        url=f"http://{host}:{port}/v1",
        key=key,
        model=model,
        host=host,
        pid=os.getpid(),
        job=os.environ.get("SLURM_JOB_ID"),
    )
    text = served.model_dump_json(indent=2) + "\n"
    before = os.umask(0o077)  # the key is in it
    try:
        write_atomically(file, text)
    finally:
        os.umask(before)
    return text


def _name() -> str:
    """What other nodes call this one; where it has no name that leads anywhere, only itself can ask."""
    name = os.environ.get("SLURMD_NODENAME") or socket.gethostname()
    try:
        socket.gethostbyname(name)
    except OSError:
        return "127.0.0.1"
    return name


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
