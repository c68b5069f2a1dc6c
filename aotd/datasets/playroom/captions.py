"""Titles and captions of playroom's scenes, made from what the simulation knows and never from the picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from aotd.datasets.playroom.scene import PlayroomScene
from aotd.datasets.playroom.things import COUNTED, SHIRTS, WIDTH, Colour

SHIRT_WORDS: dict[Colour, str] = dict(zip(SHIRTS, ("magenta", "green", "lilac", "mint"), strict=True))
PARTS = ("left", "middle", "right")
NUMBERS = ("no", "one", "two", "three", "four", "five", "six")


@dataclass(frozen=True)
class Standing:
    """Equal things in one part of the room."""

    noun: str
    count: int
    part: str
    """One of `PARTS`."""
    place: str
    """`floor`, `back` or `wall` (`aotd.datasets.playroom.things`)."""

    @property
    def words(self) -> str:
        """With a number or an article, e.g. `two shoes`."""
        return f"{NUMBERS[self.count]} {plural(self.noun)}" if self.count > 1 else with_article(self.noun)


@dataclass(frozen=True)
class SceneDeed:
    """Something that is done."""

    actor: int
    verb: str
    """By its short name (`PLAYROOM_VERBS`)."""
    noun: str


@dataclass(frozen=True)
class SceneFacts:
    """What is true of a scene and can be seen in its video; people are numbers."""

    shirts: tuple[str, ...]
    """The colours of the people's shirts."""
    standing: tuple[Standing, ...]
    """What nobody holds at the beginning, from the left to the right."""
    opened: tuple[str, ...]
    """What is open at the beginning."""
    held: tuple[tuple[int, str], ...]
    """Who has what in a hand at the beginning."""
    deeds: tuple[SceneDeed, ...]
    """In order of time."""
    opened_at_end: tuple[str, ...]
    held_at_end: tuple[tuple[int, str], ...]

    def who(self, person: int) -> str:
        """A person, as told from the other one."""
        return "the person" if len(self.shirts) == 1 else f"the person in {self.shirts[person]}"


def facts_of(scene: PlayroomScene) -> SceneFacts:
    """What is true of a scene."""
    nouns = [noun_of(thing.name) for thing in scene.things]
    begin, end = scene.frames[0], scene.frames[-1]
    places: dict[tuple[str, str, str], list[float]] = {}
    for noun, thing, item in zip(nouns, scene.things, begin.items, strict=True):
        if item.holder is None:
            part = PARTS[min(int(3 * item.x / WIDTH), 2)]
            places.setdefault((noun, part, thing.place), []).append(item.x)
    ordered = sorted(places, key=lambda key: min(places[key]))
    return SceneFacts(
        shirts=tuple(SHIRT_WORDS[shirt] for shirt in scene.shirts),
        standing=tuple(Standing(noun, len(places[noun, part, place]), part, place) for noun, part, place in ordered),
        opened=tuple(noun for noun, item in zip(nouns, begin.items, strict=True) if item.open),
        held=tuple(
            (item.holder, noun) for noun, item in zip(nouns, begin.items, strict=True) if item.holder is not None
        ),
        deeds=tuple(SceneDeed(action.actor, action.verb, nouns[action.item]) for action in scene.actions),
        opened_at_end=tuple(noun for noun, item in zip(nouns, end.items, strict=True) if item.open),
        held_at_end=tuple(
            (item.holder, noun) for noun, item in zip(nouns, end.items, strict=True) if item.holder is not None
        ),
    )


def tell(facts: SceneFacts, rng: Random) -> tuple[str, str]:
    """Tell a scene: its title and its caption."""
    sentences = [
        _people(facts, rng),
        *_things(facts, rng),
        *_beginnings(facts, rng),
        _deeds(facts, rng),
    ]
    caption = " ".join(sentences)
    return _title(facts, rng), caption


# ── words ─────────────────────────────────────────────────────────────────────────────────────────


def noun_of(name: str) -> str:
    """One word for a thing, e.g. `notebook` for `paper/notebook`."""
    return "notebook" if name == "paper/notebook" else name.partition("/")[0]


def plural(noun: str) -> str:
    return COUNTED.get(noun, f"{noun}s")


