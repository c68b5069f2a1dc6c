"""What a student is asked in stage obey: questions about a video, answered in the forms of an arm.

A question is answered in words, by an option's letter, and with reasons in the wording of chains of thought. None is of
a type of the benchmark's: they ask what there is, whether there are at least so many of a thing, which of some actions
is done, when, and what is held or open.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from aotd.datasets.playroom.labels import THING_NAMES, VERB_NAMES
from aotd.datasets.playroom.scene import Action
from aotd.datasets.playroom.things import COUNTED, PERSON, PLAYROOM_VERBS, past_option, query
from aotd.grow.lessons import Lesson, frames_of
from aotd.grow.scenes import SampledPart
from aotd.prompts.student import lettered, suffix
from aotd.records import BoxesFinding, CountFinding, Detection, Event, Finding, Mode, SpanFinding
from aotd.view.finding_text import bare, sentence

BOXES = 3
"""Boxes of one thing in a chain of thought."""
MOST = 4
"""Of one kind of thing that is asked for."""


@dataclass(frozen=True)
class ReasonedQuestion:
    """One question with its answer and its reasons."""

    kind: str
    question: str
    options: tuple[str, ...]
    """None: it is open-ended."""
    answer: str
    steps: tuple[str, ...]
    """Sentences of a chain of thought, without its end."""

    def lessons(self) -> Iterator[Lesson]:
        """The question in each form."""
        prompt = lettered(self.question, self.options)
        yield Lesson(self.kind, prompt + suffix(False, Mode.answer), self.answer)
        if self.options:
            letter = string.ascii_uppercase[self.options.index(self.answer)]
            yield Lesson("letter", prompt + suffix(True, Mode.answer), letter)
        thought = " ".join([*self.steps, f"So the answer is {bare(self.answer)}."])
        yield Lesson("rationale", prompt + suffix(bool(self.options), Mode.rationale), thought)


def questions_of(part: SampledPart, rng: Random) -> list[ReasonedQuestion]:
    """Make the questions about a part of a scene, up to seven."""
    writer = _QuestionWriter(part, rng)
    found = [*writer.done(), *writer.when(), writer.there(), *writer.held(), *writer.opened()]
    return [*found, writer.at_least()]


class _QuestionWriter:
    """What can be asked of one part."""

    def __init__(self, part: SampledPart, rng: Random) -> None:
        self.part, self.labels, self.rng = part, part.labels, rng
        self.names = [thing.name for thing in part.scene.things]
        self.acted = [(action, frames) for action in part.scene.actions if (frames := frames_of(part, action))]

    # ── reasons ───────────────────────────────────────────────────────────────────────────────────

    def _look_for(self, action: Action, frames: Sequence[int]) -> str:
        found = SpanFinding(start=frames[0], end=frames[-1] + 1)
        return _sentence(query(action.verb, self.names[action.item]), found)

    def _look_on(self, frame: int) -> str:
        return _sentence("", SpanFinding(start=frame, end=frame + 1), tool="trim")

    def _see(self, name: str, frames: Sequence[int], boxes: Sequence[np.ndarray]) -> str:
        found = []
        for frame, box in zip(frames, boxes, strict=True):
            if not np.isnan(box).any():
                x1, y1, x2, y2 = (round(float(edge)) for edge in box)
                found.append(Detection(frame=frame, box=(x1, y1, x2, y2), label=name, score=1.0))
        return _sentence(name, BoxesFinding(boxes=tuple(found)))

    def _see_action(self, action: Action, frames: Sequence[int]) -> tuple[str, ...]:
        name = self.names[action.item]
        people = [self.labels.people[frame, action.actor] for frame in frames]
        things = [self.labels.things[frame, action.item] for frame in frames]
        return self._look_for(action, frames), self._see(PERSON, frames, people), self._see(name, frames, things)

    # ── questions ─────────────────────────────────────────────────────────────────────────────────

    def done(self) -> Iterator[ReasonedQuestion]:
        """Which of four actions is done; among the others, one has its verb and one its thing."""
        if not self.acted:
            return
        action, frames = self.rng.choice(self.acted)
        true = {(one.verb, self.names[one.item]) for one, _ in self.acted}
        # Who has a thing in the hands also holds it.
        true |= {("hold", self.names[item]) for item in np.flatnonzero(self.labels.is_held.any(0))}
        name = self.names[action.item]
        same_verb = [(action.verb, other) for other in PLAYROOM_VERBS[action.verb].objects]
        same_thing = [(verb, name) for verb in VERB_NAMES if name in PLAYROOM_VERBS[verb].objects]
        any_other = [(verb, other) for verb in VERB_NAMES for other in PLAYROOM_VERBS[verb].objects]
        others: list[tuple[str, str]] = []
        for pool in (same_verb, same_thing, any_other, any_other, any_other):
            left = [pair for pair in pool if pair not in true and pair not in others]
            if left and len(others) < 3:
                others.append(self.rng.choice(left))
        options = self._shuffled([past_option(*pair) for pair in ((action.verb, name), *others)])
        yield ReasonedQuestion(
            "done",
            self.rng.choice(["Which of these is done in the video?", "Which of these can be seen?"]),
            options,
            past_option(action.verb, name),
            self._see_action(action, frames),
        )

    def when(self) -> Iterator[ReasonedQuestion]:
        """In which frames something is done."""
        if not self.acted:
            return
        action, frames = self.rng.choice(self.acted)
        if sum((one.verb, one.item) == (action.verb, action.item) for one, _ in self.acted) > 1:
            return
        yield ReasonedQuestion(
            "when",
            f"In which frames is {query(action.verb, self.names[action.item])} seen?",
            (),
            f"From frame {frames[0]} to frame {frames[-1]}",
            self._see_action(action, frames),
        )

    def there(self) -> ReasonedQuestion:
        """Which of some things is in the room."""
        there = self.rng.choice(sorted(set(self.names)))
        others = self.rng.sample([name for name in THING_NAMES if name not in self.names], self.rng.choice([1, 3, 3]))
        items = [item for item, name in enumerate(self.names) if name == there]
        steps = [_sentence(there, CountFinding(count=len(items)))]
        if len(items) == 1:
            shown = [0, len(self.part.numbers) // 2, len(self.part.numbers) - 1]
            steps.insert(0, self._see(there, shown, [self.labels.things[frame, items[0]] for frame in shown]))
        options = self._shuffled([f"The {name}." for name in (there, *others)])
        question = self.rng.choice(["Which of these is in the room?", "Which of these things is there?"])
        return ReasonedQuestion("there", question, options, f"The {there}.", tuple(steps))

    def at_least(self) -> ReasonedQuestion:
        """Whether there are at least so many of a thing; about as often true as not."""
        counts = {name: self.names.count(name) for name in COUNTED}
        true = self.rng.random() < 0.5 and max(counts.values()) > 1
        fitting = [name for name, count in counts.items() if (count > 1 if true else count < MOST)]
        there = [name for name in fitting if counts[name]]
        name = self.rng.choice(there if there and self.rng.random() < 0.7 else fitting)
        number = self.rng.randint(2, counts[name]) if true else self.rng.randint(max(2, counts[name] + 1), MOST)
        question = f"Are there at least {number} {COUNTED[name]}?"
        steps = (_sentence(name, CountFinding(count=counts[name])),)
        return ReasonedQuestion("at_least", question, (), "Yes" if true else "No", steps)

    def held(self) -> Iterator[ReasonedQuestion]:
        """What somebody has in the hands in one frame."""
        yield from self._state("held", "What is in the hands in frame {}?", self.labels.is_held)

    def opened(self) -> Iterator[ReasonedQuestion]:
        """What is open in one frame."""
        yield from self._state("opened", "Which thing is open in frame {}?", self.labels.is_open)

    def _state(self, kind: str, question: str, states: np.ndarray) -> Iterator[ReasonedQuestion]:
        frames = [frame for frame in range(len(states)) if states[frame].sum() == 1]
        if not frames:
            return
        frame = self.rng.choice(frames)
        (item,) = np.flatnonzero(states[frame])
        name = self.names[item]
        if self.names.count(name) > 1:
            return
        options: tuple[str, ...] = ()
        answer = name
        if self.rng.random() < 0.5:
            among = sorted(set(self.names) - {name})
            others = self.rng.sample(among, min(3, len(among)))
            answer = f"The {name}."
            options = self._shuffled([answer, *(f"The {one}." for one in others)])
        seen = self._see(name, [frame], [self.labels.things[frame, item]])
        yield ReasonedQuestion(kind, question.format(frame), options, answer, (self._look_on(frame), seen))

    def _shuffled(self, options: Sequence[str]) -> tuple[str, ...]:
        return tuple(self.rng.sample(options, len(options)))


def _sentence(asked: str, finding: Finding, tool: str = "") -> str:
    return sentence(Event(step=0, tool=tool, frames=(), query=asked, finding=finding), BOXES)
