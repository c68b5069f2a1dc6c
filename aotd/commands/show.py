"""show: print a run's funnel, or one question's whole way, on the terminal.

    aotd show runs/demo                 what became of the questions, verb by verb, and the table of arms
    aotd show runs/demo QUESTION_ID     question, program, trace, chain of thought, verdict, the arms' answers
    aotd show runs/demo --json          the same as one JSON document, for scripts

Questions, programs and replies are untrusted text: control characters in them are never sent to the
terminal.
"""

from __future__ import annotations

import difflib
import string
import textwrap
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from aotd.commands.documents import print_document, question_document, run_document
from aotd.errors import UserError
from aotd.records import Dropped, Mode, Outcome, Trace, Verdict
from aotd.runtime.output import wide_console
from aotd.store.ledger import Ledger, Passage, kept_by_tries, ledger, place_of, tries_words
from aotd.store.run import Run, run_named
from aotd.view.contamination_table import print_leaks
from aotd.view.cost_table import faster_words
from aotd.view.finding_text import finding_words, frame_words
from aotd.view.question import ArmReplies, Story, comparisons, leaks, scores, stories
from aotd.view.tables import comparison_sheets, drawn, print_scores, printable

USAGE = "usage: aotd show RUN [QUESTION_ID] [--json]"
_BOXES = 4
"""Boxes of one finding that are printed; the rest is counted."""
_EXAMPLES = 2
"""Questions named for each outcome of the funnel."""


def main(arguments: list[str]) -> int:
    """Print a run, or one question of it. Returns the exit status.

    Raises:
        UserError: wrong usage, no such run, or no such question in it.
    """
    console = wide_console()
    if arguments and arguments[0] in ("-h", "--help"):
        console.print((__doc__ or "").strip() + "\n")
        return 0
    as_json = "--json" in arguments
    words = [word for word in arguments if word != "--json"]
    if not 1 <= len(words) <= 2 or words[0].startswith("-"):
        raise UserError(f"show takes a run's folder and, if wanted, a question's id ({USAGE})")
    run = run_named(words[0])
    if not run.questions.manifest_path.is_file():
        raise UserError(f"{run} is not a run{_close(run.folder.name, _runs_beside(run.folder))} ({USAGE})")
    if len(words) == 1:
        if as_json:
            print_document(run_document(run, ledger(run), _EXAMPLES))
        else:
            _print_run(console, run, ledger(run))
        return 0
    key = words[1]
    place = place_of(run, key)
    if place is None:
        known = (*run.questions.ids(), *(drop.question_id for drop in run.questions.stream_dropped()))
        raise UserError(f"{run} has no question {key!r}{_close(key, known)}")
    story = stories(run, [key], {key: place})[0]
    if as_json:
        print_document(question_document(run, story))
    else:
        _print_story(console, story)
    return 0


