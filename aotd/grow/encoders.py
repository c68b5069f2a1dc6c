"""The grown encoder on the disk, between the stages of its student."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from aotd.errors import UserError
from aotd.models.checkpoints import COMPLAINTS, first_line
from aotd.store.files import whole_file, write_atomically
from aotd.store.tensors import tensor_errors
from aotd.students.valley.grown_encoder import GrownEncoder, GrownSettings, channels_last


def save_encoder(encoder: GrownEncoder, folder: Path) -> None:
    """Write an encoder; `encoder.safetensors` is written last."""
    write_atomically(folder / "encoder.json", encoder.settings.model_dump_json(indent=1) + "\n")
    path = folder / "encoder.safetensors"
    with whole_file(path, named=False) as partial, tensor_errors(path):
        save_file({name: weight.contiguous() for name, weight in encoder.state_dict().items()}, partial)


def is_saved(folder: Path) -> bool:
    """Whether a whole encoder is there."""
    return (folder / "encoder.safetensors").is_file()


def load_encoder(folder: Path) -> GrownEncoder:
    """Read an encoder, frozen.

    Raises:
        UserError: its files are damaged.
    """
    try:
        settings = GrownSettings.model_validate_json((folder / "encoder.json").read_text(encoding="utf-8"))
        encoder = GrownEncoder(settings)
        encoder.load_state_dict(load_file(folder / "encoder.safetensors"))
    except (ValidationError, SafetensorError, *COMPLAINTS) as error:
        raise UserError(f"{folder} holds no encoder that can be read ({first_line(error)}): delete it") from None
    return channels_last(encoder).requires_grad_(False).train(False)
