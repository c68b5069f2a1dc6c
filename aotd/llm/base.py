"""The interface that every engine implements: requests of chat messages in, replies out."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from aotd.llm.choice import Choice, read_option
from aotd.llm.reasoning import split_reasoning
from aotd.prompts import inert

ChatRole = Literal["system", "user", "assistant"]


@dataclass(frozen=True)
class Message:
    """One message of a chat."""

    role: ChatRole
    content: str


Prompt = str | Sequence[Message]
"""What a model is asked: the text of one user message, or the messages of a chat."""


@dataclass(frozen=True)
class GenerationRequest:
    """Everything that decides a reply, except the model and `llm.seed`."""

    messages: tuple[Message, ...]
    """A system message may stand first. User and assistant take turns behind it; the user's message is the last."""
    max_tokens: int
    temperature: float = 0.0
    sample: int = 0
    """Number of the request among the equal prompts of one call, from 0; always 0 at temperature 0."""
    options: tuple[str, ...] = ()
    """The reply shall be one of these; empty leaves it free."""
    stop: tuple[str, ...] = ()
    """A free reply ends before the first of these strings; the string is no part of the text."""

    def __post_init__(self) -> None:
        roles = [message.role for message in self.messages if message.role != "system"]
        assert roles == (["user", "assistant"] * len(roles))[: len(roles)], f"user and assistant take turns: {roles}"
        assert len(roles) % 2 == 1, "the last message is the user's"
        assert len(self.messages) == len(roles) or self.messages[0].role == "system", "a system message stands first"
        assert len(self.messages) - len(roles) <= 1, "there is one system message at most"
        assert all(self.stop), "a stop string is not empty"
        assert not (self.options and self.stop), "a choice ends by itself"

    @classmethod
    def from_prompt(
        cls,
        prompt: Prompt,
        max_tokens: int,
        temperature: float = 0.0,
        sample: int = 0,
        options: Sequence[str] = (),
        stop: Sequence[str] = (),
    ) -> GenerationRequest:
        """A request of a text, which becomes one user message, or of the messages of a chat."""
        messages = (Message("user", prompt),) if isinstance(prompt, str) else tuple(prompt)
        return cls(messages, max_tokens, temperature, sample, tuple(options), tuple(stop))

    @property
    def roles(self) -> tuple[str, ...]:
        """Roles of the messages; empty for a single user message."""
        return tuple(message.role for message in self.messages) if len(self.messages) > 1 else ()

    @property
    def text(self) -> str:
        """All messages as one text, for keys and for sorting: requests that begin alike have texts that begin alike.

        That of a single user message is its content; several are JSON.
        """
        if len(self.messages) == 1:
            return self.messages[0].content
        return json.dumps([(message.role, message.content) for message in self.messages], ensure_ascii=False)

    def seed(self, base: int) -> int:
        """Seed of this one reply, 31 bits: another one for each sample, and unrelated between prompts."""
        start = hashlib.sha256(f"{base} {self.text}".encode()).digest()[:8]
        return (int.from_bytes(start, "big") + self.sample) % 2**31

    def chat(self) -> list[dict[str, str]]:
        """The messages as chat templates and servers take them.

        An assistant message is what a model replied before. Its chat tokens are made plain words (`inert`), as those
        of all other foreign text are when a prompt is filled in (`aotd.prompts.render`).
        """
        contents = [inert(each.content) if each.role == "assistant" else each.content for each in self.messages]
        return [
            {"role": message.role, "content": content} for message, content in zip(self.messages, contents, strict=True)
        ]


class ReplyFailure(str, Enum):
    """Why a reply is not whole, where it is not the token limit that cut it off."""

    prompt_too_long = "prompt_too_long"
    """The model has no room for the prompt."""
    content_filter = "content_filter"
    """The server, or the model, refuses the prompt for what it says, or its filter ended the reply."""
    refused = "refused"
    """The server fails at this prompt, and answers others."""


_FAILURES = {
    ReplyFailure.prompt_too_long: "the prompt is longer than the model's context",
    ReplyFailure.content_filter: "the prompt or the reply was held back by a content filter",
    ReplyFailure.refused: "the server fails at this prompt, and answers others",
}


@dataclass(frozen=True)
class Reply:
    """A model's reply to one request."""

    text: str
    """What the model said, without its reasoning."""
    finished: bool
    """False where the token limit cut it off, or it failed; such a reply is never read as complete."""
    prompt_tokens: int
    reply_tokens: int
    constrained: bool = False
    """Whether the engine held the model to the options."""
    reasoning: str = ""
    """What the model thought aloud; kept for the record, and never read as a reply."""
    recorded: bool = field(default=False, compare=False)
    """Whether the reply was read from a record or the cache, so that the model was not asked."""

    failure: ReplyFailure | None = None
    """What else than the token limit ended it; such a reply is not finished."""
    words: str = ""
    """What the server said of that, on one line."""

    def __post_init__(self) -> None:
        assert self.failure is None or not (self.finished or self.text), "a reply that failed holds no text"

    @classmethod
    def from_text(
        cls,
        text: str,
        finished: bool,
        prompt_tokens: int,
        reply_tokens: int,
        *,
        constrained: bool = False,
        reasoning: str = "",
        opened: bool = False,
    ) -> Reply:
        """The reply in a text as a model wrote it: every engine makes its replies here, so that no reasoning gets by.

        Args:
            reasoning: what a server gives in a field of its own.
            opened: whether the prompt ended in a mark that opens reasoning.
        """
        split = split_reasoning(text, opened=opened)
        thought = "\n".join(part for part in (reasoning.strip(), split.reasoning) if part)
        return cls(split.text, finished, prompt_tokens, reply_tokens, constrained, thought)

    @property
    def refused(self) -> bool:
        """Whether the prompt was refused, so that nothing was written."""
        empty = not (self.finished or self.text or self.reasoning or self.reply_tokens)  # as older records tell it
        return self.failure is not None or empty

    @property
    def failed(self) -> str:
        """Why it failed, with the server's own words; empty where it did not."""
        if self.failure is None:
            return ""
        said = f" (the server says: {self.words})" if self.words else ""
        return f"{_FAILURES[self.failure]}{said}"

    @property
    def silent(self) -> bool:
        """Whether the model thought and said nothing: it never ended its reasoning, or wrote nothing behind it."""
        return bool(self.reasoning) and not self.text.strip() and self.failure is None

    def silence(self, setting: str = "llm.thinking_tokens") -> str:
        """Why a `silent` reply says nothing, on one line.

        Args:
            setting: the one that gives the model more room.
        """
        if self.finished:
            return "the reply was all reasoning, and nothing was said"
        told = f"after {self.reply_tokens} tokens " if self.reply_tokens else ""
        return f"the model was still reasoning at its token limit {told}and said nothing: raise {setting}"


