"""The vocabulary of playroom: what there is, how it looks, what can be done with it, and the words for that.

Class names, their codes and the verbs' short names are STAR's (Action Genome's), so that the real
benchmark and this world speak the same language. Base colours were chosen far apart from each other, from
skin, and from every wall and floor: a specialist that sees only pixels can tell things by colour first
and by shape second. A thing that can be opened shows its `inside` colour in the middle when it is open.
"""

from __future__ import annotations

from dataclasses import dataclass

WIDTH, HEIGHT, FPS = 256, 192, 8
"""Frame size in pixels and frame rate of every video."""

Colour = tuple[int, int, int]

DARK: Colour = (25, 20, 25)
LIGHT: Colour = (245, 245, 240)
SKIN: Colour = (224, 172, 140)
HAIR: Colour = (60, 42, 32)
TROUSERS: Colour = (50, 52, 72)
SHIRTS: tuple[Colour, ...] = ((225, 15, 255), (75, 180, 15), (210, 105, 255), (0, 255, 120))
"""No thing has one of these colours; two people in a scene never wear the same one."""
WALLS: tuple[Colour, ...] = ((214, 206, 190), (196, 202, 208), (206, 196, 200))
FLOORS: tuple[Colour, ...] = ((168, 150, 130), (140, 136, 134))

PERSON = "person"
PERSON_CODE = "o000"


@dataclass(frozen=True)
class PlayroomPart:
    """One primitive of a drawing, in unit coordinates of the thing's box (0, 0 is its upper left corner)."""

    kind: str
    """`rect`, `ellipse`, or `poly`."""
    points: tuple[float, ...]
    """x1, y1, x2, y2 for `rect` and `ellipse`; x, y, x, y, … for `poly`."""
    role: str = "base"
    """Which of the thing's colours: `base`, `inside`, `dark` or `light`."""


@dataclass(frozen=True)
class Thing:
    """A class of household things."""

    name: str
    """STAR's name, e.g. `cup/glass/bottle`."""
    code: str
    """STAR's code, e.g. `o010`."""
    colour: Colour
    """Base colour; covers most of the box."""
    size: tuple[int, int]
    """Width and height of its box at scale 1, in pixels."""
    parts: tuple[PlayroomPart, ...]
    """How it looks (closed, where it can be opened)."""
    place: str = "floor"
    """Where it is: `floor` (small things before the people), `back` (furniture along the wall), `wall`."""
    portable: bool = False
    """Can be taken, held, put down and thrown."""
    openable: bool = False
    sittable: bool = False
    passable: bool = False
    """Can be walked through."""
    inside: Colour = DARK
    """What is seen in the middle of it when it is open."""
    open_parts: tuple[PlayroomPart, ...] = ()
    """How it looks open; its box stays the same."""

    def colour_of(self, role: str) -> Colour:
        return {"base": self.colour, "inside": self.inside, "dark": DARK, "light": LIGHT}[role]


def _rect(x1: float, y1: float, x2: float, y2: float, role: str = "base") -> PlayroomPart:
    return PlayroomPart("rect", (x1, y1, x2, y2), role)


def _oval(x1: float, y1: float, x2: float, y2: float, role: str = "base") -> PlayroomPart:
    return PlayroomPart("ellipse", (x1, y1, x2, y2), role)


def _poly(*points: float, role: str = "base") -> PlayroomPart:
    return PlayroomPart("poly", points, role)


_FULL = _rect(0, 0, 1, 1)
_HOLE = _rect(0.2, 0.2, 0.8, 0.8, "inside")

