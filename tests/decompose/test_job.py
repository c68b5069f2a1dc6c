"""The job: one line per question, in order, asked once, and taken up where it stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from aotd.config.tree import Config
from aotd.decompose import Author, job
from aotd.decompose.job import write_program
from aotd.errors import QuestionError, UserError
from aotd.llm import LLMConfig
from aotd.llm.base import Engine, GenerationRequest, Reply
from aotd.llm.replay import RecordedEngine
from aotd.records import Dropped, Outcome, Program, Question
from aotd.store.run import Run
from aotd.store.stage import Stage

GOOD = "def execute_command(video_clip, query, possible_answers):\n    return Video_query(video_clip, query)\n"


class Counting:
    """Writes a program for every question but those that ask for trouble; may break after some prompts."""

    model = "counting"

    def __init__(self, breaks_after: int = 10**9) -> None:
        self.asked: list[str] = []
        self.breaks_after = breaks_after

    def generate(self, prompts: Sequence[str], *, max_tokens: int, temperature: float = 0.0) -> list[Reply]:
        self.asked += prompts
        if len(self.asked) > self.breaks_after:
            raise UserError("the server is gone")
        return [Reply("no" if "trouble" in prompt else GOOD, True, 1, 1) for prompt in prompts]


def question(key: str, words: str) -> Question:
    return Question(question_id=key, dataset="playroom", split="train", video_id="v", question=words, type="Order")


QUESTIONS = [
    question("a", "why?"),
    question("b", "any trouble?"),
    question("c", "where?"),
    question("d", "why?"),
    question("e", "any trouble?"),
    question("f", "who?"),
]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    settings = Config(run=str(tmp_path / "run"))
    settings.decompose.author = Author.llm
    settings.decompose.retries = 0
    settings.llm.batch = 2
    with Stage(Path(settings.run), "load", Question).open({"of": "a test"}) as out:
        for asked in QUESTIONS:
            out.write(asked)
    return settings


def decompose(config: Config) -> None:
    job.job(Run(Path(config.run)), decompose=config.decompose, llm=config.llm, cache=config.cache)


def use(engine: Counting, monkeypatch: pytest.MonkeyPatch) -> Counting:
    monkeypatch.setattr(job, "load_engine", lambda *_: engine)
    return engine


def lines(config: Config) -> tuple[list[Program], list[Dropped]]:
    stage = Stage(Path(config.run), "decompose", Program)
    return stage.records(), stage.dropped()


def test_job_writes_one_line_per_question_and_asks_each_text_once(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = use(Counting(), monkeypatch)
    decompose(config)
    programs, dropped = lines(config)
    assert [program.question_id for program in programs] == ["a", "c", "d", "f"]
    assert [(drop.question_id, drop.outcome) for drop in dropped] == [
        ("b", Outcome.program_invalid),
        ("e", Outcome.program_invalid),
    ]
    assert len(engine.asked) == 4


def test_cost_counts_replies_of_first_asker(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    config.decompose.retries = 1
    use(Counting(), monkeypatch)
    decompose(config)
    costs = Stage(Path(config.run), "decompose", Program).costs()
    calls = {key: (cost.llm_calls, cost.prompt_tokens, cost.reply_tokens) for key, cost in costs.items()}
    # `b` is asked about once more, and `d` and `e` say what `a` and `b` have said.
    assert calls == {"a": (1, 1, 1), "b": (2, 2, 2), "c": (1, 1, 1), "d": (0, 0, 0), "e": (0, 0, 0), "f": (1, 1, 1)}
    assert {key for key, cost in costs.items() if cost.reused} == {"d", "e"}
    assert {key for key, cost in costs.items() if cost.seconds == 0} == {"d", "e"}
    assert costs["a"].batch == 2


def test_cost_of_recorded_replies_is_reused(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("asked", "replayed"):
        run = tmp_path / name
        with Stage(run, "load", Question).open({}) as out:
            out.write(QUESTIONS[0])
        engine = RecordedEngine(Streaming(), LLMConfig(record=str(tmp_path / "record.jsonl")), "a test")
        monkeypatch.setattr(job, "load_engine", lambda *_, engine=engine: engine)
        decompose(replace(config, run=str(run)))
    stages = [Stage(tmp_path / name, "decompose", Program) for name in ("asked", "replayed")]
    assert stages[0].records() == stages[1].records()
    asked, replayed = (stage.costs()["a"] for stage in stages)
    assert (asked.llm_calls, asked.prompt_tokens, asked.reply_tokens, asked.reused) == (1, 120, 30, 0)
    assert (replayed.llm_calls, replayed.prompt_tokens, replayed.reply_tokens, replayed.reused) == (0, 0, 0, 1)


class Streaming(Engine):
    """Writes the same program for every question, and counts tokens."""

    model = "streaming"

    def stream(self, requests: Sequence[GenerationRequest]) -> Iterator[tuple[GenerationRequest, Reply]]:
        for request in requests:
            yield request, Reply(GOOD, True, prompt_tokens=120, reply_tokens=30)


def test_interrupted_run_resumes_without_asking_twice(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    first = use(Counting(breaks_after=2), monkeypatch)
    with pytest.raises(UserError, match="gone"):
        decompose(config)
    second = use(Counting(), monkeypatch)
    decompose(config)
    interrupted = lines(config)
    assert len(first.asked) - config.llm.batch + len(second.asked) == 4  # the batch that broke is asked again
    config.run += "_whole"
    with Stage(Path(config.run), "load", Question).open({"of": "a test"}) as out:
        for asked in QUESTIONS:
            out.write(asked)
    use(Counting(), monkeypatch)
    decompose(config)
    assert lines(config) == interrupted


def test_batch_is_filled_with_new_texts(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    class Batches(Counting):
        def generate(self, prompts: Sequence[str], *, max_tokens: int, temperature: float = 0.0) -> list[Reply]:
            asked.append(len(prompts))
            return super().generate(prompts, max_tokens=max_tokens, temperature=temperature)

    use(Batches(), monkeypatch)
    decompose(config)
    assert asked == [2, 2]


def test_held_questions_are_bounded(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []
    new = job._new

    def watched(batch: Sequence[Question], known: job.Known) -> list[Question]:
        held.append(len(batch))
        return new(batch, known)

    monkeypatch.setattr(job, "MAX_HELD", 5)
    monkeypatch.setattr(job, "_new", watched)
    with Stage(Path(config.run), "load", Question).open({"of": "a test"}) as out:
        for number in range(30):
            out.write(question(f"again{number}", "why?"))
    engine = use(Counting(), monkeypatch)
    decompose(config)
    assert len(engine.asked) == 4
    assert sum(held) == len(QUESTIONS) + 30
    assert max(held) == 5
    assert len({program.code for program in lines(config)[0]}) == 1


def test_manifest_holds_what_made_the_programs(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    use(Counting(), monkeypatch)
    decompose(config)
    manifest = json.loads(Stage(Path(config.run), "decompose", Program).manifest_path.read_text())
    assert manifest["settings"] == {
        "author": "llm",
        "num_examples": 4,
        "examples": [],
        "exclude_tools": [],
        "max_tokens": 512,
        "retries": 0,
        "candidates": 1,
        "temperature": 0.8,
    }
    assert set(manifest["prompts"]) == {"write_program", "repair_program"}
    assert set(manifest["programs"]) == {"examples", "tools"}
    assert manifest["models"] == {"author": "counting"}
    config.decompose.retries = 1
    with pytest.raises(UserError, match="retries: 0 -> 1"):
        decompose(config)


def test_author_fixed_needs_no_model(config: Config) -> None:
    config.decompose.author = Author.fixed
    decompose(config)
    programs, dropped = lines(config)
    assert len(programs) == len(QUESTIONS)
    assert not dropped
    assert {(program.author, program.attempts) for program in programs} == {("fixed", 1)}


def test_author_llm_without_model_is_refused(config: Config) -> None:
    with pytest.raises(UserError, match=r"decompose\.author=llm needs a language model: add llm="):
        decompose(config)


def test_write_program_takes_one_question(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    use(Counting(), monkeypatch)
    assert write_program(QUESTIONS[0], config.decompose, config.llm).code == GOOD
    with pytest.raises(QuestionError):
        write_program(QUESTIONS[1], config.decompose, config.llm)
