"""Parquet as the hub serves it: one file, or a folder of shards, of one split or of several."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aotd.errors import UserError

_SHARD = re.compile(r"(?P<split>.+?)-(?P<number>\d{5})-of-(?P<count>\d{5})(-[0-9a-f]+)?\.parquet")
_INDEX = re.compile(r"__index_level_\d+__")
"""Columns of row numbers that pandas adds to a table of which it has left rows out."""
_SPLITS = {"validation": "val", "valid": "val", "dev": "val"}
"""How others call a split."""


def parquet_paths(folder: Path, split: str) -> list[Path]:
    """The parquet files of a folder, in order: those of one split; empty where there are none.

    Args:
        split: which of several; where the folder has one only, it is that one.

    Raises:
        UserError: there are several splits and none is the one, or a shard is missing.
    """
    by_split: dict[tuple[str, str], list[Path]] = {}
    for path in sorted([*folder.glob("*.parquet"), *folder.glob("*/*.parquet")]):
        shard, inner = _SHARD.fullmatch(path.name), path.parent.name if path.parent != folder else ""
        name = shard["split"] if shard else inner  # the hub's own copies: `<split>/0000.parquet`
        by_split.setdefault((inner, name), []).append(path)
    wanted = [key for key in by_split if _SPLITS.get(key[1], key[1]) == split]
    keys = wanted or list(by_split)
    if len(keys) > 1:
        shown = ", ".join(str(by_split[key][0].relative_to(folder)) for key in keys)
        raise UserError(
            f"dataset.questions: {folder} holds several sets of questions ({shown}): name one of the files or folders, "
            "or set dataset.split"
        )
    found = by_split[keys[0]] if keys else []
    _check_shards(folder, found)
    return found


def _check_shards(folder: Path, paths: list[Path]) -> None:
    shards = [shard for path in paths if (shard := _SHARD.fullmatch(path.name))]
    if not shards:
        return
    count, present = int(shards[0]["count"]), {int(shard["number"]) for shard in shards}
    lacking = next((number for number in range(count) if number not in present), None)
    if lacking is not None:
        name = f"{shards[0]['split']}-{lacking:05}-of-{count:05}"
        raise UserError(f"{folder}: the shard {name} is missing: fetch it too")


def parquet_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a file, each with its place for messages. Columns of bytes (videos, pictures)
    and the row numbers of pandas are not read.

    Raises:
        UserError: pyarrow is missing, or it is not a parquet file.
    """
    try:
        import pyarrow
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise UserError(f"{path}: to read parquet takes pyarrow: pip install 'aotd[export]'") from None
    try:
        with ParquetFile(path) as file:
            columns = [
                field.name
                for field in file.schema_arrow
                if "binary" not in str(field.type) and not _INDEX.fullmatch(field.name)
            ]
            number = 0
            for batch in file.iter_batches(batch_size=1024, columns=columns):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}: row {number}", {name: _plain(value) for name, value in row.items()}
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{path}: not a parquet file ({str(error).splitlines()[0]}); fetch it anew") from None


def _plain(value: Any) -> Any:
    """A number that pandas made a fraction for the sake of its gaps, as it was; None for a gap."""
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return int(value) if value.is_integer() else value
    return value
