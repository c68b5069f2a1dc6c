"""The arms of a run: which there are, how each is asked, and what its replies come from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from aotd.errors import UserError
from aotd.evaluate import EvaluateConfig, Reading
from aotd.evaluate.ask import BLIND_ARMS, ArmReply, agent_replies, guesser_replies, student_replies
from aotd.evaluate.compare_runs import baseline_of
from aotd.evaluate.external import ReplyFile, file_replies, read_replies
from aotd.models.checkpoints import weights_digest
from aotd.prompts import digest
from aotd.prompts.student import SUFFIXES
from aotd.records import Cost, Mode, Question
from aotd.specialists import SpecialistsConfig
from aotd.store.files import file_digest
from aotd.store.run import Run
from aotd.students import ChoiceReply, StudentConfig
from aotd.students.features import FeatureCache, run_features, sees_video
from aotd.students.packaged import student_folder

if TYPE_CHECKING:
    from aotd.video_llms.base import VideoLLM

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class ArmContext:
    """What the arms of a run are asked with."""

    run: Run
    evaluate: EvaluateConfig
    student: StudentConfig
    specialists: SpecialistsConfig
    root: str
    """Folder of the videos."""


def check_arms(run: Run, evaluate: EvaluateConfig) -> None:
    """
    Raises:
        UserError: an arm that does not exist, a name that is none, or a setting out of range.
    """
    for name in ("batch", "max_rationale_tokens", "resamples"):
        if getattr(evaluate, name) < 1:
            raise UserError(f"evaluate.{name}={getattr(evaluate, name)} must be 1 or more")
    if evaluate.rationale_questions < 0:
        raise UserError(f"evaluate.rationale_questions={evaluate.rationale_questions} must be 0 (all) or more")
    own = [*BLIND_ARMS, "agent", *run.students()]
    for name, path in evaluate.external.items():
        if name in own or not _NAME.fullmatch(name):
            raise UserError(f"evaluate.external: {name!r} is the run's own arm, or no name (letters, digits, _ and -)")
        if not Path(path).is_file() and not (_student_folder(run, evaluate.external, name) / "config.json").is_file():
            raise UserError(f"evaluate.external.{name}: {path} is no file of replies, nor the folder of a student")
    known = [*own, *evaluate.external]
    if evaluate.train_root and not Path(evaluate.train_root).is_dir():
        raise UserError(f"evaluate.train_root: {evaluate.train_root} is not a folder")
    for arm in expand(run, evaluate):
        if arm not in known:
            raise UserError(f"evaluate.arms: there is no arm {arm!r} in {run}; it has {', '.join(known)}")
    if evaluate.baseline_run:
        baseline_of(evaluate.baseline_run)


def external_replies(external: Mapping[str, str], arm: str, questions: Sequence[Question]) -> ReplyFile | None:
    """The replies in an external arm's file; None where the arm is not a file."""
    if arm not in external or student_folder(external[arm]).is_dir():
        return None
    return read_replies(Path(external[arm]), {question.question_id for question in questions})


def _arm_folder(run: Run, external: Mapping[str, str], arm: str) -> Path:
    """The folder that `distill` made an arm in; of an external one, the folder that was given."""
    return student_folder(external[arm]) if arm in external else run.folder / "distill" / arm


def _student_folder(run: Run, external: Mapping[str, str], arm: str) -> Path:
    """The folder of an arm's student; of an external one, a folder with `config.json` will do."""
    folder = _arm_folder(run, external, arm)
    return folder / "student" if (folder / "student").is_dir() or arm not in external else folder


def distilled(run: Run, external: Mapping[str, str], arms: Sequence[str]) -> dict[str, Path]:
    """The arms that `distill` made, and their folders, which say what they were trained on."""
    folders = {arm: _arm_folder(run, external, arm) for arm in arms}
    return {arm: folder for arm, folder in folders.items() if (folder / "student").is_dir()}


def expand(run: Run, evaluate: EvaluateConfig) -> list[str]:
    """The arms to ask: one that was trained from several seeds is all its students."""
    trained = run.students()
    arms: list[str] = []
    for arm in dict.fromkeys([*evaluate.arms, *evaluate.external]):
        seeds = [name for name in trained if name.rpartition(".")[0] == arm]
        arms += seeds if seeds and arm not in trained else [arm]
    return arms


