"""The ledger: where every question that was loaded has ended, once.

A question goes through `FLOW` verb by verb. It ends where a verb dropped it, or where `verify` gave its verdict. Until
then it is pending at the first verb that has no line for it. The counts of the places add up to the number of questions
that were loaded; a run in which they do not is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from sys import intern

from pydantic import ConfigDict

from aotd.errors import UserError
from aotd.records import Outcome, Record, Verdict
from aotd.store.run import Run
from aotd.store.stage import Stage
from aotd.verbs import FLOW


class _Line(Record):
    """Any record, of which only the question id is kept, so that long traces are not held."""

    model_config = ConfigDict(frozen=True, extra="ignore")


@dataclass(frozen=True, slots=True)
class Place:
    """Where one question is."""

    question_id: str
    split: str
    """Split of the question; empty where `load` dropped it."""
    type: str
    """Type of the question; empty where `load` dropped it."""
    verb: str
    """The verb that ended it, or that it waits for."""
    outcome: Outcome | None
    """Its end; None while it is pending."""
    reason: str
    """One line on why it ended; empty for a pending question and for a kept one."""

    @property
    def name(self) -> str:
        """The outcome's name, or `pending at <verb>`."""
        return self.outcome.value if self.outcome else f"pending at {self.verb}"


@dataclass(frozen=True)
class Passage:
    """What one verb did with the questions that reached it: `reached == passed + ended + pending`."""

    verb: str
    reached: int
    passed: int
    """Questions the next verb can take up; behind `verify`, those that are kept."""
    ended: Mapping[Outcome, list[Place]]
    """The questions this verb ended, by outcome, most frequent first."""
    pending: int


@dataclass(frozen=True)
class Ledger:
    """Every question of a run and its one place, in the order of loading."""

    places: Mapping[str, Place]
    """Question id -> place."""

    def only(self, split: str | None = None, type: str | None = None) -> Ledger:
        """The part of the ledger with that split and that question type; None takes all."""
        return Ledger(
            {
                key: place
                for key, place in self.places.items()
                if split in (None, place.split) and type in (None, place.type)
            }
        )

    def counts(self) -> dict[str, int]:
        """Name of the place -> how many questions are there: kept first, then in the order of the flow."""
        found = Counter(place.name for place in self.places.values())
        verbs = {place.name: FLOW.index(place.verb) for place in self.places.values()}
        order = sorted(found, key=lambda name: (name != "kept", verbs[name], -found[name], name))
        assert sum(found.values()) == len(self.places)
        return {name: found[name] for name in order}

    def passages(self) -> list[Passage]:
        """The funnel, verb by verb."""
        found, here = [], list(self.places.values())
        for verb in FLOW:
            ended: dict[Outcome, list[Place]] = {}
            for place in here:
                if place.verb == verb and place.outcome not in (None, Outcome.kept):
                    assert place.outcome is not None
                    ended.setdefault(place.outcome, []).append(place)
            pending = sum(place.verb == verb and place.outcome is None for place in here)
            left = [place for place in here if place.verb != verb or place.outcome is Outcome.kept]
            most = dict(sorted(ended.items(), key=lambda item: (-len(item[1]), item[0].value)))
            found.append(Passage(verb, len(here), len(left), most, pending))
            assert len(here) == len(left) + sum(map(len, ended.values())) + pending
            here = left
        return found


def ledger(run: Run) -> Ledger:
    """Read a run's ledger from the folders of its verbs; a verb that has not run yet leaves questions pending.

    Raises:
        UserError: nothing was loaded, a line is damaged, or a question has two ends or a record that
            nothing before it accounts for.
    """
    places: dict[str, Place] = {}
    for question in run.questions.stream():
        key = question.question_id
        _once(key, places, run.questions.folder)
        # Thousands of questions have the same few words; each is held once.
        places[key] = Place(key, intern(question.split), intern(question.type), FLOW[1], None, "")
    for drop in run.questions.stream_dropped():
        _once(drop.question_id, places, run.questions.folder)
        places[drop.question_id] = Place(drop.question_id, "", "", "load", drop.outcome, intern(drop.reason))
    for verb in FLOW[1:]:
        _pass(run, verb, places)
    assert all(place.outcome is not Outcome.kept or place.verb == FLOW[-1] for place in places.values())
    return Ledger(places)