def prompt_too_long(prompt_tokens: int) -> Reply:
    """The reply of a model in this process that has no room for a prompt."""
    return Reply("", False, prompt_tokens, 0, failure=ReplyFailure.prompt_too_long)


class Engine(ABC):
    """A language model that replies to prompts. An engine implements `stream`.

    `generate` and `choose` return all replies or, after a failure, none. Use `stream` to keep each reply as it comes.

    A reply depends on its messages, its number among the equal prompts of the call, the other arguments, the model and
    `llm.seed`. It does not depend on the other requests or on `llm.batch`. `transformers` guarantees that in float32
    (see `TransformersEngine`). The other engines guarantee it up to rounding, since another batch adds up in another
    order.
    """

    model: str
    """Name of the model, for manifests."""

    @abstractmethod
    def stream(self, requests: Sequence[GenerationRequest]) -> Iterator[tuple[GenerationRequest, Reply]]:
        """Yield each request with its reply, once, as they arrive.

        Args:
            requests: all different. They differ in messages, sample and options only.

        Raises:
            UserError: the model cannot be reached. What arrived before has been yielded.
        """

    def generate(
        self, prompts: Sequence[Prompt], *, max_tokens: int, temperature: float = 0.0, stop: Sequence[str] = ()
    ) -> list[Reply]:
        """Generate one reply per prompt, in order.

        Temperature 0 is greedy, and equal prompts are asked once. Above 0, n equal prompts of one call are n
        independent samples, drawn from the model's whole distribution (no top-k, no top-p). The same call gives the
        same samples again. A prompt that leaves no room for `max_tokens` in the model's context gives an empty,
        unfinished reply.

        Args:
            prompts: texts, each of which becomes one user message, or messages.
            max_tokens: longest reply.
            stop: a reply ends before the first of these strings.

        Raises:
            UserError: the model cannot be reached.
        """
        samples: dict[str | tuple[Message, ...], int] = {}
        requests = []
        for prompt in prompts:
            key = prompt if isinstance(prompt, str) else tuple(prompt)
            sample = samples.get(key, 0) if temperature > 0 else 0
            samples[key] = sample + 1
            requests.append(GenerationRequest.from_prompt(prompt, max_tokens, temperature, sample, stop=stop))
        return self._replies(requests)

    def choose(
        self, prompts: Sequence[Prompt], options: Sequence[Sequence[str]], *, max_tokens: int = 16
    ) -> list[Choice]:
        """Choose one of its options for each prompt, in order; greedy.

        The prompt must name the options itself. Where the model cannot be held to them, its free reply is read
        strictly, and one that cannot be read chooses none. `Choice.constrained` tells the two apart.

        Args:
            prompts: texts, each of which becomes one user message, or messages.
            options: for each prompt, short different strings such as `("A", "B", "C")` or `("Yes", "No")`.
            max_tokens: longest free reply.

        Raises:
            UserError: the model cannot be reached.
        """
        requests = [
            GenerationRequest.from_prompt(prompt, max_tokens, options=allowed)
            for prompt, allowed in zip(prompts, options, strict=True)
        ]
        for request in requests:
            allowed = request.options
            assert len(set(allowed)) == len(allowed) >= 2, f"not a choice: {allowed}"
            assert all(option and option == option.strip() for option in allowed), f"blanks around: {allowed}"
        return [_choice(request, reply) for request, reply in zip(requests, self._replies(requests), strict=True)]

    def _replies(self, requests: Sequence[GenerationRequest]) -> list[Reply]:
        different = list(dict.fromkeys(requests))
        replies = dict(self.stream(different)) if different else {}
        return [replies[request] for request in requests]


def before_stop(text: str, stop: Sequence[str]) -> str | None:
    """The text before the first stop string in it; None where it holds none."""
    starts = [text.find(string) for string in stop if string in text]
    return text[: min(starts)] if starts else None


def _choice(request: GenerationRequest, reply: Reply) -> Choice:
    if reply.constrained:
        option = reply.text if reply.text in request.options else None
    else:
        option = read_option(reply.text, request.options)
    silence = reply.failed or (reply.silence() if reply.silent else "")
    return Choice(option, reply.constrained, reply.text, silence, bool(reply.failed))
