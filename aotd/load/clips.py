"""What each video file is: frames, rate, duration, rotation, size and codec, or its defect."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from aotd.datasets.base import locate
from aotd.errors import UserError
from aotd.runtime.progress import progress
from aotd.store.files import write_atomically
from aotd.video.decode import Decoder, VideoFacts, probe, unusable
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


def examine(root: str, names: Sequence[str], deadline_s: float) -> dict[str, VideoFacts]:
    """Decode every file once; each may take `deadline_s` seconds.

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
                found[name] = unusable(str(error))
            else:
                found[name] = probe(path, decoder)
    finally:
        decoder.close()
    return found


def write_facts(path: Path, facts: dict[str, VideoFacts]) -> None:
    """One JSON line per file: `video`, and the fields of `VideoFacts`."""
    lines = [json.dumps({"video": name, **asdict(found)}) + "\n" for name, found in facts.items()]
    write_atomically(path, "".join(lines))


def show_facts(facts: dict[str, VideoFacts], console: Console) -> None:
    """The same as a table; a line is as long as it is, so that it can be piped on."""
    rows = [("video", "frames", "fps", "seconds", "turned", "size", "codec", "defect")]
    for name, found in facts.items():
        if found.frames:
            seen = (f"{found.duration_s:.2f}", f"{found.rotation}°", f"{found.width}x{found.height}", found.codec)
        else:
            seen = ("-", "-", "-", "-")
        fps = f"{found.fps:.2f}" if found.fps else "-"
        rows.append((name, str(found.frames), fps, *seen, found.defect or ""))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.rjust(width) if 1 <= at <= 4 else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        console.print(printable("  ".join(cells).rstrip()), markup=False, highlight=False, soft_wrap=True)
    broken = sum(found.defect is not None for found in facts.values())
    console.print(f"{len(facts)} files, {broken} with a defect", highlight=False)
