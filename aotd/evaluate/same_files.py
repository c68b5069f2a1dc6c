"""Which video files hold the same bytes, whatever they are called.

Files of different sizes differ, so a file is read only where one of the other side has its size. A video
that was encoded again, cut, or put into another container has other bytes, and is not found.
"""

from __future__ import annotations

import stat
from collections.abc import Collection
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from aotd.errors import UserError
from aotd.runtime.progress import progress
from aotd.store.files import file_digest, write_atomically

_DIGESTS = TypeAdapter(dict[str, tuple[int, int, str]])
"""Path -> size, time of change in ns, and SHA-256 of what was read then."""


def same_bytes(
    ours: Collection[Path], theirs: Collection[Path], cache: Path
) -> tuple[dict[Path, set[Path]], set[Path]]:
    """The files of one side that are also on the other.

    Args:
        ours: resolved paths; one that is in `theirs` too is the same without being read.
        theirs: resolved paths.
        cache: a JSON file for the digests, so that a file is read once.

    Returns:
        each file of `ours` that has equals -> those; and the files of both sides that are missing, empty, no
        regular files or unreadable, and so were compared with nothing.

    Raises:
        UserError: `cache` is damaged.
    """
    stamps = {path: stamp for path in {*ours, *theirs} if (stamp := _stamp(path))}
    here, there = (stamps.keys() & set(side) for side in (ours, theirs))
    same = {path: {path} for path in here & there}
    unknown = here - there
    sizes = {stamps[path][0] for path in unknown} & {stamps[path][0] for path in there}
    digests, unreadable = _digests(sorted(p for p in unknown | there if stamps[p][0] in sizes), stamps, cache)
    by_digest: dict[str, set[Path]] = {}
    for path in there & digests.keys():
        by_digest.setdefault(digests[path], set()).add(path)
    same |= {path: by_digest[digests[path]] for path in unknown & digests.keys() if digests[path] in by_digest}
    return same, ({*ours, *theirs} - stamps.keys()) | unreadable


def _stamp(path: Path) -> tuple[int, int] | None:
    """Size and time of change of a file; None where there is none, or nothing in it."""
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) and status.st_size else None


def _digests(paths: list[Path], stamps: dict[Path, tuple[int, int]], cache: Path) -> tuple[dict[Path, str], set[Path]]:
    """Digest of each file, read unless it was before; and those that cannot be read."""
    known = _read_digests(cache)
    digests = {p: digest for p in paths if (digest := _known(known.get(str(p)), stamps[p])) is not None}
    unread = [path for path in paths if path not in digests]
    if not unread:
        return digests, set()
    size = sum(stamps[path][0] for path in unread) / 1e9
    title = f"evaluate: reading {len(unread)} video files of equal sizes, {size:.1f} GB"
    unreadable = set()
    try:
        for path in progress(title, unread):
            try:
                digests[path] = file_digest(path)
            except OSError:
                unreadable.add(path)
    finally:
        known |= {str(path): (*stamps[path], digest) for path, digest in digests.items()}
        write_atomically(cache, _DIGESTS.dump_json(known, indent=1).decode() + "\n")
    return digests, unreadable


def _known(entry: tuple[int, int, str] | None, stamp: tuple[int, int]) -> str | None:
    return entry[2] if entry is not None and entry[:2] == stamp else None


def _read_digests(path: Path) -> dict[str, tuple[int, int, str]]:
    if not path.is_file():
        return {}
    try:
        return _DIGESTS.validate_json(path.read_bytes())
    except ValidationError:
        raise UserError(f"{path} does not hold digests of videos: delete it, it is made anew") from None
