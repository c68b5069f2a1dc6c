"""Engine `openai`: any server that speaks the OpenAI chat protocol (vLLM, llama.cpp, Ollama, LM Studio).

The protocol has no word for "one of these strings"; servers that can hold a model to them have words of
their own, and others pass over a word that they do not know. So the server is tried out once: it is asked
for something else, and a server that answers with one of two made-up strings holds its model to them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import cached_property
from typing import Any

import httpx

from aotd.errors import UserError
from aotd.llm import LLMConfig
from aotd.llm.base import Ask, Engine, Reply
from aotd.llm.chat_server import POISON, ChatServer, said
from aotd.runtime.signals import stopping

Words = Callable[[Sequence[str]], dict[str, Any]]

DIALECTS: dict[str, Words] = {
    "vLLM": lambda options: {"structured_outputs": {"choice": list(options)}},
    "vLLM before 0.12": lambda options: {"guided_choice": list(options)},
    "llama.cpp": lambda options: {"grammar": f"root ::= {' | '.join(_quoted(option) for option in options)}"},
}
"""How servers are told to let the model say nothing but one of some strings."""

_MADE_UP = ("qzxv", "wkjd")
_TOO_LONG = re.compile(
    r"context|\b(?:prompt|inputs?|request)\b.{0,80}?(?:too (?:long|large)|exceed|longer|tokens)", re.IGNORECASE
)
"""What servers say of a prompt that is too long."""


class OpenAIEngine(Engine):
    """A model behind `llm.url`.

    Raises:
        UserError: no `llm.model`.
    """

    def __init__(self, config: LLMConfig, pause_s: float = 0.5) -> None:
        """`pause_s` is the wait before the first retry, in seconds."""
        if not config.model:
            raise UserError(f"llm=openai needs llm.model=…, the model's name at {config.url} (its /models lists them)")
        self.model = config.model
        self._config = config
        names = ("url", "model", "key_variable", "timeout_s", "retries", "batch")
        self._server = ChatServer("llm", **{name: getattr(config, name) for name in names}, pause_s=pause_s)

    def stream(self, asks: Sequence[Ask]) -> Iterator[tuple[Ask, Reply]]:
        """Each ask with its reply, as they arrive, with up to `llm.batch` requests in flight.

        After a failure no new request is sent; the replies to those in flight are still handed out.

        Raises:
            UserError: the server cannot be reached, refuses the key, does not know the model, or keeps failing.
        """
        words = self._words if any(ask.options for ask in asks) else None
        failure: UserError | None = None
        pool = ThreadPoolExecutor(max_workers=min(max(self._config.batch, 1), len(asks)))
        try:
            # In this order prompts that begin alike follow each other: a server with little room to keep what it has
            # read still has the beginning.
            sent = {pool.submit(self._ask, ask, words): ask for ask in sorted(asks, key=lambda ask: ask.prompt)}
            for done in as_completed(sent):
                if done.cancelled():
                    continue
                try:
                    reply = done.result()
                except UserError as error:
                    failure = failure or error
                    for waiting in sent:
                        waiting.cancel()
                else:
                    yield sent[done], reply
        finally:
            pool.shutdown(wait=not stopping(), cancel_futures=True)
        if failure:
            raise failure

    @cached_property
    def _words(self) -> Words | None:
        """How this server is told to choose; None where it knows none of the ways."""
        for words in DIALECTS.values():
            ask = Ask("Reply with the word blue.", max_tokens=8, options=_MADE_UP)
            response = self._server.send(self._body(ask, words))
            # A word that it does not know is a bad request to one server, and nothing to another.
            refused = 400 <= response.status_code < 500 and response.status_code not in (401, 403, 404)
            if not refused and self._read(response, constrained=True).text in _MADE_UP:
                return words
        return None

    def _ask(self, ask: Ask, words: Words | None) -> Reply:
        return self._read(self._server.send(self._body(ask, words)), constrained=bool(ask.options and words))

    def _body(self, ask: Ask, words: Words | None) -> dict[str, Any]:
        body: dict[str, Any] = {
            "messages": [{"role": "user", "content": ask.prompt}],
            "max_tokens": ask.max_tokens,
            "temperature": ask.temperature,
        }
        if ask.temperature > 0:
            body["seed"] = ask.seed(self._config.seed)
        if ask.options and words:
            # No token stands for less than a byte, so that no option is cut.
            longest = max(len(option.encode()) for option in ask.options)
            body |= {"max_tokens": longest + 1, **words(ask.options)}
        return body

    def _read(self, response: httpx.Response, *, constrained: bool) -> Reply:
        if (
            response.status_code == 413
            or POISON in response.headers
            or (
                response.status_code not in (401, 403, 404)
                and response.status_code >= 400
                and _TOO_LONG.search(said(response))
            )
        ):
            # A prompt that is too long for the model, or ends the server, is that question's failure, not the run's.
            return Reply("", finished=False, prompt_tokens=0, reply_tokens=0)
        return self._server.read(response, constrained=constrained)


def _quoted(text: str) -> str:
    """A string in llama.cpp's grammars, whose escapes are JSON's."""
    return json.dumps(text, ensure_ascii=False)
