"""From a scene to everything that could be asked about it, in STAR's question types.

A `Candidate` is a question with its true answer and with all that is true besides, so that a distractor
can be checked to be false. Which candidates are asked, and with which options, is settled in `balance.py`
over all scenes of a split. Types and functions of the programs are STAR's; beyond it stand `Counting` (with
the functions `Filter_Objs_with_Class` and `Count`) and `Ordering`.

A part of a video may begin where the run-up to an action begins, and end where that of a later one does. Of
the parts in which a question has one answer, the longest is taken. Only questions on what comes next
(Prediction) end between the run-up and the action itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from aotd.datasets.playroom.scene import Action, PlayroomScene
from aotd.datasets.playroom.things import COUNTED, PLAYROOM_VERBS, future_option, past_option

Steps = tuple[tuple[str, tuple[str, ...]], ...]
"""A functional program, as (function, inputs) in postfix order."""

OPEN_ENDED = ("Interaction_T1", "Sequence_T1", "Sequence_T2", "Prediction_T3", "Feasibility_T5", "Counting")
"""Types that are also asked without options: their answer is one thing, or a number."""


@dataclass(frozen=True)
class Candidate:
    """One question that could be asked about a scene."""

    scene: int
    """Index of the scene in its split."""
    type: str
    text: str
    answer: str
    """The true answer, as an option says it."""
    true: frozenset[str]
    """Every option that is true as well, or could pass for it; none of them may be a distractor."""
    start: int
    end: int
    """The part of the video, `[start, end)` in its frames."""
    steps: Steps
    spans: tuple[tuple[int, int], ...]
    """Where the answer can be seen, `[start, end)` in frames; empty where the whole part is needed."""
    items: tuple[int, ...]
    """The things that the question and its answer are about."""
    coming: int | None = None
    """Index of the action that is about to happen at the end of the part (Prediction)."""

    @property
    def arity(self) -> int:
        """How many options it is asked with."""
        return 2 if self.type == "Ordering" else 4


@dataclass(frozen=True)
class ScenePart:
    """The part of a scene that holds the actions `first … last - 1`."""

    scene: PlayroomScene
    first: int
    last: int
    start: int
    end: int

    @property
    def actions(self) -> tuple[Action, ...]:
        return self.scene.actions[self.first : self.last]


class SceneAsker:
    """Asks about one scene."""

    def __init__(self, scene: PlayroomScene, index: int) -> None:
        self.scene = scene
        self.index = index
        self.names = [thing.name for thing in scene.things]

    def parts(self) -> list[ScenePart]:
        """All parts, the longest first."""
        actions = self.scene.actions
        edges = [0, *(action.approach for action in actions[1:]), len(self.scene.frames)]
        found = [
            ScenePart(self.scene, first, last, edges[first], edges[last])
            for first in range(len(actions))
            for last in range(first + 1, len(actions) + 1)
        ]
        return sorted(found, key=lambda part: part.start - part.end)

    def done(self, start: int, end: int, actions: tuple[Action, ...]) -> set[tuple[str, int]]:
        """(verb, item) of all that is done; who has a thing in the hands also holds it."""
        return {(action.verb, action.item) for action in actions} | {
            ("hold", item) for item in self.scene.held_in(start, end)
        }

    def candidate(
        self, part: ScenePart, kind: str, text: str, answer: str, true: set[str], steps: Steps, *shown: Action
    ) -> Candidate:
        return Candidate(
            self.index,
            kind,
            text,
            answer,
            frozenset(true | {answer}),
            part.start,
            part.end,
            steps,
            tuple((action.start, action.end) for action in shown),
            tuple(dict.fromkeys(action.item for action in shown)),
        )

    # ── what happens ──────────────────────────────────────────────────────────────────────────────

    def interactions(self, part: ScenePart) -> Iterator[Candidate]:
        done = self.done(part.start, part.end, part.actions)
        for action in part.actions:
            verb, name = PLAYROOM_VERBS[action.verb], self.names[action.item]
            objects = {item for what, item in done if what == action.verb}
            if len(objects) == 1 and _only(part.actions, verb=action.verb):
                yield self.candidate(
                    part,
                    "Interaction_T1",
                    f"Which object was {verb.done} by the person?",
                    f"The {name}.",
                    set(),
                    (*ACTIONS, ("Filter_Actions_with_Verb", (verb.name,)), UNIQUE, OBJS),
                    action,
                )
            if _only(part.actions, item=action.item):
                yield self.candidate(
                    part,
                    "Interaction_T2",
                    f"What did the person do with the {name}?",
                    _past(action.verb),
                    {_past(what) for what, item in done if item == action.item},
                    (*ACTIONS, ("Filter_Actions_with_Obj", (name,)), UNIQUE, VERBS_ASKED),
                    action,
                )
        yield from self._meanwhile(part)

    def _meanwhile(self, part: ScenePart) -> Iterator[Candidate]:
        """What is done while something is held: the only thing held, and the only action of that time."""
        held = self.scene.held_in(part.start, part.end)
        frames = self.scene.frames
        if len(held) != 1:
            return
        (item,) = held
        holding = [number for number in range(part.start, part.end) if frames[number].items[item].holder is not None]
        while_held = [
            action
            for action in part.actions
            if action.item != item and all(number in holding for number in range(action.start, action.end))
        ]
        touching = [action for action in part.actions if action.verb == "hold"]
        overlapping = [
            action
            for action in part.actions
            if action.item != item and any(number in holding for number in range(action.start, action.end))
        ]
        if len(while_held) == 1 and overlapping == while_held and not touching:
            (action,) = while_held
            name = self.names[item]
            candidate = self.candidate(
                part,
                "Interaction_T3",
                f"What did the person do while they were holding the {name}?",
                past_option(action.verb, self.names[action.item]),
                {past_option(what, self.names[thing]) for what, thing in self.done(part.start, part.end, ())}
                | {past_option(other.verb, name) for other in part.actions if other.item == item},
                (
                    ("Situations", ()),
                    ("Filter_Situations_with_Rel", ("holding",)),
                    ("Filter_Situations_with_Obj", (name,)),
                    ("Actions", ()),
                    UNIQUE,
                    ("Query_Actions", ()),
                ),
                action,
            )
            # An action at the edge of holding (taking, putting down) may share a frame with it.
            yield Candidate(**{**candidate.__dict__, "items": (action.item, item)})

    def sequences(self, part: ScenePart) -> Iterator[Candidate]:
        for number, anchor in enumerate(part.actions):
            if not _only(part.actions, verb=anchor.verb, item=anchor.item):
                continue
            after = part.actions[number + 1 :]
            before = part.actions[:number]
            if after:
                done = self.done(anchor.end, part.end, after)
                yield from self._around(part, anchor, "after", after, after[0], done)
            if before:
                done = self.done(part.start, anchor.start, before)
                yield from self._around(part, anchor, "before", before, before[-1], done)

    def _around(
        self,
        part: ScenePart,
        anchor: Action,
        word: str,
        others: tuple[Action, ...],
        nearest: Action,
        done: set[tuple[str, int]],
    ) -> Iterator[Candidate]:
        """T1, T3, T5 of what comes after an action; T2, T4, T6 of what comes before it."""
        later = word == "after"
        verb, name = PLAYROOM_VERBS[anchor.verb], self.names[anchor.item]
        clip = (*ACTIONS, *self._one(anchor), (f"Filter_{word.capitalize()}_Actions", ()))
        yield self.candidate(
            part,
            "Sequence_T3" if later else "Sequence_T4",
            f"What happened {word} the person {verb.past} the {name}?",
            past_option(nearest.verb, self.names[nearest.item]),
            {past_option(what, self.names[item]) for what, item in done},
            (*clip, ("Query_Earliest_Action" if later else "Query_Latest_Action", ()), ("Query_Actions", ())),
            *sorted((anchor, nearest), key=lambda action: action.start),
        )
        for action in others:
            shown = sorted((anchor, action), key=lambda action: action.start)
            what, thing = PLAYROOM_VERBS[action.verb], self.names[action.item]
            if len({item for done_verb, item in done if done_verb == action.verb}) == 1:
                yield self.candidate(
                    part,
                    "Sequence_T1" if later else "Sequence_T2",
                    f"Which object did the person {what.plain} {word} they {verb.past} the {name}?",
                    f"The {thing}.",
                    set(),
                    (*clip, ("Filter_Actions_with_Verb", (what.name,)), UNIQUE, OBJS),
                    *shown,
                )
            if _only(others, item=action.item) and action.item != anchor.item:
                yield self.candidate(
                    part,
                    "Sequence_T5" if later else "Sequence_T6",
                    f"What did the person do to the {thing} {word} {verb.doing} the {name}?",
                    _past(action.verb),
                    {_past(done_verb) for done_verb, item in done if item == action.item},
                    (*clip, ("Filter_Actions_with_Obj", (thing,)), UNIQUE, VERBS_ASKED),
                    *shown,
                )

    def _one(self, action: Action) -> Steps:
        """The steps that give one action, named by verb and thing."""
        by_verb = ("Filter_Actions_with_Verb", (action.verb,))
        return (*ACTIONS, by_verb, ("Filter_Actions_with_Obj", (self.names[action.item],)), UNIQUE)

    # ── what comes next, what could be done ───────────────────────────────────────────────────────

    def predictions(self) -> Iterator[Candidate]:
        for number, action in enumerate(self.scene.actions):
            verb, name = PLAYROOM_VERBS[action.verb], self.names[action.item]
            before = self.scene.actions[:number]
            latest = (("Query_Latest_Action", ()),)
            variants: list[tuple[str, str, str, Steps]] = [
                (
                    "Prediction_T1",
                    "What will the person do next?",
                    future_option(action.verb, name),
                    (*ACTIONS, *latest, ("Query_Actions", ())),
                ),
                (
                    "Prediction_T2",
                    f"What will the person do next with the {name}?",
                    f"{verb.plain.capitalize()}.",
                    (*ACTIONS, ("Filter_Actions_with_Obj", (name,)), *latest, VERBS_ASKED),
                ),
                (
                    "Prediction_T3",
                    f"Which object would the person {verb.plain} next?",
                    f"The {name}.",
                    (*ACTIONS, ("Filter_Actions_with_Verb", (verb.name,)), *latest, OBJS),
                ),
            ]
            if before and _only(before, verb=before[-1].verb, item=before[-1].item):
                last = before[-1]
                variants.append(
                    (
                        "Prediction_T4",
                        f"Which object would the person {verb.plain} next after they "
                        f"{PLAYROOM_VERBS[last.verb].plain} the {self.names[last.item]}?",
                        f"The {name}.",
                        (
                            *ACTIONS,
                            *self._one(last),
                            ("Filter_After_Actions", ()),
                            ("Filter_Actions_with_Verb", (verb.name,)),
                            UNIQUE,
                            OBJS,
                        ),
                    )
                )
            for kind, text, answer, steps in variants:
                yield Candidate(
                    self.index,
                    kind,
                    text,
                    answer,
                    frozenset({answer}),
                    0,
                    action.start,
                    steps,
                    ((action.approach, action.start),),
                    (action.item,),
                    coming=number,
                )

    def feasibilities(self) -> Iterator[Candidate]:
        whole = ScenePart(self.scene, 0, len(self.scene.actions), 0, len(self.scene.frames))
        for action in self.scene.actions:
            others = self._possible(action.verb)
            if others and _only(self.scene.actions, verb=action.verb):
                for item in others:
                    if self.names.count(self.names[item]) > 1:
                        continue
                    candidate = self.candidate(
                        whole,
                        "Feasibility_T1",
                        f"Which other object is possible to be {PLAYROOM_VERBS[action.verb].done} by the person?",
                        f"The {self.names[item]}.",
                        {f"The {self.names[other]}." for other in others},
                        (
                            ("Situations", ()),
                            ("Objs", ()),
                            ("Filter_Objs_by_Verb", (action.verb,)),
                            *ACTIONS,
                            ("Filter_Actions_with_Verb", (action.verb,)),
                            OBJS,
                            ("Except", ()),
                        ),
                        action,
                    )
                    yield Candidate(**{**candidate.__dict__, "items": (item, action.item)})
        yield from self._in_hand()

    def _possible(self, verb: str) -> list[int]:
        """The things this verb could still be done with at the end, where that can be told from looks alone."""
        if verb not in ("open", "sit", "take"):
            return []
        used = {action.item for action in self.scene.actions if action.verb == verb}
        last = self.scene.frames[-1].items
        fit = [
            item for item, name in enumerate(self.names) if name in PLAYROOM_VERBS[verb].objects and item not in used
        ]
        if any(last[item].holder is not None or last[item].open for item in fit):
            return []
        return fit

    def _in_hand(self) -> Iterator[Candidate]:
        """What could be put down: the one thing that was taken before, and is still held."""
        for part in self.parts():
            anchor, before = part.actions[-1], part.actions[:-1]
            takes = [action for action in before if action.verb == "take"]
            items = self.scene.frames[part.end - 1].items
            held = [item for item, state in enumerate(items) if state.holder is not None]
            if len(takes) != 1 or held != [takes[0].item] or anchor.item in held:
                continue
            if not _only(part.actions, verb=anchor.verb, item=anchor.item):
                continue
            yield self.candidate(
                part,
                "Feasibility_T5",
                f"Which object is the person able to put down after {PLAYROOM_VERBS[anchor.verb].doing} the "
                f"{self.names[anchor.item]}?",
                f"The {self.names[takes[0].item]}.",
                set(),
                (
                    *ACTIONS,
                    *self._one(anchor),
                    ("Filter_Before_Actions", ()),
                    ("Filter_Actions_with_Verb", ("take",)),
                    UNIQUE,
                    OBJS,
                ),
                takes[0],
                anchor,
            )

    # ── how many, in which order ──────────────────────────────────────────────────────────────────

    def countings(self) -> Iterator[Candidate]:
        touched = {self.names[action.item] for action in self.scene.actions}
        for name, plural in COUNTED.items():
            items = [item for item, other in enumerate(self.names) if other == name]
            if items and name not in touched:
                yield Candidate(
                    self.index,
                    "Counting",
                    f"How many {plural} are there?",
                    str(len(items)),
                    frozenset({str(len(items))}),
                    0,
                    len(self.scene.frames),
                    (("Situations", ()), ("Objs", ()), ("Filter_Objs_with_Class", (name,)), ("Count", ())),
                    (),
                    tuple(items),
                )

    def orderings(self) -> Iterator[Candidate]:
        actions = self.scene.actions
        whole = ScenePart(self.scene, 0, len(actions), 0, len(self.scene.frames))
        single = [action for action in actions if _only(actions, verb=action.verb, item=action.item)]
        single = [action for action in single if action.verb != "hold"]
        for number, first in enumerate(single):
            for second in single[number + 1 :]:
                named = sorted((first, second), key=lambda action: (action.verb, self.names[action.item]))
                phrases = [f"{PLAYROOM_VERBS[action.verb].plain} the {self.names[action.item]}" for action in named]
                yield self.candidate(
                    whole,
                    "Ordering",
                    f"What did the person do first, {phrases[0]} or {phrases[1]}?",
                    past_option(first.verb, self.names[first.item]),
                    set(),
                    (
                        *self._one(named[0]),
                        *self._one(named[1]),
                        ("Union", ()),
                        ("Query_Earliest_Action", ()),
                        ("Query_Actions", ()),
                    ),
                    first,
                    second,
                )


UNIQUE = ("Unique", ())
OBJS = ("Query_Objs", ())
VERBS_ASKED = ("Query_Verbs", ())
ACTIONS: Steps = (("Situations", ()), ("Actions", ()))


def candidates(scene: PlayroomScene, index: int) -> list[Candidate]:
    """Everything that can be asked about a scene: one candidate per type, text and answer."""
    asker = SceneAsker(scene, index)
    found: dict[tuple[str, str, str], Candidate] = {}
    for part in asker.parts():
        for candidate in (*asker.interactions(part), *asker.sequences(part)):
            found.setdefault((candidate.type, candidate.text, candidate.answer), candidate)
    rest = (*asker.predictions(), *asker.feasibilities(), *asker.countings(), *asker.orderings())
    for candidate in rest:
        found.setdefault((candidate.type, candidate.text, candidate.answer), candidate)
    return list(found.values())


def _only(actions: tuple[Action, ...], verb: str | None = None, item: int | None = None) -> bool:
    """Whether just one action has this verb and this thing."""
    return sum(verb in (None, action.verb) and item in (None, action.item) for action in actions) == 1


def _past(verb: str) -> str:
    return f"{PLAYROOM_VERBS[verb].past.capitalize()}."
