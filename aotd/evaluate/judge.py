"""Have a language model judge an arm's answers to open-ended questions.

Each aspect (`aotd.evaluate.judge_aspects`) of each arm is a stage of its own:

    evaluate/aotd/judge/qwen/answer/records.jsonl    one Judgement per question
    evaluate/aotd/judge/qwen/answer/unread.jsonl     replies that could not be read, and were asked for again

Each reply is written as it comes, the unread ones too, so that a judge that stopped half-way is asked nothing twice.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache as once
from typing import Any

from aotd.errors import UserError
from aotd.evaluate import EvaluateConfig, JudgeConfig
from aotd.evaluate.judge_aspects import ASPECTS, PROTOCOLS, Aspect, JudgeTask, is_open, tasks
from aotd.evaluate.judge_replies import read_judgement
from aotd.llm import EngineName, LLMConfig, thinking_setting
from aotd.llm.base import Engine, GenerationRequest, Reply
from aotd.llm.identity import identity
from aotd.llm.load import load_engine
from aotd.prompts import digest
from aotd.records import Judgement, Mode, Question
from aotd.runtime.progress import progress
from aotd.store.cache import CacheConfig, load_cache
from aotd.store.files import Shard
from aotd.store.files import digest as value_digest
from aotd.store.run import Run
from aotd.store.stage import Stage, read_jsonl

_TEMPERATURE = 0.7
"""Of the samples asked for after a greedy reply that could not be read."""


def check_judge(
    run: Run,
    arms: Sequence[str],
    questions: Sequence[Question],
    *,
    evaluate: EvaluateConfig,
    llm: LLMConfig,
    cache: CacheConfig,
) -> None:
    """Refuse what would only come up when the arms have been asked.

    Raises:
        UserError: a setting that cannot be, no question for the judge, or nobody to judge.
    """
    judge = evaluate.judge
    if not judge.name:
        return
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", judge.name):
        raise UserError(f"evaluate.judge.name={judge.name!r} names a folder: letters, digits, `.`, `_` and `-`")
    for name, least in (("retries", 0), ("max_tokens", 1)):
        if getattr(judge, name) < least:
            raise UserError(f"evaluate.judge.{name}={getattr(judge, name)} must be {least} or more")
    stages = [run.judgements(arm, judge.name, aspect) for arm in arms for aspect in _aspects(evaluate, questions)]
    if llm.engine is EngineName.none and not all(stage.exists for stage in stages):
        load_engine(llm, f"evaluate.judge.name={judge.name}", load_cache(cache, run))


def _aspects(evaluate: EvaluateConfig, questions: Sequence[Question]) -> list[str]:
    """The aspects of the protocol that the questions call for."""
    protocol = evaluate.judge.protocol
    where = f"evaluate.judge.protocol={protocol.value}: the split {evaluate.split}"
    types = {ASPECTS[name].type for name in PROTOCOLS[protocol]}
    if None not in types:
        for question in questions:
            if is_open(question) and question.type not in types:
                known = ", ".join(sorted(str(kind) for kind in types))
                raise UserError(
                    f"{where} holds {question.question_id} of type {question.type!r}, and not only {known}: "
                    "judge it with evaluate.judge.protocol=open"
                )
    aspects = [name for name in PROTOCOLS[protocol] if tasks(name, questions, {})]
    if not aspects:
        raise UserError(f"{where} has no open-ended question with a known answer")
    return aspects


def who_judged(stage: Stage[Judgement]) -> str:
    """The judge that a folder's manifest names.

    Raises:
        UserError: it names none.
    """
    models = stage.manifest().get("models")
    if not isinstance(models, dict) or not isinstance(models.get("judge"), str):
        raise UserError(f"{stage.manifest_path} does not say who judged: write it as models.judge")
    return str(models["judge"])


def judged_from(run: Run, arm: str) -> dict[str, str]:
    """What stands for the answers that are judged: the manifest of the predictions, and their very words."""
    stage = run.predictions(arm, Mode.answer)
    words = {answer.question_id: answer.text for answer in stage.records()}
    return {"answer": stage.manifest_digest(), "words": value_digest(words)}


def judge_arms(
    run: Run,
    arms: Sequence[str],
    questions: Sequence[Question],
    *,
    evaluate: EvaluateConfig,
    llm: LLMConfig,
    cache: CacheConfig,
) -> None:
    """Have the arms' answers judged; what has been judged before is not asked for again.

    The model is loaded when there is something to ask. Where no engine is set, the judgements that are there
    are left as they are.

    Raises:
        UserError: the judge cannot be had or reached (its judgements until then are kept), or its folder was made
            otherwise.
    """
    judge = evaluate.judge
    engine = once(lambda: load_engine(llm, f"evaluate.judge.name={judge.name}", load_cache(cache, run)))
    pinned = once(lambda: identity(llm))
    for arm in arms:
        answers = {answer.question_id: answer.text for answer in run.predictions(arm, Mode.answer).records()}
        for aspect in _aspects(evaluate, questions):
            stage = run.judgements(arm, judge.name, aspect)
            made_from = {
                "inputs": judged_from(run, arm),
                "models": {"judge": who_judged(stage) if llm.engine is EngineName.none else pinned()},
                "prompts": {ASPECTS[aspect].prompt: digest(ASPECTS[aspect].prompt)},
            }
            decides = {
                "protocol": judge.protocol.value,
                "retries": judge.retries,
                "max_tokens": judge.max_tokens,
            } | thinking_setting(llm)
            _judge(stage, ASPECTS[aspect], tasks(aspect, questions, answers), judge, engine, decides, made_from)


def _judge(
    stage: Stage[Judgement],
    aspect: Aspect,
    to_judge: Sequence[JudgeTask],
    settings: JudgeConfig,
    engine: Callable[[], Engine],
    decides: dict[str, Any],
    made_from: Mapping[str, Mapping[str, str]],
) -> None:
    with stage.open(decides, **made_from) as out:
        path = stage.folder / "unread.jsonl"
        tries = Counter(before.question_id for before in read_jsonl(path, Judgement))
        unread = Shard(path)
        try:
            for task in to_judge:
                if task.prompt is None and task.question_id not in out.done:
                    verdict = False if aspect.verdict else None
                    out.write(Judgement(question_id=task.question_id, correct=verdict, score=0))
            for number in range(settings.retries + 1):
                left = [t for t in to_judge if t.question_id not in out.done and tries[t.question_id] == number]
                for task, reply in _replies(engine, left, number, settings.max_tokens, stage.name):
                    judgement = _read(task, reply, aspect, number + 1)
                    if judgement.score is None and number < settings.retries and not reply.refused:
                        unread.append(judgement)
                        tries[task.question_id] += 1
                    else:
                        out.write(judgement)
        finally:
            unread.close()


def _replies(
    engine: Callable[[], Engine], left: Sequence[JudgeTask], number: int, max_tokens: int, title: str
) -> Iterable[tuple[JudgeTask, Reply]]:
    """A reply to each task, as they come: greedy at first, samples further on. Equal prompts are asked once."""
    requests: dict[GenerationRequest, list[JudgeTask]] = {}
    for task in left:
        assert task.prompt is not None, "nobody is asked about nothing"
        temperature = _TEMPERATURE if number else 0.0
        request = GenerationRequest.from_prompt(task.prompt, max_tokens, temperature, sample=number)
        requests.setdefault(request, []).append(task)
    if not requests:
        return
    replies = engine().stream(list(requests))
    for request, reply in progress(title, replies, len(requests)):
        for task in requests[request]:
            yield task, reply


def _read(task: JudgeTask, reply: Reply, aspect: Aspect, tries: int) -> Judgement:
    reading = read_judgement(reply.text, aspect.verdict) if reply.finished else None
    correct, score = reading or (None, None)
    text = reply.failed or (reply.silence() if reply.silent else reply.text)
    return Judgement(question_id=task.question_id, correct=correct, score=score, text=text, tries=tries)
