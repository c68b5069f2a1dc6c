"""What a person is about to do at the end of a clip, told from posture: where they stand, how low, hands where."""

from __future__ import annotations

from dataclasses import dataclass

from aotd.datasets.playroom.things import OPENABLE, PASSABLE, PLAYROOM_VERBS, SITTABLE, THINGS
from aotd.specialists.playroom.events import held, length
from aotd.specialists.playroom.tracks import Body, ColourPatch, Look

_HANGS = 0.7
"""A thing in a hand is gripped this share of its height above its lower edge."""


@dataclass(frozen=True)
class Coming:
    """Something that may come next; the lower `far`, the likelier."""

    verb: str
    thing: str
    far: float


def coming(look: Look, frame: int) -> list[Coming]:
    """What could come after a frame, the likeliest first."""
    actor = _actor(look, frame)
    if actor is None:
        return []
    body = look.people[actor][frame]
    carried = [item.thing for item in held(look) if item.person == actor and item.start <= frame < item.end]
    found = [option for name in carried for option in _with_carried(look, name, body, frame)]
    for name in look.things:
        track = look.one(name)
        patch = track.get(frame) or next(iter(track.values()))
        if name not in carried and not look.several(name):
            found += _with_thing(look, name, patch, body, frame)
    return sorted(found, key=lambda option: (option.far, option.verb, option.thing))


def _actor(look: Look, frame: int) -> int | None:
    """The person who has moved most of late."""
    moved: list[tuple[float, int]] = []
    for number, person in enumerate(look.people):
        before = [earlier for earlier in range(frame - length(look, 0.6), frame) if earlier in person]
        if frame in person:
            now, then = person[frame], person[before[0]] if before else person[frame]
            stirred = sum(abs(a - b) for a, b in zip(now.box, then.box, strict=True))
            moved.append((-stirred - 40 * (_low(now) > 0.15), number))
    return min(moved)[1] if moved else None


def _low(body: Body) -> float:
    """How far a body is from upright for where it stands: 0 upright, about 0.25 when crouching."""
    upright = 91 * (0.8 + 0.2 * (body.feet - 124) / 28)
    return 1 - (body.feet - body.top) / upright


def _with_carried(look: Look, name: str, body: Body, frame: int) -> list[Coming]:
    patch = look.one(name).get(frame)
    if patch is None:
        return []
    over = body.shoulder - (patch.box[3] - _HANGS * THINGS[name].size[1])
    if over > -4:  # the hand is up: drawn back over the shoulder to throw, or beside the face to hold
        return [Coming("throw", name, abs(over - 14)), Coming("hold", name, abs(over - 6))]
    return [Coming("put", name, 6.0 if _low(body) > 0.1 else 40.0)]


def _with_thing(look: Look, name: str, patch: ColourPatch, body: Body, frame: int) -> list[Coming]:
    thing, away = THINGS[name], abs(patch.x - body.x)
    if name in SITTABLE:
        return [Coming("sit", name, away + 2 + abs(body.feet - patch.box[3] - 10) / 2)]
    if name in PASSABLE:
        return [Coming("walk", name, away + 2 + max(body.feet - 132, 0.0))]
    beside = abs(away - thing.size[0] / 2 - (9 if thing.place == "floor" else 5))
    touched = sum(
        patch.box[0] - 5 <= x <= patch.box[2] + 5 and patch.box[1] - 5 <= y <= patch.box[3] + 5 for x, y in body.hands
    )
    if thing.place == "floor":
        # floor things stand before people: a hand at one of them is hidden, a hanging one is not
        reach = beside + (0.0 if _low(body) > 0.1 else 30.0)
        free = len(body.hands) - touched
        found = [Coming("take", name, reach + (4.0 if free == 0 else 0.0))]
    else:
        reach, free, found = beside + (0.0 if touched else 15.0), 2 - touched, []
    if name in OPENABLE:
        state = next((s for s in reversed(look.open[name][: frame + 1]) if s is not None), False)
        found.append(
            Coming("close" if state else "open", name, reach + (4.0 if thing.place == "floor" and free else 0.0))
        )
    return found


def able(look: Look, verb: str) -> list[str]:
    """The things to be seen that a verb can be done with."""
    return [name for name in look.things if name in PLAYROOM_VERBS[verb].objects]
