"""serve: keep a model's server running beside a run, for all its jobs on whatever node.

    aotd serve runs/mine llm -- vllm serve Qwen/Qwen2.5-Coder-7B-Instruct --host 127.0.0.1 --port {port}
    aotd decompose run=runs/mine llm=openai llm.url=runs/mine/servers/llm.json llm.model=Qwen/Qwen2.5-Coder-7B-Instruct

It waits until the server answers, writes where it is to RUN/servers/NAME.json, and starts it again when it ends or
hangs. A prompt that ends it is found, answered with an error, and asked no more (`aotd.serve.gate`). Those who ask wait
while the server begins. Stopped, it ends the server and removes the file. What the server prints is in
RUN/servers/NAME.log.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from aotd.disk import disk_errors, make_folder, write_atomically
from aotd.errors import UserError
from aotd.llm.served import Served
from aotd.serve.backend import Backend
from aotd.serve.gate import Gate

USAGE = "usage: aotd serve RUN NAME -- COMMAND …, with {port} in the command where it is told its port"


def serve(arguments: Sequence[str]) -> int:
    """Keep a server running until it is told to stop. Returns the exit status.

    Args:
        arguments: of the command line, behind `serve`.

    Raises:
        UserError: no command, a name that is none, or the server does not start.
    """
    if "--help" in arguments[:1]:
        Console().print((__doc__ or "").strip(), highlight=False, markup=False)
        return 0
    if "--" not in arguments:
        raise UserError(USAGE)
    at = list(arguments).index("--")
    named, command = list(arguments[:at]), list(arguments[at + 1 :])
    if len(named) != 2 or not command or not any("{port}" in word for word in command):
        raise UserError(USAGE)
    run, name = Path(named[0]), named[1]
    if shutil.which(command[0]) is None:
        raise UserError(f"serve: there is no command {command[0]!r}")
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
        raise UserError(f"serve: {name!r} is no name for a server: letters, digits, - and _")
    folder = run / "servers"
    with disk_errors(folder):
        make_folder(folder)
        _keep(folder / f"{name}.json", command)


def _keep(file: Path, command: list[str]) -> NoReturn:
    key, port = secrets.token_urlsafe(24), _free_port()
    log = file.with_suffix(".log")
    log.touch(mode=0o600)
    backend = Backend([word.replace("{port}", str(port)) for word in command], port, key, log)
    gate = Gate(backend, key)
    console = Console(stderr=True)
    mine = ""
    try:
        console.print(f"{command[0]} begins: what it prints is in {log}", markup=False, highlight=False, soft_wrap=True)
        backend.wait()
        mine = _written(file, gate.port, key, backend.model)
        while True:
            life = backend.wait()
            console.print(f"{backend.model} is up: url={file}", markup=False, highlight=False, soft_wrap=True)
            while not backend.ended(life):
                pass
            console.print(f"{command[0]} has ended, and is started again: see {log}", markup=False, soft_wrap=True)
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
