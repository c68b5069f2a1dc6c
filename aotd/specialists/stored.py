"""Checkpoints on this machine, looked at without loading them or asking anyone else."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path

_LONGEST_HEADER = 100 << 20
_INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class Stored:
    """A folder that holds a checkpoint, whole or in part."""

    folder: Path
    files: tuple[Path, ...]
    """Its files of weights (safetensors)."""
    lacks: tuple[str, ...]
    """Files that its index names and that are not there."""

    @property
    def weights(self) -> int:
        """How many numbers its files hold.

        Raises:
            ValueError: a file is no safetensors file.
        """
        return sum(_numbers_in(file) for file in self.files)


def find_stored(model: str) -> Stored | None:
    """The folder of a model: a local one, or that of a hub id in the local cache. None where there is neither."""
    folder = Path(model).expanduser()
    if not folder.is_dir():
        cached = _cached(model)
        if cached is None:
            return None
        folder = cached
    index = folder / _INDEX
    named = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()) if index.is_file() else set()
    lacks = sorted(name for name in named if not (folder / name).is_file())
    return Stored(folder, tuple(sorted(folder.glob("*.safetensors"))), tuple(lacks))


def looks_local(model: str) -> bool:
    """Whether a model is named by a path, and not by a hub id (`owner/name`)."""
    return model.startswith(("/", ".", "~")) or model.count("/") != 1


def _cached(hub_id: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(hub_id, "config.json")
    except HFValidationError:
        return None
    return Path(found).parent if isinstance(found, str) else None


def _numbers_in(file: Path) -> int:
    with file.open("rb") as source:
        head = source.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
        if not 0 < length < _LONGEST_HEADER:
            raise ValueError(f"{file} is no safetensors file")
        header = json.loads(source.read(length))
    return sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
