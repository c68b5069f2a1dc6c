"""The rules of verification: three checks, each with its own reason.

The faithfulness check is ours; the paper checks the answer and the coherence (§3.3).
"""

from __future__ import annotations

import re

from aotd.llm.reasoning import reasoning_mark
from aotd.records import ActionsFinding, Check, Event, Question, TextFinding, Thought, Trace
from aotd.scoring.answers import plain, same_answer
from aotd.scoring.claims import final_answer, read_claims
from aotd.tools.toolbox import ToolKind
from aotd.view.finding_text import kind_of, missing, support


def check_answer(question: Question, given: str) -> Check:
    """(1) Multiple choice: the given answer is the true option, to the letter. Open-ended: equal as `plain` words."""
    assert question.answer is not None
    right = same_answer(given, question.answer, question.options)
    return Check(passed=right, reason=f"answered {given!r}, true is {question.answer!r}")


def check_faithful(question: Question, thought: Thought, trace: Trace, answer: Check) -> Check:
    """(2) Every box, frame, span and count in the text stands in the trace, and it ends in the true answer.

    Neither the text nor a finding holds what a model reasoned aloud.
    Where a judge took the program's open-ended answer for the true one (`answer`), it may end in that.
    """
    assert question.answer is not None
    true = {plain(question.answer), *([plain(thought.answer)] if answer.passed else [])}
    claims, held = read_claims(thought.text), _Held(trace)
    problems = _thought_aloud(thought, trace)
    for box in claims.boxes:
        if not held.has_box(box.label, box.frame, box.box):
            problems.append(f"no box {list(box.box)} of {box.label or 'anything'} in frame {box.frame}")
    brackets = [inside for inside in re.findall(r"\[[^\[\]]*\]", thought.text) if re.search(r"\d", inside)]
    if len(brackets) != len(claims.boxes) or _OTHER_BOX.search(thought.text):
        problems.append("it gives numbers in brackets that are no box in a frame")
    for span in claims.spans:
        if (span.start, span.end) not in held.spans:
            problems.append(f"no step found frames {span.start} to {span.end - 1}")
    for time in claims.seconds:
        if not held.has_seconds(time.start_s, time.end_s):
            problems.append(f"no step found {time.start_s:g} to {time.end_s:g} seconds")
    problems += [f"frame {number} is in no finding" for number in claims.frames if number not in held.frames]
    for count in claims.counts:
        if (plain(count.label), count.count) not in held.counts:
            problems.append(f"{count.label} was not counted as {count.count}")
    last = final_answer(thought.text)
    if last is None:
        problems.append("it does not end in an answer")
    elif plain(last) not in true:
        problems.append(f"it ends in {last!r}, true is {question.answer!r}")
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        return Check(passed=False, reason=problems[0] + more)
    return Check(passed=True, reason="all that it states stands in the trace")


def _thought_aloud(thought: Thought, trace: Trace) -> list[str]:
    """What stands in a thought, or in the findings that it tells, and is what a model reasoned aloud."""
    found = [(f"step {event.step} ({event.tool})", _words(event)) for event in trace.events]
    marks = [
        (where, reasoning_mark(text)) for where, text in (("it", thought.text), *found, ("the answer", trace.answer))
    ]
    return [f"{where} holds {mark!r}, a mark of a model's reasoning" for where, mark in marks if mark]


def _words(event: Event) -> str:
    """What came back from a tool, as text."""
    finding = event.finding
    named = finding.actions if isinstance(finding, ActionsFinding) else ()
    told = finding.text if isinstance(finding, TextFinding) else ""
    return "\n".join((told, *named, event.observation, event.thought))


_OTHER_BOX = re.compile(r"[({<（［【〔｛〈⟨‹]\s*(?:-?\d[\d.]*\s*[,;，、]\s*){3}-?\d")
"""Four numbers in any other brackets: a box to its reader, and none that is held against the trace."""


class _Held:
    """What a trace holds, for look-ups."""

    def __init__(self, trace: Trace) -> None:
        self.spans: set[tuple[int, int]] = set()
        self._frame_s = (trace.end_s - trace.start_s) / trace.frames
        self.frames: set[int] = set()
        self.counts: set[tuple[str, int]] = set()
        self._boxes: dict[tuple[int, tuple[int, ...]], set[str]] = {}
        for event in trace.events:
            self._add(event)

    def _add(self, event: Event) -> None:
        if event.frames:
            self.frames |= set(event.frames)
            self.spans.add((event.frames[0], event.frames[-1] + 1))
        held = support(event)
        self.spans |= set(held.spans)
        self.frames |= set(held.frames)
        self.counts |= {(plain(label), count) for label, count in held.counts}
        for box in held.boxes:
            at = box.frame, tuple(round(value) for value in box.box)
            self._boxes.setdefault(at, set()).add(plain(box.label))

    def has_seconds(self, start_s: float, end_s: float) -> bool:
        """Whether a span in seconds from the part's start is one of the trace's, to half a frame at each end."""
        ends = ((start * self._frame_s, end * self._frame_s) for start, end in self.spans)
        near = self._frame_s / 2 + 1e-6
        return any(abs(start - start_s) <= near and abs(end - end_s) <= near for start, end in ends)

    def has_box(self, label: str | None, frame: int | None, box: tuple[float, ...]) -> bool:
        """Whether a box stands in the trace on that frame; with a label, as a box of that thing."""
        if frame is None:
            return False
        labels = self._boxes.get((frame, tuple(round(value) for value in box)), set())
        return bool(labels) if label is None else _names_one(plain(label), labels)


def _names_one(label: str, known: set[str]) -> bool:
    """`cup` names `cup/glass/bottle`; a label with more words around it names what it ends in."""
    words = {part for name in known for part in (name, *name.split("/"))}
    return any(label == word or label.endswith(f" {word}") for word in words)


def check_coherent(thought: Thought, trace: Trace) -> Check:
    """(3) by rules: every step found something, the last ones lead to the answer, and there is more than one.

    A right answer behind a step that found nothing is luck, and teaches the wrong way to it.
    """
    steps = [event for event in trace.events if kind_of(event) is not ToolKind.reasoning]
    if not steps:
        return Check(passed=False, reason="nothing was looked at")
    for event in steps:
        if (problem := missing(event)) is not None:
            return Check(passed=False, reason=f"step {event.step} ({event.tool}): {problem}")
    if len(re.findall(r"[.:]\s", thought.text + " ")) < 2:
        return Check(passed=False, reason="it has a single step")
    return Check(passed=True, reason=f"{len(trace.events)} steps, each of which found something")
