"""The decoding process: takes one request at a time on stdin, answers on stdout, imports PyAV, numpy and its own walls.

Started by `aotd.video.decode`, which may kill it at any moment; nothing it says is trusted there. A
message is a 4-byte big-endian length, that many bytes of JSON, and, where the JSON names `bytes`, that
many raw bytes. The first one is `{"ready": true}`, unasked, once all is imported and the walls are up: until then
no file is read, and what goes wrong is printed on stderr, which leads nowhere afterwards. Requests and their replies:

    {"do": "facts"}           -> {"facts": {…}}                         container read, first frame decoded
    {"do": "probe"}           -> {"facts": {…}}                         every frame decoded
    {"do": "frames", "times"} -> {"first", "copies", "shape", "bytes"} + RGB, …, {"end": true}

and `{"error": "…"}` in place of any of them. Stdin is a Unix socket: the descriptor of the video file comes
with the length of each request. Every request carries `deadline_s`, after which the process ends itself,
should nobody be left to kill it.

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
from collections.abc import Iterator
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


def answer(request: dict[str, Any], file: BinaryIO, out: BinaryIO) -> None:
    """Answer one request."""
    try:
        if request["do"] in ("facts", "probe"):
            send(out, {"facts": asdict(read_facts(file, every_frame=request["do"] == "probe"))})
            return
        for first, copies, pixels in sampled(file, request["times"]):
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
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, request["deadline_s"] + 5)
        with file:
            answer(request, file, out)
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    main()
