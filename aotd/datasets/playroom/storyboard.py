"""What happens in each scene, before anything is drawn.

Scenes come in families of four. The four share an *anchor* action and two sets of four actions, and differ
in which of the four comes before the anchor and which after it:

    scene 0:  take the book    | open the door |  throw the towel
    scene 1:  put down the cup | open the door |  take the book
    scene 2:  ...

So "What happened after the person opened the door?" has each of four options as its true answer exactly
once in the family, and whoever guesses without the video is right one time in four. Questions are still
derived from what the simulation shows (`questions.py`), never from this plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from aotd.datasets.playroom.things import COUNTED, HANDHELD, OPENABLE, PLAYROOM_VERBS, THINGS

FAMILY = 4
Deed = tuple[str, str]
"""(verb, thing), both by name."""

MAX_BACK_WIDTH = 225
MAX_FLOOR_THINGS = 9
MAX_WALL_THINGS = 4
EXTRA_DEED = 0.35
"""Chance that a scene has one more action, of any legal kind, at its end."""


@dataclass(frozen=True)
class ScriptedAct:
    """One action of the script."""

    actor: int
    verb: str
    thing: str


@dataclass(frozen=True)
class ScenePlan:
    """Everything the simulation needs to know; the rest (places, timing, looks) it draws from the seed."""

    scene: str
    """Id of the scene and of its video."""
    people: int
    things: tuple[str, ...]
    """Names of the things; only one that nobody touches may come more than once."""
    held: tuple[tuple[str, int], ...]
    """(thing, person) pairs: what is in whose hands at the start."""
    opened: tuple[str, ...]
    """Things that are open at the start."""
    script: tuple[ScriptedAct, ...]


class Room:
    """Who holds what, what is open, who sits where: enough to say what may be done next."""

    def __init__(self, held: dict[str, int], opened: set[str]) -> None:
        self.held = dict(held)
        self.opened = set(opened)
        self.seats: dict[int, str] = {}

    def allows(self, act: ScriptedAct) -> bool:
        """Whether a person could do this now."""
        hands = sum(actor == act.actor for actor in self.held.values())
        if act.verb == "take":
            return act.thing not in self.held and hands < 2
        if act.verb in ("hold", "put", "throw"):
            return self.held.get(act.thing) == act.actor
        if act.verb == "open":
            return act.thing not in self.opened and act.thing not in self.held and hands < 2
        if act.verb == "close":
            return act.thing in self.opened and act.thing not in self.held and hands < 2
        if act.verb == "sit":
            return act.thing not in self.seats.values()
        assert act.verb == "walk", act.verb
        return True

    def do(self, act: ScriptedAct) -> None:
        """The state after an action that was allowed."""
        self.seats.pop(act.actor, None)
        if act.verb == "take":
            self.held[act.thing] = act.actor
        elif act.verb in ("put", "throw"):
            del self.held[act.thing]
        elif act.verb == "open":
            self.opened.add(act.thing)
        elif act.verb == "close":
            self.opened.remove(act.thing)
        elif act.verb == "sit":
            self.seats[act.actor] = act.thing


def beginnings(script: tuple[ScriptedAct, ...]) -> tuple[dict[str, int], set[str]]:
    """What must be held and open at the start, so that the first thing done with each thing can be done."""
    held: dict[str, int] = {}
    opened: set[str] = set()
    met: set[str] = set()
    for act in script:
        if act.thing not in met:
            met.add(act.thing)
            if act.verb in ("hold", "put", "throw"):
                held[act.thing] = act.actor
            if act.verb == "close":
                opened.add(act.thing)
    return held, opened


def legal(script: tuple[ScriptedAct, ...]) -> bool:
    """Whether a script can be played from its beginnings."""
    held, opened = beginnings(script)
    if any(list(held.values()).count(actor) > 2 for actor in held.values()):
        return False
    room = Room(held, opened)
    for act in script:
        if not room.allows(act):
            return False
        room.do(act)
    return True


def family(rng: Random, names: tuple[str, ...]) -> list[ScenePlan]:
    """The plans of one family of scenes, with these ids."""
    assert len(names) == FAMILY
    while True:
        after = _four_deeds(rng)
        before = after if rng.random() < 0.55 else _four_deeds(rng)
        taken = {thing for _, thing in (*before, *after)}
        anchor = _anchor(rng, taken)
        firsts = _order(rng, before, after)
        pairs = list(zip(firsts, after, strict=True))
        if any(first == then for first, then in pairs):
            continue
        scripts = [_cast(rng, [first, anchor, then]) for first, then in pairs]
        if all(scripts):
            break
    counted = rng.choice([name for name in COUNTED if name not in taken and name != anchor[1]])
    counts = rng.sample(range(1, FAMILY + 1), FAMILY)
    plans = []
    for number, (script, people) in enumerate(s for s in scripts if s):
        things = _things(rng, script, after, number, counted)
        full = _with_extra(rng, script, people, things)
        things += [counted] * counts[number]
        held, opened = beginnings(full)
        plans.append(
            ScenePlan(names[number], people, tuple(things), tuple(sorted(held.items())), tuple(sorted(opened)), full)
        )
    return plans


def _four_deeds(rng: Random) -> list[Deed]:
    """Four actions: one verb on four things, four verbs on one thing, or any."""
    kind = rng.choices(["object", "verb", "mixed"], [4, 3, 3])[0]
    if kind == "object":
        verb = rng.choices(["take", "put", "throw", "hold", "open", "close", "sit"], [5, 4, 3, 2, 5, 4, 3])[0]
        return [(verb, thing) for thing in rng.sample(PLAYROOM_VERBS[verb].objects, FAMILY)]
    if kind == "verb":
        thing = rng.choice(HANDHELD)
        verbs = ["take", "put", "throw", "hold", *(["open", "close"] * 2 if thing in OPENABLE else [])]
        return [(verb, thing) for verb in rng.sample(sorted(set(verbs)), FAMILY)]
    deeds: dict[str, str] = {}
    while len(deeds) < FAMILY:
        verb = rng.choice(list(PLAYROOM_VERBS))
        deeds.setdefault(rng.choice(PLAYROOM_VERBS[verb].objects), verb)
    return [(verb, thing) for thing, verb in deeds.items()]


def _anchor(rng: Random, taken: set[str]) -> Deed:
    while True:
        verb = rng.choice(list(PLAYROOM_VERBS))
        thing = rng.choice(PLAYROOM_VERBS[verb].objects)
        if thing not in taken:
            return verb, thing


def _order(rng: Random, before: list[Deed], after: list[Deed]) -> list[Deed]:
    """The first set, so that no scene does the same twice."""
    if before is after:
        shift = rng.randrange(1, FAMILY)
        return before[shift:] + before[:shift]
    return rng.sample(before, FAMILY)


def _cast(rng: Random, deeds: list[Deed]) -> tuple[tuple[ScriptedAct, ...], int] | None:
    """Who does what, in a scene of one or two people; None where nobody could."""
    people = 1 if rng.random() < 0.6 else 2
    for _ in range(6):
        script = tuple(ScriptedAct(rng.randrange(people), verb, thing) for verb, thing in deeds)
        if legal(script):
            return script, people
    return None


def _things(rng: Random, script: tuple[ScriptedAct, ...], after: list[Deed], number: int, counted: str) -> list[str]:
    """What stands about: what is needed, something of what else the options name, and furnishing."""
    names = list(dict.fromkeys(act.thing for act in script))
    # Of the things done with elsewhere in the family, the next one is here too, untouched: it is what else
    # could be opened, taken or sat on in this scene and in no other.
    neighbour = after[(number + 1) % FAMILY][1]
    wanted = [neighbour] if rng.random() < 0.8 else rng.sample([thing for _, thing in after], 2)
    wanted += rng.sample(sorted(name for name in THINGS if THINGS[name].place == "wall" and name not in OPENABLE), 2)
    named = {counted, *(thing for _, thing in after)}
    wanted += rng.sample(sorted(name for name in THINGS if name not in named and THINGS[name].place != "wall"), 3)
    for name in wanted:
        if name not in names and _fits([*names, name]):
            names.append(name)
    return names


def _fits(names: list[str]) -> bool:
    things = [THINGS[name] for name in names]
    return (
        sum(thing.size[0] + 6 for thing in things if thing.place == "back") <= MAX_BACK_WIDTH
        and sum(thing.place == "floor" for thing in things) <= MAX_FLOOR_THINGS - FAMILY
        and sum(thing.place == "wall" for thing in things) <= MAX_WALL_THINGS
    )


def _with_extra(
    rng: Random, script: tuple[ScriptedAct, ...], people: int, things: list[str]
) -> tuple[ScriptedAct, ...]:
    """Sometimes one more action, of any kind that leaves the beginnings as they are."""
    if rng.random() > EXTRA_DEED:
        return script
    before = beginnings(script)
    choices = [
        ScriptedAct(actor, verb.name, thing)
        for actor in range(people)
        for verb in PLAYROOM_VERBS.values()
        for thing in things
        if thing in verb.objects
    ]
    rng.shuffle(choices)
    for act in choices:
        longer = (*script, act)
        if act.verb != script[-1].verb and beginnings(longer) == before and legal(longer):
            return longer
    return script
