"""What people do with things, told from how things and people move, vanish, sink and change their looks.

One rule per verb. Spans are in sampled frames; an action is known to last about a second, so a rule that
sees only its turning point knows about where it starts and ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from aotd.datasets.playroom.things import PASSABLE, SITTABLE, THINGS
from aotd.specialists.playroom.tracks import Body, ColourPatch, Look

LASTS_S = 0.9
"""How long an action usually takes, in seconds."""
_FLOOR_Y = 154.0
"""The lower edge of a thing that lies on the floor is below this line."""
_STILL = 4.0
"""Pixels a resting thing may stray between frames (trembling camera, noisy edges)."""
_NEAR = 48.0
"""A thing put down ends this near to the person's middle; one that is thrown ends farther."""


@dataclass(frozen=True)
class Happening:
    """One action that was seen."""

    verb: str
    thing: str
    start: int
    end: int
    """`[start, end)` in sampled frames."""
    score: float
    person: int | None = None


def happenings(look: Look) -> list[Happening]:
    """Everything seen to happen in a video, in order of time."""
    turned = [happening for name in look.open for happening in _turned(look, name)]
    handled = [
        happening
        for name in look.things
        if THINGS[name].portable and not look.several(name)
        for happening in _handled(look, name)
    ]
    moved = [happening for number in range(len(look.people)) for happening in _moved(look, number)]
    return sorted((*turned, *handled, *moved), key=lambda happening: (happening.start, happening.end, happening.thing))


def held(look: Look) -> list[Happening]:
    """The stretches in which a thing is in somebody's hand (or in the air), in order of time."""
    found = []
    for name in look.things:
        if THINGS[name].portable:
            for first, last in aloft(look, name):
                found.append(Happening("hold", name, first, last + 1, 0.5, _holder(look, look.one(name), first, last)))
    return sorted(found, key=lambda item: (item.start, item.end, item.thing))


def length(look: Look, seconds: float = LASTS_S) -> int:
    """A time as a number of sampled frames, at least one."""
    return max(1, round(seconds / look.seconds))


def _span(look: Look, start: float, end: float) -> tuple[int, int]:
    first = min(max(round(start), 0), look.frames - 1)
    return first, min(max(round(end), first + 1), look.frames)


# ── things in hands ───────────────────────────────────────────────────────────────────────────────


def rests(look: Look, name: str) -> list[tuple[int, int]]:
    """The stretches `[first, last]` in which a thing lies still on the floor."""
    track = look.one(name)
    found: list[tuple[int, int]] = []
    for frame, patch in sorted(track.items()):
        if patch.box[3] < _FLOOR_Y:
            continue
        before = track.get(found[-1][1]) if found else None
        lifted = found and any(
            track[number].box[3] < _FLOOR_Y for number in range(found[-1][1] + 1, frame) if number in track
        )
        if before and not lifted and abs(before.x - patch.x) < _STILL and abs(before.box[3] - patch.box[3]) < _STILL:
            found[-1] = (found[-1][0], frame)
        else:
            found.append((frame, frame))
    # a single frame low down is a thing on its way
    return [rest for rest in found if rest[1] > rest[0] or rest[1] in (0, look.frames - 1)]


def aloft(look: Look, name: str) -> list[tuple[int, int]]:
    """The stretches `[first, last]` between rests: the thing is in somebody's hand, or flies."""
    track = look.one(name)
    if look.several(name) or not track:
        return []
    lying = rests(look, name)
    edges = [-1, *(edge for rest in lying for edge in rest), look.frames]
    gaps = [(before + 1, after - 1) for before, after in zip(edges[::2], edges[1::2], strict=True)]
    return [
        gap
        for gap in gaps
        if any(gap[0] <= frame <= gap[1] and patch.box[3] < _FLOOR_Y for frame, patch in track.items())
    ]


def _handled(look: Look, name: str) -> Iterator[Happening]:
    track, lasts = look.one(name), length(look)
    for first, last in aloft(look, name):
        landed = last < look.frames - 1
        holder = _holder(look, track, first, last)
        if first > 0:
            start, end = _span(look, first - 1, first - 1 + lasts)
            yield Happening("take", name, start, end, 0.8, holder)
        thrown = False
        if landed:
            body = look.people[holder].get(last + 1) if holder is not None else None
            thrown = body is None or abs(body.x - track[last + 1].x) > _NEAR
            if thrown:
                start, end = _span(look, last + 2 - lasts, last + 2)
                yield Happening("throw", name, start, end, 0.8, holder)
            else:
                late = 0.25 / look.seconds
                start, end = _span(look, last + 1.5 + late - lasts, last + 1.5 + late)
                yield Happening("put", name, start, end, 0.8, holder)
        until = last - length(look, 1.6) if landed and thrown else last
        yield from _raised(look, name, first, until)


