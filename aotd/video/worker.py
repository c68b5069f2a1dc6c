"""The decoding process: takes one request at a time on stdin, answers on stdout, imports PyAV, numpy and its own walls.

Started by `aotd.video.decode`, which may kill it at any moment; nothing it says is trusted there. A
message is a 4-byte big-endian length, that many bytes of JSON, and, where the JSON names `bytes`, that
many raw bytes. The first one is `{"ready": true}`, unasked, once all is imported and the walls are up: until then
no file is read, and what goes wrong is printed on stderr, which leads nowhere afterwards. Requests and their replies:

    {"do": "facts"}           -> {"facts": {…}}                         container read, first frame decoded
    {"do": "probe"}           -> {"facts": {…}}                         every frame decoded
    {"do": "frames", "times"} -> {"first", "copies", "shape", "bytes"} + RGB, …, {"end": true}

and `{"error": "…"}` in place of any of them. `{"progress": n}` comes before them as long as packets are read and
decoded, `n` so far: the parent waits for as long as it comes. Stdin is a Unix socket: the descriptor of the video file
comes with the length of each request. Every request carries `deadline_s`: after so much time of the processor without
progress the process ends itself, should nobody be left to kill it.

Once it has begun to serve, it opens no file and no socket, starts no thread and no process, and imports
nothing. So it raises the sandbox's layers around itself before it does: its one argument says which. (For an
MPEG-TS the C library looks for a table of characters; where it may not, a name of a channel is lost that nobody
reads.)
"""

from __future__ import annotations

import array  # noqa: F401  socket.recv_fds imports it when it is called
import contextlib
import ctypes
import importlib
import json
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any, BinaryIO

import av

from aotd.sandbox.child import raise_layers
from aotd.video.reader import UnreadableError, read_facts, sampled

for _part in ("audio", "video", "subtitles", "data", "attachments"):  # PyAV imports them when it meets such a stream
    for _module in ("stream", "codeccontext"):
        with contextlib.suppress(ImportError):
            importlib.import_module(f"av.{_part}.{_module}")

MEMORY_BYTES = 6 << 30
"""Address space of this process."""
BEATS = 10
"""How often it may say within a deadline that it is at work."""


def send(out: BinaryIO, header: dict[str, Any], raw: Any = None) -> None:
    text = json.dumps(header).encode()
    out.write(struct.pack(">I", len(text)) + text)
    if raw is not None:
        out.write(memoryview(raw).cast("B"))
    out.flush()


def receive(wire: socket.socket) -> tuple[dict[str, Any], BinaryIO] | None:
    """The next request and its file, from the beginning; None where nobody will ask any more."""
    head, files, _, _ = socket.recv_fds(wire, 4, 1)
    if not head:
        return None
    left = struct.unpack(">I", head)[0]
    text = bytearray()
    while len(text) < left:
        if not (piece := wire.recv(left - len(text))):
            return None
        text += piece
    return json.loads(text), os.fdopen(files[0], "rb", buffering=0)


class Heartbeat:
    """Says now and then that a request is being worked on."""

    def __init__(self, out: BinaryIO, deadline_s: float) -> None:
        self._out = out
        self._deadline_s = deadline_s
        self._count = 0
        self._said_s = time.monotonic()
        self._wind()

    def __call__(self) -> None:
        """Something has been read or decoded."""
        self._count += 1
        now_s = time.monotonic()
        if now_s - self._said_s > self._deadline_s / BEATS:
            self._said_s = now_s
            self._wind()
            send(self._out, {"progress": self._count})

    def _wind(self) -> None:
        # Time of the processor: a machine that has no time for this process, or has stopped it, ends nothing.
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_PROF, self._deadline_s + 5)

    def stop(self) -> None:
        """The request is answered."""
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_PROF, 0)


def answer(request: dict[str, Any], file: BinaryIO, out: BinaryIO, progress: Callable[[], None]) -> None:
    """Answer one request."""
    try:
        if request["do"] in ("facts", "probe"):
            send(out, {"facts": asdict(read_facts(file, request["do"] == "probe", progress))})
            return
        for first, copies, pixels in sampled(file, request["times"], progress):
            send(out, {"first": first, "copies": copies, "shape": pixels.shape, "bytes": pixels.nbytes}, pixels)
        send(out, {"end": True})
    except UnreadableError as error:
        send(out, {"error": str(error)})
    except (av.FFmpegError, ValueError, OSError) as error:
        send(out, {"error": f"decoding failed ({type(error).__name__}: {error})"[:300]})
    except MemoryError:
        send(out, {"error": "decoding needs more memory than it may use"})


@contextlib.contextmanager
def _printing_nowhere() -> Iterator[None]:
    """What a C library prints leads nowhere, from now on; an error in here is still printed for the parent."""
    heard = os.fdopen(os.dup(2), "w")
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), 2)  # the walls forbid it
    sys.stderr = heard
    yield
    sys.stderr = sys.__stderr__
    heard.close()


def main() -> None:
    av.logging.set_level(av.logging.PANIC)
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    except (ImportError, ValueError, OSError):
        pass  # a system without the limit is protected by the parent's checks only
    wire, out = socket.socket(fileno=sys.stdin.fileno()), sys.stdout.buffer
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    with _printing_nowhere():
        raise_layers(json.loads(sys.argv[1]), libc)  # type: ignore[no-untyped-call]
    send(out, {"ready": True})
    while received := receive(wire):
        request, file = received
        heartbeat = Heartbeat(out, request["deadline_s"])
        with file:
            answer(request, file, out, heartbeat)
        heartbeat.stop()


if __name__ == "__main__":
    main()
