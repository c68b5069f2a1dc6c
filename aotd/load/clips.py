"""What each video file is: frames, rate, duration, rotation, size and codec, or its defect."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from aotd.datasets.base import locate
from aotd.errors import UserError
from aotd.runtime.progress import progress
from aotd.store.files import write_atomically
from aotd.video.decode import Decoder, Examined, probe
from aotd.view.tables import printable


def files_below(root: str, limit: int | None) -> list[str]:
    """The files of a folder and its folders, relative to it, in order of name; hidden ones are left out.

    Raises:
        UserError: no such folder, or nothing in it.
    """
    folder = Path(root)
    if not folder.is_dir():
        raise UserError(f"dataset.root: {root} is not a folder")
    names = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file()]
    shown = [name.as_posix() for name in names if not any(part.startswith(".") for part in name.parts)]
    if not shown:
        raise UserError(f"dataset.root: there is no file in {root}")
    return shown[:limit]


def examine(root: str, names: Sequence[str], deadline_s: float) -> dict[str, Examined]:
    """Decode every file once; each may go `deadline_s` seconds without progress.

    Raises:
        UserError: nothing can be decoded here.
    """
    decoder = Decoder(deadline_s)
    found = {}
    try:
        for name in progress("decode", names):
            try:
                path = locate(root, name)
            except UserError as error:  # a link that leads outside
                found[name] = Examined(None, str(error))
            else:
                found[name] = probe(path, decoder)
    finally:
        decoder.close()
    return found


def write_facts(path: Path, facts: dict[str, Examined]) -> None:
    """One JSON line per file: `video`, what it is, and its `defect`; zeros where it is no video."""
    write_atomically(path, "".join(json.dumps({"video": name, **_row(found)}) + "\n" for name, found in facts.items()))


def _row(found: Examined) -> dict[str, str | float | None]:
    facts = found.facts
    return {
        "frames": facts.decoded if facts else 0,
        "promised": facts.expected if facts else None,
        "fps": facts.fps if facts else None,
        "duration_s": facts.duration_s if facts else 0.0,
        "width": facts.width if facts else 0,
        "height": facts.height if facts else 0,
        "rotation": facts.rotation if facts else 0,
        "codec": facts.codec if facts else "",
        "defect": found.defect,
    }


def show_facts(facts: dict[str, Examined], console: Console) -> None:
    """The same as a table; a line is as long as it is, so that it can be piped on."""
    rows = [("video", "frames", "fps", "seconds", "turned", "size", "codec", "defect")]
    for name, found in facts.items():
        if seen := found.facts:
            fps = f"{seen.fps:.2f}" if seen.fps else "-"
            size = f"{seen.width}x{seen.height}"
            cells = (str(seen.decoded), fps, f"{seen.duration_s:.2f}", f"{seen.rotation}°", size, seen.codec)
        else:
            cells = ("0", "-", "-", "-", "-", "-")
        rows.append((name, *cells, found.defect or ""))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        line = [
            cell.rjust(width) if 1 <= at <= 4 else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        console.print(printable("  ".join(line).rstrip()), soft_wrap=True)
    broken = sum(found.defect is not None for found in facts.values())
    console.print(f"{len(facts)} files, {broken} with a defect", soft_wrap=True)