def _close(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _runs_beside(folder: Path) -> list[str]:
    return (
        [path.parent.parent.name for path in folder.parent.glob("*/load/manifest.json")]
        if folder.parent.is_dir()
        else []
    )


# ── a run ─────────────────────────────────────────────────────────────────────────────────────────


def _print_run(console: Console, run: Run, book: Ledger) -> None:
    shown = Table(title=f"{run}: {len(book.places)} questions", title_justify="left", expand=False)
    shown.add_column("verb")
    for head in ("in", "out", "ended", "pending"):
        shown.add_column(head, justify="right")
    shown.add_column("ended as, and why")
    for passage in book.passages():
        lost = sum(len(places) for places in passage.ended.values())
        numbers = (passage.reached, passage.passed, lost, passage.pending)
        shown.add_row(passage.verb, *(str(number) if number else "·" for number in numbers), _reasons(passage))
    console.print(shown)
    counts = book.counts()
    _line(console, " + ".join(f"{name} {count}" for name, count in counts.items()) + f" = {len(book.places)}")
    if "kept" in counts and (further := tries_words(kept_by_tries(run, book))):
        _line(console, further)
    console.print()
    evaluated = scores(run)
    if not evaluated:
        console.print("No arm has been evaluated: `aotd evaluate` does it.")
        return
    print_scores(console, evaluated)
    for sheet in comparison_sheets(comparisons(run)):
        console.print(drawn(sheet))
    for one in evaluated:
        if one.rationales:
            _line(
                console,
                f"{one.arm}: of {one.rationales} rationales on annotated questions "
                f"{one.rationales_with_span} name a span and {one.rationales_with_box} a box that can be scored",
            )
    print_leaks(console, leaks(run))
    for line in faster_words(evaluated):
        _line(console, line)


def _reasons(passage: Passage) -> Text:
    """The outcomes of a verb, each with a few of its questions and their reasons."""
    lines = []
    for outcome, places in passage.ended.items():
        lines.append(f"{outcome.value} {len(places)}")
        lines += [f"  {_short(place.question_id)}: {_short(place.reason)}" for place in places[:_EXAMPLES]]
    return Text("\n".join(lines))


def _short(text: str) -> str:
    """Text on one line of a table."""
    return " ".join(printable(text).split())


# ── a question ────────────────────────────────────────────────────────────────────────────────────


def _print_story(console: Console, story: Story) -> None:
    question = story.question
    console.rule(printable(question.question_id), align="left")
    part = "" if question.start_s is None or question.end_s is None else f", {question.start_s:g}–{question.end_s:g} s"
    about = f"{question.dataset} {question.split}, {question.type}, video {question.video or question.video_id}{part}"
    _line(console, about, "dim")
    _line(console, question.question, "bold")
    for letter, option in zip(string.ascii_uppercase, question.options, strict=False):
        _line(console, f"  ({letter}) {option}" + ("   <- true" if option == question.answer else ""))
    if not question.options:
        _line(console, f"  true answer: {question.answer or 'not known'}")
    evidence = question.evidence
    if evidence and evidence.spans:
        spans = ", ".join(f"{span.start_s:.1f}–{span.end_s:.1f} s" for span in evidence.spans)
        _line(console, f"  true evidence: {spans}")
    why = f": {story.place.reason}" if story.place.reason else ""
    style = "green" if story.place.outcome is Outcome.kept else "red" if story.place.outcome else "yellow"
    _line(console, f"{story.place.name}{why}", style)
    if story.program:
        attempts = f"attempt {story.program.attempts}"
        if story.trace and story.trace.tries > 1:
            attempts = f"number {story.trace.tries} of those that were run"
        _head(console, f"program (by {story.program.author}, {attempts})")
        code = printable(story.code or "").rstrip()
        if console.is_terminal:
            console.print(
                Padding(
                    Syntax(code, "python", theme="ansi_dark", background_color="default", word_wrap=True), (0, 0, 0, 2)
                )
            )
        else:
            console.print(Text(textwrap.indent(code, "  ")), soft_wrap=True)
    if story.trace:
        _print_trace(console, story.trace)
    if story.thought:
        _head(console, f"chain of thought (by {story.thought.writer})")
        _line(console, "  " + story.thought.text)
    if story.verdict:
        _print_verdict(console, story.verdict)
    if story.arms:
        _head(console, "answers of the arms")
        for arm in story.arms:
            _print_arm(console, arm)


def _print_trace(console: Console, trace: Trace) -> None:
    size = f", {trace.width}x{trace.height} pixels" if trace.width else ""
    _head(console, f"trace ({trace.frames} frames, {trace.start_s:.1f}–{trace.end_s:.1f} s{size})")
    for event in trace.events:
        looked = f" on {frame_words(event.frames)}" if event.frames else ""
        asked = f" {event.query!r}" if event.query else ""
        _line(console, f"  {event.step:>2}  {event.tool}{asked}{looked}", "cyan")
        if event.thought:
            _line(console, f"        thought: {event.thought}", "dim")
        for name, value in event.arguments.items():
            _line(console, f"        {name}: {value}", "dim")
        for name, text in event.info:
            _line(console, f"        told {name}: {text}", "dim")
        _line(console, f"      → {finding_words(event, trace, _BOXES)}")
    _line(console, f"  answer: {trace.answer}", "bold")


def _print_verdict(console: Console, verdict: Verdict) -> None:
    _head(console, f"verdict: {verdict.outcome.value}")
    for name, check in (("answer", verdict.answer), ("faithful", verdict.faithful), ("coherent", verdict.coherent)):
        _line(console, f"  {'pass' if check.passed else 'FAIL'}  {name}: {check.reason}", "" if check.passed else "red")


def _print_arm(console: Console, arm: ArmReplies) -> None:
    for mode, reply in arm.replies.items():
        if isinstance(reply, Dropped):
            _line(console, f"  {arm.arm}, {mode.value}: {reply.outcome.value}: {reply.reason}")
            continue
        mark = {True: "right", False: "wrong", None: "not known"}[reply.correct]
        why = f" ({reply.rule})" if reply.rule else ""
        read = f"no answer can be read{why}" if reply.parsed is None else reply.parsed
        _line(console, f"  {arm.arm}, {mode.value}: {read} ({mark})", "green" if reply.correct else "")
        if mode is Mode.rationale or reply.parsed is None:
            _line(console, "      " + reply.text, "dim")
        grounded = {"time IoU": reply.temporal_iou, "time recall": reply.temporal_recall, "box IoU": reply.spatial_iou}
        found = [f"{name} {value:.2f}" for name, value in grounded.items() if value is not None]
        if found:
            _line(console, "      " + ", ".join(found))
    for judge, judgement in arm.judgements.items():
        verdict = {True: "right", False: "wrong", None: ""}[judgement.correct]
        marks = "" if judgement.score is None else f"{judgement.score} of 5"
        read = ", ".join(word for word in (verdict, marks) if word)
        _line(console, f"  {arm.arm}, judged by {judge}: {read or f'not readable: {judgement.text}'}")


def _head(console: Console, title: str) -> None:
    console.print()
    console.print(Text(printable(title), style="bold underline" if console.is_terminal else ""))


def _line(console: Console, text: str, style: str = "") -> None:
    """A paragraph. On a terminal it is wrapped and keeps its indent; piped, it stays one line for grep."""
    indent = len(text) - len(text.lstrip(" "))
    if console.is_terminal:
        console.print(Padding(Text(printable(text[indent:]), style=style), (0, 0, 0, indent)))
    else:
        console.print(Text(printable(text)), soft_wrap=True)
