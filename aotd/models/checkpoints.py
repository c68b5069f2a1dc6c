"""Checkpoints: found on this machine, named, and checked before anything loads them.

    check_checkpoint("models/student", "student.path")

A checkpoint is weights and a few JSON files, and these name things: other files, other models, code. Left
to itself a library follows such names: an `adapter_config.json` beside the weights has transformers load
the model that it names, from wherever. So a file that names anything beyond the folder's own files is
refused with its name, and so is what only looks like a checkpoint: pipes and links that lead out of the
folder, JSON that is none, and sizes that no weights in the folder bear out.
"""

from __future__ import annotations

import math
import os
import stat
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aotd.errors import UserError
from aotd.runtime.connection import open_client
from aotd.store.files import file_digest
from aotd.store.untrusted import read_object

if TYPE_CHECKING:
    import torch

ADAPTER = "adapter_config.json"
INDEX = "model.safetensors.index.json"
SETTINGS = (
    *("config.json", "generation_config.json", "tokenizer_config.json", "special_tokens_map.json", "aotd.json"),
    *("preprocessor_config.json", "video_preprocessor_config.json", "processor_config.json", INDEX, ADAPTER),
)
"""The files that say what a checkpoint is, each a JSON object; the first is never missing."""

_FILES = (
    *("weight_map", "transformers_weights", "configuration_files", "fast_tokenizer_files"),
    *("vocab_file", "merges_file", "spm_file", "tokenizer_file", "init_inputs"),
)
"""Keys whose values name files; only plain names in the same folder will do."""
_MODELS = ("attn_implementation", "_attn_implementation", "experts_implementation", "custom_generate")
"""Keys whose values may name code at the hub (`owner/name`), which transformers would fetch."""
_MOST = 2**40
"""No whole number in a `config.json` is larger; real ones stay far below."""
_LAYERS = 4096
"""The most of what a model has one after the other or side by side."""
_COUNTED = ("layer", "layers", "depth", "depths", "blocks", "experts")
_SLACK, _PACKED_SLACK, _ALWAYS = 1.5, 12.0, 1 << 24
"""How many times the weights that the files hold a configuration may describe, with those that are computed and not
stored; how many times where they are packed into few bits; and how many in any case."""

COMPLAINTS = (
    *(OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError),
    *(RuntimeError, ImportError, MemoryError),
)
"""What libraries raise over settings and weights that somebody made up."""


def check_checkpoint(path: str | Path, setting: str) -> None:
    """Look at the files that say what a checkpoint is.

    Args:
        path: a folder, or a hub id, whose files are fetched as the loader would.
        setting: the setting that names it, for the error.

    Raises:
        UserError: a file names another model, code, or a file elsewhere, is damaged, or is no file; the
            configuration holds numbers that no model has. Where there is no checkpoint at all, the loader says so.
    """
    where = f"{setting}={path}"
    folder = Path(path)
    if folder.is_dir():
        _check_files(folder.resolve(), where)
    for name in SETTINGS:
        file = _find(path, folder, name)
        if file is None:
            if name == SETTINGS[0] and not folder.is_dir():
                return
            continue
        settings = read_object(file, f"{where}: {name}")
        if name == ADAPTER:
            base = str(settings.get("base_model_name_or_path"))[:200]
            raise UserError(
                f"{where} holds adapters ({ADAPTER}) for the model {base!r}, which has not been opened: "
                "work them into that model, and name the folder of the result"
            )
        for key, value in _entries(settings):
            _check_entry(key, value, f"{where}: {name}")
            if name == SETTINGS[0]:
                _check_number(key, value, f"{where}: {name}")


def check_hub() -> None:
    """Look at what the environment says of the way to the hub, whose own client ends in a traceback at it.

    Raises:
        UserError: a variable names a proxy or certificates that cannot be.
    """
    from huggingface_hub import constants

    if not constants.HF_HUB_OFFLINE:
        open_client(constants.ENDPOINT, timeout=1.0).close()


def _find(path: str | Path, folder: Path, name: str) -> Path | None:
    if folder.is_dir():
        return folder / name if (folder / name).is_file() else None
    check_hub()
    from transformers.utils.hub import cached_file

    try:
        found = cached_file(str(path), name, _raise_exceptions_for_missing_entries=False)
    except (OSError, ValueError):
        return None
    return Path(found) if found else None


def _check_files(folder: Path, where: str) -> None:
    """Refuse what would be waited for, and links that lead out; the hub's cache links to its own `blobs`."""
    blobs = folder.parent.parent / "blobs" if folder.parent.name == "snapshots" else folder
    for entry in _walk(folder, where):
        target = Path(os.path.realpath(entry.path))
        if not (target.is_relative_to(folder) or target.is_relative_to(blobs)):
            raise UserError(f"{where}: {entry.name} is a link that leads out of the folder; put the file itself there")
        try:
            mode = entry.stat().st_mode
        except OSError as error:
            raise UserError(f"{where}: {entry.name} cannot be read ({error.strerror})") from None
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise UserError(f"{where}: {entry.name} is a pipe or a device; put the file itself there")


def _walk(folder: Path, where: str) -> Iterator[os.DirEntry[str]]:
    """What lies in a folder and in its own folders, one level down: nothing that is loaded lies deeper."""
    try:
        with os.scandir(folder) as entries:
            found = list(entries)
        for entry in list(found):
            if entry.is_dir(follow_symlinks=False):
                with os.scandir(entry.path) as inner:
                    found += inner
    except OSError as error:
        raise UserError(f"{where} cannot be read ({error.strerror})") from None
    yield from found


