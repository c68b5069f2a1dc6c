"""Temporal grounding for playroom: when somebody does what a query says."""

from __future__ import annotations

from aotd.records import SpanFinding
from aotd.specialists.playroom import words
from aotd.specialists.playroom.events import Happening, happenings, held
from aotd.specialists.playroom.tracks import Look, look
from aotd.video.clip import Clip

_SHOWN = 0.5
"""An action counts as happening in a clip where this share of its frames is in it."""


class PlayroomGrounder:
    """Grounds "person opening the door", "person opening something", "person interacting with the door"."""

    model = "playroom-motion-1"

    def ground(self, clip: Clip, query: str) -> SpanFinding | None:
        """The first of the likeliest spans for `query`; see `base.Grounder`."""
        asked = words.phrase(query)
        if not clip.numbers or (asked.verb is None and asked.thing is None):
            return None
        seen = look(clip.video)
        found = [
            happening
            for happening in happening_in(clip, seen)
            if asked.verb in (None, happening.verb) and asked.thing in (None, happening.thing)
        ]
        if asked.verb == "hold" and not any(happening.verb == "hold" for happening in found):
            found = [item for item in held_in(clip, seen) if asked.thing in (None, item.thing)]
        if not found:
            return None
        best = max(found, key=lambda happening: (happening.score, -happening.start))
        start, end = max(best.start, clip.numbers[0]), min(best.end, clip.numbers[-1] + 1)
        return SpanFinding(start=start, end=end, score=best.score)


def happening_in(clip: Clip, seen: Look) -> list[Happening]:
    """What happens, for the most part, on the frames of a clip, in order of time."""
    return [happening for happening in happenings(seen) if _inside(clip, happening)]


def held_in(clip: Clip, seen: Look) -> list[Happening]:
    """The stretches in which a thing is in somebody's hand on frames of a clip."""
    numbers = clip.numbers
    return [item for item in held(seen) if any(item.start <= number < item.end for number in numbers)]


def _inside(clip: Clip, happening: Happening) -> bool:
    numbers = set(clip.numbers)
    shown = sum(number in numbers for number in range(happening.start, happening.end))
    return shown >= max(1.0, _SHOWN * (happening.end - happening.start))