_THINGS = (
    # along the wall
    Thing(
        "door",
        "o026",
        (135, 60, 0),
        (32, 72),
        (_FULL, _rect(0.14, 0.08, 0.86, 0.11, "dark"), _oval(0.74, 0.48, 0.9, 0.55, "light")),
        "back",
        openable=True,
        open_parts=(_FULL, _rect(0.3, 0.06, 0.94, 1, "inside")),
    ),
    Thing(
        "closet/cabinet",
        "o003",
        (135, 120, 0),
        (40, 62),
        (_FULL, _rect(0.48, 0.04, 0.52, 0.96, "dark"), _rect(0.38, 0.45, 0.43, 0.58, "light")),
        "back",
        openable=True,
        open_parts=(_FULL, _rect(0.22, 0.08, 0.78, 0.92, "inside"), _rect(0.22, 0.48, 0.78, 0.52)),
    ),
    Thing(
        "refrigerator",
        "o008",
        (180, 240, 195),
        (30, 60),
        (_FULL, _rect(0, 0.36, 1, 0.39, "dark"), _rect(0.1, 0.15, 0.18, 0.3, "dark")),
        "back",
        openable=True,
        open_parts=(_FULL, _rect(0.2, 0.08, 0.9, 0.94, "inside"), _rect(0.2, 0.48, 0.9, 0.53)),
    ),
    Thing(
        "window",
        "o005",
        (0, 180, 255),
        (40, 34),
        (_FULL, _rect(0.47, 0, 0.53, 1, "light"), _rect(0, 0.46, 1, 0.54, "light")),
        "wall",
        openable=True,
        open_parts=(_FULL, _rect(0.18, 0.12, 0.82, 0.88, "inside")),
    ),
    Thing(
        "doorway",
        "o031",
        (105, 30, 75),
        (34, 76),
        (_FULL, _rect(0.16, 0.08, 0.84, 1, "light")),
        "back",
        passable=True,
    ),
    Thing(
        "table",
        "o006",
        (255, 150, 30),
        (46, 26),
        (_rect(0, 0, 1, 0.42), _rect(0.06, 0.42, 0.2, 1), _rect(0.8, 0.42, 0.94, 1)),
        "back",
        sittable=True,
    ),
    Thing(
        "bed",
        "o018",
        (75, 45, 210),
        (58, 28),
        (_rect(0, 0, 0.08, 1), _rect(0, 0.4, 1, 0.9), _rect(0.94, 0.4, 1, 1), _rect(0.1, 0.25, 0.3, 0.42, "light")),
        "back",
        sittable=True,
    ),
    Thing(
        "sofa/couch",
        "o021",
        (15, 90, 0),
        (54, 32),
        (_rect(0.1, 0, 0.9, 0.6), _rect(0, 0.3, 1, 1), _rect(0.49, 0.1, 0.51, 0.6, "dark")),
        "back",
        sittable=True,
    ),
    Thing(
        "chair",
        "o029",
        (0, 135, 165),
        (24, 40),
        (_rect(0, 0, 0.28, 1), _rect(0, 0.45, 1, 0.65), _rect(0.8, 0.6, 1, 1)),
        "back",
        sittable=True,
    ),
    Thing("mirror", "o020", (150, 150, 210), (22, 34), (_oval(0, 0, 1, 1),), "wall"),
    Thing("picture", "o002", (255, 0, 120), (26, 22), (_FULL, _rect(0.25, 0.25, 0.75, 0.75, "light")), "wall"),
    Thing("light", "o034", (240, 225, 0), (18, 18), (_poly(0.3, 0, 0.7, 0, 1, 1, 0, 1),), "wall"),
    Thing("television", "o036", (0, 60, 135), (36, 24), (_FULL, _rect(0.4, 0.86, 0.6, 0.94, "light")), "wall"),
    # before the people
    Thing("broom", "o001", (255, 210, 105), (14, 34), (_rect(0.36, 0, 0.64, 0.6), _rect(0, 0.6, 1, 1)), portable=True),
    Thing("blanket", "o004", (0, 0, 255), (34, 18), (_FULL, _rect(0, 0.3, 1, 0.36, "light")), portable=True),
    Thing("paper/notebook", "o007", (210, 240, 135), (18, 22), (_FULL,), portable=True),
    Thing("pillow", "o009", (240, 165, 255), (28, 18), (_oval(0, 0, 1, 1),), portable=True),
    Thing(
        "cup/glass/bottle",
        "o010",
        (0, 240, 255),
        (16, 22),
        (_rect(0.3, 0, 0.7, 0.35), _rect(0, 0.3, 1, 1)),
        portable=True,
    ),
    Thing("shoe", "o012", (165, 15, 60), (26, 16), (_rect(0, 0, 0.42, 1), _rect(0, 0.45, 1, 1)), portable=True),
    Thing(
        "medicine",
        "o013",
        (255, 15, 180),
        (16, 22),
        (_FULL, _rect(0.42, 0.25, 0.58, 0.75, "light"), _rect(0.22, 0.42, 0.78, 0.58, "light")),
        portable=True,
    ),
    Thing("phone/camera", "o014", (90, 0, 120), (15, 24), (_FULL, _oval(0.3, 0.1, 0.7, 0.35, "light")), portable=True),
    Thing(
        "box",
        "o015",
        (255, 105, 75),
        (30, 24),
        (_FULL, _rect(0, 0.28, 1, 0.34, "dark")),
        portable=True,
        openable=True,
        open_parts=(_FULL, _rect(0.14, 0.12, 0.86, 0.62, "inside")),
    ),
    Thing(
        "sandwich", "o016", (120, 150, 90), (24, 20), (_poly(0.5, 0, 1, 1, 0, 1), _rect(0, 0.85, 1, 1)), portable=True
    ),
    Thing(
        "book",
        "o017",
        (255, 0, 0),
        (26, 22),
        (_FULL, _rect(0.08, 0, 0.14, 1, "dark")),
        portable=True,
        openable=True,
        inside=LIGHT,
        open_parts=(_FULL, _rect(0.1, 0.14, 0.46, 0.86, "inside"), _rect(0.54, 0.14, 0.9, 0.86, "inside")),
    ),
    Thing(
        "clothes",
        "o019",
        (180, 45, 135),
        (30, 24),
        (_poly(0, 0.15, 0.3, 0, 0.7, 0, 1, 0.15, 0.95, 0.5, 0.78, 0.45, 0.78, 1, 0.22, 1, 0.22, 0.45, 0.05, 0.5),),
        portable=True,
    ),
    Thing(
        "bag",
        "o023",
        (0, 120, 255),
        (26, 28),
        (_oval(0.25, 0, 0.75, 0.5), _rect(0, 0.25, 1, 1), _rect(0.35, 0.45, 0.65, 0.52, "light")),
        portable=True,
        openable=True,
        open_parts=(_oval(0.25, 0, 0.75, 0.5), _rect(0, 0.25, 1, 1), _rect(0.14, 0.32, 0.86, 0.7, "inside")),
    ),
    Thing(
        "dish", "o024", (60, 255, 180), (30, 14), (_oval(0, 0, 1, 1), _oval(0.3, 0.3, 0.7, 0.7, "light")), portable=True
    ),
    Thing(
        "laptop",
        "o025",
        (30, 150, 120),
        (32, 24),
        (_rect(0, 0.45, 1, 1), _rect(0, 0.68, 1, 0.74, "dark")),
        portable=True,
        openable=True,
        open_parts=(_FULL, _rect(0.1, 0.08, 0.9, 0.6, "inside")),
    ),
    Thing("towel", "o027", (255, 150, 180), (18, 30), (_FULL, _rect(0, 0.76, 1, 0.82, "light")), portable=True),
    Thing("food", "o028", (180, 240, 0), (20, 20), (_oval(0, 0, 1, 1),), portable=True),
    Thing("vacuum", "o035", (0, 255, 0), (28, 26), (_rect(0.66, 0, 0.8, 0.7), _oval(0, 0.4, 1, 1)), portable=True),
)