AskArm = Callable[[Sequence[Question], Mode, set[str], dict[str, Cost]], Iterator[ArmReply | None]]
"""Questions, suffix, those that are done, and where costs are put -> the reply to each, None to one that is done."""


def asker(context: ArmContext, arm: str, replies: ReplyFile | None) -> AskArm:
    """How an arm is asked. A student is loaded once, when the first reply is wanted.

    Args:
        replies: of an external arm that is a file.
    """
    run, evaluate = context.run, context.evaluate
    if replies is not None:
        return lambda questions, mode, done, costs: iter(file_replies(replies, questions, mode))
    if arm in BLIND_ARMS:
        return lambda questions, mode, done, costs: guesser_replies(
            arm, run, evaluate.train_split, context.specialists.embedder, questions
        )
    if arm == "agent":
        return lambda questions, mode, done, costs: agent_replies(run, questions, mode)

    @cache
    def student() -> tuple[VideoLLM, FeatureCache]:
        from aotd.students.registry import load_student

        folder = _student_folder(run, evaluate.external, arm)
        loaded = load_student(folder, context.student)
        return loaded, run_features(run, context.specialists, context.root, loaded, sees_video(folder))

    def ask(
        questions: Sequence[Question], mode: Mode, done: set[str], costs: dict[str, Cost]
    ) -> Iterator[ArmReply | None]:
        if all(question.question_id in done for question in questions):
            return iter([None] * len(questions))
        return student_replies(*student(), evaluate, context.student.choice_reply, questions, mode, done, costs)

    return ask


def is_shown_videos(run: Run, external: Mapping[str, str], arm: str) -> bool:
    """Tell whether an arm is a student that is asked about videos."""
    if arm == "agent" or arm in BLIND_ARMS or Path(external.get(arm, "")).is_file():
        return False
    return sees_video(_student_folder(run, external, arm))


def settings_of(context: ArmContext, arm: str, mode: Mode) -> dict[str, object]:
    """The settings that decide an arm's replies and their scores, for the manifest."""
    evaluate = context.evaluate
    settings: dict[str, object] = {"split": evaluate.split, "mode": mode.value}
    if evaluate.reading is not Reading.strict:
        settings["reading"] = evaluate.reading.value
    if mode is Mode.rationale:
        settings["scored_by"] = ["temporal", "moment", "spatial"]
    if Path(evaluate.external.get(arm, "")).is_file():
        return settings
    if arm == "likeness":
        settings["embedder"] = context.specialists.embedder
    elif arm in BLIND_ARMS:
        settings["train_split"] = evaluate.train_split
    elif arm != "agent":
        settings["batch"] = evaluate.batch
        if not is_shown_videos(context.run, evaluate.external, arm):
            settings["video"] = False
        if mode is Mode.rationale:
            settings["max_rationale_tokens"] = evaluate.max_rationale_tokens
        elif context.student.choice_reply is not ChoiceReply.letter:
            settings["choice_reply"] = context.student.choice_reply.value
    return settings


def made_from(run: Run, external: Mapping[str, str], arm: str) -> dict[str, dict[str, str]]:
    """What an arm's replies come from, for the manifest."""
    agent = [stage.name for stage in (run.questions, run.traces, run.thoughts)]
    verbs = {"agent": agent, **{name: ["load"] for name in BLIND_ARMS}}
    path = Path(external[arm]) if arm in external else None
    if path is not None:
        verbs[arm] = ["load"]
    inputs = {verb: run.stage(verb).manifest_digest() for verb in verbs.get(arm, ["load", f"distill/{arm}"])}
    made = {"inputs": inputs}
    if path is not None:
        inputs[arm] = weights_digest(_student_folder(run, external, arm)) if path.is_dir() else file_digest(path)[:16]
    if arm not in verbs or (path is not None and path.is_dir()):
        made["prompts"] = {name: digest(name) for name in SUFFIXES}
    return made
