"""distill: train a student per arm on labels and chains of thought.

Reads load/, convert/ and verify/; writes distill/<arm>/ with the examples (one JSON line per question),
the losses and the student. Every arm sees the same questions in the same order from the same start; arms
differ in which chains of thought they are given. loss = label + λ·rationale, over the replies' tokens only.

An arm that was killed goes on from its newest whole checkpoint (save_steps), or starts again from its
seed; a finished one is left alone.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from aotd.config.tree import Config
from aotd.distill import ArmConfig, trainings
from aotd.distill.examples import Thoughts, check_arm, example
from aotd.distill.ranks import deepspeed_file, first_alone, is_launched
from aotd.distill.training_data import Material, gather
from aotd.errors import QuestionError, UserError
from aotd.prompts import digest
from aotd.prompts.student import SUFFIXES
from aotd.records import Dropped, Example, Outcome, Question
from aotd.runtime.gc import loading_modules
from aotd.specialists import SourceName
from aotd.store.stage import Stage


def job(config: Config) -> None:
    """Train every arm that has no student yet.

    Raises:
        UserError: a verb before has not run, settings that cannot be trained with, or no question that can be.
    """
    settings, run = config.distill, Path(config.run)
    _check(config)
    material = gather(config)
    if not any(question.answer is not None for question in material.questions.values()):
        raise UserError(f"distill.split={settings.split}: the run has no question with an answer in that split")
    _check_thoughts(config, material)
    students = trainings(settings, config.seed)
    wanted = [name for name in students if not settings.only or name.partition(".")[0] in settings.only]
    todo = [name for name in wanted if not _finished(run, name)]
    if todo:
        with loading_modules():
            from aotd.distill.parallel import train_arms
    with first_alone(run / "distill") as first:
        if first:
            for name in set(wanted) - set(todo):  # of one that was killed just when it had finished
                shutil.rmtree(run / "distill" / name / "checkpoints", ignore_errors=True)
            _write_examples(config, material, todo)
    _check_examples(run, [name for name in todo if students[name][0].train])
    if todo:
        train_arms(config, todo, material)


def _write_examples(config: Config, material: Material, todo: list[str]) -> None:
    made_from = {"inputs": material.inputs, "prompts": {name: digest(name) for name in SUFFIXES}}
    unreadable = _unreadable(config, material) if todo else {}
    for name, (arm, seed) in trainings(config.distill, config.seed).items():
        with _stage(Path(config.run), name).open(_settings(config, arm, seed), **made_from) as out:
            for key, question in material.questions.items():
                if key not in out.done:
                    out.write(unreadable.get(key) or _example(question, arm, material.known))


def _check(config: Config) -> None:
    settings = config.distill
    if not settings.arms:
        raise UserError("distill.arms names no arm: configs/distill.yaml has instruct, aotd and aotd_unfiltered")
    for name, arm in settings.arms.items():
        check_arm(name, arm)
    if len(set(settings.seeds)) < len(settings.seeds):
        raise UserError("distill.seeds names a seed twice")
    for name in settings.only:
        if name not in settings.arms:
            raise UserError(f"distill.only: there is no arm {name!r}; distill.arms has {', '.join(settings.arms)}")
    if settings.rationale_weight < 0:
        raise UserError(f"distill.rationale_weight={settings.rationale_weight} must be 0 or more")
    for setting in (
        "epochs",
        "questions_per_step",
        "questions_per_video",
        "max_tokens_per_batch",
        "learning_rate",
        "threads",
    ):
        if getattr(settings, setting) <= 0:
            raise UserError(f"distill.{setting}={getattr(settings, setting)} must be more than 0")
    if not 0 <= settings.warmup_ratio < 1:
        raise UserError(f"distill.warmup_ratio={settings.warmup_ratio} must be in [0, 1)")
    if settings.deepspeed:
        if not is_launched():
            raise UserError(
                f"distill.deepspeed={settings.deepspeed} needs a launcher: torchrun --nproc-per-node 2 "
                "-m aotd distill …; without one set distill.deepspeed="
            )
        zero = json.loads(deepspeed_file(settings.deepspeed).read_text(encoding="utf-8")).get("zero_optimization", {})
        if config.student.lora_rank and zero.get("stage") == 3:
            raise UserError(
                "student.lora_rank and ZeRO-3 do not go together: no process has a whole weight; take zero2"
            )
    if config.student.lora_rank < 0:
        raise UserError(f"student.lora_rank={config.student.lora_rank} must be 0 or more")
    if config.specialists.source is not SourceName.video:
        raise UserError("distill needs videos (specialists.source=video): a student sees pixels, not stored captions")


def _check_thoughts(config: Config, material: Material) -> None:
    labelled = [question for question in material.questions.values() if question.answer is not None]
    for name, arm in config.distill.arms.items():
        if arm.rationales and not any(example(question, arm, material.known).rationale for question in labelled):
            wanted = ", ".join(arm.require) or "no check"
            raise UserError(
                f"distill.arms.{name} wants chains of thought, but none of split {config.distill.split} "
                f"passed {wanted}: look at `aotd show {config.run}`, or ask for less in distill.arms.{name}.require"
            )


def _check_examples(run: Path, arms: list[str]) -> None:
    empty = [name for name in arms if not _stage(run, name).count()]
    if not empty:
        return
    dropped = _stage(run, empty[0]).dropped()  # arms are given the same questions
    outcome, count = Counter(one.outcome for one in dropped).most_common(1)[0]
    one = next(one for one in dropped if one.outcome is outcome)
    folders = " ".join(str(run / "distill" / name) for name in empty)
    raise UserError(
        f"distill: all {len(dropped)} questions of arm{'s' * (len(empty) > 1)} {', '.join(empty)} were dropped, "
        f"{count} of them as {outcome.value}, such as {one.question_id} ({one.reason}): mend that, remove {folders}, "
        "where they are written down, and run the verb again"
    )


def _stage(run: Path, arm: str) -> Stage[Example]:
    return Stage(run, f"distill/{arm}", Example)


def _finished(run: Path, arm: str) -> bool:
    return (run / "distill" / arm / "student").is_dir()


_CHANGES_NOTHING = ("arms", "seeds", "only", "workers", "save_steps")
"""Settings of distill that an arm's student does not depend on."""


def _settings(config: Config, arm: ArmConfig, seed: int) -> dict[str, Any]:
    decides = {key: value for key, value in asdict(config.distill).items() if key not in _CHANGES_NOTHING}
    student = {key: getattr(value, "value", value) for key, value in asdict(config.student).items()}
    return {**decides, "arm": asdict(arm), "student": student, "frames": config.specialists.frames, "seed": seed}


def _unreadable(config: Config, material: Material) -> dict[str, Dropped]:
    """Have the student look at every video once; the questions whose video cannot be read.

    Raises:
        UserError: the disk does not take what it keeps of one.
    """
    from aotd.distill.train_arm import begin

    views = material.views(config, begin(config, material))
    unreadable = {}
    for key, question in track(material.questions.items(), "distill: videos", console=Console(stderr=True)):
        try:
            views[material.roots[key]].ensure(question)
        except QuestionError as error:
            unreadable[key] = Dropped(question_id=key, outcome=error.outcome, reason=str(error))
    for cache in views.values():
        cache.flush()
    return unreadable


def _example(question: Question, arm: ArmConfig, known: Thoughts) -> Example | Dropped:
    if question.answer is None:
        reason = "no true answer is known"
        return Dropped(question_id=question.question_id, outcome=Outcome.unlabelled, reason=reason)
    return example(question, arm, known)
