"""The program's side of the wall: a warm process that forks one disposable process for each program.

Runs as a script with the standard library alone and imports nothing of ours. It holds no model, no secret and no
file. On file descriptor 0 lies a Unix socket to the parent. First comes one line with the layers to raise; then for
each program

    in   {}                         and with it one end of a socket pair, for the program
    in   {"grace_s": …}             the program has ended, or is to end now
    out  {"status": …, "cpu_s": …}  how it ended; nothing that it started is left

The forked process leaves this one's session, keeps that one socket, raises its layers and reads the program from it.
There messages are lines of JSON, too. Out, once the layers are up: its `pid`. In: one `start` with the program, then
replies to calls. Out: `call`s of tools, then one `end` with the answer or the error. A clip is a handle and its frame
numbers; nothing else about the video ever comes here.
"""

import sys

if __name__ == "__main__":
    sys.path.pop(0)  # this folder; what is left is the standard library

import builtins
import contextlib
import ctypes
import gc
import io
import json
import os
import signal
import socket
import time
import unicodedata  # noqa: F401  a text with \N{…} asks for it, when nothing can be opened any more

try:
    import resource
except ImportError:  # a system without limits
    resource = None

BUILTINS = (
    "abs", "all", "any", "bool", "dict", "divmod", "enumerate", "filter", "float", "int", "isinstance", "len",
    "list", "map", "max", "min", "range", "reversed", "round", "set", "sorted", "str", "sum", "tuple", "zip",
    "ValueError", "True", "False", "None",
)  # fmt: skip
FIELDS = ("frames", "start", "end", "frame", "x1", "y1", "x2", "y2", "label", "score")
"""What a program may read of a clip or of a box."""
NOBODY = 65534
"""Where aotd runs as root, its programs run as this user."""


class ClipHandle:
    """A clip, as a program holds it."""

    def __init__(self, handle, frames):
        self._handle = handle
        self.frames = list(frames)

    @property
    def start(self):
        """Number of the first frame; 0 in an empty clip."""
        return self.frames[0] if self.frames else 0

    @property
    def end(self):
        """One past the number of the last frame; 0 in an empty clip."""
        return self.frames[-1] + 1 if self.frames else 0

    def __len__(self):
        return len(self.frames)

    def __hash__(self):
        return hash(self._handle)  # by its address, a set of clips would have another order in every run


ClipHandle.__name__ = "Clip"  # in what a program's author reads


class Box:
    """One detection."""

    def __init__(self, frame, box, label, score):
        self.frame, self.label, self.score = frame, label, score
        self.x1, self.y1, self.x2, self.y2 = box

    def plain(self):
        box = [self.x1, self.y1, self.x2, self.y2]
        return {"frame": self.frame, "box": box, "label": self.label, "score": self.score}

    def __hash__(self):
        return hash((self.frame, self.x1, self.y1, self.x2, self.y2, self.label))


