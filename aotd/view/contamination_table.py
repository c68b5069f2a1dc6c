"""What of a student's questions it was trained on, in words: what `evaluate`, `show` and `report` say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from aotd.scoring.intervals import percent
from aotd.scoring.tables import Contamination
from aotd.view.tables import Sheet, drawn, printable


def print_leaks(console: Console, found: Sequence[Contamination]) -> None:
    """Print a line for students of one training, and a sheet where there are leaks."""
    for line, leaks in leak_lines(found):
        console.print(Text(printable(line), style="bold red" if leaks else ""), soft_wrap=True)
    for sheet in leak_sheets(found):
        console.print(drawn(sheet))


def leak_lines(found: Sequence[Contamination]) -> list[tuple[str, bool]]:
    """A line for students of one training, and whether it is a warning."""
    lines: dict[str, list[Contamination]] = defaultdict(list)
    for one in found:
        lines[_sentence(one)].append(one)
    return [(f"{', '.join(one.arm for one in many)}: {line}", bool(many[0].leaks)) for line, many in lines.items()]


def leak_sheets(found: Sequence[Contamination]) -> list[Sheet]:
    """Accuracy with and without what was trained on; none where nothing was."""
    rows = []
    for one in found:
        if one.leaks:
            rates = (one.multiple_choice, one.multiple_choice_clean, one.open_ended, one.open_ended_clean)
            rows.append((one.arm, f"{len(one.leaks):,} of {one.asked_questions:,}", *map(percent, rates)))
    heads = ("arm", "leaks", "choice", "choice without", "open", "open without")
    title = "leaks (named in evaluate/<arm>/seen.json); accuracy in % with and without them"
    return [Sheet(title, heads, tuple(rows))] if rows else []


def _sentence(one: Contamination) -> str:
    trained = f"{_many(one.trained_questions, 'question')} about {_many(one.trained_videos, 'video')}"
    parts = [f"trained on {trained}"]
    if not one.told:
        parts = ["warning: its folder has no records.jsonl, which would name the questions it was trained on"]
    elif not one.trained_questions:
        parts = ["not trained, and so on none of what is asked here"]
    if one.leaks:
        parts.append(
            f"WARNING: {len(one.leaks):,} of the {_many(one.asked_questions, 'question')} asked here, or their videos, "
            f"are among them (by question id {len(one.same_id):,}; videos by id {len(one.same_video):,}, by content "
            f"{len(one.same_content):,}), and {len(one.same_question):,} of these in nearly the same words with the "
            "same answer"
        )
    elif one.told and one.trained_questions:
        asked = f"{_many(one.asked_questions, 'question')} or {_many(one.asked_videos, 'video')}"
        parts.append(f"none of the {asked} asked here are among them")
    if one.repeated:
        parts.append(f"{one.repeated:,} repeat the words of one about another video, which is no leak")
    if one.untraced:
        parts.append(
            f"of {_many(one.untraced, 'question')} of the training only the ids are known: "
            "their run is gone, or was made anew"
        )
    if one.not_compared:
        parts.append(
            f"the files of {_many(one.not_compared, 'video')} are not there or cannot be read, and were not compared "
            "(dataset.root, evaluate.train_root)"
        )
    if one.grown_scenes:
        parts.append(
            f"grew on {_many(one.grown_scenes, 'scene')} before, none of them a video of this or another world"
        )
    if one.checkpoint:
        parts.append(f"what {one.checkpoint} had been trained on before is not known")
    return "; ".join(parts)


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"
