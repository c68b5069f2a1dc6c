"""A scene as it was played: where everything and everybody is in every frame, and when which action happens.

Frames here are the video's own (`FPS` a second), counted from 0. An action has a run-up (walking there,
`approach`; stretching out the hand, `reach`) that belongs to no span, and then lasts `[start, end)`.
"""

from __future__ import annotations

from dataclasses import dataclass

from aotd.datasets.playroom.things import HEIGHT, WIDTH, Colour, Thing
from aotd.records import Box

Point = tuple[float, float]

WALL_LINE = 114.0
"""Height of the edge between wall and floor, in pixels from the top."""
LANE_Y, BACK_LANE_Y = 152.0, 136.0
"""Where the feet are of who is busy with things on the floor, and with furniture."""


@dataclass(frozen=True)
class Pose:
    """A person in one frame."""

    x: float
    feet: float
    """Height of the feet in pixels from the top; the nearer to the viewer, the lower and the larger."""
    facing: int = 1
    """1 to the right, -1 to the left."""
    crouch: float = 0.0
    """0 upright, 1 as low as can be."""
    stride: float = 0.0
    """How far the feet are apart, in pixels."""
    hands: tuple[Point | None, Point | None] = (None, None)
    """Where the two hands are; None hangs down."""
    hidden: bool = False
    """Gone through the doorway."""

    @property
    def scale(self) -> float:
        return 0.8 + 0.2 * (self.feet - 124) / (LANE_Y - 124)

    @property
    def hip(self) -> float:
        return self.feet - (38 - 26 * self.crouch) * self.scale

    @property
    def shoulder(self) -> float:
        return self.hip - 30 * self.scale

    @property
    def head_top(self) -> float:
        return self.shoulder - 23 * self.scale

    def hand(self, side: int) -> Point:
        """Where a hand is: 0 the one in front, 1 the other."""
        given = self.hands[side]
        sign = self.facing if side == 0 else -self.facing
        return given or (self.x + sign * 13 * self.scale, self.hip + 2 * self.scale)

    def box(self) -> Box:
        """Everything of the person, arms included."""
        hands = [self.hand(0), self.hand(1)]
        wide = 13 * self.scale
        return (
            min(self.x - wide, *(x - 4 for x, _ in hands)),
            min(self.head_top, *(y - 4 for _, y in hands)),
            max(self.x + wide, *(x + 4 for x, _ in hands)),
            max(self.feet + 2, *(y + 4 for _, y in hands)),
        )


@dataclass(frozen=True)
class PlayroomItem:
    """A thing in one frame."""

    x: float
    """Middle, in pixels."""
    base: float
    """Lower edge, in pixels from the top."""
    open: bool = False
    holder: int | None = None
    """Who has it in the hands."""


@dataclass(frozen=True)
class Action:
    """Something a person does with a thing; all numbers are frames."""

    actor: int
    verb: str
    item: int
    """Index of the thing in the scene."""
    approach: int
    reach: int
    start: int
    end: int


@dataclass(frozen=True)
class Frame:
    """Where everything is at one moment."""

    people: tuple[Pose, ...]
    items: tuple[PlayroomItem, ...]


@dataclass(frozen=True)
class PlayroomScene:
    """A scene as it was played."""

    name: str
    things: tuple[Thing, ...]
    shirts: tuple[Colour, ...]
    """The people's, in their order."""
    frames: tuple[Frame, ...]
    actions: tuple[Action, ...]
    """In order of time; no two overlap."""

    def item_box(self, frame: int, item: int) -> Box | None:
        """Box of a thing, in pixels within the frame; None where it is carried out of sight."""
        state, (width, height) = self.frames[frame].items[item], self.things[item].size
        if state.holder is not None and self.frames[frame].people[state.holder].hidden:
            return None
        return clipped((state.x - width / 2, state.base - height, state.x + width / 2, state.base))

    def open_at(self, frame: int, item: int) -> bool:
        return self.frames[frame].items[item].open

    def held_in(self, start: int, end: int) -> set[int]:
        """The things that somebody has in the hands for a while (3 frames or more) in `[start, end)`."""
        counts: dict[int, int] = {}
        for frame in self.frames[start:end]:
            for number, item in enumerate(frame.items):
                if item.holder is not None:
                    counts[number] = counts.get(number, 0) + 1
        return {number for number, count in counts.items() if count >= 3}

    def person_box(self, frame: int, person: int) -> Box | None:
        """Box of a person, in pixels within the frame; None where nothing of the person is seen."""
        pose = self.frames[frame].people[person]
        return None if pose.hidden else clipped(pose.box())


def clipped(box: Box) -> Box | None:
    """The part of a box within the frame, in tenths of a pixel; None where there is next to nothing."""
    x1, y1, x2, y2 = max(box[0], 0.0), max(box[1], 0.0), min(box[2], WIDTH), min(box[3], HEIGHT)
    return (round(x1, 1), round(y1, 1), round(x2, 1), round(y2, 1)) if x2 - x1 > 2 and y2 - y1 > 2 else None
