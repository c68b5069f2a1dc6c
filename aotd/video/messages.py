"""What may be heard of the decoding process: every field of every reply, checked.

It has read a stranger's bytes with code that has had holes, so it is taken for a stranger itself. A reply
that does not fit these records is nonsense, and the process is ended.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

_Count = Annotated[int, Field(ge=0, le=2**63)]
_Side = Annotated[int, Field(ge=1, le=2**26)]
_Seconds = Annotated[float, Field(ge=0)]


class NonsenseError(Exception):
    """It is no reply to what was asked."""


class _DecoderMessage(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class StreamFacts(_DecoderMessage):
    """`aotd.video.reader.Facts`; what the fields mean is said there."""

    codec: Annotated[str, Field(pattern=r"\A[!-~]{1,64}\z")]
    width: _Side
    height: _Side
    rotation: Literal[0, 90, 180, 270]
    fps: Annotated[float, Field(gt=0)] | None
    duration_s: _Seconds
    promised_s: float | None
    promised: _Count
    decoded: Annotated[int, Field(ge=1, le=2**63)]
    damaged: _Count
    cut: bool


class FactsReply(_DecoderMessage):
    """The one reply to `facts` and `probe`."""

    facts: StreamFacts


class FramesReply(_DecoderMessage):
    """Stands before the bytes of one frame."""

    first: _Count
    """The index of the first moment at which it is shown."""
    copies: Annotated[int, Field(ge=1)]
    """At how many moments it is shown, one after the other."""
    shape: tuple[_Side, _Side, Literal[3]]
    """Height, width, channels."""
    bytes: _Count


class EndReply(_DecoderMessage):
    """Stands behind the last frame."""

    end: Literal[True]


class Refusal(_DecoderMessage):
    """Stands in place of any of them: the file is at fault, and the process is fit for the next one."""

    error: str


H = TypeVar("H", bound=_DecoderMessage)


def understand(text: bytes | bytearray, wanted: type[H]) -> H | Refusal:
    """One reply.

    Raises:
        NonsenseError: it is neither such a reply nor a refusal.
    """
    for kind in (wanted, Refusal):
        try:
            return kind.model_validate_json(text)
        except ValidationError:
            pass
    raise NonsenseError
