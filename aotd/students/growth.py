"""What a grown student grew on, in its folder as grown.json."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aotd.errors import UserError
from aotd.store.untrusted import is_file, read_object

GROWN = "grown.json"


class Growth(BaseModel):
    """The rendered scenes that a student grew on. None is a video of a world, whatever the seed of either."""

    model_config = ConfigDict(extra="forbid")

    seed: int
    scenes: Annotated[int, Field(ge=0)]
    """How many; those of a later stage are among those of the first."""
    difficulty: str


def growth_of(folder: Path) -> Growth | None:
    """Read what the student in a folder grew on; None where it does not say that it was grown.

    Raises:
        UserError: the file is damaged.
    """
    path = folder / GROWN
    if not is_file(path):
        return None
    try:
        return Growth.model_validate(read_object(path, str(path)))
    except ValidationError:
        raise UserError(f"{path} does not say what the student grew on: copy its folder again") from None