def _holder(look: Look, track: dict[int, ColourPatch], first: int, last: int) -> int | None:
    """Who has a thing in the hands: the person it is nearest to most of the time."""
    near = [_nearest(look, track[frame], frame) for frame in range(first, last + 1) if frame in track]
    known = [who for who in near if who is not None]
    return max(sorted(set(known)), key=known.count) if known else None


def _raised(look: Look, name: str, first: int, last: int) -> Iterator[Happening]:
    """Holding: for about a second the thing is up beside the face."""
    track, run = look.one(name), []
    for frame in range(first, last + 2):
        patch = track.get(frame)
        who = _nearest(look, patch, frame) if patch else None
        if patch and who is not None and frame <= last and patch.y < look.people[who][frame].shoulder + 12:
            run.append(frame)
            continue
        if len(run) >= max(2, length(look, 0.7)):
            start, end = _span(look, run[0] + 0.5, run[-1] + 1)
            yield Happening("hold", name, start, end, 0.7, _nearest(look, track[run[0]], run[0]))
        run = []


def _nearest(look: Look, patch: ColourPatch, frame: int) -> int | None:
    """The person nearest to a thing; None where nobody is seen."""
    away = [(abs(person[frame].x - patch.x), number) for number, person in enumerate(look.people) if frame in person]
    return min(away)[1] if away else None


# ── things that open ──────────────────────────────────────────────────────────────────────────────


def _turned(look: Look, name: str) -> Iterator[Happening]:
    """Opening and closing: the inside begins or ceases to show."""
    if look.several(name):
        return
    before: tuple[int, bool] | None = None
    states = look.open[name]
    for frame, state in enumerate(states):
        # one frame that says otherwise is somebody walking past
        if state is None or (0 < frame < look.frames - 1 and states[frame + 1] not in (state, None)):
            continue
        if before and before[1] != state:
            middle, half = (before[0] + 1 + frame) / 2, LASTS_S / look.seconds / 2
            start, end = _span(look, middle - half, middle + half)
            track = look.one(name)
            who = _nearest(look, track.get(frame) or next(iter(track.values())), frame)
            yield Happening("open" if state else "close", name, start, end, 0.9, who)
        before = (frame, state)


# ── people who sit, and who go out ────────────────────────────────────────────────────────────────


def _moved(look: Look, number: int) -> Iterator[Happening]:
    """Sitting down: low before a seat. Walking through: gone from before a doorway, or small in it."""
    person = look.people[number]
    for name in look.things:
        if name in SITTABLE:
            for start, end in _runs([frame for frame, body in person.items() if _sits(body, look, name, frame)]):
                if end - start >= max(1, length(look, 0.4)):
                    first, last = _span(look, start - 0.5, start - 0.5 + length(look, 1.0))
                    yield Happening("sit", name, first, last, 0.8, number)
        if name in PASSABLE:
            yield from _passed(look, number, name)


def _sits(body: Body, look: Look, name: str, frame: int) -> bool:
    seats = look.one(name)
    seat = seats.get(frame) or next(iter(seats.values()), None)
    if seat is None or abs(body.x - seat.x) > 9:
        return False
    return 58 <= body.top <= 82 and body.feet < seat.box[3] + 18 and body.feet - body.top < 68


def _passed(look: Look, number: int, name: str) -> Iterator[Happening]:
    person, doors = look.people[number], look.one(name)
    door = next(iter(doors.values()), None)
    if door is None:
        return
    inside: list[int] = []
    for frame in range(look.frames):
        body = person.get(frame)
        if body is None:
            last = max(
                (seen for seen in person if seen < frame), default=min((s for s in person if s > frame), default=None)
            )
            if last is not None and abs(person[last].x - door.x) < 12:
                inside.append(frame)
        elif abs(body.x - door.x) < 9 and body.feet < door.box[3] + 8:
            inside.append(frame)
    for start, end in _runs(inside):
        if any(frame not in person for frame in range(start, end)):
            first, last = _span(look, start - 0.5, end + 0.5)
            yield Happening("walk", name, first, last, 0.8, number)


def _runs(frames: list[int]) -> list[tuple[int, int]]:
    """Stretches `[start, end)` of consecutive numbers; a hole of one is bridged."""
    found: list[tuple[int, int]] = []
    for frame in sorted(frames):
        if found and frame <= found[-1][1] + 1:
            found[-1] = (found[-1][0], frame + 1)
        else:
            found.append((frame, frame + 1))
    return found
