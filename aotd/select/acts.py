"""Actions of the ground truth: which happen when, in words a specialist can be asked for.

Annotators mark what is being done on key frames. An action lasts from the first to the last of the key
frames that follow each other and bear its name, and half the way to the neighbours on each side.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from aotd.datasets.star import STAR_VERBS, StarSituation
from aotd.errors import UserError

_SMALL = {
    *("a", "an", "the", "some", "something", "somewhere", "person", "their", "his", "her", "of", "to", "is", "with"),
    *("down", "up", "on", "through", "from"),
}


@dataclass(frozen=True)
class TrueAction:
    """One action of the ground truth."""

    name: str
    """As the benchmark names it, e.g. `open door`, `Opening a door`."""
    start_s: float
    end_s: float
    """`[start_s, end_s)`, in seconds of the video file."""

    @property
    def doing(self) -> str:
        """In the -ing form: `opening the door`."""
        return doing(self.name)

    @property
    def query(self) -> str:
        """What a grounder is asked: `person opening the door`."""
        return f"person {self.doing}"


def doing(name: str) -> str:
    """The name of an action in the -ing form; one that does not begin with a verb of STAR's is left as it is."""
    verb, _, thing = name.partition(" ")
    if verb not in STAR_VERBS:
        return name[:1].lower() + name[1:]
    return f"{STAR_VERBS[verb].doing} the {thing}" if thing else STAR_VERBS[verb].doing


def acts(marked: Sequence[StarSituation], start_s: float, end_s: float, held: bool = False) -> list[TrueAction]:
    """The actions of a question's part of a video, in order of time.

    Args:
        marked: the key frames, in order of time.
        start_s, end_s: the part; no action reaches beyond it.
        held: whether what is merely held, often while other things are done, counts as well (`hold book`).
    """
    inside = [one for one in marked if start_s <= one.time_s < end_s]
    times = [one.time_s for one in inside]
    edges = [start_s, *((a + b) / 2 for a, b in pairwise(times)), end_s]
    open_at: dict[str, int] = {}
    found = []
    for number, one in enumerate([*inside, None]):
        going = set(one.actions) | {f"hold {thing}" for thing in (one.held if held else ())} if one else set()
        for name in [name for name in open_at if name not in going]:
            found.append(TrueAction(name, edges[open_at.pop(name)], edges[number]))
        for name in going:
            open_at.setdefault(name, number)
    return sorted(found, key=lambda act: (act.start_s, act.end_s, act.name))


def stems(text: str) -> frozenset[str]:
    """The words of a text that carry meaning, each cut down to what its forms share."""
    return frozenset(_stem(word) for word in re.findall(r"[a-z0-9]+", text.casefold()) if word not in _SMALL)


def _stem(word: str) -> str:
    if word in _PAST:
        word = _PAST[word]
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending)
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "ls":
        word = word[:-1]
    return word.rstrip("ey") if len(word) > 3 else word


_PAST = {verb.past.split()[0]: name for name, verb in STAR_VERBS.items()} | {"lying": "lie", "tidied": "tidy"}


def named(marked: Sequence[StarSituation], names: Mapping[str, str]) -> tuple[StarSituation, ...]:
    """Key frames with their actions' codes replaced by words."""
    return tuple(replace(one, actions=tuple(names.get(action, action) for action in one.actions)) for one in marked)


def read_names(path: str) -> dict[str, str]:
    """Code -> words, from lines such as `a097 Walking through a doorway`.

    Raises:
        UserError: the file is not there, or a line has no words.
    """
    if not Path(path).is_file():
        raise UserError(f"select.actions: {path} is not there: give a file with a code and its words on each line")
    found = {}
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"select.actions: {path} cannot be read ({error})") from None
    for number, line in enumerate(text.splitlines(), start=1):
        code, _, words = line.strip().partition(" ")
        if line.strip() and not words:
            raise UserError(f"{path}:{number}: wants a code and its words, e.g. `a097 Walking through a doorway`")
        found[code] = words
    return found
