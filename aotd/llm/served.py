"""Where a server that `aotd serve` keeps running is: a small file in the run's folder, read anew whenever it is asked.

`llm.url=RUN/servers/NAME.json` names the file. The server may begin after those who ask it, and may come back on
another node; the file says where it is now.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aotd.errors import UserError
from aotd.runtime.connection import key_of
from aotd.store.untrusted import is_file, read_object

POISON = "X-Ends-The-Server"
"""Header of the answer to a prompt that has ended its server twice (`aotd.serve.gate`)."""


class Served(BaseModel):
    """A server that is up, or was when this was written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(pattern=r"^http://[^\s/]+/v1$")
    """Address that other nodes know it by."""
    key: str = Field(min_length=16, pattern=r"^[!-~]+$")
    """What it wants to be told: made anew each time, and readable by the run's owner only."""
    model: str
    """The name under which it has its model."""
    host: str
    pid: int
    """Of `aotd serve`, on that host."""
    job: str | None = None
    """Number of its SLURM job."""


def address(url: str, key_variable: str) -> tuple[str, str] | None:
    """Address and key (empty for none) of a server; None where `url` names a file that is not there, or not yet.

    Args:
        url: the address, or the file.
        key_variable: environment variable with the key for an address; a file brings its own.

    Raises:
        UserError: the file holds something else, or the variable what no key holds.
    """
    if not url.endswith(".json"):
        return url.rstrip("/"), key_of(key_variable)
    served = served_at(Path(url))
    return (served.url, served.key) if served else None


def served_at(path: Path) -> Served | None:
    """What a file says; None where there is none (yet).

    Raises:
        UserError: the file holds something else.
    """
    if not is_file(path):
        return None
    try:
        return Served.model_validate(read_object(path, str(path)))
    except ValidationError as error:
        raise UserError(f"{path} is not what `aotd serve` writes ({error.errors()[0]['msg']})") from None
