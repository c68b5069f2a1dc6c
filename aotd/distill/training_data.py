"""What there is to train on: this run's questions and thoughts, or those of the runs of a mixture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random

from aotd.config.tree import Config
from aotd.distill import PartConfig
from aotd.distill.examples import Thoughts, read_thoughts
from aotd.errors import UserError
from aotd.records import Question, Thought, Verdict
from aotd.store.run import Run
from aotd.store.stage import Stage
from aotd.students.features import FeatureCache, run_features
from aotd.video_llms.base import VideoLLM


@dataclass(frozen=True)
class Material:
    """Questions of the split that is trained on, by id, and what is known of them."""

    questions: dict[str, Question]
    roots: dict[str, str]
    """Question -> the folder its video lies below."""
    known: Thoughts
    inputs: dict[str, str]
    """Digests of the stages it was read from, for the manifest."""

    def views(self, config: Config, student: VideoLLM) -> dict[str, FeatureCache]:
        """A student's views of the videos below each root, all kept in this run."""
        return {
            root: run_features(Run(Path(config.run)), config.specialists, root, student)
            for root in dict.fromkeys(self.roots.values())
        }


def gather(config: Config) -> Material:
    """Read what `distill` trains on.

    Raises:
        UserError: a run that is not there or lacks a verb, or two runs with one question.
    """
    settings = config.distill
    rationales = any(arm.rationales for arm in settings.arms.values())
    questions: dict[str, Question] = {}
    roots: dict[str, str] = {}
    thoughts: dict[str, Thought] = {}
    verdicts: dict[str, Verdict] = {}
    inputs: dict[str, str] = {}
    parts = settings.mixture or [PartConfig(run=config.run, root=config.dataset.root)]
    for part in parts:
        run, most = Path(part.run), part.questions
        prefix = f"{part.run}/" if settings.mixture else ""
        if prefix and not (run / "load").is_dir():
            raise UserError(f"distill.mixture: there is no run at {part.run!r}")
        found = [question for question in Stage(run, "load", Question).records() if question.split == settings.split]
        if most and most < len(found):
            kept = set(Random(f"{config.seed}/{prefix}").sample(range(len(found)), most))  # noqa: S311
            found = [question for number, question in enumerate(found) if number in kept]
        for question in found:
            if question.question_id in questions:
                raise UserError(
                    f"distill.mixture: question {question.question_id} is in two runs, the second {part.run}"
                )
            questions[question.question_id] = question
            roots[question.question_id] = part.root
        stages = ["load"]
        if rationales and part.thoughts:
            stages += ["convert", "verify"]
            known = read_thoughts(run)
            thoughts |= known.thoughts
            verdicts |= known.verdicts
        inputs |= {f"{prefix}{verb}": Stage(run, verb, Question).manifest_digest() for verb in stages}
    return Material(questions, roots, Thoughts(thoughts, verdicts), inputs)
