"""Write a folder whole or not at all, and replace only one that `export` wrote."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from aotd.errors import UserError
from aotd.store.files import sync, sync_tree, write_atomically

MANIFEST = "export.json"
"""Says what the folder was made from, and which names in it are ours."""


@contextlib.contextmanager
def new_folder(target: Path, manifest: Mapping[str, Any]) -> Iterator[Path]:
    """A folder to fill beside `target`. It takes the place of `target` at the end, or is gone after an error.

    Args:
        target: an absolute path. What `export` wrote there before is replaced.
        manifest: what `export.json` is to say; read at the end, so that it may still be filled.

    Raises:
        UserError: `target` holds something that `export` did not write.
    """
    check_replaceable(target)
    partial, old = (target.with_name(f".{target.name}.aotd-{word}") for word in ("partial", "old"))
    _tidy(target, partial, old)  # after an export that was killed
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"{target} cannot be made ({error.strerror}): name another folder with export.to=…") from None
    try:
        yield partial
        files = sorted(path.name for path in partial.iterdir())
        text = json.dumps({**manifest, "files": [*files, MANIFEST]}, indent=1, ensure_ascii=False)
        write_atomically(partial / MANIFEST, text + "\n")
        sync_tree(partial)
        if target.exists():
            target.rename(old)
        partial.rename(target)
        sync(target.parent)
    finally:
        _tidy(target, partial, old)


def check_replaceable(target: Path) -> None:
    """
    Raises:
        UserError: there is a file at `target`, or a folder with something in it that `export` did not write.
    """
    if not target.exists():
        return
    if not target.is_dir():
        raise UserError(f"{target} is a file: name a folder with export.to=…")
    held = sorted(path.name for path in target.iterdir())
    foreign = [name for name in held if name not in _written(target)]
    if foreign:
        raise UserError(
            f"{target} holds {foreign[0]!r}, which aotd export did not write: "
            "move it away, or name another folder with export.to=…"
        )


def _written(target: Path) -> list[str]:
    """The names that an earlier export wrote there; none where no export did."""
    if not (target / MANIFEST).is_file():
        return []
    try:
        files = json.loads((target / MANIFEST).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []
    return [name for name in files if isinstance(name, str)] if isinstance(files, list) else []


def _tidy(target: Path, partial: Path, old: Path) -> None:
    """Put back what was moved away and not replaced, and remove the rest."""
    if old.exists() and not target.exists():
        old.rename(target)
    for left in (partial, old):
        shutil.rmtree(left, ignore_errors=True)