def encode(value):
    """A program's value as JSON; clips and boxes are tagged."""
    if isinstance(value, ClipHandle):
        return {"!": "clip", "handle": value._handle}
    if isinstance(value, Box):
        return {"!": "box", **value.plain()}
    if isinstance(value, dict):
        return {"!": "dict", "items": [[str(key), encode(item)] for key, item in value.items()]}
    if isinstance(value, (list, tuple, set)):
        return [encode(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ValueError(f"a tool cannot be given a {type(value).__name__}")


def decode(value):
    if isinstance(value, list):
        return [decode(item) for item in value]
    if isinstance(value, dict):
        if value["!"] == "clip":
            return ClipHandle(value["handle"], value["frames"])
        return Box(value["frame"], value["box"], value["label"], value["score"])
    return value


class ToolCallError(Exception):
    """The parent refused a call."""


# ── one program ───────────────────────────────────────────────────────────────────────────────────


def run(wire_in, wire_out):
    """Read a program and run it."""

    def send(message):
        wire_out.write(json.dumps(message).encode() + b"\n")
        wire_out.flush()

    start = json.loads(wire_in.readline())

    def tool(name):
        def proxy(*arguments, **keywords):
            send(
                {
                    "call": name,
                    "arguments": [encode(item) for item in arguments],
                    "keywords": {key: encode(item) for key, item in keywords.items()},
                }
            )
            reply = json.loads(wire_in.readline())
            if "error" in reply:
                raise ToolCallError(reply["error"])
            return decode(reply["result"])

        return proxy

    scope = {"__builtins__": {name: getattr(builtins, name) for name in BUILTINS}}
    scope.update({name: tool(name) for name in start["tools"]})
    try:
        exec(compile(start["code"], "<program>", "exec"), scope)  # noqa: S102  that is what this process is for
        answer = scope["execute_command"](decode(start["clip"]), start["query"], start["possible_answers"])
        if isinstance(answer, (list, tuple)) and len(answer) == 1:
            answer = answer[0]
        if isinstance(answer, bool):
            answer = "yes" if answer else "no"
        if isinstance(answer, (int, float)):
            answer = str(answer)
        if isinstance(answer, str):
            send({"end": answer})
        else:
            send({"no_answer": f"returned a {type(answer).__name__}, not an answer"})
    except MemoryError:
        send({"memory": "ran out of memory"})
    except Exception as error:  # noqa: BLE001  the sandbox's edge: what a program raises becomes an outcome
        send({"error": f"{type(error).__name__}: {error}"[:500], "line": line_of(error)})


def line_of(error):
    """Line of the program in which it raised."""
    trace, line = error.__traceback__, None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<program>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


# ── layers ────────────────────────────────────────────────────────────────────────────────────────

_DIE_WITH_PARENT, _DUMPABLE, _SECCOMP, _SUBREAPER, _NO_NEW_PRIVILEGES = 1, 4, 22, 36, 38  # of prctl(2)
_LANDLOCK_CREATE, _LANDLOCK_RESTRICT = 444, 446  # the same numbers on every architecture


def prctl(libc, *arguments):
    if libc.prctl(*[ctypes.c_ulong(argument) for argument in (*arguments, 0, 0, 0, 0)[:5]]):
        raise OSError(ctypes.get_errno(), f"prctl {arguments[0]}")


def limit(memory_bytes, cpu_s):
    """The layer `rlimits`: address space and processor time; no file may grow, be opened or made, no process started.

    Without a descriptor left to hand out, not even one that is closed first can be used for another file.
    """
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    for name in ("CORE", "FSIZE", "NOFILE", "NPROC", "MSGQUEUE", "MEMLOCK"):
        if hasattr(resource, f"RLIMIT_{name}"):
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (0, 0))


def landlock(libc, abi):
    """The layer `landlock`: handle every right that this kernel knows, and grant none."""
    rights = 0x1FFF | (abi >= 2) << 13 | (abi >= 3) << 14 | (abi >= 5) << 15  # files: read, write, make, remove, …
    attributes = [rights, *([3] if abi >= 4 else []), *([3] if abi >= 6 else [])]  # TCP; signals, abstract sockets
    ruleset = (ctypes.c_uint64 * len(attributes))(*attributes)
    size = ctypes.c_size_t(ctypes.sizeof(ruleset))
    made = libc.syscall(_LANDLOCK_CREATE, ruleset, size, ctypes.c_uint32(0))
    if made < 0 or libc.syscall(_LANDLOCK_RESTRICT, ctypes.c_int(made), ctypes.c_uint32(0)):
        raise OSError(ctypes.get_errno(), "landlock")
    os.close(made)


def seccomp(libc, instructions):
    """The layer `seccomp`: a filter of system calls that the parent has put together."""

    class Filter(ctypes.Structure):  # struct sock_fprog
        _fields_ = (("count", ctypes.c_ushort), ("instructions", ctypes.c_char_p))

    made = Filter(len(instructions) // 8, instructions)
    prctl(libc, _SECCOMP, 2, ctypes.addressof(made))


def raise_layers(settings, libc):
    """Raise the layers that were asked for. A video's decoder raises its own with this."""
    if libc is not None:
        prctl(libc, _NO_NEW_PRIVILEGES, 1)
    if settings["landlock"]:
        landlock(libc, settings["landlock"])
    if settings["rlimits"]:
        limit(settings["memory_bytes"], settings["cpu_s"])
    if settings["seccomp"]:  # the last one: it forbids raising any other
        seccomp(libc, bytes.fromhex(settings["seccomp"]))


# ── the warm process ──────────────────────────────────────────────────────────────────────────────


def begin(wire, settings, libc):
    """The forked process: shut everything but the wire, raise the layers, run the program. Does not return."""
    status = 1
    try:
        os.setsid()
        os.dup2(wire, 0)
        os.dup2(wire, 1)
        os.closerange(3, 256)
        if libc is not None:
            prctl(libc, _DIE_WITH_PARENT, signal.SIGKILL)
        wire_in, wire_out = os.fdopen(0, "rb"), os.fdopen(1, "wb")
        try:
            raise_layers(settings, libc)
        except (OSError, ValueError) as error:  # nothing has been read of the program yet
            wire_out.write(json.dumps({"failed": str(error)}).encode() + b"\n")
            wire_out.flush()
        else:
            wire_out.write(json.dumps({"pid": os.getpid()}).encode() + b"\n")
            wire_out.flush()
            run(wire_in, wire_out)
            status = 0
    finally:
        os._exit(status)


def end(pid, grace_s, alone):
    """Wait for a program's process for a moment, kill it and all that it has started, and say how it ended."""
    deadline = time.monotonic() + grace_s
    found, raw, used = os.wait4(pid, os.WNOHANG)
    while not found and time.monotonic() < deadline:
        time.sleep(0.0005)
        found, raw, used = os.wait4(pid, os.WNOHANG)
    if not found:
        for kill in (os.killpg, os.kill):  # it may have been stopped before it had a group of its own
            with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS says the second where all are dead
                kill(pid, signal.SIGKILL)
        _, raw, used = os.wait4(pid, 0)
    sweep(alone)
    return {
        "status": os.waitstatus_to_exitcode(raw) if found else None,
        "cpu_s": used.ru_utime + used.ru_stime,
    }


def sweep(alone):
    """Kill what a program has left behind. An orphan becomes a child of this process, whatever its session."""
    while True:
        for orphan in [-1] if alone else children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(orphan, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def children():
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as listed:  # noqa: PTH123  pathlib takes long to import
            return [int(child) for child in listed.read().split()]
    except FileNotFoundError:  # not Linux: nothing has been adopted
        return []


def receive(control, pending):
    """The next line of JSON and the descriptor that came with it; what has come behind it stays in `pending`.

    Raises:
        OSError: the parent has gone.
    """
    wires = []
    while b"\n" not in pending:
        piece, more, _, _ = socket.recv_fds(control, 65536, 1)
        if not piece:
            raise ConnectionResetError
        pending += piece
        wires += more
    line, _, rest = pending.partition(b"\n")
    pending[:] = rest
    return json.loads(line), (wires or [None])[0]


def send(control, message):
    control.sendall(json.dumps(message).encode() + b"\n")


_FIRST = json.dumps(
    {
        "code": "def execute_command(video_clip, query, possible_answers):\n    return f'{query} {len(video_clip)}'\n",
        "tools": ["tool"],
        "clip": {"!": "clip", "handle": 0, "frames": [0]},
        "query": "",
        "possible_answers": [],
    }
).encode()
"""A program of our own."""


def serve():
    control = socket.socket(fileno=os.dup(0))
    pending = bytearray()
    settings, _ = receive(control, pending)
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    if os.geteuid() == 0:
        for become in (lambda: os.setgroups([]), lambda: os.setgid(NOBODY), lambda: os.setuid(NOBODY)):
            with contextlib.suppress(OSError):  # in a container that knows one user alone, who is root in name only
                become()
    if libc is not None:
        prctl(libc, _SUBREAPER, 1)
        prctl(libc, _DUMPABLE, 0)  # so that no program can look into this process or change it
    for number in ("SIGHUP", "SIGINT", "SIGTERM", "SIGUSR1"):  # to the whole of a job; aotd answers them and ends this
        signal.signal(getattr(signal, number), signal.SIG_IGN)
    os.environ.clear()
    run(io.BytesIO(_FIRST), io.BytesIO())  # what the interpreter does once is done before the forks
    gc.freeze()
    send(control, {})
    _, wire = receive(control, pending)
    while True:
        pid = os.fork()
        if not pid:
            begin(wire, settings, libc)
        os.close(wire)
        try:
            order, wire = receive(control, pending)  # the next process's
        except OSError:
            end(pid, 0, settings["alone"])  # a program does not outlive aotd, however that was ended
            raise
        send(control, end(pid, order["grace_s"], settings["alone"]))


if __name__ == "__main__":
    with contextlib.suppress(OSError):
        serve()
