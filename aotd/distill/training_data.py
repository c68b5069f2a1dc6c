"""What there is to train on: this run's questions and thoughts, or those of the runs of a mixture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from random import Random
from typing import Any

from aotd.distill import MixturePart
from aotd.distill.arms import Arm, TrainingSetup, TrainingStage
from aotd.errors import UserError
from aotd.records import Question, Thought, Verdict
from aotd.store.run import Run
from aotd.students.examples import Thoughts, read_thoughts
from aotd.students.features import FeatureCache, run_features
from aotd.video_llms.base import VideoLLM

MixtureKey = tuple[Any, ...]
"""The settings of a mixture."""


@dataclass(frozen=True)
class MixtureData:
    """Questions of the split that is trained on, by id, and what is known of them."""

    questions: dict[str, Question]
    roots: dict[str, str]
    """Question -> the folder its video lies below."""
    known: Thoughts
    inputs: dict[str, str]
    """Digests of the stages it was read from, for the manifest."""


@dataclass(frozen=True)
class TrainingData:
    """The data of all arms."""

    mixtures: Mapping[MixtureKey, MixtureData]

    def of(self, stage: TrainingStage) -> MixtureData:
        """Return what a stage is trained on."""
        return self.mixtures[_key(stage.mixture)]

    def texts(self) -> list[str]:
        """List what a tokenizer is trained on: the same for every arm."""
        texts: list[str] = []
        for data in self.mixtures.values():
            for key, question in data.questions.items():
                thought = data.known.thoughts.get(key)
                texts += [question.question, *question.options, question.answer or "", thought.text if thought else ""]
        return texts

    def features(self, setup: TrainingSetup, student: VideoLLM, video: bool = True) -> dict[str, FeatureCache]:
        """Return the caches of a student's features of the videos below each root. All are kept in this run.

        Args:
            video: as `run_features`.
        """
        roots = dict.fromkeys(root for data in self.mixtures.values() for root in data.roots.values())
        return {root: run_features(setup.run, setup.specialists, root, student, video) for root in roots}


def read_training_data(setup: TrainingSetup, arms: Iterable[Arm]) -> TrainingData:
    """Read what the arms are trained on.

    Raises:
        UserError: a run that is not there or lacks a verb, or two runs of a mixture with one question.
    """
    stages: dict[MixtureKey, list[TrainingStage]] = {}
    for arm in arms:
        for stage in arm.stages:
            stages.setdefault(_key(stage.mixture), []).append(stage)
    own = _key(setup.distill.mixture)
    return TrainingData(
        {
            key: _read_mixture(
                setup,
                same[0].mixture,
                any(stage.rationales for stage in same),
                "distill.mixture" if key == own else f"{same[0].setting}.mixture",
            )
            for key, same in stages.items()
        }
    )


def _key(mixture: Sequence[MixturePart]) -> MixtureKey:
    return tuple(astuple(part) for part in mixture)


def _read_mixture(setup: TrainingSetup, mixture: Sequence[MixturePart], rationales: bool, setting: str) -> MixtureData:
    """
    Args:
        rationales: whether its thoughts are needed.
        setting: where the mixture is described, for errors.
    """
    questions: dict[str, Question] = {}
    roots: dict[str, str] = {}
    thoughts: dict[str, Thought] = {}
    verdicts: dict[str, Verdict] = {}
    inputs: dict[str, str] = {}
    for part in mixture or [MixturePart(run=str(setup.run), root=setup.dataset_root)]:
        run = Run(Path(part.run))
        prefix = f"{part.run}/" if mixture else ""
        if prefix and not run.questions.folder.is_dir():
            raise UserError(f"{setting}: there is no run at {part.run!r}: make it first, or leave that part out")
        chosen = [question for question in run.questions.stream() if question.split == setup.distill.split]
        if part.questions and part.questions < len(chosen):
            rng = Random(f"{setup.seed}/{prefix}")  # noqa: S311
            drawn = set(rng.sample(range(len(chosen)), part.questions))
            chosen = [question for number, question in enumerate(chosen) if number in drawn]
        for question in chosen:
            if question.question_id in questions:
                raise UserError(f"{setting}: question {question.question_id} is in two runs, the second {part.run}")
            questions[question.question_id] = question
            roots[question.question_id] = part.root
        stages: dict[str, str] = {"load": run.questions.manifest_digest()}
        if rationales and part.thoughts:
            known = read_thoughts(run)
            thoughts |= known.thoughts
            verdicts |= known.verdicts
            stages |= {"convert": run.thoughts.manifest_digest(), "verify": run.verdicts.manifest_digest()}
        inputs |= {f"{prefix}{verb}": stage_digest for verb, stage_digest in stages.items()}
    return MixtureData(questions, roots, Thoughts(thoughts, verdicts), inputs)
