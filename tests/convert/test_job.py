"""The job: side by side with questions and programs, in batches, in order, and on from where it stopped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from aotd.config.tree import Config
from aotd.convert import ConvertConfig, WriterName, job
from aotd.convert.caption import caption_of, captions_of
from aotd.errors import UserError
from aotd.llm import LLMConfig
from aotd.llm.base import Reply
from aotd.records import Outcome, Program, Question, Thought, Trace
from aotd.store.run import Run
from aotd.store.stage import Stage
from tests.sample_run import drop, program, question, trace, write


def run_convert(config: Config) -> None:
    job.job(Run(Path(config.run)), convert=config.convert, llm=config.llm, cache=config.cache)


class Telling:
    """Tells which question and program it was asked about; may break at some batch."""

    model = "telling"

    def __init__(self, breaks_at: int = 10**9) -> None:
        self.batches: list[int] = []
        self.breaks_at = breaks_at

    def generate(self, prompts: Sequence[str], *, max_tokens: int, temperature: float = 0.0) -> list[Reply]:
        self.batches.append(len(prompts))
        if len(self.batches) == self.breaks_at:
            raise UserError("the server is gone")
        return [Reply(" ".join(word for word in prompt.split() if "#" in word), True, 1, 1) for prompt in prompts]


def made(run: Path, keys: str, with_trace: str) -> Config:
    """A run with questions `keys`; of those not in `with_trace` every other one has no program, the rest no trace."""
    write(run, "load", Question, [question(key, words=f"#{key}?") for key in keys])
    lost = [key for key in keys if key not in with_trace]
    write(run, "decompose", Program, [told(key) for key in keys if key not in lost[::2]])
    write(run, "decompose", Program, [drop(key, Outcome.program_invalid) for key in lost[::2]])
    write(run, "execute", Trace, [trace(key) for key in with_trace])
    write(run, "execute", Trace, [drop(key, Outcome.no_answer) for key in lost[1::2]])
    return Config(run=str(run), convert=ConvertConfig(writer=WriterName.llm), llm=LLMConfig(batch=2))


def told(key: str) -> Program:
    return program(key).model_copy(update={"code": f"program#{key} = 1\n"})


def use(engine: Telling, monkeypatch: pytest.MonkeyPatch) -> Telling:
    monkeypatch.setattr(job, "load_engine", lambda *_: engine)
    return engine


def thoughts(run: Path) -> dict[str, str]:
    return {record.question_id: record.text for record in Stage(run, "convert", Thought).records()}


def test_each_thought_is_of_its_own_question_program_and_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = made(tmp_path, "abcdefghij", "bcfhj")
    engine = use(Telling(), monkeypatch)
    run_convert(config)
    assert thoughts(tmp_path) == {key: f"program#{key} #{key}?" for key in "bcfhj"}
    assert engine.batches == [2, 2, 1]


def test_what_was_written_before_a_batch_broke_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = made(tmp_path, "abcdefghij", "abcdefgh")
    use(Telling(breaks_at=3), monkeypatch)
    with pytest.raises(UserError, match="gone"):
        run_convert(config)
    assert list(thoughts(tmp_path)) == list("abcd")
    engine = use(Telling(), monkeypatch)
    run_convert(config)
    assert engine.batches == [2, 2]
    assert thoughts(tmp_path) == {key: f"program#{key} #{key}?" for key in "abcdefgh"}


def test_traces_that_came_later_end_where_they_belong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = made(tmp_path, "abcdef", "abcdef")
    stage = Stage(tmp_path, "execute", Trace)
    whole = stage.records_path.read_text().splitlines(keepends=True)
    use(Telling(), monkeypatch)
    for there in ("ace", "abcdef"):
        stage.records_path.write_text("".join(whole["abcdef".index(key)] for key in there))
        run_convert(config)
        assert list(thoughts(tmp_path)) == list(there)


def test_traces_out_of_order_say_which_verb_puts_them_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = made(tmp_path, "abc", "cab")
    use(Telling(), monkeypatch)
    with pytest.raises(
        UserError, match=r"execute: question 'a' is not in the order of .*load: run `aotd execute` again"
    ):
        run_convert(config)
    with Stage(tmp_path, "execute", Trace).open({"settings": "of a test"}) as out:
        out.sort("abc")
    run_convert(config)
    assert list(thoughts(tmp_path)) == list("abc")


def test_a_trace_of_a_question_that_was_never_loaded_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = made(tmp_path, "abc", "abc")
    write(tmp_path, "execute", Trace, [trace("stranger")])
    use(Telling(), monkeypatch)
    with pytest.raises(UserError, match=r"execute: question 'stranger' has no line in .*load: delete that folder"):
        run_convert(config)


def test_captions_are_written_in_place_of_reasons(tmp_path: Path) -> None:
    config = made(tmp_path / "run", "abcd", "acd")
    path = tmp_path / "captions.jsonl"
    told = {"a": "A room.", "d": "A dog."}
    path.write_text(
        "".join(json.dumps({"video": f"x/{key}.mp4", "caption": caption}) + "\n" for key, caption in told.items())
    )
    config.convert = ConvertConfig(writer=WriterName.caption, captions=str(path))
    run_convert(config)
    run = Run(tmp_path / "run")
    assert {one.question_id: one.text for one in run.thoughts.records()} == told
    assert [one.question_id for one in run.thoughts.dropped()] == ["c"]


def test_captions_of_files_with_one_name_are_kept_apart(tmp_path: Path) -> None:
    path = tmp_path / "captions.jsonl"
    told = {"kitchen/1.mp4": "A cat.", "garage/1.mp4": "A car.", "garage/2.mp4": "A man."}
    path.write_text("".join(json.dumps({"video": key, "caption": caption}) + "\n" for key, caption in told.items()))
    captions = captions_of(str(path))
    asked = [question("a").model_copy(update={"video": video}) for video in (*told, "elsewhere/2.mp4", "1.mp4")]
    assert [caption_of(one, captions) for one in asked] == [*told.values(), "A man.", None]


@pytest.mark.parametrize("captions", ["", "nowhere.jsonl"])
def test_captions_that_are_not_there_are_one_line(captions: str, tmp_path: Path) -> None:
    config = made(tmp_path, "ab", "a")
    config.convert = ConvertConfig(writer=WriterName.caption, captions=captions)
    with pytest.raises(UserError, match=r"convert\.captions: (not set|nowhere\.jsonl is not there): give"):
        run_convert(config)
