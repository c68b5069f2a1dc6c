"""The ledger: where every question that was loaded has ended, once.

A question goes through `FLOW` verb by verb. It ends where a verb dropped it or where `verify` gave its
verdict; until then it is pending at the first verb that has no line for it. The counts of the places
add up to the questions that went in, and a run in which they cannot is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ConfigDict

from aotd.errors import UserError
from aotd.reading import is_file
from aotd.records import Outcome, Question, Record, Trace, Verdict
from aotd.store import Stage

FLOW = ("load", "decompose", "execute", "convert", "verify")
"""The verbs that every question goes through, in order."""


class _Line(Record):
    """Any record, read for its question alone: a ledger of long traces need not hold them."""

    model_config = ConfigDict(frozen=True, extra="ignore")


@dataclass(frozen=True)
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


def ledger(run: Path) -> Ledger:
    """Read a run's ledger from the folders of its verbs; a verb that has not run yet leaves questions pending.

    Raises:
        UserError: nothing was loaded, a line is damaged, or a question has two ends or a record that
            nothing before it accounts for.
    """
    loading = Stage(run, "load", Question)
    places: dict[str, Place] = {}
    here: dict[str, Question] = {}
    for question in loading.records():
        _once(question.question_id, here, run / "load")
        here[question.question_id] = question
        places[question.question_id] = _pending(question, FLOW[1])
    for drop in loading.dropped():
        _once(drop.question_id, places, run / "load")
        places[drop.question_id] = Place(drop.question_id, "", "", "load", drop.outcome, drop.reason)
    for verb in FLOW[1:]:
        here = _pass(run, verb, here, places)
    assert all(place.outcome is not Outcome.kept or place.verb == FLOW[-1] for place in places.values())
    return Ledger(places)


def kept_by_tries(run: Path, book: Ledger) -> dict[int, int]:
    """How many programs were run -> how many questions ended as kept with that many, fewest first.

    More than one program means that candidates were rejected by the true answer, or that a program was mended.
    """
    kept = {key for key, place in book.places.items() if place.outcome is Outcome.kept}
    found = Counter(trace.tries for trace in Stage(run, "execute", Trace).records() if trace.question_id in kept)
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


def _pass(run: Path, verb: str, here: Mapping[str, Question], places: dict[str, Place]) -> dict[str, Question]:
    """Give the questions that reached `verb` their place; return those that go on to the next verb."""
    folder = run / verb
    if not is_file(folder / "manifest.json"):
        return {}
    seen: set[str] = set()
    onward: dict[str, Question] = {}
    last = verb == FLOW[-1]
    for record in (Stage(run, verb, Verdict) if last else Stage(run, verb, _Line)).records():
        question = _arrived(record.question_id, here, seen, places, folder)
        if isinstance(record, Verdict):
            reason = verdict_reason(record)
            places[record.question_id] = _ended(question, verb, record.outcome, reason)
        else:
            onward[record.question_id] = question
            places[record.question_id] = _pending(question, FLOW[FLOW.index(verb) + 1])
    for drop in Stage(run, verb, _Line).dropped():
        question = _arrived(drop.question_id, here, seen, places, folder)
        places[drop.question_id] = _ended(question, verb, drop.outcome, drop.reason)
    return onward


def verdict_reason(verdict: Verdict) -> str:
    """Why a verdict is not `kept`: the reason of its first failed check; empty where it is kept."""
    failed = [check.reason for check in (verdict.answer, verdict.faithful, verdict.coherent) if not check.passed]
    return failed[0] if failed and verdict.outcome is not Outcome.kept else ""


def _arrived(
    key: str, here: Mapping[str, Question], seen: set[str], places: Mapping[str, Place], folder: Path
) -> Question:
    _once(key, seen, folder)
    seen.add(key)
    if key not in places:
        raise UserError(f"{folder}: question {key!r} was never loaded: delete that folder and run the verb again")
    if key not in here:
        raise UserError(
            f"{folder}: question {key!r} is {places[key].name} at {places[key].verb} and has a line here too: "
            "delete that folder and run the verb again"
        )
    return here[key]


def _once(key: str, seen: Mapping[str, object] | set[str], folder: Path) -> None:
    if key in seen:
        raise UserError(f"{folder}: question {key!r} has two lines: delete that folder and run the verb again")


def _pending(question: Question, verb: str) -> Place:
    return Place(question.question_id, question.split, question.type, verb, None, "")


def _ended(question: Question, verb: str, outcome: Outcome, reason: str) -> Place:
    return Place(question.question_id, question.split, question.type, verb, outcome, reason)
