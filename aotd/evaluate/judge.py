"""Asking a language model what it makes of an arm's answers to open-ended questions.

Each respect (`aotd.evaluate.aspects`) of each arm is a stage of its own:

    evaluate/aotd/judge/qwen/answer/records.jsonl    one Judgement per question
    evaluate/aotd/judge/qwen/answer/unread.jsonl     replies that could not be read, and were asked for again

Each reply is written as it comes, the unread ones too, so that a judge who went away half-way is asked nothing twice.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from rich.console import Console
from rich.progress import track

from aotd.config.tree import Config
from aotd.errors import UserError
from aotd.evaluate import JudgeConfig
from aotd.evaluate.aspects import ASPECTS, PROTOCOLS, Aspect, Task, is_open, tasks
from aotd.evaluate.judge_reply import read_judgement
from aotd.llm import EngineName
from aotd.llm.base import Ask, Engine, Reply
from aotd.llm.identity import identity
from aotd.llm.load import load_engine
from aotd.prompts import digest
from aotd.records import Judgement, Prediction, Question
from aotd.store.cache import load_cache
from aotd.store.files import Shard
from aotd.store.files import digest as value_digest
from aotd.store.run import Run
from aotd.store.stage import Stage, read_jsonl

_TEMPERATURE = 0.7
"""Of the samples asked for after a greedy reply that could not be read."""


def check_judge(config: Config, arms: Sequence[str], asked: Sequence[Question]) -> None:
    """Refuse what would only come up when the arms have been asked.

    Raises:
        UserError: a setting that cannot be, no question for the judge, or nobody to judge.
    """
    settings = config.evaluate.judge
    if not settings.name:
        return
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", settings.name):
        raise UserError(f"evaluate.judge.name={settings.name!r} names a folder: letters, digits, `.`, `_` and `-`")
    for name, least in (("retries", 0), ("max_tokens", 1)):
        if getattr(settings, name) < least:
            raise UserError(f"evaluate.judge.{name}={getattr(settings, name)} must be {least} or more")
    stages = [judge_stage(Path(config.run), arm, settings.name, one) for arm in arms for one in _aspects(config, asked)]
    if config.llm.engine is EngineName.none and not all(stage.manifest_path.is_file() for stage in stages):
        load_engine(config.llm, f"evaluate.judge.name={settings.name}", load_cache(config.cache, Run(Path(config.run))))


def _aspects(config: Config, asked: Sequence[Question]) -> list[str]:
    """The aspects of the protocol that the questions call for."""
    protocol = config.evaluate.judge.protocol
    where = f"evaluate.judge.protocol={protocol.value}: the split {config.evaluate.split}"
    types = {ASPECTS[name].type for name in PROTOCOLS[protocol]}
    if None not in types:
        for question in asked:
            if is_open(question) and question.type not in types:
                told = ", ".join(sorted(str(kind) for kind in types))
                raise UserError(
                    f"{where} holds {question.question_id} of type {question.type!r}, and not only {told}: "
                    "judge it with evaluate.judge.protocol=open"
                )
    found = [name for name in PROTOCOLS[protocol] if tasks(name, asked, {})]
    if not found:
        raise UserError(f"{where} has no open-ended question with a known answer")
    return found


def judge_stage(run: Path, arm: str, judge: str, aspect: str) -> Stage[Judgement]:
    """Where a judge's judgements of an arm are kept."""
    return Stage(run, f"evaluate/{arm}/judge/{judge}/{aspect}", Judgement)


def who_judged(stage: Stage[Judgement]) -> str:
    """The judge that a folder's manifest names.

    Raises:
        UserError: it names none.
    """
    models = stage.manifest().get("models")
    if not isinstance(models, dict) or not isinstance(models.get("judge"), str):
        raise UserError(f"{stage.manifest_path} does not say who judged: write it as models.judge")
    return str(models["judge"])