def place_of(run: Run, question_id: str) -> Place | None:
    """The place of one question, looked up in each stage; None where it was not loaded.

    Only lines of this question are read: that the run as a whole adds up is for `ledger` to say.

    Raises:
        UserError: nothing was loaded, or a line is damaged.
    """
    question = run.questions.find(question_id)
    place = Place(question_id, "", "", FLOW[0], None, "")
    if question is not None:
        place = replace(place, split=question.split, type=question.type, verb=FLOW[1])
    for verb in FLOW[FLOW.index(place.verb) :]:
        stage = run.stage(verb)
        if (drop := stage.find_dropped(question_id)) is not None:
            return replace(place, verb=verb, outcome=drop.outcome, reason=drop.reason)
        if question is None:
            return None
        place = replace(place, verb=verb)
        if not stage.exists or not stage.has(question_id):
            return place
    verdict = run.verdicts.find(question_id)
    assert verdict is not None
    return replace(place, outcome=verdict.outcome, reason=verdict_reason(verdict))


def kept_by_tries(run: Run, book: Ledger) -> dict[int, int]:
    """How many programs were run -> how many questions ended as kept with that many, fewest first.

    More than one program means that candidates were rejected by the true answer, or that a program was mended.
    """
    kept = {key for key, place in book.places.items() if place.outcome is Outcome.kept}
    found = Counter(trace.tries for trace in run.traces.stream() if trace.question_id in kept)
    return dict(sorted(found.items()))


def tries_words(tries: dict[int, int]) -> str:
    """A line on what further programs added; empty where one program each was all there was."""
    if not tries or max(tries) == 1:
        return ""
    more = ", ".join(f"{count} with number {number}" for number, count in tries.items() if number > 1)
    return (
        f"kept with the first program: {tries.get(1, 0)}; after rejecting or mending programs: {more} "
        "(the true answer decides which program is taken)"
    )


def _pass(run: Run, verb: str, places: dict[str, Place]) -> None:
    """Give the questions that reached `verb` their place."""
    stage = Stage(run.folder, verb, _Line)
    if not stage.exists:
        return
    if verb == FLOW[-1]:
        for verdict in run.verdicts.stream():
            place = _arrived(verdict.question_id, places, verb, stage.folder)
            places[place.question_id] = replace(place, outcome=verdict.outcome, reason=intern(verdict_reason(verdict)))
    else:
        following = FLOW[FLOW.index(verb) + 1]
        for line in stage.stream():
            place = _arrived(line.question_id, places, verb, stage.folder)
            places[place.question_id] = replace(place, verb=following)
    for drop in stage.stream_dropped():
        place = _arrived(drop.question_id, places, verb, stage.folder)
        places[place.question_id] = replace(place, outcome=drop.outcome, reason=intern(drop.reason))


def verdict_reason(verdict: Verdict) -> str:
    """Why a verdict is not `kept`: the reason of its first failed check; empty where it is kept."""
    failed = [check.reason for check in (verdict.answer, verdict.faithful, verdict.coherent) if not check.passed]
    return failed[0] if failed and verdict.outcome is not Outcome.kept else ""


def _arrived(key: str, places: Mapping[str, Place], verb: str, folder: Path) -> Place:
    """The place of a question that has a line at `verb`: until then it was pending there."""
    place = places.get(key)
    if place is None:
        raise UserError(f"{folder}: question {key!r} was never loaded: delete that folder and run the verb again")
    at = FLOW.index(verb)
    if (place.outcome is None and FLOW.index(place.verb) > at) or (place.outcome and place.verb == verb):
        raise _twice(key, folder)
    if place.outcome or place.verb != verb:
        raise UserError(
            f"{folder}: question {key!r} is {place.name} at {place.verb} and has a line here too: "
            "delete that folder and run the verb again"
        )
    return place


def _once(key: str, places: Mapping[str, Place], folder: Path) -> None:
    if key in places:
        raise _twice(key, folder)


def _twice(key: str, folder: Path) -> UserError:
    return UserError(f"{folder}: question {key!r} has two lines: delete that folder and run the verb again")
