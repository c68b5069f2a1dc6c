"""The job: each thought beside its own question and trace, a line for each, in order."""

from __future__ import annotations

from pathlib import Path

import pytest

from aotd.config.tree import Config
from aotd.errors import UserError
from aotd.records import Outcome, Program, Question, Thought, Trace, Verdict
from aotd.store.run import Run
from aotd.store.stage import Stage
from aotd.verify import job
from tests.sample_run import drop, program, question, thought, trace, write


def run_verify(config: Config) -> None:
    job.job(Run(Path(config.run)), verify=config.verify, llm=config.llm, cache=config.cache)


def made(run: Path, thoughts: str) -> Config:
    """Eight questions with a trace each, of which those in `thoughts` were converted; `c` has no true answer."""
    asked = [question(key) for key in "abcdefgh"]
    write(run, "load", Question, [q.model_copy(update={"answer": None}) if q.question_id == "c" else q for q in asked])
    write(run, "decompose", Program, [program(key) for key in "abcdefgh"])
    write(run, "execute", Trace, [trace(key, boxes=ord(key) - 90) for key in "abcdefgh"])
    write(run, "convert", Thought, [thought(key) for key in thoughts])
    write(run, "convert", Thought, [drop(key, Outcome.thought_cut) for key in "abcdefgh" if key not in thoughts])
    return Config(run=str(run))


def test_each_thought_is_held_to_its_own_question_and_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    check, held = job.check_faithful, []

    def watched(question: Question, thought: Thought, trace: Trace, *rest: object) -> object:
        held.append((question.question_id, thought.question_id, trace.question_id))
        return check(question, thought, trace, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(job, "check_faithful", watched)
    run_verify(made(tmp_path, "bcdgh"))
    assert held == [(key, key, key) for key in "bdgh"]
    stage = Stage(tmp_path, "verify", Verdict)
    assert [record.question_id for record in stage.records()] == list("bdgh")
    assert [(drop.question_id, drop.outcome) for drop in stage.dropped()] == [("c", Outcome.unlabelled)]
    assert "unlabelled 1" in capsys.readouterr().err
    before = stage.records_path.read_bytes()
    run_verify(Config(run=str(tmp_path)))
    assert (held, stage.records_path.read_bytes()) == ([(key, key, key) for key in "bdgh"], before)


def test_a_thought_without_a_trace_is_named(tmp_path: Path) -> None:
    config = made(tmp_path, "abcd")
    path = Stage(tmp_path, "execute", Trace).records_path
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if '"question_id":"b"' not in line))
    with pytest.raises(UserError, match=r"convert: question 'b' has no line in .*execute: delete that folder"):
        run_verify(config)
    assert [record.question_id for record in Stage(tmp_path, "verify", Verdict).records()] == ["a"]
