"""What all engines share: the numbering of samples, and what callers get."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from aotd.errors import UserError
from aotd.llm import LLMConfig
from aotd.llm.base import Ask, Engine, Reply
from aotd.llm.load import load_engine


class Echo(Engine):
    """Says its prompt and sample, the last ask first; or, where told, the same thing to all."""

    model = "echo"

    def __init__(self, says: str | None = None, constrained: bool = False) -> None:
        self.says, self.constrained = says, constrained
        self.asked: list[Ask] = []

    def stream(self, asks: Sequence[Ask]) -> Iterator[tuple[Ask, Reply]]:
        self.asked += asks
        for ask in reversed(asks):
            text = f"{ask.prompt}{ask.sample}" if self.says is None else self.says
            yield ask, Reply(text, True, 1, 1, self.constrained)


def test_equal_prompts_are_asked_once_when_greedy_and_are_samples_when_not() -> None:
    engine = Echo()
    assert [reply.text for reply in engine.complete(["a", "b", "a"], max_tokens=4)] == ["a0", "b0", "a0"]
    assert len(engine.asked) == 2
    samples = engine.complete(["a", "b", "a"], max_tokens=4, temperature=0.5)
    assert [reply.text for reply in samples] == ["a0", "b0", "a1"]
    assert engine.complete([], max_tokens=4) == []


def test_each_sample_of_each_prompt_has_a_seed_of_its_own_that_stays() -> None:
    asks = [Ask(prompt, 4, 0.5, sample) for prompt in "abcde" for sample in range(20)]
    seeds = [ask.seed(0) for ask in asks]
    assert len(set(seeds)) == 100
    assert seeds == [ask.seed(0) for ask in asks]
    assert not set(seeds) & {ask.seed(1) for ask in asks}
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert Ask("a", 4, 0.5).seed(0) == Ask("a", 9, 0.9).seed(0), "the seed is the prompt's and the sample's"


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
