"""Answers, summaries and choices for playroom, in the words of its vocabulary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aotd.datasets.playroom.things import PLAYROOM_VERBS
from aotd.specialists.playroom import words
from aotd.specialists.playroom.action import recognised
from aotd.specialists.playroom.events import happenings, held
from aotd.specialists.playroom.outlook import able, coming
from aotd.specialists.playroom.tracks import Look, look
from aotd.specialists.playroom.words import Phrase
from aotd.video.clip import Clip

NOTHING = "nothing"
_FUTURE = {"will", "next", "about", "would", "going", "soon"}
_ABLE = {"can", "could", "able", "possible"}
_LEAST = 0.25
"""An option that the information supports less than this is not chosen."""


class PlayroomAnswerer:
    """Reads tracks and happenings, and matches words by verb and thing, whatever their form."""

    model = "playroom-words-1"

    def answer(self, clip: Clip, question: str) -> str:
        """A short answer, "nothing" where nothing was seen; see `base.Answerer`."""
        if not clip.numbers:
            return NOTHING
        asked, said, seen = words.phrase(question), set(words.words(question)), look(clip.video)
        if said & _ABLE and asked.verb:
            used = {item.thing for item in happenings(seen) if item.verb == asked.verb} if "other" in said else set()
            return _listed([name for name in _able_now(seen, clip.numbers[-1], asked.verb) if name not in used])
        if "busy" in said:
            return _listed([item.thing for item in recognised(clip, None)[:1] if item.thing])
        if said & _FUTURE:
            return _coming(seen, clip.numbers[-1], asked)
        if "many" in said and asked.thing:
            counts = sorted(len(found) for found in seen.things.get(asked.thing, []) if found)
            return str(counts[len(counts) // 2]) if counts else "0"
        if "hand" in said or "hands" in said or (asked.verb == "hold" and not asked.thing):
            return _listed(_held(seen, clip))
        if asked.verb:
            return _listed([item.thing for item in recognised(clip, None) if item.verb == asked.verb and item.thing])
        if said & {"see", "seen", "there", "things", "objects"}:
            return _listed([name for name in seen.things if any(seen.things[name][number] for number in clip.numbers)])
        done = recognised(clip, [asked.thing] if asked.thing else None)
        return ", ".join(words.told(item.verb, item.thing) for item in done if item.verb and item.thing) or NOTHING

    def summarise(self, clip: Clip, query: str) -> str:
        """What is done in the clip, in order of time, and what is in the hands at its end."""
        if not clip.numbers:
            return "Nothing is to be seen."
        seen = look(clip.video)
        numbers = set(clip.numbers)
        done = [item for item in happenings(seen) if (item.start + item.end) // 2 in numbers]
        told = ", then ".join(dict.fromkeys(words.told(item.verb, item.thing) for item in done))
        carried = _held(seen, clip)
        parts = [f"The person {told}." if told else "The person does nothing that can be told."]
        if carried:
            parts.append(f"At the end the person holds the {' and the '.join(carried)}.")
        return " ".join(parts)

    def choose(self, question: str, info: Mapping[str, str], options: Sequence[str]) -> str | None:
        """The option with the best match of verb and thing, what was told first counting most."""
        if not options:
            told = [text for text in info.values() if text and text.lower() != NOTHING]
            return told[0].split(", ")[0] if told else None
        scored = [(_support(option, question, info), -place, option) for place, option in enumerate(options)]
        best = max(scored)
        return best[2] if best[0] >= _LEAST else None


def _support(option: str, question: str, info: Mapping[str, str]) -> float:
    return max((_match(option, text) / (1 + 0.3 * place) for place, text in enumerate(info.values())), default=0.0)


def _match(option: str, text: str) -> float:
    """How well a text supports an option, in [0, 1]."""
    wanted, said = words.phrase(option), words.number(option)
    if wanted.verb is None and wanted.thing is None:
        if said is not None:
            return float(said == words.number(text))
        own, other = set(words.words(option)), set(words.words(text))
        return len(own & other) / len(own) if own else 0.0
    best = 0.0
    for rank, item in enumerate(words.phrases(text)):
        best = max(best, _likeness(wanted, item) / (1 + 0.2 * rank))
    return best


def _likeness(wanted: Phrase, item: Phrase) -> float:
    asked = [(a, b) for a, b in ((wanted.verb, item.verb), (wanted.thing, item.thing)) if a is not None]
    if any(b is not None and a != b for a, b in asked):
        return 0.0
    return 1.0 if all(b is not None for _, b in asked) else 0.3


def _coming(seen: Look, frame: int, asked: Phrase) -> str:
    fits = [
        option
        for option in coming(seen, frame)
        if asked.verb in (None, option.verb) and asked.thing in (None, option.thing)
    ]
    if not fits:
        return NOTHING
    if asked.verb:
        return fits[0].thing
    return f"{PLAYROOM_VERBS[fits[0].verb].plain} the {fits[0].thing}"


def _able_now(seen: Look, frame: int, verb: str) -> list[str]:
    """What a verb could still be done with: not what is in somebody's hands, not what is open already."""
    carried = {item.thing for item in held(seen) if item.start <= frame < item.end}
    names = [name for name in able(seen, verb) if not seen.several(name)]
    if verb in ("hold", "put", "throw"):
        return [name for name in names if name in carried]
    states = {
        name: next((s for s in reversed(states[: frame + 1]) if s is not None), None)
        for name, states in seen.open.items()
    }
    wrong = {"open": True, "close": False}.get(verb)
    return [name for name in names if name not in carried and (wrong is None or states.get(name) is not wrong)]


def _held(seen: Look, clip: Clip) -> list[str]:
    """What is in somebody's hands at the end of a clip."""
    last = clip.numbers[-1]
    return list(dict.fromkeys(item.thing for item in held(seen) if item.start <= last < item.end))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(names)) or NOTHING
