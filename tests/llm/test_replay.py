"""Recording what an engine says, and answering from the record alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from aotd.errors import UserError
from aotd.llm import EngineName, LLMConfig
from aotd.llm.base import Ask, Engine, Reply
from aotd.llm.load import load_engine
from aotd.llm.replay import Recorded


class Counting(Engine):
    """Says how often it was asked; breaks off before the ask with the number `breaks_at`."""

    def __init__(self, model: str = "tiny", breaks_at: int = 10**9) -> None:
        self.model = model
        self.breaks_at = breaks_at
        self.asked: list[Ask] = []

    def stream(self, asks: Sequence[Ask]) -> Iterator[tuple[Ask, Reply]]:
        # In another order than asked, as a server does.
        for ask in reversed(asks):
            if len(self.asked) == self.breaks_at:
                raise UserError("the server is gone")
            self.asked.append(ask)
            if "long" in ask.prompt:
                yield ask, Reply("", finished=False, prompt_tokens=9999, reply_tokens=0)
            else:
                text = ask.options[-1] if ask.options else f"{ask.prompt} no. {len(self.asked)}"
                yield ask, Reply(text, True, 5, 3, constrained=bool(ask.options))


def recorded(path: Path, engine: Engine | None, **settings: Any) -> Recorded:
    return Recorded(engine, LLMConfig(record=str(path), **settings), "decompose.author=llm")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records" / "replies.jsonl"


def test_what_is_recorded_is_not_asked_again(path: Path) -> None:
    first = recorded(path, Counting()).complete(["a", "b", "a"], max_tokens=8)
    engine = Counting()
    assert recorded(path, engine).complete(["b", "a"], max_tokens=8) == [first[1], first[0]]
    assert engine.asked == []
    again = recorded(path, engine)
    again.complete(["b", "c"], max_tokens=8)
    again.complete(["c"], max_tokens=8)
    assert [ask.prompt for ask in engine.asked] == ["c"]


def test_a_record_answers_without_a_model(path: Path) -> None:
    made = recorded(path, Counting())
    texts, choices = made.complete(["a", "b"], max_tokens=8), made.choose(["a"], [("Yes", "No")])
    replay = load_engine(LLMConfig(engine=EngineName.replay, record=str(path)), "convert.writer=llm")
    assert replay.model == "tiny"
    assert replay.complete(["a", "b"], max_tokens=8) == texts
    assert replay.choose(["a"], [("Yes", "No")]) == choices
    assert choices[0].option == "No"
    assert choices[0].constrained


def test_samples_are_replayed_one_by_one_and_in_order(path: Path) -> None:
    made = recorded(path, Counting()).complete(["a", "b", "a", "a"], max_tokens=8, temperature=0.7)
    assert len({reply.text for reply in made}) == 4
    replay = recorded(path, None)
    assert replay.complete(["a", "a", "a"], max_tokens=8, temperature=0.7) == [made[0], made[2], made[3]]
    assert replay.complete(["a"], max_tokens=8, temperature=0.7) == [made[0]]
    with pytest.raises(UserError, match=r"but not with max_tokens 8, temperature 0\.7, sample 3"):
        replay.complete(["a"] * 4, max_tokens=8, temperature=0.7)


def test_samples_that_a_broken_off_run_lacks_are_asked_for_by_their_number(path: Path) -> None:
    broken = Counting(breaks_at=2)
    with pytest.raises(UserError, match="gone"):
        recorded(path, broken).complete(["a"] * 4, max_tokens=8, temperature=0.7)
    engine = Counting()
    recorded(path, engine).complete(["a"] * 4, max_tokens=8, temperature=0.7)
    assert [ask.sample for ask in broken.asked] == [3, 2]
    assert [ask.sample for ask in engine.asked] == [1, 0]
    assert sorted(json.loads(line).get("sample", 0) for line in path.read_text().splitlines()) == [0, 1, 2, 3]


def test_a_torn_tail_is_asked_again(path: Path) -> None:
    recorded(path, Counting()).complete(["a", "b", "c"], max_tokens=8)
    whole = path.read_bytes()
    for cut in range(1, len(whole.splitlines(keepends=True)[-1])):
        path.write_bytes(whole[:-cut])
        engine = Counting()
        with pytest.raises(UserError, match="holds no reply"):
            recorded(path, None).complete(["a"], max_tokens=8)
        assert path.read_bytes() == whole[:-cut], "a replay does not write"
        recorded(path, engine).complete(["a", "b", "c"], max_tokens=8)
        assert [ask.prompt for ask in engine.asked] == ["a"]
        assert len(path.read_bytes().splitlines()) == 3


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"max_tokens": 8}, {"max_tokens": 9}),
        ({"max_tokens": 8}, {"max_tokens": 8, "temperature": 0.5}),
        ({"max_tokens": 8, "temperature": 0.5}, {"max_tokens": 8, "temperature": 0.6}),
    ],
)
def test_an_ask_that_differs_in_anything_is_another(path: Path, first: dict[str, Any], then: dict[str, Any]) -> None:
    engine = Counting()
    made = recorded(path, engine)
    made.complete(["a"], **first)
    made.complete(["a"], **then)
    made.choose(["a"], [("A", "B")], max_tokens=8)
    made.choose(["a"], [("A", "C")], max_tokens=8)
    assert len(engine.asked) == len(path.read_text().splitlines()) == 4


def test_the_seed_and_the_model_are_part_of_a_record(path: Path) -> None:
    recorded(path, Counting(), seed=1).complete(["a"], max_tokens=8, temperature=0.5)
    other_seed, other_model, same = Counting(), Counting("large"), Counting()
    recorded(path, other_seed, seed=2).complete(["a"], max_tokens=8, temperature=0.5)
    recorded(path, other_model, seed=1).complete(["a"], max_tokens=8, temperature=0.5)
    recorded(path, same, seed=1).complete(["a"], max_tokens=8, temperature=0.5)
    assert [len(engine.asked) for engine in (other_seed, other_model, same)] == [1, 1, 0]
    with pytest.raises(UserError, match=r"replies of large, tiny: set llm\.model"):
        recorded(path, None)
    assert recorded(path, None, model="large").model == "large"


def test_greedy_replies_do_not_depend_on_the_seed(path: Path) -> None:
    recorded(path, Counting(), seed=1).complete(["a"], max_tokens=8)
    assert recorded(path, None, seed=2).complete(["a"], max_tokens=8)[0].text == "a no. 1"


def test_a_prompt_that_was_too_long_is_asked_again_where_there_is_an_engine(path: Path) -> None:
    engine = Counting()
    first = recorded(path, engine).complete(["much too long"], max_tokens=8)
    assert recorded(path, None).complete(["much too long"], max_tokens=8) == first
    recorded(path, engine).complete(["much too long"], max_tokens=8)
    assert len(engine.asked) == 2


def test_a_prompt_that_is_not_recorded_is_one_line(path: Path) -> None:
    recorded(path, Counting()).complete(["a"], max_tokens=8)
    with pytest.raises(UserError) as caught:
        recorded(path, None).complete(["a", "Write\n" + "x " * 900 + "\nwhere was the cup?"], max_tokens=8)
    told = str(caught.value)
    assert told.startswith(f"llm.record: {path} holds no reply of tiny to the prompt 'Write x x")
    assert "where was the cup?" in told
    assert "decompose.author=llm" in told
    assert "\n" not in told
    assert len(told) < 500


@pytest.mark.parametrize("line", ["{", '{"prompt": "a"}', "[]", '{"prompt": 1, "more": 2}'])
def test_a_damaged_line_is_named(path: Path, line: str) -> None:
    recorded(path, Counting()).complete(["a"], max_tokens=8)
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(UserError, match=r"replies\.jsonl:2 is no recorded reply"):
        recorded(path, None)


def test_a_replay_needs_a_record_that_is_there(path: Path) -> None:
    for config in (LLMConfig(engine=EngineName.replay), LLMConfig(engine=EngineName.replay, record=str(path))):
        with pytest.raises(UserError, match=r"llm\.record"):
            load_engine(config, "decompose.author=llm")
    path.parent.mkdir()
    path.write_text("")
    with pytest.raises(UserError, match="holds replies of no model"):
        recorded(path, None)
