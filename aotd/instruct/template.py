"""Author `template`: dialogues about a scene of playroom, made from what is true of it. No model is asked.

Deterministic: the same scene and seed give the same texts. Wordings vary, and are others than those of the captions.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from aotd.datasets.playroom.captions import (
    NUMBERS,
    PARTS,
    SceneDeed,
    SceneFacts,
    are,
    listed,
    plural,
)
from aotd.instruct import InstructConfig
from aotd.instruct.llm import request
from aotd.instruct.scenes import ToldScene
from aotd.instruct.words import plain_words
from aotd.records import DialogueTurn, InstructionKind

_DEEDS = {
    "take": ("takes the {}", "reaches for the {} and takes it"),
    "hold": ("holds the {} up for a while", "shows the {} by holding it up"),
    "put": ("puts the {} down", "puts the {} down again"),
    "throw": ("throws the {}", "lets go of the {} with a throw"),
    "open": ("opens the {}", "goes to the {} and opens it"),
    "close": ("closes the {}", "goes to the {} and closes it"),
    "sit": ("goes to the {} and sits down on it", "takes a seat on the {}"),
    "walk": ("goes through the {} and comes back again", "walks out through the {} and then comes back in"),
}


def _who(facts: SceneFacts, person: int) -> str:
    """A person, in other words than those of the captions."""
    return "the person" if len(facts.shirts) == 1 else f"the one in the {facts.shirts[person]} shirt"


_LATER = "a later step may only be possible after an earlier one"
_ORDER = ("After that", "Next", "Then", "A moment later", "Soon afterwards")


def write(scene: ToldScene, kind: InstructionKind, settings: InstructConfig) -> tuple[DialogueTurn, ...]:
    """A dialogue of a kind about a scene."""
    rng = Random(f"{settings.seed}/{scene.caption.key}/{kind.value}")  # noqa: S311
    if kind is InstructionKind.detail:
        asked = request(scene.caption, settings.seed)
        return (DialogueTurn(question=asked, answer=_description(scene.facts, rng, settings)),)
    if kind is InstructionKind.conversation:
        simple, complex_ = list(_simple(scene.facts, rng)), list(_complex(scene.facts))
        complex_ = complex_ or [_turn("Why does the order of all this matter?", f"Because {_LATER}.")]
        return (*rng.sample(simple, min(len(simple), rng.randint(2, 4))), rng.choice(complex_))
    return (_reasoning(scene.facts, rng),)


# ── detail ────────────────────────────────────────────────────────────────────────────────────────


def _description(facts: SceneFacts, rng: Random, settings: InstructConfig) -> str:
    """All of the scene; shortened by things on the floor, and lengthened by what may be said of any scene."""
    opening, places = list(_opening(facts, rng)), list(_places(facts, rng))
    then = [*_state(facts, rng), *_told_deeds(facts, rng), *_ending(facts, rng)]
    more = [
        "We can follow all of it easily, because only one thing happens at a time.",
        "Everything else in the room stays where it is while we watch.",
        "With this, the video comes to its end, and we have seen what happens from the first moment to the last.",
    ]

    def text(added: list[str]) -> str:
        there = [sentence for place in places for sentence in place if sentence]
        return " ".join([*opening, *there, *then, *added])

    with_floor = [number for number, (_, floor) in enumerate(places) if floor]
    while with_floor and len(plain_words(text([]))) > settings.detail_max_words:
        number = with_floor.pop(rng.randrange(len(with_floor)))
        places[number] = (places[number][0], "")
    added: list[str] = []
    while more and len(plain_words(text(added))) < settings.detail_min_words:
        added.append(more.pop(0))
    return text(added)


def _opening(facts: SceneFacts, rng: Random) -> Iterator[str]:
    if len(facts.shirts) == 1:
        (shirt,) = facts.shirts
        yield rng.choice(
            [
                f"The video shows us a room and one person in it, whose shirt is {shirt}.",
                f"In this video we watch what one person does in a room; the shirt of this person is {shirt}.",
                f"We look into a room, where there is only one person, and this person has a {shirt} shirt on.",
            ]
        )
        return
    one, other = rng.sample(facts.shirts, 2)
    yield rng.choice(
        [
            f"The video shows us a room and two people in it; the shirt of one is {one}, that of the other is {other}.",
            f"We look into a room where there are two people, whose shirts are {one} and {other}.",
            f"In this video we watch what two people do in a room, and we know them by their {one} and {other} shirts.",
        ]
    )


_WHERE = {"left": "to the left", "middle": "in the middle", "right": "to the right"}


def _places(facts: SceneFacts, rng: Random) -> Iterator[tuple[str, str]]:
    """Part by part what stands by the wall and hangs on it, and what lies on the floor there (empty: nothing).

    From the right to the left, as captions do not go: else runs of words would be theirs.
    """
    for part in rng.sample(PARTS, len(PARTS)):
        at = {
            place: [one.words for one in reversed(facts.standing) if (one.place, one.part) == (place, part)]
            for place in ("back", "wall", "floor")
        }
        where = _WHERE[part]
        walls = [f"{listed(at['back'])} by the wall"] if at["back"] else []
        walls += [f"{listed(at['wall'])} higher up"] if at["wall"] else []
        upper = f"Looking {where}, we find {' and '.join(walls)}." if walls else ""
        floor = f"{listed(at['floor'])} can be seen there on the floor." if at["floor"] else ""
        if floor:
            floor = floor[0].upper() + floor[1:] if walls else f"As for what is {where}, {floor}"
        yield upper, floor


def _state(facts: SceneFacts, rng: Random) -> Iterator[str]:
    if facts.opened:
        nouns = listed([f"the {noun}" for noun in rng.sample(facts.opened, len(facts.opened))])
        yield f"When the video begins, {nouns} {are(facts.opened)} already open."
    for person in range(len(facts.shirts)):
        held = [f"the {noun}" for who, noun in facts.held if who == person]
        if held:
            yield f"From the very first moment, {_who(facts, person)} is holding {listed(held)}."


def _told_deeds(facts: SceneFacts, rng: Random) -> Iterator[str]:
    order = rng.sample(_ORDER, len(_ORDER))
    for number, deed in enumerate(facts.deeds):
        told = f"{_who(facts, deed.actor)} {_deed(deed, rng)}"
        if not number:
            yield rng.choice([f"Now {told}.", f"The first thing that happens is that {told}."])
        elif number == len(facts.deeds) - 1:
            yield rng.choice([f"The last thing that we see is that {told}.", f"In the end, {told}."])
        else:
            yield f"{order[number % len(order)]}, {told}."


def _ending(facts: SceneFacts, rng: Random) -> Iterator[str]:
    after = [*_after(facts)]
    if after:
        yield rng.choice(["So when the video stops,", "By the end of the video,"]) + f" {listed(after)}."


def _after(facts: SceneFacts) -> Iterator[str]:
    """What is otherwise at the end than at the beginning, in words; where things lie is left out."""
    opened = [noun for noun in facts.opened_at_end if noun not in facts.opened]
    if opened:
        yield f"{listed([f'the {noun}' for noun in opened])} {are(opened)} open"
    closed = [noun for noun in facts.opened if noun not in facts.opened_at_end]
    if closed:
        yield f"{listed([f'the {noun}' for noun in closed])} {are(closed)} no longer open"
    for person in range(len(facts.shirts)):
        for words, held, before in (
            ("has", facts.held_at_end, facts.held),
            ("no longer has", facts.held, facts.held_at_end),
        ):
            nouns = [f"the {noun}" for who, noun in held if who == person and (who, noun) not in before]
            if nouns:
                yield f"{_who(facts, person)} {words} {listed(nouns)}"


def _deed(deed: SceneDeed, rng: Random) -> str:
    return rng.choice(_DEEDS[deed.verb]).format(deed.noun)


# ── conversation ──────────────────────────────────────────────────────────────────────────────────


def _simple(facts: SceneFacts, rng: Random) -> Iterator[DialogueTurn]:
    if len(facts.shirts) == 1:
        (shirt,) = facts.shirts
        yield _turn("What color is the shirt of the person?", rng.choice([f"It is {shirt}.", f"The shirt is {shirt}."]))
        yield _turn("How many people can be seen?", rng.choice(["There is only one person.", "I see one person."]))
    else:
        one, other = facts.shirts
        yield _turn("What colors are the shirts of the two people?", f"One shirt is {one}, and the other is {other}.")
        yield _turn("How many people can be seen in the room?", rng.choice(["There are two people.", "I see two."]))
    counts: dict[str, int] = {}
    for one_kind in facts.standing:
        counts[one_kind.noun] = counts.get(one_kind.noun, 0) + one_kind.count
    parts = {noun: [one for one in facts.standing if one.noun == noun] for noun in counts}
    for noun, found in parts.items():
        if len(found) == 1 and found[0].count > 1:
            yield _turn(f"How many {plural(noun)} do you see?", f"There are {NUMBERS[counts[noun]]} {plural(noun)}.")
        if len(found) == 1:
            asked = plural(noun) if found[0].count > 1 else noun
            verb = "are" if found[0].count > 1 or noun == "clothes" else "is"
            subject = "They are" if verb == "are" else "It is"
            yield _turn(f"Where {verb} the {asked} at the beginning?", f"{subject} {_WHERE[found[0].part]}.")
    for noun in facts.opened:
        yield _turn(
            f"{are([noun]).capitalize()} the {noun} open when the video begins?", "Yes, and we see it right away."
        )
    for person in range(len(facts.shirts)):
        held = [f"the {noun}" for who, noun in facts.held if who == person]
        if held:
            begin = "It is" if len(held) == 1 else "There are two things:"
            yield _turn(f"What does {_who(facts, person)} hold at the very beginning?", f"{begin} {listed(held)}.")
    for number, deed in enumerate(facts.deeds):
        told = f"{_who(facts, deed.actor).capitalize()} {_deed(deed, rng)}."
        if not number:
            yield _turn("What is the first thing that happens?", told)
        else:
            before = facts.deeds[number - 1]
            yield _turn(
                f"What happens right after {_who(facts, before.actor)} {_DEEDS[before.verb][0].format(before.noun)}?",
                told,
            )


def _complex(facts: SceneFacts) -> Iterator[DialogueTurn]:
    """A question with "why" about each deed, or about what it changes."""
    for number, deed in enumerate(facts.deeds):
        who, noun, later = _who(facts, deed.actor), deed.noun, facts.deeds[number + 1 :]
        again = {one.verb for one in later if one.noun == noun}
        it, be = ("them", "are") if noun == "clothes" else ("it", "is")
        if deed.verb == "open" and "close" not in again:
            yield _turn(
                f"Why is the {noun} open at the end?", f"It is open because {who} opens it and nobody closes it."
            )
        elif deed.verb == "close" and "open" not in again:
            yield _turn(
                f"Why is the {noun} no longer open at the end?", f"It is no longer open because {who} closes it."
            )
        elif deed.verb in ("put", "throw") and "take" not in again:
            done = f"puts {it} down" if deed.verb == "put" else f"throws {it}"
            yield _turn(f"Why does {who} no longer have the {noun} at the end?", f"That is because {who} {done}.")
        elif deed.verb == "take" and not again & {"put", "throw"}:
            yield _turn(f"Why {be} the {noun} no longer in the same place at the end?", f"Because {who} takes {it}.")
        elif deed.verb == "sit":
            yield _turn(f"Why does {who} go to the {noun}?", f"Because {who} wants to sit down on it.")
        elif deed.verb == "hold":
            yield _turn(f"Why can the {noun} be seen so well for a while?", f"Because {who} holds {it} up.")
        elif deed.verb == "walk":
            yield _turn(
                f"Why is {who} gone for a moment?", f"Because {who} goes through the {noun} and only then returns."
            )


def _turn(question: str, answer: str) -> DialogueTurn:
    return DialogueTurn(question=question, answer=answer)


# ── reasoning ─────────────────────────────────────────────────────────────────────────────────────


def _reasoning(facts: SceneFacts, rng: Random) -> DialogueTurn:
    return rng.choice([_undoing, _coming_in])(facts, rng)


def _undoing(facts: SceneFacts, rng: Random) -> DialogueTurn:
    """In which order one would go back to how it was."""
    backward = [f"{_who(facts, deed.actor)} {_DEEDS[deed.verb][0].format(deed.noun)}" for deed in reversed(facts.deeds)]
    asked = rng.choice(
        [
            "If everything were to be as it was before, why would the order matter, and where should one begin?",
            "How could one go back to how things were at the start, and in which order?",
        ]
    )
    answer = f"One should go through it backwards and begin with what happened last, which is that {backward[0]}. "
    answer += (
        f"Going back from there, it is the turn of these, one by one: {listed(backward[1:])}. " if backward[1:] else ""
    )
    answer += f"The order matters because {_LATER}."
    return _turn(asked, answer)


def _coming_in(facts: SceneFacts, rng: Random) -> DialogueTurn:
    """What somebody would find who comes later."""
    asked = rng.choice(
        [
            "What would somebody who comes in at the end find different from the beginning, and why?",
            "Why would the room not look the same to someone who only comes in at the end?",
        ]
    )
    after = [*_after(facts)]
    done = [f"{_who(facts, deed.actor)} {_DEEDS[deed.verb][0].format(deed.noun)}" for deed in facts.deeds]
    answer = f"Such a person would not know what has happened: {listed(done)}. "
    if after:
        answer += f"What is different follows from this, because at the end {listed(after)}."
    else:
        answer += "It would be hard to find out afterwards, because little of it leaves a trace."
    return _turn(asked, answer)
