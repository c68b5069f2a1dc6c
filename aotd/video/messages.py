"""What may be heard of the decoding process: every field of every reply, checked.

It has read a stranger's bytes with code that has had holes, so it is taken for a stranger itself. A reply
that does not fit these records is nonsense, and the process is ended.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from aotd.video.facts import VideoFacts

_Count = Annotated[int, Field(ge=0, le=2**63)]
_Side = Annotated[int, Field(ge=1, le=2**26)]


class NonsenseError(Exception):
    """It is no reply to what was asked."""


class _DecoderMessage(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def _in_range(facts: VideoFacts) -> VideoFacts:
    counts = (facts.expected, facts.decoded - 1, facts.damaged)
    sound = (
        all("!" <= letter <= "~" for letter in facts.codec)
        and 1 <= len(facts.codec) <= 64
        and all(1 <= side <= 2**26 for side in (facts.width, facts.height))
        and all(0 <= count < 2**63 for count in counts)
        and (facts.fps is None or facts.fps > 0)
        and facts.duration_s >= 0
    )
    if not sound:
        raise ValueError
    return facts


class FactsReply(_DecoderMessage):
    """The one reply to `facts` and `probe`."""

    facts: Annotated[VideoFacts, AfterValidator(_in_range)]


class ProgressReply(_DecoderMessage):
    """Stands before any of the others, however often: the process is at work."""

    progress: Annotated[int, Field(ge=1)]
    """Packets read and packets decoded so far."""


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


def understand(text: bytes | bytearray, wanted: type[H]) -> H | ProgressReply | Refusal:
    """One reply.

    Raises:
        NonsenseError: it is neither such a reply nor what may stand before it or in its place.
    """
    for kind in (wanted, ProgressReply, Refusal):
        try:
            return kind.model_validate_json(text)
        except ValidationError:
            pass
    raise NonsenseError
