"""Models that hold weights: loaded on first use, in the precision asked for, within a memory budget.

    detector = shelf.take("owlv2 /models/owlv2", size, load)

A checkpoint is a local folder or a hub id in its architecture's own format. It is read without code of its own
(`trust_remote_code`) and without pickle (safetensors only). The agent needs four or five models, seldom all
at once. A `Shelf` keeps those used last and lets go of the one that was idle longest when the next would not
fit; a model that was let go is loaded again when it is asked for.
"""

from __future__ import annotations

import gc
from collections import OrderedDict
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from aotd.errors import UserError
from aotd.models.checkpoints import COMPLAINTS, check_checkpoint, check_finite, check_size, first_line
from aotd.models.load_lock import Turns
from aotd.models.stored import find_stored
from aotd.runtime.meter import loading
from aotd.store.files import file_digest

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

asking = Turns()
"""Models are asked by several threads together, and weights are loaded by one alone: while transformers loads a model,
it sets torch's default type for the whole process, and one that is asked meanwhile would compute in another."""


class Precision(str, Enum):
    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"
    int8 = "int8"
    int4 = "int4"


FEW_BITS = (Precision.int8, Precision.int4)


@dataclass
class WeightsConfig:
    """A model with weights. Specialists without any (playroom, captions, mock) read none of this."""

    model: str = ""
    """Local folder or hub id, in the architecture's own format (safetensors)."""
    precision: Precision = Precision.auto
    """auto: bfloat16 on a GPU, float32 on a CPU. int8 and int4 want a GPU and the extra `bits`."""
    batch: int = 8
    """Pictures or prompts that go through it at once; the findings do not depend on it."""
    url: str = ""
    """Where it is, if not in this process: the file that `aotd serve` writes, RUN/servers/NAME.json (server: or an
    address)."""


def device() -> torch.device:
    """Where models run: the first GPU, or the CPU where there is none."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def dtype_of(precision: Precision) -> torch.dtype:
    """The type in which a model computes; that of int8 and int4 is bfloat16."""
    import torch

    if precision is Precision.auto:
        return torch.bfloat16 if torch.cuda.is_available() else torch.float32
    if precision in FEW_BITS:
        return torch.bfloat16
    found = getattr(torch, precision.value)
    assert isinstance(found, torch.dtype)
    return found


def held_in(precision: Precision) -> str:
    """What most weights are held in on this machine: `bfloat16`, `int8` and so on; never `auto`."""
    return precision.value if precision in FEW_BITS else str(dtype_of(precision)).removeprefix("torch.")


def read_config(role: str, path: str, *families: str) -> Any:
    """A checkpoint's own configuration (transformers' `PreTrainedConfig`), of one of these families.

    Args:
        role: sub-task whose settings name the checkpoint, e.g. `detection`.
        families: what its `model_type` may be.

    Raises:
        UserError: no checkpoint is named, there is none there, it is of another family, or it names what is not in it.
    """
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig, PreTrainedConfig

    setting = f"specialists.{role}.model"
    if not path:
        raise UserError(f"{setting} is not set: give the folder or hub id of a {' or '.join(families)} checkpoint")
    check_checkpoint(path, setting)
    closed: dict[str, Any] = {"local_files_only": Path(path).is_dir()}
    try:
        found = PreTrainedConfig.get_config_dict(path, **closed)[0].get("model_type")
        if found not in families:
            raise UserError(
                f"{setting}={path} holds a {found or 'nameless'} model, and {' or '.join(families)} is wanted"
            )
        return AutoConfig.from_pretrained(path, trust_remote_code=False, **closed)
    except (*COMPLAINTS, StrictDataclassError) as error:
        why = "no such folder" if _is_folder(path) and not Path(path).is_dir() else first_line(error)
        raise UserError(f"{setting}={path}: there is no checkpoint there ({why})") from None


def load_model(role: str, config: WeightsConfig, kind: Any, dtype: torch.dtype, keep: tuple[str, ...] = ()) -> Any:
    """A model of transformers, ready to be asked, on `device()`.

    Args:
        role: as for `read_config`.
        kind: its class.
        dtype: what it computes in.
        keep: modules that stay as they are when the rest is packed into int8 or int4.

    Raises:
        UserError: the weights are not there, not safetensors, or not all of them.
    """
    import torch
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]
    packed = config.precision in FEW_BITS
    more = _packing(role, config.precision, keep) if packed else {}
    setting = f"specialists.{role}.model={config.model}"
    more["local_files_only"] = Path(config.model).is_dir()
    check_checkpoint(config.model, f"specialists.{role}.model")
    try:
        if stored := find_stored(config.model):
            check_size(kind, kind.config_class.from_pretrained(stored.folder), stored.folder, setting)
        model, loaded = kind.from_pretrained(
            config.model, dtype=dtype, use_safetensors=True, output_loading_info=True, **more
        )
    except (*COMPLAINTS, SafetensorError, StrictDataclassError) as error:
        raise UserError(f"{setting} cannot be loaded: {first_line(error)}") from None
    if missing := sorted(loaded["missing_keys"]):
        raise UserError(f"{setting} lacks {len(missing)} weights, among them {missing[0]}")
    check_finite(model, setting)
    if not packed:
        model = model.to(device())
    assert isinstance(model, torch.nn.Module)
    return model.eval().requires_grad_(False)


def load_part(role: str, path: str, kind: Any) -> Any:
    """A tokenizer or picture processor that belongs to a checkpoint.

    Raises:
        UserError: its files are not there.
    """
    try:
        return kind.from_pretrained(path, trust_remote_code=False, local_files_only=Path(path).is_dir())
    except COMPLAINTS as error:
        raise UserError(f"specialists.{role}.model={path}: {first_line(error)}") from None


def size_of(kind: Any, settings: Any, precision: Precision) -> int:
    """Bytes that a model's weights will take, counted without loading them.

    Args:
        kind: the model's class.
        settings: its configuration.
    """
    import torch

    with torch.device("meta"):
        count = sum(weight.numel() for weight in kind(settings).parameters())
    width = {Precision.int8: 1.0, Precision.int4: 0.5}.get(precision) or dtype_of(precision).itemsize
    return int(count * width)


def model_name(path: str, settings: Any) -> str:
    """Name of a checkpoint for manifests: its hub revision, or in a folder the digest of its weights."""
    if revision := getattr(settings, "_commit_hash", None):
        return f"{path} ({revision[:12]})"
    return folder_name(Path(path))


def folder_name(folder: Path) -> str:
    """Name of a checkpoint's folder for manifests: its own, wherever it lies, and the digest of its weights."""
    return f"{folder.resolve().name} ({weights_digest(folder)})"


