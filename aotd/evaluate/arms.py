"""The arms of a run: which there are, how each is asked, and what its replies come from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from aotd.config.tree import Config
from aotd.errors import UserError
from aotd.evaluate import Reading
from aotd.evaluate.ask import BLIND_ARMS, Reply, of_agent, of_guesser, of_student
from aotd.evaluate.compare_runs import other_run
from aotd.evaluate.external import Replies, of_file, read_replies
from aotd.models.loading import weights_digest
from aotd.prompts import digest
from aotd.prompts.student import SUFFIXES
from aotd.records import Cost, Mode, Question
from aotd.store.files import file_digest
from aotd.store.run import Run
from aotd.store.stage import Stage
from aotd.students.features import FeatureCache, run_features

if TYPE_CHECKING:
    from aotd.video_llms.base import VideoLLM

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def check_arms(config: Config) -> None:
    """
    Raises:
        UserError: an arm that does not exist, a name that is none, or a setting out of range.
    """
    settings = config.evaluate
    for name in ("batch", "max_rationale_tokens", "resamples"):
        if getattr(settings, name) < 1:
            raise UserError(f"evaluate.{name}={getattr(settings, name)} must be 1 or more")
    own = [*BLIND_ARMS, "agent", *_trained(config)]
    for name, path in settings.others.items():
        if name in own or not _NAME.fullmatch(name):
            raise UserError(f"evaluate.others: {name!r} is the run's own arm, or no name (letters, digits, _ and -)")
        if not Path(path).is_file() and not (_student_folder(config, name) / "config.json").is_file():
            raise UserError(f"evaluate.others.{name}: {path} is no file of replies, nor the folder of a student")
    known = [*own, *settings.others]
    if settings.train_root and not Path(settings.train_root).is_dir():
        raise UserError(f"evaluate.train_root: {settings.train_root} is not a folder")
    for arm in expand(config):
        if arm not in known:
            raise UserError(f"evaluate.arms: there is no arm {arm!r} in {config.run}; it has {', '.join(known)}")
    if settings.against:
        other_run(settings.against)


def _trained(config: Config) -> list[str]:
    return sorted(path.parent.name for path in (Path(config.run) / "distill").glob("*/student"))


def file_of(config: Config, arm: str, asked: Sequence[Question]) -> Replies | None:
    """What stands in the file of an arm that comes from outside; None where the arm is not a file."""
    path = Path(config.evaluate.others.get(arm, ""))
    if arm not in config.evaluate.others or path.is_dir():
        return None
    return read_replies(path, {question.question_id for question in asked})


def _arm_folder(config: Config, arm: str) -> Path:
    """The folder that `distill` made an arm in; of one from outside, what was given."""
    return Path(config.evaluate.others.get(arm) or Path(config.run) / "distill" / arm)


def _student_folder(config: Config, arm: str) -> Path:
    """Where the student of an arm lies; of one from outside, a folder with `config.json` will do."""
    folder = _arm_folder(config, arm)
    return folder / "student" if (folder / "student").is_dir() or arm not in config.evaluate.others else folder


def distilled(config: Config, arms: Sequence[str]) -> dict[str, Path]:
    """The arms that `distill` made, and their folders: what they were trained on can be told."""
    folders = {arm: _arm_folder(config, arm) for arm in arms}
    return {arm: folder for arm, folder in folders.items() if (folder / "student").is_dir()}


def expand(config: Config) -> list[str]:
    """The arms to ask: one that was trained from several seeds is all its students."""
    trained = _trained(config)
    arms: list[str] = []
    for arm in dict.fromkeys([*config.evaluate.arms, *config.evaluate.others]):
        seeds = [name for name in trained if name.rpartition(".")[0] == arm]
        arms += seeds if seeds and arm not in trained else [arm]
    return arms


Ask = Callable[[Sequence[Question], Mode, set[str], dict[str, Cost]], Iterator[Reply | None]]
"""Questions, suffix, those that are done, and where costs are put -> the reply to each, None to one that is done."""


def asker(config: Config, arm: str, replies: Replies | None) -> Ask:
    """How an arm is asked. A student is loaded once, when it has something to say."""
    if replies is not None:
        return lambda asked, mode, done, costs: iter(of_file(replies, asked, mode))
    if arm in BLIND_ARMS:
        return lambda asked, mode, done, costs: of_guesser(arm, config, asked)
    if arm == "agent":
        return lambda asked, mode, done, costs: of_agent(config, asked, mode)

    @cache
    def student() -> tuple[VideoLLM, FeatureCache]:
        from aotd.students.registry import load_student

        loaded = load_student(_student_folder(config, arm), config.student)
        return loaded, run_features(Run(Path(config.run)), config.specialists, config.dataset.root, loaded)

    def ask(asked: Sequence[Question], mode: Mode, done: set[str], costs: dict[str, Cost]) -> Iterator[Reply | None]:
        if all(question.question_id in done for question in asked):
            return iter([None] * len(asked))
        return of_student(*student(), config, asked, mode, done, costs)

    return ask


def settings_of(config: Config, arm: str, mode: Mode) -> dict[str, object]:
    """The settings that decide what an arm says, for the manifest."""
    settings: dict[str, object] = {"split": config.evaluate.split, "mode": mode.value}
    if config.evaluate.reading is not Reading.strict:
        settings["reading"] = config.evaluate.reading.value
    if mode is Mode.rationale:
        settings["scored_by"] = ["temporal", "moment", "spatial"]
    if Path(config.evaluate.others.get(arm, "")).is_file():
        return settings
    if arm == "likeness":
        settings["embedder"] = config.specialists.embedder
    elif arm in BLIND_ARMS:
        settings["train_split"] = config.evaluate.train_split
    elif arm != "agent":
        settings["batch"] = config.evaluate.batch
        if mode is Mode.rationale:
            settings["max_rationale_tokens"] = config.evaluate.max_rationale_tokens
    return settings


def made_from(config: Config, arm: str) -> dict[str, dict[str, str]]:
    """What an arm's replies come from, for the manifest."""
    run = Path(config.run)
    verbs = {"agent": ["load", "execute", "convert"], **{name: ["load"] for name in BLIND_ARMS}}
    outside = config.evaluate.others.get(arm)
    if outside is not None:
        verbs[arm] = ["load"]
    inputs = {verb: Stage(run, verb, Question).manifest_digest() for verb in verbs.get(arm, ["load", f"distill/{arm}"])}
    found = {"inputs": inputs}
    if outside is not None:
        path = Path(outside)
        inputs[arm] = weights_digest(_student_folder(config, arm)) if path.is_dir() else file_digest(path)[:16]
    if arm not in verbs or (outside is not None and Path(outside).is_dir()):
        found["prompts"] = {name: digest(name) for name in SUFFIXES}
    return found
