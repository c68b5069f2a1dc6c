"""report: make one self-contained page of a run: funnel, table of arms, and questions followed all the way.

Reads whatever verbs have run; writes report.html in the run's folder. The page needs no network and no
script: pictures are inside it, and a verb that has not run is one line saying which verb that is.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import jinja2

from aotd.datasets.base import DatasetConfig
from aotd.errors import UserError
from aotd.records import Dropped, Estimate, Outcome
from aotd.report import ReportConfig
from aotd.report.pick import pick
from aotd.runtime.output import say
from aotd.runtime.progress import progress
from aotd.specialists import SpecialistsConfig
from aotd.store.files import write_atomically
from aotd.store.ledger import Ledger, kept_by_tries, ledger, tries_words
from aotd.store.run import Run
from aotd.view.contamination_table import leak_lines, leak_sheets
from aotd.view.cost_table import HEADS, cost_rows, faster_words
from aotd.view.finding_text import finding_words, frame_words
from aotd.view.pictures import Frames, NoFramesError, pictures
from aotd.view.provenance import headline, meanings, provenance
from aotd.view.question import Story, comparisons, leaks, scores, stories
from aotd.view.tables import comparison_sheets, further_sheets
from aotd.view.timeline import timeline

_BOXES = 6
"""Boxes of one finding that a trace's table writes out; the rest is counted."""
_HERE = Path(__file__).resolve().parent


def job(run: Run, *, report: ReportConfig, dataset: DatasetConfig, specialists: SpecialistsConfig) -> None:
    """Write `<run>/report.html`.

    Raises:
        UserError: nothing was loaded, a file of the run is damaged, or a setting makes no sense.
    """
    for name in ("questions", "frames"):
        if getattr(report, name) < 0:
            raise UserError(f"report.{name}={getattr(report, name)} must be 0 or more")
    book = ledger(run)
    questions = run.questions.records()
    followed = stories(run, pick(book, questions, report.questions), dict(book.places))
    cards = []
    with Frames(specialists, dataset.root) as frames:
        for story in progress("report", followed):
            cards.append(_card(story, frames, report.frames))
    made, evaluated = provenance(run), scores(run)
    page = render(
        name=run.folder.resolve().name,
        questions=questions,
        videos=len({question.video_id for question in questions}),
        splits=Counter(question.split for question in questions),
        headline=headline(made),
        facts=made,
        total=len(book.places),
        passages=book.passages(),
        counts=book.counts(),
        further=tries_words(kept_by_tries(run, book)) if "kept" in book.counts() else "",
        verbs={place.name: place.verb for place in book.places.values()},
        meanings=meanings(),
        kinds=kinds(book),
        scores=evaluated,
        sheets=[*comparison_sheets(comparisons(run)), *leak_sheets(leaks(run)), *further_sheets(evaluated)],
        leaks=leak_lines(leaks(run)),
        cost_heads=HEADS,
        costs=cost_rows(evaluated),
        faster=faster_words(evaluated),
        cards=cards,
    )
    write_atomically(run.folder / "report.html", page)
    say(str(run.folder / "report.html"))


def render(**facts_of_run: Any) -> str:
    """The page as HTML. Everything from the run is untrusted text and is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": _percent, "share": _share, "frames": frame_words}
    environment.globals |= {"finding_words": finding_words, "boxes": _BOXES}
    environment.tests["dropped"] = lambda reply: isinstance(reply, Dropped)
    return environment.get_template("page.html.j2").render(facts_of_run)


def kinds(book: Ledger) -> list[tuple[str, int, int]]:
    """(question type, how many questions, how many of them are kept), by name; those dropped by load have none."""
    asked = Counter(place.type for place in book.places.values() if place.type)
    kept = Counter(place.type for place in book.places.values() if place.outcome is Outcome.kept)
    return [(kind, asked[kind], kept[kind]) for kind in sorted(asked)]


def _card(story: Story, frames: Frames, count: int) -> dict[str, Any]:
    """One question as the page shows it."""
    card = {"story": story, "rows": timeline(story), "pictures": [], "no_pictures": ""}
    if not count:
        return card
    try:
        return card | {"pictures": pictures(story, frames, count)}
    except NoFramesError as error:
        return card | {"no_pictures": str(error)}


def _percent(value: Estimate | None) -> str:
    return "–" if value is None else f"{100 * value.mean:.1f}"


def _share(part: float, whole: float) -> str:
    """In percent of the whole, as CSS and people write it, without the sign."""
    return f"{100 * part / whole:.1f}" if whole else "0"