def judged_from(run: Path, arm: str) -> dict[str, str]:
    """What stands for the answers that are judged: the manifest of the predictions, and their very words."""
    stage = Stage(run, f"evaluate/{arm}/answer", Prediction)
    words = {said.question_id: said.text for said in stage.records()}
    return {"answer": stage.manifest_digest(), "words": value_digest(words)}


def judge_arms(config: Config, arms: Sequence[str], asked: Sequence[Question]) -> None:
    """Have the arms' answers judged; what has been judged before is not asked for again.

    The model is loaded when there is something to ask. Where no engine is set, the judgements that are there
    are left as they are.

    Raises:
        UserError: the judge cannot be had or reached (what it said until then is kept), or its folder was made
            otherwise.
    """
    settings, run = config.evaluate.judge, Path(config.run)
    engine = cache(
        lambda: load_engine(
            config.llm, f"evaluate.judge.name={settings.name}", load_cache(config.cache, Run(Path(config.run)))
        )
    )
    pinned = cache(lambda: identity(config.llm))
    for arm in arms:
        said = {one.question_id: one.text for one in Stage(run, f"evaluate/{arm}/answer", Prediction).records()}
        for aspect in _aspects(config, asked):
            stage = judge_stage(run, arm, settings.name, aspect)
            made_from = {
                "inputs": judged_from(run, arm),
                "models": {"judge": who_judged(stage) if config.llm.engine is EngineName.none else pinned()},
                "prompts": {ASPECTS[aspect].prompt: digest(ASPECTS[aspect].prompt)},
            }
            _judge(stage, ASPECTS[aspect], tasks(aspect, asked, said), settings, engine, made_from)


def _judge(
    stage: Stage[Judgement],
    how: Aspect,
    meant: Sequence[Task],
    settings: JudgeConfig,
    engine: Callable[[], Engine],
    made_from: Mapping[str, Mapping[str, str]],
) -> None:
    decides = {"protocol": settings.protocol.value, "retries": settings.retries, "max_tokens": settings.max_tokens}
    with stage.open(decides, **made_from) as out:
        path = stage.folder / "unread.jsonl"
        tried = Counter(before.question_id for before in read_jsonl(path, Judgement))
        unread = Shard(path)
        try:
            for task in meant:
                if task.prompt is None and task.question_id not in out.done:
                    out.write(Judgement(question_id=task.question_id, correct=False if how.verdict else None, score=0))
            for number in range(settings.retries + 1):
                left = [t for t in meant if t.question_id not in out.done and tried[t.question_id] == number]
                for task, reply in _replies(engine, left, number, settings.max_tokens, stage.name):
                    said = _read(task, reply, how, number + 1)
                    if said.score is None and number < settings.retries:
                        unread.append(said)
                        tried[task.question_id] += 1
                    else:
                        out.write(said)
        finally:
            unread.close()


def _replies(
    engine: Callable[[], Engine], left: Sequence[Task], number: int, max_tokens: int, title: str
) -> Iterable[tuple[Task, Reply]]:
    """A reply to each task, as they come: greedy at first, samples further on. Equal prompts are asked once."""
    asks: dict[Ask, list[Task]] = {}
    for task in left:
        assert task.prompt is not None, "nobody is asked about nothing"
        ask = Ask(task.prompt, max_tokens, _TEMPERATURE if number else 0.0, sample=number)
        asks.setdefault(ask, []).append(task)
    if not asks:
        return
    heard = engine().stream(list(asks))
    for ask, reply in track(heard, title, total=len(asks), console=Console(stderr=True)):
        for task in asks[ask]:
            yield task, reply


def _read(task: Task, reply: Reply, how: Aspect, tries: int) -> Judgement:
    reading = read_judgement(reply.text, how.verdict) if reply.finished else None
    correct, score = reading or (None, None)
    return Judgement(question_id=task.question_id, correct=correct, score=score, text=reply.text, tries=tries)
