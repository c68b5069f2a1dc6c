"""verify: check each chain of thought, and say why it is kept or not.

Reads load/, execute/ and convert/; writes one Verdict per Thought, with three checks reported by
themselves: the answer, faithfulness to the trace, and coherence. A question without a true answer
cannot be verified and ends as `unlabelled`.
"""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import track

from aotd.config import Config
from aotd.ledger import ledger
from aotd.llm import Engine, load_engine
from aotd.prompts import digest
from aotd.records import Check, Dropped, Outcome, Question, Thought, Trace, Verdict
from aotd.store import Stage
from aotd.verify import Judge, VerifyConfig, llm
from aotd.verify.checks import check_answer, check_coherent, check_faithful


def job(config: Config) -> None:
    """Write a Verdict for every thought of the run, and print the ledger.

    Raises:
        UserError: `convert` has not run, or the judge's model is not there.
    """
    run, settings = Path(config.run), config.verify
    thoughts, traces = Stage(run, "convert", Thought), Stage(run, "execute", Trace)
    questions = {question.question_id: question for question in Stage(run, "load", Question).records()}
    by_id = {trace.question_id: trace for trace in traces.records()}
    judges = {"coherence": settings.coherence, "open_answer": settings.open_answer}
    asked = [f"verify.{name}=llm" for name, judge in judges.items() if judge is Judge.llm]
    engine = load_engine(config.llm, asked[0]) if asked else None
    made_from = {"inputs": {"convert": thoughts.manifest_digest()}}
    decides: dict[str, object] = {name: judge.value for name, judge in judges.items()}
    if engine:
        made_from["prompts"] = {name: digest(name) for name in ("judge_coherence", "judge_answer")}
        made_from["models"] = {"judge": engine.model}
        decides["max_tokens"] = settings.max_tokens
    with Stage(run, "verify", Verdict).open(decides, **made_from) as out:
        todo = [thought for thought in thoughts.records() if thought.question_id not in out.done]
        for thought in track(todo, "verify", console=Console(stderr=True)):
            out.write(
                judge_thought(questions[thought.question_id], thought, by_id[thought.question_id], settings, engine)
            )
    ends = ledger(run).counts()
    Console(stderr=True).print("  ".join(f"{name} {count}" for name, count in ends.items()), highlight=False)


def judge_thought(
    question: Question, thought: Thought, trace: Trace, settings: VerifyConfig, engine: Engine | None
) -> Verdict | Dropped:
    """The three checks of one thought. All three are made, also when the first one fails."""
    if question.answer is None:
        return Dropped(question_id=question.question_id, outcome=Outcome.unlabelled, reason="no true answer is known")
    answer = check_answer(question, thought.answer)
    if not question.options and not answer.passed and settings.open_answer is Judge.llm:
        assert engine is not None
        answer = llm.same_answer(engine, question, thought.answer)
    faithful = check_faithful(question, thought, trace, answer)
    coherent: Check
    if settings.coherence is Judge.llm:
        assert engine is not None
        coherent = llm.coherent(engine, question, thought)
    else:
        coherent = check_coherent(thought, trace)
    checks = {Outcome.wrong_answer: answer, Outcome.unfaithful: faithful, Outcome.incoherent: coherent}
    failed = [outcome for outcome, check in checks.items() if not check.passed]
    return Verdict(
        question_id=question.question_id,
        outcome=failed[0] if failed else Outcome.kept,
        answer=answer,
        faithful=faithful,
        coherent=coherent,
    )