def _entries(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Each value that is no container, with the innermost key it stands under that is one of ours, or its own."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _entries(inner, key if key in (*_FILES, *_MODELS) else name)
    elif isinstance(value, list):
        for inner in value:
            yield from _entries(inner, key)
    else:
        yield key, value


def _check_entry(key: str, value: Any, where: str) -> None:
    if not isinstance(value, str) or not value:
        return
    shown = repr(value[:100])
    if key in _FILES and ("/" in value or "\\" in value or value in (".", "..") or "\0" in value):
        raise UserError(f"{where}: {key} names {shown}, which is no file of the same folder")
    if key == "backbone" or (key in _MODELS and "/" in value):
        raise UserError(f"{where}: {key} names {shown}, which is not in the folder and not fetched: remove the entry")


def _check_number(key: str, value: Any, where: str) -> None:
    if not isinstance(value, int):
        return
    most = _LAYERS if key.endswith(_COUNTED) else _MOST
    if abs(value) > most:
        shown = str(value) if abs(value) < 10**18 else f"about 10^{int(math.log10(abs(value)))}"
        raise UserError(f"{where}: {key} is {shown}, and no model has more than {most}")


def check_size(kind: Any, settings: Any, folder: Path, where: str) -> None:
    """Whether the weights that a configuration describes can be those in the folder: else they are made up, and
    room for them with them.

    Args:
        kind: makes a model of the configuration.
        settings: the configuration.

    Raises:
        UserError: it describes many more, or no model at all; or a file of weights is damaged.
    """
    import torch

    held = sum(weights_in(file, where) for file in sorted(folder.glob("*.safetensors")))
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = kind(settings)
            sizes = [weight.numel() for weight in made.parameters()]
            described = sum(sizes) + sum(computed.numel() for computed in made.buffers())
    except COMPLAINTS as error:
        raise UserError(f"{where}: its config.json describes no model ({first_line(error)})") from None
    if not all(sizes):
        raise UserError(f"{where}: its config.json describes weights of no size")
    slack = _PACKED_SLACK if getattr(settings, "quantization_config", None) else _SLACK
    if held and described > slack * held + _ALWAYS:
        raise UserError(
            f"{where}: its config.json describes {described:.3g} weights, and its files hold {held:.3g}: "
            "one of them belongs to another model"
        )


def weights_in(file: Path, where: str) -> int:
    """How many numbers a file of weights holds, from its header.

    Raises:
        UserError: it is no safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as stored:
            return sum(math.prod(stored.get_slice(name).get_shape()) for name in stored.keys())  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise UserError(f"{where} cannot be loaded: {file.name} is no safetensors file ({first_line(error)})") from None


def check_finite(model: torch.nn.Module, where: str) -> None:
    """Whether weights are numbers: one that is not makes every answer nonsense without a word.

    Raises:
        UserError: a weight is NaN or infinite.
    """
    import torch

    for name, weight in model.named_parameters():
        if weight.numel() and weight.is_floating_point() and weight.itemsize > 1 and not weight.is_meta:
            low, high = torch.aminmax(weight.detach())
            if not (torch.isfinite(low) and torch.isfinite(high)):
                raise UserError(f"{where}: the weights {name} hold NaN or infinity: the file is damaged")


def first_line(error: BaseException) -> str:
    """What a library says, its first line, cut short."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]


@dataclass(frozen=True)
class StoredCheckpoint:
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


def find_checkpoint(model: str) -> StoredCheckpoint | None:
    """Find the folder of a model: a local one, or that of a hub id in the local cache; None where there is neither.

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
    return StoredCheckpoint(folder, tuple(sorted(folder.glob("*.safetensors"))), tuple(lacks))


def looks_local(model: str) -> bool:
    """Tell whether a model is named by a path, and not by a hub id (`owner/name`)."""
    return model.startswith(("/", ".", "~")) or model.count("/") != 1


def _cached(hub_id: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(hub_id, "config.json")
    except HFValidationError:
        return None
    return Path(found).parent if isinstance(found, str) else None


def checkpoint_name(path: str) -> str:
    """Name a checkpoint for manifests: a hub id with its revision, a folder with the digest of its weights."""
    from transformers.utils.hub import cached_file

    found = cached_file(path, "config.json")
    assert found is not None, "its configuration was read"
    folder = Path(found).parent
    return folder_name(folder) if Path(path).is_dir() else f"{path} ({folder.name[:12]})"


def folder_name(folder: Path) -> str:
    """Name a checkpoint's folder for manifests: its own name, wherever it lies, and the digest of its weights."""
    return f"{folder.resolve().name} ({weights_digest(folder)})"


def weights_digest(folder: Path) -> str:
    """Digest a folder's weights, and what tells how they are used and how text and pictures are prepared."""
    kinds = ("*.json", "*.jinja", "*.model", "*.txt", "*.safetensors")
    paths = [path for kind in kinds for path in sorted(folder.glob(kind))]
    return _digest_of(tuple((path, path.stat().st_size, path.stat().st_mtime_ns) for path in paths))


@cache
def _digest_of(files: tuple[tuple[Path, int, int], ...]) -> str:
    """Digest files as they are now: some gigabytes, which a process reads once."""
    return file_digest(*(path for path, _, _ in files))[:12]
