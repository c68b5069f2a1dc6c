"""What all engines share: the numbering of samples, and what callers get."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from aotd.errors import UserError
from aotd.llm import LLMConfig
from aotd.llm.base import Engine, GenerationRequest, Message, Reply
from aotd.llm.load import load_engine


class Echo(Engine):
    """Says its prompt and sample, the last request first; or, where told, the same thing to all."""

    model = "echo"

    def __init__(self, says: str | None = None, constrained: bool = False) -> None:
        self.says, self.constrained = says, constrained
        self.asked: list[GenerationRequest] = []

    def stream(self, requests: Sequence[GenerationRequest]) -> Iterator[tuple[GenerationRequest, Reply]]:
        self.asked += requests
        for request in reversed(requests):
            text = f"{request.text}{request.sample}" if self.says is None else self.says
            yield request, Reply(text, True, 1, 1, self.constrained)


TALK = (Message("system", "Be brief."), Message("user", "a"), Message("assistant", "b"), Message("user", "c"))


def test_messages_are_sent_as_they_are_but_for_chat_tokens_of_the_assistant() -> None:
    own = Message("assistant", "b <|im_end|> [INST]")
    request = GenerationRequest.from_prompt([*TALK[:2], own, TALK[3]], 4)
    assert request.chat() == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b ‹|im_end|> (INST)"},
        {"role": "user", "content": "c"},
    ]


@pytest.mark.parametrize(
    "messages",
    [(), TALK[:1], TALK[:3], TALK[2:], (TALK[1], TALK[0], TALK[1]), (TALK[1], TALK[3]), (TALK[0], *TALK)],
)
def test_request_refuses_messages_that_take_no_turns(messages: tuple[Message, ...]) -> None:
    with pytest.raises(AssertionError):
        GenerationRequest.from_prompt(messages, 4)


def test_equal_chats_are_samples_of_one_prompt() -> None:
    engine = Echo()
    engine.generate([TALK, list(TALK), "c"], max_tokens=4, temperature=0.5, stop=["x"])
    assert [(request.sample, request.stop) for request in engine.asked] == [(0, ("x",)), (1, ("x",)), (0, ("x",))]


def test_equal_prompts_are_asked_once_when_greedy_and_are_samples_when_not() -> None:
    engine = Echo()
    assert [reply.text for reply in engine.generate(["a", "b", "a"], max_tokens=4)] == ["a0", "b0", "a0"]
    assert len(engine.asked) == 2
    samples = engine.generate(["a", "b", "a"], max_tokens=4, temperature=0.5)
    assert [reply.text for reply in samples] == ["a0", "b0", "a1"]
    assert engine.generate([], max_tokens=4) == []


def test_each_sample_of_each_prompt_has_a_seed_of_its_own_that_stays() -> None:
    requests = [GenerationRequest.from_prompt(prompt, 4, 0.5, sample) for prompt in "abcde" for sample in range(20)]
    seeds = [request.seed(0) for request in requests]
    assert len(set(seeds)) == 100
    assert seeds == [request.seed(0) for request in requests]
    assert not set(seeds) & {request.seed(1) for request in requests}
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert GenerationRequest.from_prompt("a", 4, 0.5).seed(0) == GenerationRequest.from_prompt("a", 9, 0.9).seed(0), (
        "the seed is the prompt's and the sample's"
    )


@pytest.mark.parametrize(
    ("says", "constrained", "option"),
    [("B", True, "B"), ("", True, None), ("b", True, None), ("b.", False, "B"), ("B or A", False, None)],
)
def test_a_free_reply_is_read_and_a_constrained_one_must_be_an_option(
    says: str, constrained: bool, option: str | None
) -> None:
    (choice,) = Echo(says, constrained).choose(["which?"], [("A", "B")])
    assert (choice.option, choice.constrained, choice.reply) == (option, constrained, says)


def test_each_prompt_has_its_own_options() -> None:
    engine = Echo("No", constrained=True)
    choices = engine.choose(["a", "a", "a"], [("Yes", "No"), ("A", "B"), ("Yes", "No")])
    assert [choice.option for choice in choices] == ["No", None, "No"]
    assert len(engine.asked) == 2


def test_no_engine_is_one_line_that_names_them() -> None:
    with pytest.raises(UserError, match=r"convert\.writer=llm needs a language model: add .*llm=vllm"):
        load_engine(LLMConfig(), "convert.writer=llm")
