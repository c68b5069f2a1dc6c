"""status: print how far a run has come, verb by verb, and what has failed.

    aotd status runs/big            shards done, running and failed, questions per second, when it may end
    aotd status runs/big 4          the division into 4 shards, where there are several or none yet
    aotd status runs/big 4 --tsv    verb, shard (- is the whole run), state, lines, of how many: for scripts
    aotd status runs/big --json     all that is known, as one JSON document

Reads files alone, so it works wherever the run's folder is seen; no job is asked. A process that was killed
outright has said nothing: its verb is running, as far as files tell, and a line says since when nothing was heard.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psutil
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from aotd.commands.documents import print_document
from aotd.errors import UserError
from aotd.runtime.output import wide_console
from aotd.store.run import Run, run_named
from aotd.store.shards import MOST, ShardId, divisions, shards
from aotd.store.state import Doing, State, state_of
from aotd.verbs import FLOW, SHARDED, STEPS
from aotd.view.tables import printable

USAGE = "usage: aotd status RUN [SHARDS] [--tsv | --json]"
SHOWN = (*FLOW, "gather", *(verb for verb in STEPS[STEPS.index(FLOW[-1]) + 1 :]))
"""Verbs whose state is shown."""
GONE = "gone"
SILENT_S = 600.0
"""After so many seconds without a line it is said that nothing was heard; weights may take minutes to load."""


@dataclass(frozen=True)
class Unit:
    """One verb, of the whole run or of one shard."""

    verb: str
    shard: ShardId | None
    state: State | None
    doing: str
    """A `Doing`; `waiting` where it was not begun; `gone` where its process, on this machine, is no more."""
    lines: int | None
    """Questions that have a line; None of a verb that has no lines of its own."""
    of: int | None
    """Questions that reach it; None where that is not known yet."""
    heard_s: float
    """When a line was last written, in seconds since 1970."""

    @property
    def rate(self) -> float:
        """Questions per second since it was begun; 0 where it is not running."""
        if self.doing != Doing.running.value or self.state is None or self.lines is None:
            return 0.0
        return (self.lines - self.state.begun_with) / max(time.time() - self.state.started_s, 1e-3)


def main(arguments: Sequence[str]) -> int:
    """Print how far a run is. Returns the exit status.

    Raises:
        UserError: wrong usage, no such run, or a state that is damaged.
    """
    console = wide_console()
    if arguments and arguments[0] in ("-h", "--help"):
        console.print((__doc__ or "").strip() + "\n")
        return 0
    words = [word for word in arguments if word not in ("--tsv", "--json")]
    if not 1 <= len(words) <= 2 or any(word.startswith("-") for word in words):
        raise UserError(f"status takes a run's folder and, if wanted, a number of shards ({USAGE})")
    run, asked = run_named(words[0]), words[1] if len(words) == 2 else ""
    if asked and not (asked.isdecimal() and 1 <= int(asked) <= MOST):
        raise UserError(f"status: {asked!r} is no number of shards, 1 to {MOST} ({USAGE})")
    tsv, as_json = "--tsv" in arguments, "--json" in arguments
    if tsv and as_json:
        raise UserError(f"status: --tsv and --json do not go together ({USAGE})")
    if not run.folder.is_dir() and not tsv:
        raise UserError(f"{run} is not a run: there is no such folder ({USAGE})")
    of = int(asked) if asked else _newest(run)
    found = units(run, of)
    if as_json:
        print_document({"run": str(run), "shards": of, "verbs": [_document(unit) for unit in found]})
    elif tsv:
        for unit in found:
            print(*_row(unit), sep="\t")  # noqa: T201
    else:
        _print(console, run, of, found)
    return 0


def units(run: Run, of: int = 0) -> list[Unit]:
    """What is known of a run: verb by verb, shard by shard.

    Args:
        of: into how many shards it is divided; 0: it is not.
    """
    found = []
    for verb in SHOWN:
        whole = _unit(run, verb, None)
        if verb in SHARDED and of and whole.doing != Doing.done.value:
            found += [_unit(shard.run(run), verb, shard) for shard in shards(of)]
        elif verb != "gather" or of:
            found.append(whole)
    return found


def _newest(run: Run) -> int:
    """The division whose shards were worked on last; 0 where there is none."""

    def touched(of: int) -> float:
        states = (path for shard in shards(of) for path in shard.run(run).folder.glob("state/*.json"))
        return max((path.stat().st_mtime for path in states), default=0.0)

    return max(divisions(run), key=touched, default=0)


def _unit(run: Run, verb: str, shard: ShardId | None) -> Unit:
    stage, state = run.stage(verb), state_of(run, verb)
    if verb == "gather" and any(not run.stage(name).exists for name in SHARDED):
        state = state if state and state.doing is not Doing.done else None
    if verb not in FLOW:
        return Unit(verb, shard, state, _doing(state) if state else "waiting", None, None, 0.0)
    there, of = stage.exists, _reached(run, verb)
    lines = state.lines if state and state.lines is not None else stage.count() + stage.count_dropped() if there else 0
    if state:
        doing = _doing(state)
    else:  # no process of this version wrote it
        doing = "waiting" if not there else Doing.done.value if lines == of else Doing.stopped.value
    paths = (path for path in (stage.records_path, stage.dropped_path) if path.exists())
    heard_s = max((path.stat().st_mtime for path in paths), default=0.0)
    return Unit(verb, shard, state, doing, lines, of, heard_s)


def _doing(state: State) -> str:
    gone = state.doing is Doing.running and state.host == platform.node() and not psutil.pid_exists(state.pid)
    return GONE if gone else state.doing.value


def _reached(run: Run, verb: str) -> int | None:
    """The questions that reach a verb; None as long as the verb before has not done all of its own."""
    if verb == FLOW[0]:
        state = state_of(run, verb)
        return state.lines if state else None
    before = FLOW[FLOW.index(verb) - 1]
    state, stage = state_of(run, before), run.stage(before)
    if state is not None:
        return state.passed
    if not stage.exists:
        return None
    # The questions of a shard were dealt whole; of other folders without a state, lines tell.
    if before == FLOW[0] or stage.count() + stage.count_dropped() == _reached(run, before):
        return stage.count()
    return None


# ── as lines for scripts ──────────────────────────────────────────────────────────────────────────


def _row(unit: Unit) -> tuple[str, ...]:
    shard = str(unit.shard.number) if unit.shard else "-"
    numbers = ("-" if number is None else str(number) for number in (unit.lines, unit.of))
    return unit.verb, shard, unit.doing, *numbers


def _document(unit: Unit) -> dict[str, Any]:
    state = unit.state
    return {
        "verb": unit.verb,
        "shard": unit.shard.number if unit.shard else None,
        "state": unit.doing,
        "lines": unit.lines,
        "of": unit.of,
        "per_second": unit.rate,
        "heard_s": unit.heard_s or None,
        "started_s": state and state.started_s,
        "ended_s": state and state.ended_s,
        "host": (state and state.host) or None,
        "job": (state and state.job) or None,
        "log": (state and state.log) or None,
        "error": (state and state.error) or None,
    }


# ── as a page ─────────────────────────────────────────────────────────────────────────────────────


def _print(console: Console, run: Run, of: int, found: Sequence[Unit]) -> None:
    console.print(Text(printable(f"{run}: {f'{of} shards' if of else 'no shards'}")), soft_wrap=True)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    states = (*(doing.value for doing in (Doing.done, Doing.running, Doing.failed, Doing.stopped)), "waiting")
    for head in ("verb", *states, "questions", "per second", "ends"):
        table.add_column(head, justify="left" if head in ("verb", "ends") else "right")
    questions = next((unit.state.passed for unit in found if unit.verb == "load" and unit.state), None)
    for verb in SHOWN:
        here = [unit for unit in found if unit.verb == verb]
        if not here:
            continue
        counts = [sum(unit.doing.replace(GONE, Doing.failed.value) == state for unit in here) for state in states]
        rate = sum(unit.rate for unit in here)
        table.add_row(
            verb,
            *(str(count) if count else "" for count in counts),
            _questions(here),
            f"{rate:.3g}" if rate else "",
            _end(here, questions),
        )
    console.print(table)
    for unit in found:
        if told := _told(unit):
            console.print(Text(printable(told)), soft_wrap=True)


def _questions(here: Sequence[Unit]) -> str:
    lines = [unit.lines for unit in here if unit.lines is not None]
    if not lines or all(unit.doing == "waiting" for unit in here):
        return ""
    known = [unit.of for unit in here if unit.of is not None]
    return f"{sum(lines)} of {sum(known)}" if len(known) == len(here) else str(sum(lines))


def _end(here: Sequence[Unit], questions: int | None) -> str:
    """When a verb may end: its slowest shard does, or all that is left at the rate of those that run."""
    running = [unit for unit in here if unit.rate > 0]
    if not running:
        return ""
    share = (questions or 0) / len(here)
    left = [max((unit.of if unit.of is not None else share) - (unit.lines or 0), 0) for unit in here]
    slowest = max(rest / unit.rate for rest, unit in zip(left, here, strict=True) if unit.rate > 0)
    seconds = max(slowest, sum(left) / sum(unit.rate for unit in running))
    return f"in {_span(seconds)}, {_clock(time.time() + seconds)}"


def _told(unit: Unit) -> str:
    """A line on what has gone wrong; empty where nothing has."""
    state = unit.state
    if state is None or unit.doing == Doing.done.value:
        return ""
    name = f"{unit.verb}, shard {unit.shard}" if unit.shard else unit.verb
    where = ", ".join(_places(state))
    log = f"; log: {state.log}" if state.log else ""
    if unit.doing == GONE:
        return f"{name} has gone without a word ({where}): the same command goes on{log}"
    if unit.doing == Doing.running.value:
        silent = time.time() - max(unit.heard_s, state.started_s)
        return f"{name}: not heard of for {_span(silent)} ({where}){log}" if silent > SILENT_S else ""
    ended = f" at {_clock(state.ended_s)}" if state.ended_s else ""
    return f"{name} {unit.doing}{ended} ({where}): {state.error}{log}"


def _places(state: State) -> Iterable[str]:
    yield state.host
    if state.job:
        yield f"job {state.job}"
    else:
        yield f"process {state.pid}"


def _span(seconds: float) -> str:
    """`40 s`, `12 min`, `3.5 h`, `2.1 days`."""
    for unit, size in (("days", 86400), ("h", 3600)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"


def _clock(at_s: float) -> str:
    """The local time; the day too, where it is not today."""
    at = datetime.fromtimestamp(at_s)
    return at.strftime("%H:%M" if at.date() == datetime.now().date() else "%a %d %b %H:%M")