def with_article(noun: str) -> str:
    if noun in ("clothes", "food", "medicine"):
        return f"some {noun}"
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def listed(parts: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def are(nouns: Sequence[str]) -> str:
    return "are" if len(nouns) > 1 or nouns[0] == "clothes" else "is"


_DEEDS = {
    "take": ("picks up the {}", "grabs the {}"),
    "hold": ("holds up the {}", "holds the {} up"),
    "put": ("puts down the {}", "sets the {} down"),
    "throw": ("throws the {}", "throws the {} away"),
    "open": ("opens the {}",),
    "close": ("closes the {}", "shuts the {}"),
    "sit": ("sits down on the {}", "sits on the {}"),
    "walk": ("walks through the {} and comes back", "walks through the {} and returns"),
}


def _deed(deed: SceneDeed, rng: Random) -> str:
    return rng.choice(_DEEDS[deed.verb]).format(deed.noun)


def _title(facts: SceneFacts, rng: Random) -> str:
    deed = rng.choice(facts.deeds)
    shirt = facts.shirts[deed.actor]
    where = rng.choice(["", " at home", " indoors"])
    words = f"person in {shirt} shirt {_deed(deed, rng)}{where}".replace(" the ", " ").split()
    return " ".join(word if word in ("in", "and", "at", "on") else word.capitalize() for word in words)


def _people(facts: SceneFacts, rng: Random) -> str:
    if len(facts.shirts) == 1:
        (shirt,) = facts.shirts
        return rng.choice(
            [
                f"A person in a {shirt} shirt is alone in a room.",
                f"One person, who wears a {shirt} shirt, is in a room.",
                f"In a room there is a person with a {shirt} shirt.",
            ]
        )
    one, other = facts.shirts
    return rng.choice(
        [
            f"Two people are in a room: one in a {one} shirt, the other in a {other} shirt.",
            f"A person in a {one} shirt and a person in a {other} shirt are together in a room.",
            f"Two people share a room; one wears a {one} shirt and the other a {other} shirt.",
        ]
    )


def _things(facts: SceneFacts, rng: Random) -> Iterator[str]:
    leads = {
        "back": ("Along the wall there {} ", "At the wall there {} "),
        "wall": ("Up on the wall there {} ", "On the wall one sees that there {} "),
        "floor": ("On the floor there {} ", "Lying on the floor there {} "),
    }
    for place, texts in leads.items():
        by_part = [(part, [one for one in facts.standing if (one.place, one.part) == (place, part)]) for part in PARTS]
        groups = [(part, ones) for part, ones in by_part if ones]
        if not groups:
            continue
        rng.shuffle(groups)
        told = [
            f"{listed([one.words for one in ones])} {'in the' if part == 'middle' else 'on the'} {part}"
            for part, ones in groups
        ]
        first = groups[0][1]
        many = len(first) > 1 or first[0].count > 1 or first[0].noun == "clothes"
        yield rng.choice(texts).format("are" if many else "is") + listed(told) + "."


def _beginnings(facts: SceneFacts, rng: Random) -> Iterator[str]:
    if facts.opened:
        nouns = listed([f"the {noun}" for noun in facts.opened])
        begin = rng.choice(["at the beginning", "at the start", "at first"])
        yield f"{nouns.capitalize()} {are(facts.opened)} open {begin}."
    for person in range(len(facts.shirts)):
        held = [f"the {noun}" for who, noun in facts.held if who == person]
        if held:
            hands = "one hand" if len(held) == 1 else "the hands"
            yield f"{facts.who(person).capitalize()} already has {listed(held)} in {hands}."


def _deeds(facts: SceneFacts, rng: Random) -> str:
    firsts, nexts, lasts = ("First", "To begin with,"), ("then", "next", "after that"), ("finally", "at the end")
    texts, before = list[str](), None
    for number, deed in enumerate(facts.deeds):
        last = number == len(facts.deeds) - 1
        word = rng.choice(firsts if not number else lasts if last else nexts)
        who = f"{facts.who(deed.actor)} " if deed.actor != before or not number else ""
        texts.append(f"{word} {who}{_deed(deed, rng)}")
        before = deed.actor
    return listed(texts) + "."
