"""The job: one line per question, in order, asked once, and taken up where it stopped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from aotd.config import Config
from aotd.decompose import Author, job
from aotd.decompose.job import write_program
from aotd.errors import QuestionError, UserError
from aotd.llm import Reply
from aotd.records import Dropped, Outcome, Program, Question
from aotd.store import Stage

GOOD = "def execute_command(video_clip, query, possible_answers):\n    return Video_query(video_clip, query)\n"


class Counting:
    """Writes a program for every question but those that ask for trouble; may break after some prompts."""

    model = "counting"

    def __init__(self, breaks_after: int = 10**9) -> None:
        self.asked: list[str] = []
        self.breaks_after = breaks_after

    def complete(self, prompts: Sequence[str], *, max_tokens: int, temperature: float = 0.0) -> list[Reply]:
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


def use(engine: Counting, monkeypatch: pytest.MonkeyPatch) -> Counting:
    monkeypatch.setattr(job, "load_engine", lambda config, wanted_by: engine)
    return engine


def lines(config: Config) -> tuple[list[Program], list[Dropped]]:
    stage = Stage(Path(config.run), "decompose", Program)
    return stage.records(), stage.dropped()


def test_every_question_has_one_line_and_its_text_is_asked_once(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = use(Counting(), monkeypatch)
    job.job(config)
    programs, dropped = lines(config)
    assert [program.question_id for program in programs] == ["a", "c", "d", "f"]
    assert [(drop.question_id, drop.outcome) for drop in dropped] == [
        ("b", Outcome.program_invalid),
        ("e", Outcome.program_invalid),
    ]
    assert len(engine.asked) == 4


def test_an_interrupted_run_goes_on_and_asks_nothing_twice(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    first = use(Counting(breaks_after=2), monkeypatch)
    with pytest.raises(UserError, match="gone"):
        job.job(config)
    second = use(Counting(), monkeypatch)
    job.job(config)
    interrupted = lines(config)
    assert len(first.asked) - 1 + len(second.asked) == 4
    config.run += "_whole"
    with Stage(Path(config.run), "load", Question).open({"of": "a test"}) as out:
        for asked in QUESTIONS:
            out.write(asked)
    use(Counting(), monkeypatch)
    job.job(config)
    assert lines(config) == interrupted


def test_the_manifest_says_what_the_programs_were_made_from(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    use(Counting(), monkeypatch)
    job.job(config)
    manifest = json.loads(Stage(Path(config.run), "decompose", Program).manifest_path.read_text())
    assert manifest["settings"] == {
        "author": "llm",
        "examples": 4,
        "shown": [],
        "without": [],
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
        job.job(config)


def test_the_author_fixed_needs_no_model(config: Config) -> None:
    config.decompose.author = Author.fixed
    job.job(config)
    programs, dropped = lines(config)
    assert len(programs) == len(QUESTIONS)
    assert not dropped
    assert {(program.author, program.attempts) for program in programs} == {("fixed", 1)}


def test_the_author_llm_without_a_model_is_told_how_to_name_one(config: Config) -> None:
    with pytest.raises(UserError, match=r"decompose\.author=llm needs a language model: add llm="):
        job.job(config)


def test_one_question_can_be_asked_for_by_itself(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    use(Counting(), monkeypatch)
    assert write_program(QUESTIONS[0], config).code == GOOD
    with pytest.raises(QuestionError):
        write_program(QUESTIONS[1], config)
