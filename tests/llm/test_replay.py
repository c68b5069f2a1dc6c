"""Recording what an engine says, and answering from the record alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from aotd.errors import UserError
from aotd.llm import EngineName, LLMConfig
from aotd.llm.base import Engine, GenerationRequest, Message, Prompt, Reply
from aotd.llm.load import load_engine
from aotd.llm.replay import RecordedEngine


class Counting(Engine):
    """Says how often it was asked; breaks off before the request with the number `breaks_at`."""

    def __init__(self, model: str = "tiny", breaks_at: int = 10**9) -> None:
        self.model = model
        self.breaks_at = breaks_at
        self.asked: list[GenerationRequest] = []

    def stream(self, requests: Sequence[GenerationRequest]) -> Iterator[tuple[GenerationRequest, Reply]]:
        # In another order than asked, as a server does.
        for request in reversed(requests):
            if len(self.asked) == self.breaks_at:
                raise UserError("the server is gone")
            self.asked.append(request)
            if "long" in request.text:
                yield request, Reply("", finished=False, prompt_tokens=9999, reply_tokens=0)
            else:
                text = request.options[-1] if request.options else f"{request.text} no. {len(self.asked)}"
                yield request, Reply(text, True, 5, 3, constrained=bool(request.options))


def recorded(path: Path, engine: Engine | None, **settings: Any) -> RecordedEngine:
    return RecordedEngine(engine, LLMConfig(record=str(path), **settings), "decompose.author=llm")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records" / "replies.jsonl"


def test_what_is_recorded_is_not_asked_again(path: Path) -> None:
    first = recorded(path, Counting()).generate(["a", "b", "a"], max_tokens=8)
    engine = Counting()
    assert recorded(path, engine).generate(["b", "a"], max_tokens=8) == [first[1], first[0]]
    assert engine.asked == []
    again = recorded(path, engine)
    again.generate(["b", "c"], max_tokens=8)
    again.generate(["c"], max_tokens=8)
    assert [request.text for request in engine.asked] == ["c"]


def test_a_record_answers_without_a_model(path: Path) -> None:
    made = recorded(path, Counting())
    texts, choices = made.generate(["a", "b"], max_tokens=8), made.choose(["a"], [("Yes", "No")])
    replay = load_engine(LLMConfig(engine=EngineName.replay, record=str(path)), "convert.writer=llm")
    assert replay.model == "tiny"
    assert replay.generate(["a", "b"], max_tokens=8) == texts
    assert replay.choose(["a"], [("Yes", "No")]) == choices
    assert choices[0].option == "No"
    assert choices[0].constrained


def test_samples_are_replayed_one_by_one_and_in_order(path: Path) -> None:
    made = recorded(path, Counting()).generate(["a", "b", "a", "a"], max_tokens=8, temperature=0.7)
    assert len({reply.text for reply in made}) == 4
    replay = recorded(path, None)
    assert replay.generate(["a", "a", "a"], max_tokens=8, temperature=0.7) == [made[0], made[2], made[3]]
    assert replay.generate(["a"], max_tokens=8, temperature=0.7) == [made[0]]
    with pytest.raises(UserError, match=r"but not with max_tokens 8, temperature 0\.7, sample 3"):
        replay.generate(["a"] * 4, max_tokens=8, temperature=0.7)


def test_samples_that_a_broken_off_run_lacks_are_asked_for_by_their_number(path: Path) -> None:
    broken = Counting(breaks_at=2)
    with pytest.raises(UserError, match="gone"):
        recorded(path, broken).generate(["a"] * 4, max_tokens=8, temperature=0.7)
    engine = Counting()
    recorded(path, engine).generate(["a"] * 4, max_tokens=8, temperature=0.7)
    assert [request.sample for request in broken.asked] == [3, 2]
    assert [request.sample for request in engine.asked] == [1, 0]
    assert sorted(json.loads(line).get("sample", 0) for line in path.read_text().splitlines()) == [0, 1, 2, 3]


def test_a_torn_tail_is_asked_again(path: Path) -> None:
    recorded(path, Counting()).generate(["a", "b", "c"], max_tokens=8)
    whole = path.read_bytes()
    for cut in range(1, len(whole.splitlines(keepends=True)[-1])):
        path.write_bytes(whole[:-cut])
        engine = Counting()
        with pytest.raises(UserError, match="holds no reply"):
            recorded(path, None).generate(["a"], max_tokens=8)
        assert path.read_bytes() == whole[:-cut], "a replay does not write"
        recorded(path, engine).generate(["a", "b", "c"], max_tokens=8)
        assert [request.text for request in engine.asked] == ["a"]
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
    made.generate(["a"], **first)
    made.generate(["a"], **then)
    made.choose(["a"], [("A", "B")], max_tokens=8)
    made.choose(["a"], [("A", "C")], max_tokens=8)
    assert len(engine.asked) == len(path.read_text().splitlines()) == 4


def test_the_seed_and_the_model_are_part_of_a_record(path: Path) -> None:
    recorded(path, Counting(), seed=1).generate(["a"], max_tokens=8, temperature=0.5)
    other_seed, other_model, same = Counting(), Counting("large"), Counting()
    recorded(path, other_seed, seed=2).generate(["a"], max_tokens=8, temperature=0.5)
    recorded(path, other_model, seed=1).generate(["a"], max_tokens=8, temperature=0.5)
    recorded(path, same, seed=1).generate(["a"], max_tokens=8, temperature=0.5)
    assert [len(engine.asked) for engine in (other_seed, other_model, same)] == [1, 1, 0]
    with pytest.raises(UserError, match=r"replies of large, tiny: set llm\.model"):
        recorded(path, None)
    assert recorded(path, None, model="large").model == "large"


def test_line_of_a_single_message_stays(path: Path) -> None:
    """The lines were recorded before requests had messages and stop strings."""

    class Done(Counting):
        def stream(self, requests: Sequence[GenerationRequest]) -> Iterator[tuple[GenerationRequest, Reply]]:
            for request in requests:
                yield request, Reply("done", True, 3, 2, bool(request.options))

    requests = [
        GenerationRequest.from_prompt("Why?\nBecause “so”.", 5),
        GenerationRequest.from_prompt("Why?", 9, 0.7, 3),
        GenerationRequest.from_prompt("Yes or no?", 16, options=("Yes", "No")),
    ]
    list(recorded(path, Done(), seed=7).stream(requests))
    reply = '"model":"tiny","text":"done","finished":true,"prompt_tokens":3,"reply_tokens":2'
    assert path.read_text(encoding="utf-8").splitlines() == [
        '{"prompt":"55ac6e7e6ffc5978811df7d37f57b802180e2a03d8a7cb72e3c3f40b11e37e05",'
        f'"ends_in":"Why? Because “so”.","max_tokens":5,{reply}}}',
        '{"prompt":"5d8a995a6fa7cf7c577cc9d49ca9e00d4aee4d0bcd5e2ad5caff27e2a8097276",'
        f'"ends_in":"Why?","max_tokens":9,"temperature":0.7,"sample":3,"seed":7,{reply}}}',
        '{"prompt":"76955e0f58de21d67b0d2044c806d222e3fa6bce663f4c74090f045f747fd6a8",'
        f'"ends_in":"Yes or no?","max_tokens":16,"options":["Yes","No"],{reply},"constrained":true}}',
    ]


def test_messages_and_stop_strings_are_part_of_a_record(path: Path) -> None:
    chat = [Message("system", "Be brief."), Message("user", "where was the cup?")]
    as_text = GenerationRequest.from_prompt(chat, 8).text
    made = recorded(path, Counting())
    asks: list[tuple[Prompt, list[str]]] = [(chat, []), (chat, ["x"]), ("a", []), ("a", ["x"]), (as_text, [])]
    replies = [made.generate([prompt], max_tokens=8, stop=stop)[0] for prompt, stop in asks]
    assert len({reply.text for reply in replies}) == 5
    assert [made.generate([prompt], max_tokens=8, stop=stop)[0] for prompt, stop in asks] == replies
    line = json.loads(path.read_text().splitlines()[1])
    assert (line["roles"], line["stop"], line["ends_in"]) == (["system", "user"], ["x"], "where was the cup?")
    with pytest.raises(UserError, match=r"but not with max_tokens 8, stop \('z',\), roles"):
        recorded(path, None).generate([chat], max_tokens=8, stop=["z"])


def test_greedy_replies_do_not_depend_on_the_seed(path: Path) -> None:
    recorded(path, Counting(), seed=1).generate(["a"], max_tokens=8)
    assert recorded(path, None, seed=2).generate(["a"], max_tokens=8)[0].text == "a no. 1"


def test_a_prompt_that_was_too_long_is_asked_again_where_there_is_an_engine(path: Path) -> None:
    engine = Counting()
    first = recorded(path, engine).generate(["much too long"], max_tokens=8)
    assert recorded(path, None).generate(["much too long"], max_tokens=8) == first
    recorded(path, engine).generate(["much too long"], max_tokens=8)
    assert len(engine.asked) == 2


def test_a_prompt_that_is_not_recorded_is_one_line(path: Path) -> None:
    recorded(path, Counting()).generate(["a"], max_tokens=8)
    with pytest.raises(UserError) as caught:
        recorded(path, None).generate(["a", "Write\n" + "x " * 900 + "\nwhere was the cup?"], max_tokens=8)
    told = str(caught.value)
    assert told.startswith(f"llm.record: {path} holds no reply of tiny to the prompt 'Write x x")
    assert "where was the cup?" in told
    assert "decompose.author=llm" in told
    assert "\n" not in told
    assert len(told) < 500


@pytest.mark.parametrize("line", ["{", '{"prompt": "a"}', "[]", '{"prompt": 1, "more": 2}'])
def test_a_damaged_line_is_named(path: Path, line: str) -> None:
    recorded(path, Counting()).generate(["a"], max_tokens=8)
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


def test_raw_reasoning_of_an_older_record_is_no_reply(path: Path) -> None:
    class Raw(Counting):
        def stream(self, requests: Sequence[GenerationRequest]) -> Iterator[tuple[GenerationRequest, Reply]]:
            for request in requests:
                yield (
                    request,
                    Reply(f"<think>hm</think>{request.text}" if request.text == "a" else "<think>", True, 5, 3),
                )

    recorded(path, Raw()).generate(["a", "b"], max_tokens=8)
    said, silent = recorded(path, None).generate(["a", "b"], max_tokens=8)
    assert (said.text, said.reasoning) == ("a", "hm")
    assert silent.silent


def test_reasoning_is_kept_beside_the_reply(path: Path) -> None:
    class Thinking(Counting):
        def stream(self, requests: Sequence[GenerationRequest]) -> Iterator[tuple[GenerationRequest, Reply]]:
            for request in requests:
                yield request, Reply.from_text("<think>hm</think>A '<think>'", True, 5, 3)

    (reply,) = recorded(path, Thinking()).generate(["a"], max_tokens=8)
    assert (reply.text, reply.reasoning) == ("A '<think>'", "hm")
    assert '"reasoning":"hm"' in path.read_text()
    assert recorded(path, None).generate(["a"], max_tokens=8) == [reply]


def test_room_to_think_is_part_of_a_record_where_it_is_set(path: Path) -> None:
    recorded(path, Counting()).generate(["a"], max_tokens=8)
    engine = Counting()
    recorded(path, engine, thinking_tokens=9).generate(["a"], max_tokens=8)
    recorded(path, engine, thinking_tokens=9).generate(["a"], max_tokens=8)
    recorded(path, engine).generate(["a"], max_tokens=8)
    assert len(engine.asked) == 1
    with pytest.raises(UserError, match="but not with max_tokens 8, thinking_tokens 10"):
        recorded(path, None, thinking_tokens=10).generate(["a"], max_tokens=8)
