"""Checkpoints on this machine, looked at without loading them or asking anyone else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aotd.errors import UserError
from aotd.models.checkpoints import INDEX, weights_in
from aotd.store.untrusted import read_object


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
        try:
            return sum(weights_in(file, str(self.folder)) for file in self.files)
        except UserError as error:
            raise ValueError(str(error)) from None


def find_stored(model: str) -> Stored | None:
    """The folder of a model: a local one, or that of a hub id in the local cache. None where there is neither.

    Raises:
        UserError: its index of weights is damaged.
    """
    folder = Path(model).expanduser()
    if not folder.is_dir():
        cached = _cached(model)
        if cached is None:
            return None
        folder = cached
    index = folder / INDEX
    files = read_object(index, str(index)).get("weight_map") if index.is_file() else {}
    if not isinstance(files, dict) or not all(isinstance(name, str) for name in files.values()):
        raise UserError(f"{index} does not say which file holds which weights: copy the checkpoint again")
    lacks = sorted(name for name in set(files.values()) if not (folder / name).is_file())
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
