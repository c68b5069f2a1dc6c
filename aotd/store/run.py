"""A run: the folder that verbs read and write, with a typed stage for what each of them has made.

    run = Run(Path("runs/demo"))
    for question in run.questions.stream(): ...
    run.traces.find("q17")

Each stage is a folder of JSON lines (`aotd.store.stage`); a stage that no verb has written yet can be asked whether it
is there (`Stage.exists`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from aotd.records import (
    Example,
    Instruction,
    Judgement,
    Mode,
    Prediction,
    Program,
    Question,
    Record,
    Thought,
    Trace,
    Verdict,
)
from aotd.store.losses import FIRST
from aotd.store.stage import Stage


@dataclass(frozen=True)
class Run:
    """A run's folder, whether or not it is there."""

    folder: Path
    first_losses: int = FIRST
    """How many questions of a verb may be lost to one cause at first (`aotd.store.losses`); 0 is any number."""

    def __str__(self) -> str:
        return str(self.folder)

    @property
    def questions(self) -> Stage[Question]:
        return Stage(self.folder, "load", Question, self.first_losses)

    @property
    def programs(self) -> Stage[Program]:
        return Stage(self.folder, "decompose", Program, self.first_losses)

    @property
    def traces(self) -> Stage[Trace]:
        return Stage(self.folder, "execute", Trace, self.first_losses)

    @property
    def thoughts(self) -> Stage[Thought]:
        return Stage(self.folder, "convert", Thought, self.first_losses)

    @property
    def verdicts(self) -> Stage[Verdict]:
        return Stage(self.folder, "verify", Verdict, self.first_losses)

    @property
    def instructions(self) -> Stage[Instruction]:
        """Dialogues about videos that `instruct` has written."""
        return Stage(self.folder, "instruct", Instruction, self.first_losses)

    def examples(self, arm: str) -> Stage[Example]:
        """What an arm was trained on."""
        return Stage(self.folder, f"distill/{arm}", Example, self.first_losses)

    def predictions(self, arm: str, mode: Mode, shuffled: bool = False) -> Stage[Prediction]:
        """What an arm replied to the held-out questions.

        Args:
            shuffled: with the videos of other questions.
        """
        folder = f"evaluate/{arm}/shuffled" if shuffled else f"evaluate/{arm}"
        return Stage(self.folder, f"{folder}/{mode.value}", Prediction, self.first_losses)

    def judgements(self, arm: str, judge: str, aspect: str) -> Stage[Judgement]:
        """What a judge made of an arm's answers in one aspect."""
        return Stage(self.folder, f"evaluate/{arm}/judge/{judge}/{aspect}", Judgement, self.first_losses)

    def stage(self, verb: str) -> Stage[Record]:
        """A verb's stage, read for no more than what every record has."""
        return Stage(self.folder, verb, Record, self.first_losses)

    def student(self, arm: str) -> Path:
        """Folder of a distilled student, whether or not it is there."""
        return self.folder / "distill" / arm / "student"

    def students(self) -> list[str]:
        """The arms that have been distilled here."""
        return sorted(path.parent.name for path in (self.folder / "distill").glob("*/student"))

    def verbs(self) -> Iterator[str]:
        """The verbs that have written into this run, in no particular order."""
        for path in self.folder.glob("*/manifest.json"):
            yield path.parent.name

    @property
    def whole(self) -> Run:
        """This run, its folder resolved; for a shard (`aotd.store.shards`), the run that it belongs to."""
        folder = self.folder.resolve()
        whole = folder.parents[1] if folder.parent.name == "shards" else folder
        return replace(self, folder=whole)


def run_named(word: str) -> Run:
    """The run that a word names: by its folder, or as the verbs with settings have it, `run=` and the folder."""
    return Run(Path(word if Path(word).exists() else word.removeprefix("run=")))