THINGS: dict[str, Thing] = {thing.name: thing for thing in _THINGS}
"""Name -> thing."""

HANDHELD = tuple(thing.name for thing in _THINGS if thing.portable)
OPENABLE = tuple(thing.name for thing in _THINGS if thing.openable)
SITTABLE = tuple(thing.name for thing in _THINGS if thing.sittable)
PASSABLE = tuple(thing.name for thing in _THINGS if thing.passable)


@dataclass(frozen=True)
class PlayroomVerb:
    """What a person does with a thing, in all forms that questions, options and queries use."""

    name: str
    """STAR's short name, as its functional programs say it, e.g. `put`."""
    plain: str
    """`put down`: "Which object will the person put down next?"."""
    past: str
    """`put down`: "Put down the book."."""
    doing: str
    """`putting down`: "person putting down the book"."""
    done: str
    """`put down`: "Which object was put down by the person?"."""
    objects: tuple[str, ...]
    """The things it can be done with."""


PLAYROOM_VERBS: dict[str, PlayroomVerb] = {
    verb.name: verb
    for verb in (
        PlayroomVerb("take", "take", "took", "taking", "taken", HANDHELD),
        PlayroomVerb("hold", "hold", "held", "holding", "held", HANDHELD),
        PlayroomVerb("put", "put down", "put down", "putting down", "put down", HANDHELD),
        PlayroomVerb("throw", "throw", "threw", "throwing", "thrown", HANDHELD),
        PlayroomVerb("open", "open", "opened", "opening", "opened", OPENABLE),
        PlayroomVerb("close", "close", "closed", "closing", "closed", OPENABLE),
        PlayroomVerb("sit", "sit on", "sat on", "sitting on", "sat on", SITTABLE),
        PlayroomVerb("walk", "walk through", "walked through", "walking through", "walked through", PASSABLE),
    )
}
"""STAR's short name -> verb. Standing up is part of what a sitting person does next, and is not a verb here."""


def past_option(verb: str, thing: str) -> str:
    """An option in the past, e.g. `Opened the door.`"""
    return f"{PLAYROOM_VERBS[verb].past.capitalize()} the {thing}."


def future_option(verb: str, thing: str) -> str:
    """An option about what comes, e.g. `Open the door.`"""
    return f"{PLAYROOM_VERBS[verb].plain.capitalize()} the {thing}."


def query(verb: str, thing: str) -> str:
    """What a grounder is asked, e.g. `person opening the door`."""
    return f"{PERSON} {PLAYROOM_VERBS[verb].doing} the {thing}"


COUNTED: dict[str, str] = {
    "shoe": "shoes",
    "pillow": "pillows",
    "book": "books",
    "box": "boxes",
    "bag": "bags",
    "towel": "towels",
    "dish": "dishes",
    "sandwich": "sandwiches",
}
"""Things of which there can be several at once, and their plural; the rest come one to a scene."""
