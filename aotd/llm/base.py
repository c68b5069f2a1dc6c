"""What every engine can do, and how one is chosen."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from aotd.llm.choice import Choice, read_option


@dataclass(frozen=True)
class Ask:
    """Everything that decides a reply, but for the model and `llm.seed`."""

    prompt: str
    max_tokens: int
    temperature: float = 0.0
    sample: int = 0
    """Its number among the equal prompts of one call, from 0; always 0 where the temperature is 0."""
    options: tuple[str, ...] = ()
    """The reply shall be one of these; empty leaves it free."""

    def seed(self, base: int) -> int:
        """Seed of this one reply, 31 bits: another one for each sample, and unrelated between prompts."""
        start = hashlib.sha256(f"{base} {self.prompt}".encode()).digest()[:8]
        return (int.from_bytes(start, "big") + self.sample) % 2**31


@dataclass(frozen=True)
class Reply:
    """What a model said."""

    text: str
    finished: bool
    """False where the token limit cut it off; such a reply is never read as complete."""
    prompt_tokens: int
    reply_tokens: int
    constrained: bool = False
    """Whether the engine let the model say nothing but one of the options."""
    recorded: bool = field(default=False, compare=False)
    """Whether it was read from a record, and the model was not asked. It says the same."""

    @property
    def refused(self) -> bool:
        """Whether the prompt was too long for the model: the model said nothing."""
        return not self.finished and not self.text and not self.reply_tokens


class Engine(ABC):
    """A language model that answers prompts. An engine implements `stream`.

    Callers use the other two, which hand out all replies or, after a failure, none. Who wants to keep each
    reply as it comes uses `stream`.

    A reply depends on its prompt, its number among the equal prompts of the call, the other arguments,
    the model and `llm.seed`. It does not depend on what else is asked, nor on `llm.batch`: `transformers` holds to
    that in float32 (`TransformersEngine` says how). Elsewhere it holds but for rounding: sums are taken in another
    order in another batch.
    """

    model: str
    """Name of the model, for manifests."""

    @abstractmethod
    def stream(self, asks: Sequence[Ask]) -> Iterator[tuple[Ask, Reply]]:
        """Each ask with its reply, once, as they arrive.

        Args:
            asks: no two are equal, and they differ in prompt, sample and options only.

        Raises:
            UserError: the model cannot be reached. What arrived before has been handed out.
        """

    def complete(self, prompts: Sequence[str], *, max_tokens: int, temperature: float = 0.0) -> list[Reply]:
        """One reply per prompt, in order. Each prompt is one user message in the model's chat format.

        Temperature 0 is greedy, and equal prompts are asked once. Above 0, n equal prompts of one call are
        n independent samples, drawn from the model's whole distribution (no top-k, no top-p); the same
        call gives the same samples again. A prompt that leaves no room for `max_tokens` in the model's
        context gives an empty, unfinished reply.

        Raises:
            UserError: the model cannot be reached.
        """
        seen: dict[str, int] = {}
        asks = []
        for prompt in prompts:
            sample = seen.get(prompt, 0) if temperature > 0 else 0
            seen[prompt] = sample + 1
            asks.append(Ask(prompt, max_tokens, temperature, sample))
        return self._answers(asks)

    def choose(self, prompts: Sequence[str], options: Sequence[Sequence[str]], *, max_tokens: int = 16) -> list[Choice]:
        """Which of its options the model says to each prompt, in order; greedy.

        The prompt must name the options itself. Where the model cannot be held to them, its free reply is
        read strictly, and one that cannot be read chooses none; `Choice.constrained` says which it was.

        Args:
            options: for each prompt, short different strings such as `("A", "B", "C")` or `("Yes", "No")`.
            max_tokens: longest free reply.

        Raises:
            UserError: the model cannot be reached.
        """
        asks = [
            Ask(prompt, max_tokens, options=tuple(allowed)) for prompt, allowed in zip(prompts, options, strict=True)
        ]
        for ask in asks:
            assert len(set(ask.options)) == len(ask.options) >= 2, f"not a choice: {ask.options}"
            assert all(option and option == option.strip() for option in ask.options), f"blanks around: {ask.options}"
        return [_choice(ask, reply) for ask, reply in zip(asks, self._answers(asks), strict=True)]

    def _answers(self, asks: Sequence[Ask]) -> list[Reply]:
        different = list(dict.fromkeys(asks))
        heard = dict(self.stream(different)) if different else {}
        return [heard[ask] for ask in asks]


def _choice(ask: Ask, reply: Reply) -> Choice:
    if reply.constrained:
        option = reply.text if reply.text in ask.options else None
    else:
        option = read_option(reply.text, ask.options)
    return Choice(option, reply.constrained, reply.text)
