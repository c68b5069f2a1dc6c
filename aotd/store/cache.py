"""A cache on disk of what models replied: findings of specialists, and replies of language models.

    runs/cache/3f/3f9a…c2.findings     one line for each finding about one video
    runs/cache/07/07be…11.reply        one reply of a language model

A key is a digest of everything that decides a value (`key`), so no value is ever out of date: another model, another
video or another setting gives another key. The folder may be deleted at any moment.

Processes and nodes share a folder without a lock. A value is one line with a checksum in front, appended by one write.
A line that is torn or damaged fails its checksum, and its value is asked for again. When the folder is full, the least
recently used pages are removed.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache as once
from pathlib import Path
from typing import Any

from aotd.errors import UserError
from aotd.store.files import disk_errors, make_folder
from aotd.store.run import Run

_HELD, _HELD_BYTES = 64, 64 << 20
"""How many pages stay in memory, and how many bytes of them: the most recently used ones."""
_TRIMMED_TO = 0.9
"""Share of the folder's bound to which it is trimmed, so that trimming is rare."""
_LOOK_AFTER = 16
"""A process measures the folder before its first write, and each time it has written 1/16 of the bound."""


@dataclass
class CacheConfig:
    """Where replies of models are kept for other runs."""

    folder: str = ""
    """Shared by all runs, processes and nodes that name it; empty is `cache` beside the run's folder."""
    gb: float = 4.0
    """Its largest size in GiB; the least recently used pages are removed. 0 keeps nothing on disk."""


def key(*parts: Any) -> str:
    """A digest, 32 hexadecimal digits, of parts that JSON can hold."""
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()[:32]


@once
def code(*parts: str) -> str:
    """Digest of the modules and folders of this package that make a value."""
    found = hashlib.sha256()
    for part in parts:
        path = Path(__file__).parent.parent / part
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            found.update(file.read_bytes())
    return found.hexdigest()[:16]


class Cache:
    """Values by page and key. Threads may share it."""

    def __init__(self, folder: Path | None = None, gb: float = 0.0) -> None:
        """Args:
        folder: without one, only the most recent values are kept, in memory.
        gb: the folder's bound in GiB.
        """
        self._folder, self._bound = folder, int(gb * 2**30)
        self._pages: OrderedDict[str, dict[str, str]] = OrderedDict()
        self._held = 0
        self._unseen = self._bound
        """Bytes written since the folder was looked at; at first, enough to look at once."""
        self._lock = threading.Lock()

    def get(self, page: str, key: str) -> str | None:
        """The value of a key on a page, or None.

        Args:
            page: name of a file: a digest and a suffix. Values that are asked for together share a page.
        """
        with self._lock:
            return self._page(page).get(key)

    def put(self, page: str, key: str, value: str) -> None:
        """Keep a value, one line of text.

        Raises:
            UserError: the disk does not take it.
        """
        assert "\n" not in value
        with self._lock:
            values = self._page(page)
            if values.get(key) == value:
                return
            values[key] = value
            self._held += len(value)
            self._let_go()
            if self._folder is not None:
                self._append(self._folder / page[:2] / page, f"{key} {value}".encode("utf-8", "surrogatepass"))

    def _page(self, page: str) -> dict[str, str]:
        if page in self._pages:
            self._pages.move_to_end(page)
            return self._pages[page]
        values = {} if self._folder is None else _read(self._folder / page[:2] / page)
        self._pages[page] = values
        self._held += sum(map(len, values.values()))
        self._let_go()
        return values

    def _let_go(self) -> None:
        while len(self._pages) > 1 and (len(self._pages) > _HELD or self._held > _HELD_BYTES):
            _, values = self._pages.popitem(last=False)
            self._held -= sum(map(len, values.values()))

    def _append(self, path: Path, text: bytes) -> None:
        # It begins with a line end, so that a torn line before it does not damage this one.
        line = b"\n%08x %b\n" % (zlib.crc32(text), text)
        with _cache_errors(path):
            make_folder(path.parent)
            self._unseen += len(line)
            if self._unseen * _LOOK_AFTER > self._bound:
                assert self._folder is not None
                _trim(self._folder, self._bound)
                self._unseen = 0
            file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                os.write(file, line)  # a full disk takes less of it, which then is a torn line
            finally:
                os.close(file)


def cache_folder(config: CacheConfig, run: Run) -> Path | None:
    """Where a run's cache is; None where it has none on disk.

    Raises:
        UserError: a bound below 0.
    """
    if not config.gb >= 0:
        raise UserError(f"cache.gb={config.gb:g} must be 0 or more")
    return Path(config.folder or run.folder.parent / "cache") if config.gb else None


def load_cache(config: CacheConfig, run: Run) -> Cache:
    """The cache that a run uses; its folder is made.

    Raises:
        UserError: a bound below 0, or a folder that cannot be made.
    """
    folder = cache_folder(config, run)
    if folder is not None:
        with _cache_errors(folder):
            make_folder(folder)
    return Cache(folder, config.gb)


@contextmanager
def _cache_errors(path: Path) -> Iterator[None]:
    """Report in one line what hinders the cache, so that it is not taken for a specialist that failed."""
    try:
        with disk_errors(path):
            yield
    except (OSError, ValueError) as error:  # a zero byte is a ValueError
        why = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: {why}: give the cache another place (cache.folder=…), or none (cache.gb=0)") from None


def _read(path: Path) -> dict[str, str]:
    """The values of a page's whole lines. The page counts as used."""
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    with suppress(FileNotFoundError, PermissionError):  # trimmed just now; another user's
        os.utime(path)
    values = {}
    for line in data.split(b"\n"):
        check, _, text = line.partition(b" ")
        if len(check) == 8 and check == b"%08x" % zlib.crc32(text):
            key, _, value = text.decode("utf-8", "surrogatepass").partition(" ")
            values[key] = value
    return values


def _trim(folder: Path, bound: int) -> None:
    """Remove the pages that were not used for longest until the folder is smaller than its bound."""
    found = []
    for inner in folder.iterdir():
        if len(inner.name) == 2 and inner.is_dir():
            for entry in os.scandir(inner):
                try:
                    facts = entry.stat(follow_symlinks=False)
                except FileNotFoundError:  # another process trims it too
                    continue
                found.append((facts.st_mtime_ns, facts.st_size, entry.path))
    size = sum(size for _, size, _ in found)
    if size <= bound:
        return
    for _, bytes_, path in sorted(found):
        Path(path).unlink(missing_ok=True)
        size -= bytes_
        if size <= bound * _TRIMMED_TO:
            return
