"""What is said of a video while a student learns to speak: short tasks and their replies, made from what is true.

They use the words of rationales ("from frame 3 to frame 8", "Count of book: 3.") and of captions ("3 books."). None is
of a type of the benchmark's questions: nothing asks what was done first, next or before, or what else could be done.
Boxes are in pixels of the video, frames are numbered as the specialists' are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from aotd.datasets.playroom.labels import PHASES, VERB_NAMES
from aotd.datasets.playroom.scene import Action
from aotd.datasets.playroom.things import COUNTED, PERSON, PLAYROOM_VERBS, query
from aotd.grow.scenes import SampledPart

_STILL = 4.0
"""Pixels by which the edges of a thing move, less of which is not moving: it is seen a little otherwise each time."""


@dataclass(frozen=True)
class Lesson:
    """One task."""

    kind: str
    prompt: str
    """With its line break."""
    reply: str


def lessons_of(part: SampledPart, rng: Random) -> list[Lesson]:
    """Make lessons about a part of a scene, about twelve. The first two tell every change and every thing."""
    writer = _LessonWriter(part, rng)
    found = [writer.changes(), writer.things(), writer.actions(), writer.count(), writer.held(), writer.opened()]
    found += [writer.frame(), writer.frame(busy=True), *writer.whens(), *writer.wheres()]
    if rng.random() < 0.5:
        found.append(writer.inventory())
    return found


class _LessonWriter:
    """What can be said of one part."""

    def __init__(self, part: SampledPart, rng: Random) -> None:
        self.part, self.labels, self.rng = part, part.labels, rng
        self.names = [thing.name for thing in part.scene.things]
        self.counts = {name: self.names.count(name) for name in sorted(set(self.names))}
        self.acted = [(action, frames) for action in part.scene.actions if (frames := frames_of(part, action))]
        self.words = [self._words(frame) for frame in range(len(part.numbers))]

    def _words(self, frame: int) -> str:
        """What a frame shows: an action, what it is about to be, or nothing."""
        phase = PHASES[self.labels.phase[frame]]
        if phase == "nothing":
            return phase
        verb = PLAYROOM_VERBS[VERB_NAMES[self.labels.verb[frame] - 1]]
        name = self.names[self.labels.target[frame]]
        return f"{verb.doing} the {name}" if phase == "action" else f"about to {verb.plain} the {name}"

    def _any_frame(self) -> int:
        return self.rng.randrange(len(self.words))

    def changes(self) -> Lesson:
        """What is done from which frame on, in all frames."""
        begins = [frame for frame, words in enumerate(self.words) if not frame or words != self.words[frame - 1]]
        return Lesson("changes", "Tell each change.\n", ", ".join(f"{frame} {self.words[frame]}" for frame in begins))

    def things(self) -> Lesson:
        """What there is, how many of each, and where it is if there is one that stays where it is."""
        told = []
        for name, count in self.counts.items():
            box = self._place(self.names.index(name)) if count == 1 else None
            told.append(f"{name} {count}" if box is None else f"{name} {_box(box)}")
        return Lesson("things", "Tell each thing.\n", ", ".join(told))

    def _place(self, item: int) -> NDArray[np.float32] | None:
        """The box of a thing that stays where it is, None of one that does not."""
        boxes = self.labels.things[:, item]
        seen = boxes[~np.isnan(boxes).any(1)]
        return seen[0] if len(seen) and np.ptp(seen, axis=0).max() < _STILL else None

    def actions(self) -> Lesson:
        """The actions in their order, or from the last to the first."""
        said = [f"{PLAYROOM_VERBS[action.verb].past} the {self.names[action.item]}" for action, _ in self.acted]
        backwards = self.rng.random() < 0.5
        listed = ", ".join(reversed(said) if backwards else said) or "none is seen"
        return Lesson("actions", f"List the actions{' backwards' * backwards}.\n", f"The actions: {listed}.")

    def whens(self) -> list[Lesson]:
        """When up to two of the actions happen, the only one of a verb, and sometimes one that does not."""
        found = [
            Lesson("when", f"Look for {query(action.verb, self.names[action.item])}.\n", f"It happens {_span(frames)}.")
            for action, frames in self.rng.sample(self.acted, min(2, len(self.acted)))
        ]
        verbs = [action.verb for action, _ in self.acted]
        alone = [(action, frames) for action, frames in self.acted if verbs.count(action.verb) == 1]
        if alone:
            action, frames = self.rng.choice(alone)
            looked = f"Look for {PERSON} {PLAYROOM_VERBS[action.verb].doing} something.\n"
            found.append(Lesson("when_something", looked, f"It happens {_span(frames)}."))
        verb = self.rng.choice(VERB_NAMES)
        name = self.rng.choice(PLAYROOM_VERBS[verb].objects)
        happens = any((action.verb, self.names[action.item]) == (verb, name) for action, _ in self.acted)
        if self.rng.random() < 0.3 and not happens:
            found.append(Lesson("when", f"Look for {query(verb, name)}.\n", "It is not seen."))
        return found

    def frame(self, busy: bool = False) -> Lesson:
        """What one frame shows; `busy`: one that shows something, if there is any."""
        among = [frame for frame, words in enumerate(self.words) if words != PHASES[0]] if busy else []
        frame = self.rng.choice(among) if among else self._any_frame()
        return Lesson("frame", f"What is seen in frame {frame}?\n", self.words[frame])

    def wheres(self) -> list[Lesson]:
        """Where a thing is that stays there, and another or one that is acted on, and who acts."""
        found = []
        single = [item for item, name in enumerate(self.names) if self.counts[name] == 1]
        still = [item for item in single if self._place(item) is not None]
        asked = [(item, self._any_frame()) for item in self.rng.sample(still, min(2, len(still)))]
        acted = [(action.item, self.rng.choice(frames)) for action, frames in self.acted if action.item in single]
        if acted:
            asked[:1] = [self.rng.choice(acted)]
        for item, frame in asked:
            if not np.isnan(box := self.labels.things[frame, item]).any():
                found.append(Lesson("where", f"Where is {self.names[item]} in frame {frame}?\n", _box(box)))
        frame = self._any_frame()
        actor = self.labels.actor[frame]
        if actor >= 0 and not np.isnan(box := self.labels.people[frame, actor]).any():
            found.append(Lesson("person", f"Where is {PERSON} in frame {frame}?\n", _box(box)))
        return found

    def inventory(self) -> Lesson:
        """What there is, and how many of each."""
        listed = " ".join(f"Count of {name}: {count}." for name, count in self.counts.items())
        return Lesson("inventory", "List what there is.\n", listed)

    def count(self) -> Lesson:
        """How many of one thing there are: several half the time, one, or none; as a program says it, or a caption."""
        kind = self.rng.random()
        several = [name for name in COUNTED if self.counts.get(name, 0) > 1]
        one = [name for name in COUNTED if self.counts.get(name, 0) == 1]
        among = several if kind < 0.5 else one if kind < 0.75 else [name for name in COUNTED if name not in self.counts]
        name = self.rng.choice(among or list(COUNTED))
        number = self.counts.get(name, 0)
        if self.rng.random() < 0.5:
            return Lesson("count", f"Count {name}.\n", f"Count of {name}: {number}.")
        return Lesson("amount", f"Count {COUNTED[name]}.\n", f"{number} {name if number == 1 else COUNTED[name]}.")

    def held(self) -> Lesson:
        """What somebody has in the hands in one frame."""
        return self._state("held", "What is in the hands in frame {}?\n", self.labels.is_held)

    def opened(self) -> Lesson:
        """What is open in one frame."""
        return self._state("open", "What is open in frame {}?\n", self.labels.is_open)

    def _state(self, kind: str, prompt: str, states: NDArray[np.bool_]) -> Lesson:
        frame = self.rng.choice([0, len(self.words) - 1, self._any_frame()])
        names = sorted({self.names[item] for item in np.flatnonzero(states[frame])})
        return Lesson(kind, prompt.format(frame), " and ".join(f"the {name}" for name in names) or "nothing")


def frames_of(part: SampledPart, action: Action) -> list[int]:
    """The sampled frames that show an action."""
    return [row for row, number in enumerate(part.numbers) if action.start <= number < action.end]


def _span(frames: Sequence[int]) -> str:
    return f"from frame {frames[0]} to frame {frames[-1]}"


def _box(box: NDArray[np.float32]) -> str:
    return "[" + ", ".join(str(round(float(value))) for value in box) + "]"
