"""What a question costs the arms, in words: the table and the lines that `evaluate`, `show` and `report` print."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from aotd.errors import spelt_out
from aotd.records import Mode
from aotd.scoring.tables import Scores, Speedup

HEADS = ("arm", "mode", "n", "seconds", "LLM calls", "tokens in", "tokens out", "specialist calls", "reused", "GPU MiB")


def cost_rows(scores: Sequence[Scores]) -> list[tuple[str, ...]]:
    """The mean cost of a question for each arm and mode, in words under `HEADS`; what was not measured has no row."""
    return [
        (
            one.arm,
            mode.value,
            str(spent.seconds.n),
            _seconds(spent.seconds.mean),
            f"{spent.llm_calls:.1f}",
            _whole(spent.prompt_tokens),
            _whole(spent.reply_tokens),
            f"{spent.specialist_calls:.1f}",
            f"{100 * spent.reused:.0f} %",
            _whole(spent.memory_mb),
        )
        for one in scores
        for mode, spent in (one.cost or {}).items()
    ]


def cost_table(scores: Sequence[Scores]) -> Table | None:
    """`cost_rows` as a table; None where nothing was measured."""
    rows = cost_rows(scores)
    if not rows:
        return None
    # Ten columns stand in 80 characters without lines between them.
    shown = Table(title="cost per question (mean)", box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for head in HEADS:
        left, folds = head in ("arm", "mode"), head in ("arm", "specialist calls")
        title = head.replace(" ", "\n")
        shown.add_column(title, justify="left" if left else "right", no_wrap=not folds, overflow="fold")
    for row in rows:
        shown.add_row(*(Text(spelt_out(cell)) for cell in row))
    return shown


def faster_words(scores: Sequence[Scores]) -> list[str]:
    """How much faster each student is than the agent: a line for each arm and mode in which both were measured."""
    lines = []
    for one in scores:
        for mode, spent in (one.cost or {}).items():
            if (found := spent.faster) is not None:
                lines.append(f"{one.arm} {_DOES[mode]} {_beside_agent(found)}")
    return lines


_DOES = {Mode.answer: "answers", Mode.rationale: "gives its reasons"}


def _beside_agent(found: Speedup) -> str:
    times = found.times
    mean, low, high, word = times.mean, times.low, times.high, "faster"
    if mean < 1:
        mean, low, high, word = 1 / mean, 1 / high, 1 / low, "slower"
    apart = f"{mean:.1f} times {word} ({low:.1f}–{high:.1f})"
    notes = [f"mean over {times.n} question{'s' * (times.n > 1)}"]
    notes += [f"the student was asked {found.batch} at a time"] if found.batch > 1 else []
    notes += ["both on one machine"] if found.same_machine else ["not on one machine: compare them with care"]
    for whose, share in (("student", found.reused), ("agent", found.agent_reused)):
        if share:
            notes.append(f"for {100 * share:.0f} % of them the {whose}'s time lacks what it reused")
    seconds = f"in {_seconds(found.seconds)} s, the agent in {_seconds(found.agent_seconds)} s"
    return f"{seconds}: {apart}; {', '.join(notes)}"


def _seconds(value: float) -> str:
    """Three figures: `0.00123`, `0.123`, `12.3`, `123`."""
    if value == 0:
        return "0"
    decimals = min(max(2 - math.floor(math.log10(value)), 0), 6)
    return f"{value:.{decimals}f}"


def _whole(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"
