"""Tensors on their way to the disk: safetensors and torch write by themselves, and tell of a full disk in their way."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from aotd.errors import UserError
from aotd.store.files import disk_errors


@contextmanager
def tensor_errors(path: Path) -> Iterator[None]:
    """`disk_errors` for what native code writes to `path`.

    Raises:
        UserError: the disk does not take it.
    """
    with disk_errors(path):
        try:
            yield
        except SafetensorError as error:
            number = re.search(r"os error (\d+)", str(error))
            if number is None:
                raise
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from None
        except RuntimeError as error:
            if "inline_container" not in str(error):  # torch.save does not say what the disk said
                raise
            raise UserError(
                f"{path}: could not be written: see that there is room on the disk and run the same command again, "
                "it goes on where it left off"
            ) from None
