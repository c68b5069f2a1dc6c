"""A disk that fails at a chosen operation: power is cut there, it is full from there on, or it cannot be written.

    with Disk(folder, at=17, fault=cut_half):
        main(["decompose", …])      # SIGKILL in the middle of the 17th operation, if it is a write

What is done to files below a folder by Python's `open` and `os` is counted; native code (a codec, safetensors) is not.
The disk remembers what has been synced (`fsync` of the file, and of the folder for its name), so that it can lose
the rest (`lose`): that is what a power cut adds to a kill.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, NoReturn

Do = Callable[[float], Any]
"""Does an operation; of a write, the given share of its bytes."""
Fault = Callable[["Disk", str, str, Do], Any]
"""What happens at the chosen operation: (disk, kind, path, how it would be done) -> its result."""


def die(group: bool = True) -> NoReturn:
    """SIGKILL to this process, or to all of its group."""
    (os.killpg if group else os.kill)(os.getpgid(0) if group else os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


def cut_before(disk: Disk, kind: str, path: str, do: Do) -> Any:
    die(disk.group)


def cut_half(disk: Disk, kind: str, path: str, do: Do) -> Any:
    do(0.5)
    die(disk.group)


def cut_after(disk: Disk, kind: str, path: str, do: Do) -> Any:
    do(1.0)
    die(disk.group)


def power_cut(disk: Disk, kind: str, path: str, do: Do) -> Any:
    """As `cut_half`, and what is not synced is lost."""
    do(0.5)
    disk.lose(Random(disk.at))
    die(disk.group)


def full(disk: Disk, kind: str, path: str, do: Do) -> Any:
    """No room from here on: half of a write still goes through."""
    disk.fails_on = True
    if kind in ("write", "open", "make"):
        if kind == "write":
            do(0.5)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
    return do(1.0)


def broken(disk: Disk, kind: str, path: str, do: Do) -> Any:
    """No sync succeeds from here on."""
    disk.fails_on = True
    if kind == "sync":
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    return do(1.0)


@dataclass
class _Pending:
    """A change of a folder that is not synced."""

    folder: str
    undo: Callable[[], object]


@dataclass
class Disk:
    """Counts the operations below `root`, and lets one of them fail. Use as a context manager."""

    root: str
    at: int = 0
    """The operation that meets the fault, from 1; 0: none does."""
    fault: Fault = cut_before
    group: bool = True
    """Whether a kill is of the whole process group."""
    count: int = 0
    fails_on: bool = False
    """Whether every operation from here on meets the fault."""
    synced: dict[str, int] = field(default_factory=dict)
    """Path -> how many of its bytes are safe."""
    pending: list[_Pending] = field(default_factory=list)

    def __enter__(self) -> Disk:
        self._started_ns = time.time_ns()
        self._paths: dict[int, str] = {}
        names = ("open", "write", "fsync", "rename", "replace", "mkdir", "unlink", "remove", "rmdir", "truncate")
        self._os = {name: getattr(os, name) for name in names}
        self._open = io.open
        builtins.open = io.open = self._open_file
        os.open, os.write, os.fsync, os.mkdir, os.truncate = (
            self._open_number, self._write_number, self._fsync, self._mkdir, self._truncate,
        )  # fmt: skip
        os.rename = os.replace = self._rename
        os.unlink = os.remove = self._removing("unlink")
        os.rmdir = self._removing("rmdir")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        builtins.open = io.open = self._open
        for name, whole in self._os.items():
            setattr(os, name, whole)

    def lose(self, chance: Random) -> None:
        """Lose some of what is not synced: the ends of files, and the newest changes of folders."""
        for folder, _, names in os.walk(self.root):
            for path in (os.path.join(folder, name) for name in names):
                safe, size = self.synced.get(path, 0), os.path.getsize(path)
                known = path in self.synced or os.stat(path).st_mtime_ns >= self._started_ns
                if known and size > safe:
                    self._os["truncate"](path, chance.choice([safe, chance.randint(safe, size)]))
        for change in reversed(self.pending[chance.randint(0, len(self.pending)) :]):
            change.undo()

    # ── operations ────────────────────────────────────────────────────────────────────────────────

    def meet(self, kind: str, path: str, do: Do) -> Any:
        if not self._ours(path):
            return do(1.0)
        self.count += 1
        if self.count == self.at or (self.fails_on and self.count > self.at):
            return self.fault(self, kind, path, do)
        return do(1.0)

    def _ours(self, path: str) -> bool:
        return path.startswith(self.root + os.sep)

    def _path(self, path: Any, dir_fd: int | None = None) -> str:
        if isinstance(path, int):
            return self._paths.get(path, "")
        within = self._paths.get(dir_fd, "") if dir_fd is not None else os.getcwd()
        return os.path.normpath(os.path.join(within, os.fsdecode(path)))

    def _made(self, path: str) -> None:
        """A file was opened for writing: what of it is safe, and how its name is lost."""
        if not os.path.exists(path):
            self.pending.append(_Pending(os.path.dirname(path), lambda: os.path.exists(path) and self._drop(path)))
            self.synced[path] = 0
        self.synced.setdefault(path, os.path.getsize(path) if os.path.exists(path) else 0)

    def _drop(self, path: str) -> None:
        self._os["unlink"](path)

    def _open_file(self, file: Any, mode: str = "r", buffering: int = -1, *rest: Any, **named: Any) -> Any:
        path = self._path(file) if not isinstance(file, int) else ""
        if not self._ours(path) or not set(mode) & set("wax+"):
            return self._open(file, mode, buffering, *rest, **named)

        def do(_: float) -> Any:
            self._made(path)
            raw = _File(self, path, mode.replace("b", "").replace("t", ""))
            if "w" in mode:
                self.synced[path] = 0
            if buffering == 0:
                return raw
            held = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
            return held if "b" in mode else io.TextIOWrapper(held, *rest, **named)

        return self.meet("open", path, do)

    def _open_number(self, path: Any, flags: int, *rest: Any, dir_fd: int | None = None) -> int:
        named = self._path(path, dir_fd)

        def do(_: float) -> int:
            if flags & os.O_CREAT:
                self._made(named)
            number: int = self._os["open"](path, flags, *rest, dir_fd=dir_fd)
            self._paths[number] = named
            return number

        return self.meet("open", named, do) if flags & os.O_CREAT else do(1.0)  # type: ignore[no-any-return]

    def _write_number(self, number: int, data: Any) -> int:
        do = lambda share: self._os["write"](number, bytes(data)[: _some(len(data), share)])  # noqa: E731
        return self.meet("write", self._path(number), do)  # type: ignore[no-any-return]

    def _fsync(self, file: Any) -> None:
        number = file if isinstance(file, int) else file.fileno()
        path = self._path(number)

        def do(_: float) -> None:
            self._os["fsync"](number)
            if os.path.isdir(path):
                self.pending = [change for change in self.pending if change.folder != path]
            elif path:
                self.synced[path] = os.fstat(number).st_size

        self.meet("sync", path, do)

    def _rename(self, source: Any, target: Any, **named: Any) -> None:
        old, new = self._path(source), self._path(target)

        def do(_: float) -> None:
            before = Path(new).read_bytes() if os.path.isfile(new) else None
            self._os["replace"](source, target, **named)
            for path in [path for path in self.synced if path == old or path.startswith(old + os.sep)]:
                self.synced[new + path[len(old) :]] = self.synced.pop(path)

            def undo() -> None:
                self._os["replace"](new, old)
                if before is not None:
                    with self._open(new, "wb") as out:
                        out.write(before)

            self.pending.append(_Pending(os.path.dirname(new), undo))

        self.meet("rename", new, do)

    def _mkdir(self, path: Any, *rest: Any, **named: Any) -> None:
        whole = self._path(path, named.get("dir_fd"))

        def do(_: float) -> None:
            self._os["mkdir"](path, *rest, **named)
            self.pending.append(_Pending(os.path.dirname(whole), lambda: shutil.rmtree(whole, ignore_errors=True)))

        self.meet("make", whole, do)

    def _removing(self, name: str) -> Callable[..., None]:
        def remove(path: Any, *, dir_fd: int | None = None) -> None:
            self.meet("remove", self._path(path, dir_fd), lambda _: self._os[name](path, dir_fd=dir_fd))

        return remove

    def _truncate(self, path: Any, length: int) -> None:
        whole = self._path(path)

        def do(_: float) -> None:
            self._os["truncate"](path, length)
            self.synced[whole] = min(self.synced.get(whole, length), length)

        self.meet("cut", whole, do)


class _File(io.FileIO):
    """A file that tells the disk when it is written."""

    def __init__(self, disk: Disk, path: str, mode: str) -> None:
        super().__init__(path, mode)
        self._disk, self._at = disk, path
        disk._paths[self.fileno()] = path

    def write(self, data: Any) -> int:
        data = bytes(data)
        whole = super().write
        return self._disk.meet("write", self._at, lambda share: whole(data[: _some(len(data), share)]))  # type: ignore[no-any-return]


def _some(count: int, share: float) -> int:
    return count if share == 1.0 else int(count * share)
