"""Room to think: what is asked again, with how many tokens, and what comes of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from aotd.llm.base import Reply, ReplyFailure
from aotd.llm.thinking import THINKING_TOKENS, ThinkingRoom


class Model:
    """Writes a text of so many tokens, up to the limit that it is sent."""

    def __init__(self, *words: str) -> None:
        self.words, self.limits = words, list[int]()

    def send(self, limit: int, _: bool = False) -> Reply:
        self.limits.append(limit)
        return Reply.from_text(" ".join(self.words[:limit]), len(self.words) < limit, 5, min(len(self.words), limit))


def thinker(thoughts: int, *said: str, opens: bool = True) -> Model:
    return Model(*(["<think>"] if opens else []), *["hm"] * thoughts, "</think>", *said)


def test_model_that_does_not_think_is_asked_as_ever() -> None:
    model, room = Model("red", "bar"), ThinkingRoom(None)
    for _ in range(3):
        assert room.ask(16, model.send) == Reply("red bar", True, 5, 2)
    assert model.limits == [16] * 3


def test_thought_that_the_limit_cut_off_gets_room_and_later_ones_at_once() -> None:
    model, room = thinker(100, "A"), ThinkingRoom(None)
    for _ in range(2):
        reply = room.ask(16, model.send)
        assert (reply.text, reply.finished, len(reply.reasoning.split())) == ("A", True, 100)
    assert model.limits == [16, 16 + THINKING_TOKENS, 16 + THINKING_TOKENS]


def test_thought_within_the_limit_is_asked_once() -> None:
    model, room = thinker(5, "A"), ThinkingRoom(None)
    assert room.ask(16, model.send).text == "A"
    assert model.limits == [16]


def test_reasoning_that_the_template_opened_is_found_out_once() -> None:
    model, room = thinker(100, "A", opens=False), ThinkingRoom(None)
    assert room.ask(16, model.send).text == "A"
    assert room.ask(16, model.send).text == "A"
    assert model.limits == [16, 16 + THINKING_TOKENS, 16 + THINKING_TOKENS]
    endless = Model(*["hm"] * 10_000)
    reply = room.ask(16, endless.send)
    assert (reply.text, reply.silent, endless.limits) == ("", True, [16 + THINKING_TOKENS])


def test_long_words_of_a_model_that_does_not_think_are_cut_as_ever() -> None:
    model, room = Model(*["word"] * 50), ThinkingRoom(None)
    for _ in range(3):
        reply = room.ask(16, model.send)
        assert (len(reply.text.split()), reply.finished, reply.silent) == (16, False, False)
    assert model.limits == [16, 16 + THINKING_TOKENS, 16, 16], "whether it thinks is found out once"


def test_many_threads_find_out_once() -> None:
    model, room = Model(*["word"] * 50), ThinkingRoom(None)
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: room.ask(16, model.send), range(40)))
    assert {len(reply.text.split()) for reply in replies} == {16}
    assert model.limits.count(16 + THINKING_TOKENS) == 1


def test_hybrid_model_that_does_not_think_gets_no_more_words_than_the_limit() -> None:
    room = ThinkingRoom(None)
    room.ask(16, thinker(100, "A").send)
    assert room.ask(16, Model("red").send) == Reply("red", True, 5, 1)
    assert not room.ask(16, Model(*["word"] * 50).send).finished


def test_thought_without_end_says_nothing_and_names_the_setting() -> None:
    reply = ThinkingRoom(None).ask(16, thinker(9_999, "A").send)
    assert reply.silent
    assert reply.silence() == (
        f"the model was still reasoning at its token limit after {16 + THINKING_TOKENS} tokens and said nothing: "
        "raise llm.thinking_tokens"
    )
    ended = Reply.from_text("<think>Red or blue?", True, 5, 9)
    assert (ended.silent, ended.silence()) == (True, "the reply was all reasoning, and nothing was said")


@pytest.mark.parametrize(("tokens", "limit", "text"), [(0, 16, ""), (50, 66, ""), (200, 216, "A")])
def test_setting_gives_room_from_the_start_or_none(tokens: int, limit: int, text: str) -> None:
    model = thinker(100, "A")
    assert ThinkingRoom(tokens).ask(16, model.send).text == text
    assert model.limits == [limit]


@pytest.mark.parametrize(("most", "limits"), [(100, [16, 4112, 1040]), (2000, [16, 4112, 1040, 4112, 1040])])
def test_server_with_less_room_gives_what_it_has(most: int, limits: list[int]) -> None:
    asked, model = list[int](), thinker(400, "A")

    def send(limit: int, _: bool) -> Reply:
        asked.append(limit)
        if limit > most:
            return Reply("", False, 0, 0, failure=ReplyFailure.prompt_too_long)
        return model.send(limit)

    room = ThinkingRoom(None)
    reply = room.ask(16, send)
    assert (reply.silent, reply.text) == (most == 100, "" if most == 100 else "A")
    if most == 2000:
        assert room.ask(16, send) == reply
    assert asked == limits


def test_server_without_room_is_asked_without_it() -> None:
    room, thoughts = ThinkingRoom(None), thinker(100, "A")
    room.ask(16, thoughts.send)
    model = Model("red")

    def send(limit: int, _: bool) -> Reply:
        long = Reply("", False, 0, 0, failure=ReplyFailure.prompt_too_long)
        return long if limit > 16 else model.send(limit)

    assert room.ask(16, send).text == "red"


@pytest.mark.parametrize(
    "reply",
    [
        Reply("", False, 0, 0),
        Reply("", False, 0, 0, failure=ReplyFailure.content_filter),
        Reply("B", False, 5, 2, constrained=True),
        Reply("red", True, 5, 2),
    ],
)
def test_what_is_not_asked_again(reply: Reply) -> None:
    sent = list[int]()

    def send(limit: int, _: bool) -> Reply:
        sent.append(limit)
        return reply

    assert ThinkingRoom(None).ask(16, send) == reply
    assert sent == [16]


def test_constrained_choice_of_a_model_that_thinks_first() -> None:
    def send(limit: int, _: bool) -> Reply:
        if limit < 1000:
            return Reply("", False, 5, limit, constrained=True, reasoning="hm")
        return Reply("B", True, 5, 300, constrained=True, reasoning="hm hm")

    assert ThinkingRoom(None).ask(2, send).text == "B"


def test_thoughts_that_a_server_hides_get_room() -> None:
    def send(limit: int, _: bool = False) -> Reply:
        if limit < 1000:
            return Reply.from_text("", False, 5, limit, reasoning="(tokens that the server does not show)")
        return Reply("A", True, 5, 300)

    room = ThinkingRoom(None)
    assert [room.ask(16, send) for _ in range(2)] == [Reply("A", True, 5, 300)] * 2