def weights_digest(folder: Path) -> str:
    """Digest of a folder's weights, and of what tells how they are used and how text and pictures are prepared."""
    kinds = ("*.json", "*.jinja", "*.model", "*.txt", "*.safetensors")
    paths = [path for kind in kinds for path in sorted(folder.glob(kind))]
    return _digest_of(tuple((path, path.stat().st_size, path.stat().st_mtime_ns) for path in paths))


@cache
def _digest_of(files: tuple[tuple[Path, int, int], ...]) -> str:
    """Of files as they are now: some gigabytes, which a process reads once."""
    return file_digest(*(path for path, _, _ in files))[:12]


def no_packing(role: str, name: str, precision: Precision) -> None:
    """Refuse int8 and int4 where nothing packs the weights.

    Raises:
        UserError: it is one of the two.
    """
    if precision in FEW_BITS:
        raise UserError(f"specialists.{role}.precision={precision.value}: {name} takes float32, bfloat16 or float16")


def _packing(role: str, precision: Precision, keep: tuple[str, ...]) -> dict[str, Any]:
    """What `from_pretrained` is told so that bitsandbytes packs the linear layers."""
    import torch
    from transformers import BitsAndBytesConfig

    check_bits(precision, f"specialists.{role}.precision")
    packing: Any = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_8bit=precision is Precision.int8,
        load_in_4bit=precision is Precision.int4,
        bnb_4bit_compute_dtype=torch.bfloat16,
        llm_int8_skip_modules=list(keep) or None,
    )
    return {"quantization_config": packing, "device_map": {"": 0}}


def check_bits(precision: Precision, setting: str) -> None:
    """Whether this machine can hold weights in that precision.

    Raises:
        UserError: no GPU, or the extra is not installed.
    """
    if precision not in FEW_BITS:
        return
    import torch

    if not torch.cuda.is_available():
        raise UserError(f"{setting}={precision.value} needs a GPU, and none is there: set it to auto")
    if find_spec("bitsandbytes") is None:
        raise UserError(f"{setting}={precision.value} needs the extra: pip install 'aotd[bits]'")


def _is_folder(path: str) -> bool:
    """Whether this is meant as a folder: a hub id is `owner/name`."""
    return path.startswith(("/", ".", "~")) or path.count("/") != 1


class Shelf:
    """The models that are in memory, within a budget. Threads may share it where it has none, and no two of them take
    one model."""

    def __init__(self, budget_gb: float = 0.0) -> None:
        """`budget_gb`: GiB that weights may take together; 0 is no limit."""
        self._budget = int(budget_gb * 2**30)
        self._kept: OrderedDict[str, tuple[int, Any]] = OrderedDict()
        self._let_go: set[str] = set()

    def take(self, key: str, size: int, load: Callable[[], T]) -> T:
        """A model, loaded if it is not there.

        Args:
            key: what tells it from other models: family, folder and precision.
            size: bytes of its weights.

        Raises:
            UserError: it alone is larger than the budget.
        """
        if key in self._kept:
            self._kept.move_to_end(key)
            found: T = self._kept[key][1]
            return found
        if self._budget and size > self._budget:
            raise UserError(
                f"specialists.memory_gb: {key} takes {size / 2**30:.1f} GiB by itself, and "
                f"{self._budget / 2**30:.1f} are allowed: raise it, or set a lower precision for that model"
            )
        while self._budget and self._kept and self._taken() + size > self._budget:
            self._let_go.add(self._kept.popitem(last=False)[0])
            _give_back()
        # Loading is no question's time, but loading again is the price of a small budget.
        with asking.alone(), nullcontext() if key in self._let_go else loading():
            model = load()
        self._kept[key] = (size, model)
        return model

    def _taken(self) -> int:
        return sum(size for size, _ in self._kept.values())


def _give_back() -> None:
    """Return what a model took, on a GPU to the driver as well."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
