"""Action recognition for playroom: what is done in a clip, in words or among candidates."""

from __future__ import annotations

from collections.abc import Sequence

from aotd.specialists.playroom import words
from aotd.specialists.playroom.grounding import happening_in, held_in
from aotd.specialists.playroom.tracks import look
from aotd.specialists.playroom.words import Phrase
from aotd.video.clip import Clip


class PlayroomRecogniser:
    """Names actions as "opened the door"; with candidates, those of them that were seen."""

    model = "playroom-motion-1"

    def actions(self, clip: Clip, obj: str | None, candidates: Sequence[str]) -> list[str]:
        """Actions in the clip, the likeliest first; see `base.Recogniser`.

        What is merely held comes last: whoever has a thing in the hands does other things meanwhile.
        """
        seen = recognised(clip, words.things(obj) if obj else None)
        if not candidates:
            return [words.told(item.verb, item.thing) for item in seen if item.verb and item.thing]
        meant = [(candidate, words.phrase(candidate)) for candidate in candidates]
        ranked = [candidate for item in seen for candidate, phrase in meant if _fits(phrase, item)]
        return list(dict.fromkeys(ranked))


def recognised(clip: Clip, things: list[str] | None) -> list[Phrase]:
    """What is done on the frames of a clip (with one of these things), the likeliest first, each once."""
    if not clip.numbers:
        return []
    seen = look(clip.video)
    done = sorted(happening_in(clip, seen), key=lambda item: (-item.score, item.start))
    phrases = [Phrase(item.verb, item.thing) for item in (*done, *held_in(clip, seen))]
    return list(dict.fromkeys(item for item in phrases if things is None or item.thing in things))


def _fits(candidate: Phrase, item: Phrase) -> bool:
    if candidate.verb is None and candidate.thing is None:
        return False
    return candidate.verb in (None, item.verb) and candidate.thing in (None, item.thing)
