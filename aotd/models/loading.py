"""Load the configuration, the weights and the other parts of a checkpoint.

A checkpoint is a local folder or a hub id in its architecture's own format. It is read without code of its own
(`trust_remote_code`) and without pickle (safetensors only), and it is checked first (`aotd.models.checkpoints`).
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import CONFIG_MAPPING, PreTrainedConfig
from transformers.utils.logging import disable_progress_bar

from aotd.errors import UserError
from aotd.models import QUANTISED, Precision
from aotd.models.checkpoints import (
    COMPLAINTS,
    check_checkpoint,
    check_finite,
    check_size,
    find_checkpoint,
    first_line,
    looks_local,
)
from aotd.models.quantisation import check_quantisation, device, dtype_of, quantisation_config


def read_config(
    path: str, setting: str, *families: str, model_class: Any = None, chosen_by: str = "", wanted: str = ""
) -> Any:
    """Read a checkpoint's own configuration (transformers' `PreTrainedConfig`).

    Args:
        path: the checkpoint's folder or hub id.
        setting: the setting that holds it, for errors.
        families: what its `model_type` may be.
        model_class: the class that will be loaded; a checkpoint that names it may have another `model_type`.
        chosen_by: the setting that names the family, for errors.
        wanted: what the families have in common, for errors; none: their names.

    Raises:
        UserError: no checkpoint is named, there is none there, it is of another family, or it names what is not in it.
    """
    wanted = wanted or " or ".join(families)
    if not path:
        raise UserError(f"{setting} is not set: give the folder or hub id of a {wanted} checkpoint")
    check_checkpoint(path, setting)
    try:
        settings, _ = PreTrainedConfig.get_config_dict(path, local_files_only=Path(path).is_dir())
    except COMPLAINTS as error:
        why = "no such folder" if looks_local(path) and not Path(path).is_dir() else first_line(error)
        raise UserError(f"{setting}={path}: there is no checkpoint there ({why})") from None
    found = settings.get("model_type")
    if found not in families:
        # Some of the hub's checkpoints (LLaVA-NeXT-Video's) say the type of the model they were made from.
        if model_class is None or model_class.__name__ not in (settings.get("architectures") or ()):
            wants = f"{chosen_by} wants {wanted}" if chosen_by else f"{wanted} is wanted"
            raise UserError(f"{setting}={path} holds a {found or 'nameless'} model, and {wants}")
        settings = {**settings, "model_type": families[0]}
    kind: Any = CONFIG_MAPPING[str(found)] if model_class is None else model_class.config_class
    try:
        return kind.from_dict(settings)
    except (*COMPLAINTS, StrictDataclassError) as error:
        what = "there is no checkpoint there" if model_class is None else "its config.json cannot be used"
        raise UserError(f"{setting}={path}: {what} ({first_line(error)})") from None


def load_model(
    path: str,
    setting: str,
    model_class: Any,
    config: Any,
    held: Precision | torch.dtype,
    whole: Collection[str] = (),
    **options: Any,
) -> Any:
    """Load a model of transformers with its weights, onto the GPU where there is one.

    Args:
        path, setting: as for `read_config`.
        model_class: its class.
        config: its configuration, as `read_config` gives it.
        held: what its weights are held in.
        whole: modules that are not quantised where the others are.
        options: further arguments of `from_pretrained`.

    Raises:
        UserError: the weights are not there, not safetensors, not all of them, damaged, or of another model.
    """
    disable_progress_bar()  # type: ignore[no-untyped-call]
    where = f"{setting}={path}"
    dtype = dtype_of(held) if isinstance(held, Precision) else held
    if quantised := isinstance(held, Precision) and held in QUANTISED:
        assert isinstance(held, Precision)
        check_quantisation(held, f"{setting.rpartition('.')[0]}.precision")
        options |= {"quantization_config": quantisation_config(held, whole), "device_map": {"": device()}}
    check_checkpoint(path, setting)
    if stored := find_checkpoint(path):
        check_size(model_class, config, stored.folder, where)
    try:
        model, loaded = model_class.from_pretrained(
            path,
            config=config,
            dtype=dtype,
            use_safetensors=True,
            output_loading_info=True,
            local_files_only=Path(path).is_dir(),
            **options,
        )
    except (*COMPLAINTS, SafetensorError, StrictDataclassError) as error:
        raise UserError(f"{where} cannot be loaded: {first_line(error)}") from None
    if missing := sorted(loaded["missing_keys"]):
        raise UserError(f"{where} lacks {len(missing)} weights, among them {missing[0]}")
    check_finite(model, where)
    if torch.cuda.is_available() and not quantised:
        model = model.to(torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))))
    return model


def load_frozen(*arguments: Any, **options: Any) -> Any:
    """Load a model as `load_model` does, to be asked and not trained."""
    return load_model(*arguments, **options).eval().requires_grad_(False)


def load_part(path: str, setting: str, kind: Any) -> Any:
    """Load a tokenizer or picture processor that belongs to a checkpoint.

    Raises:
        UserError: its files are not there.
    """
    try:
        return kind.from_pretrained(path, trust_remote_code=False, local_files_only=Path(path).is_dir())
    except COMPLAINTS as error:
        raise UserError(f"{setting}={path}: {first_line(error)}") from None


def empty_model(model_class: Any, config: Any) -> Any:
    """Make a model without its weights, on the meta device."""
    with torch.device("meta"):
        return model_class(config)
