"""verify: check each chain of thought, and say why it is kept or not.

Reads load/, execute/ and convert/; writes one Verdict per Thought, with three checks reported by
themselves: the answer, faithfulness to the trace, and coherence. A question without a true answer
cannot be verified and ends as `unlabelled`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from aotd.errors import QuestionError
from aotd.llm import LLMConfig, role_llm, thinking_setting
from aotd.llm.base import Engine
from aotd.llm.load import load_engine
from aotd.prompts import digest
from aotd.records import Check, Dropped, Outcome, Question, Thought, Trace, Verdict
from aotd.runtime.batches import batches
from aotd.runtime.progress import progress
from aotd.store.cache import CacheConfig, load_cache
from aotd.store.ledger import ledger
from aotd.store.run import Run
from aotd.verify import Judge, VerifyConfig
from aotd.verify import llm as llm_judge
from aotd.verify.checks import check_answer, check_coherent, check_faithful

_log = logging.getLogger(__name__)


def job(run: Run, *, verify: VerifyConfig, llm: LLMConfig, cache: CacheConfig) -> None:
    """Write a Verdict for every thought of the run, and print the ledger.

    Raises:
        UserError: `convert` has not run, or the judge's model is not there.
    """
    thoughts, engine = run.thoughts, _engine(run, verify, llm, cache)
    batch_size = max(role_llm(llm, verify.llm, "verify.llm").batch, 1) if engine else 1
    with (
        run.verdicts.open(**_decides(run, verify, llm, engine)) as out,
        run.questions.beside(thoughts) as question_of,
        run.traces.beside(thoughts) as trace_of,
    ):
        count = thoughts.count() - len(out.done)
        for batch in batches(progress("verify", thoughts.stream(without=out.done), count), batch_size):
            tasks = [(question_of(thought.question_id), thought, trace_of(thought.question_id)) for thought in batch]
            for record in judge_thoughts(tasks, verify, engine):
                out.write(record)
        out.sort(thoughts.ids())
    ends = ledger(run).counts()
    _log.info("  ".join(f"{name} {count}" for name, count in ends.items()))


def decides(run: Run, *, verify: VerifyConfig, llm: LLMConfig, cache: CacheConfig) -> dict[str, Any]:
    """What decides the verdicts, as `Stage.open` takes it.

    Raises:
        UserError: as `job`.
    """
    return _decides(run, verify, llm, _engine(run, verify, llm, cache))


def _decides(run: Run, verify: VerifyConfig, llm: LLMConfig, engine: Engine | None) -> dict[str, Any]:
    settings: dict[str, Any] = {name: judge.value for name, judge in _judges(verify).items()}
    made_from = {"inputs": {"convert": run.thoughts.manifest_digest()}}
    if engine:
        made_from["prompts"] = {name: digest(name) for name in ("judge_coherence", "judge_answer")}
        made_from["models"] = {"judge": engine.model}
        settings["max_tokens"] = verify.max_tokens
        settings |= thinking_setting(role_llm(llm, verify.llm, "verify.llm"))
    return {"settings": settings, **made_from}


def _judges(verify: VerifyConfig) -> dict[str, Judge]:
    return {"coherence": verify.coherence, "open_answer": verify.open_answer}


def _engine(run: Run, verify: VerifyConfig, llm: LLMConfig, cache: CacheConfig) -> Engine | None:
    wanted_by = [f"verify.{name}=llm" for name, judge in _judges(verify).items() if judge is Judge.llm]
    if not wanted_by:
        return None
    return load_engine(role_llm(llm, verify.llm, "verify.llm"), wanted_by[0], load_cache(cache, run))


def judge_thoughts(
    tasks: Sequence[tuple[Question, Thought, Trace]], settings: VerifyConfig, engine: Engine | None
) -> list[Verdict | Dropped]:
    """The three checks of each thought, in order. All three are made, also when the first one fails.

    An engine is asked about all thoughts at once; it is needed where a judge is `llm` only.
    """
    labelled = [task for task in tasks if task[0].answer is not None]
    answers = _answers(labelled, settings, engine)
    coherence = _coherence(labelled, settings, engine)
    verdicts: dict[str, Verdict] = {}
    for (question, thought, trace), answer, coherent in zip(labelled, answers, coherence, strict=True):
        faithful = check_faithful(question, thought, trace, _made(answer))
        checks = {Outcome.wrong_answer: answer, Outcome.unfaithful: faithful, Outcome.incoherent: coherent}
        failed = [
            check.outcome if isinstance(check, QuestionError) else outcome
            for outcome, check in checks.items()
            if not _made(check).passed
        ]
        verdicts[question.question_id] = Verdict(
            question_id=question.question_id,
            outcome=failed[0] if failed else Outcome.kept,
            answer=_made(answer),
            faithful=faithful,
            coherent=_made(coherent),
        )
    return [verdicts.get(question.question_id) or _unlabelled(question) for question, _, _ in tasks]


def _made(check: Check | QuestionError) -> Check:
    """A check; one that a judge did not make has failed, and says why."""
    return Check(passed=False, reason=check.reason) if isinstance(check, QuestionError) else check


def _answers(
    tasks: Sequence[tuple[Question, Thought, Trace]], settings: VerifyConfig, engine: Engine | None
) -> list[Check | QuestionError]:
    """(1) by rules; a judge is asked about the open-ended answers that the rules do not take."""
    by_rules = [check_answer(question, thought.answer) for question, thought, _ in tasks]
    checks: list[Check | QuestionError] = [*by_rules]
    if settings.open_answer is Judge.llm:
        assert engine is not None
        doubtful = [at for at, task in enumerate(tasks) if not task[0].options and not by_rules[at].passed]
        answers = [(tasks[at][0], tasks[at][1].answer) for at in doubtful]
        judged = llm_judge.same_answer(engine, answers, max_tokens=settings.max_tokens) if answers else []
        for at, check in zip(doubtful, judged, strict=True):
            checks[at] = check
    return checks


def _coherence(
    tasks: Sequence[tuple[Question, Thought, Trace]], settings: VerifyConfig, engine: Engine | None
) -> list[Check | QuestionError]:
    """(3) by rules or by a judge."""
    if settings.coherence is not Judge.llm:
        return [check_coherent(thought, trace) for _, thought, trace in tasks]
    assert engine is not None
    thoughts = [(question, thought) for question, thought, _ in tasks]
    return llm_judge.coherent(engine, thoughts, max_tokens=settings.max_tokens) if thoughts else []


def _unlabelled(question: Question) -> Dropped:
    return Dropped(question_id=question.question_id, outcome=Outcome.unlabelled, reason="no true answer is known")
