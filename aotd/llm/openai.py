"""Engine `openai`: any server that speaks the OpenAI chat protocol (vLLM, llama.cpp, Ollama, LM Studio).

The protocol has no field for "one of these strings". Servers that can hold a model to them have fields of their own,
and others ignore a field that they do not know. So the server is tried out once: it is asked for something else, and a
server that answers with one of two made-up strings holds its model to them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from functools import cached_property
from typing import Any

from aotd.errors import UserError
from aotd.llm import LLMConfig
from aotd.llm.base import Engine, GenerationRequest, Reply, before_stop
from aotd.llm.chat_client import ChatClient
from aotd.runtime.signals import stopping

ChoiceFields = Callable[[Sequence[str]], dict[str, Any]]
"""Options -> the fields of a request that hold the model to them."""

DIALECTS: dict[str, ChoiceFields] = {
    "vLLM": lambda options: {"structured_outputs": {"choice": list(options)}},
    "vLLM before 0.12": lambda options: {"guided_choice": list(options)},
    "llama.cpp": lambda options: {"grammar": f"root ::= {' | '.join(_quoted(option) for option in options)}"},
}
"""How servers are told to let the model say nothing but one of some strings."""

_MADE_UP = ("qzxv", "wkjd")


class OpenAIEngine(Engine):
    """A model behind `llm.url`.

    Raises:
        UserError: no `llm.model`.
    """

    def __init__(self, config: LLMConfig, pause_s: float = 0.5) -> None:
        """`pause_s` is the wait before the first retry, in seconds."""
        if not config.model:
            raise UserError(
                f"{config.choice} needs {config.setting}.model=…, the model's name at {config.url} "
                "(its /models lists them)"
            )
        self.model = config.model
        self._config = config
        names = ("url", "model", "key_variable", "timeout_s", "retries", "wait_s", "batch", "thinking_tokens")
        self._client = ChatClient(config.setting, **{name: getattr(config, name) for name in names}, pause_s=pause_s)

    def stream(self, requests: Sequence[GenerationRequest]) -> Iterator[tuple[GenerationRequest, Reply]]:
        """Yield each request with its reply, as they arrive, with up to `llm.batch` requests in flight.

        After a failure no new request is sent; the replies to those in flight are still yielded.

        Raises:
            UserError: the server cannot be reached, refuses the key, does not know the model, or keeps failing.
        """
        choice_fields = self._choice_fields if any(request.options for request in requests) else None
        failure: UserError | None = None
        pool = ThreadPoolExecutor(max_workers=min(max(self._config.batch, 1), len(requests)))
        try:
            # Requests that begin alike follow each other: a server with a small KV cache still has their prefix.
            in_order = sorted(requests, key=lambda request: request.text)
            sent = {pool.submit(self._reply_to, request, choice_fields): request for request in in_order}
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
    def _choice_fields(self) -> ChoiceFields | None:
        """How this server is held to options; None where it knows none of the ways."""
        request = GenerationRequest.from_prompt("Reply with the word blue.", max_tokens=8, options=_MADE_UP)
        for fields in DIALECTS.values():
            # A field that it does not know is a bad request to one server, and nothing to another.
            reply = self._client.tried(self._body(request, fields))
            if reply is not None and reply.text in _MADE_UP:
                return fields
        return None

    def _reply_to(self, request: GenerationRequest, choice_fields: ChoiceFields | None) -> Reply:
        constrained = bool(request.options and choice_fields)
        reply = self._client.ask(self._body(request, choice_fields), constrained=constrained)
        if reply.failure is not None:
            return reply
        # Some servers ignore `stop`, and some leave the stop string in the text.
        text = before_stop(reply.text, request.stop)
        return reply if text is None else replace(reply, text=text, finished=True)

    def _body(self, request: GenerationRequest, choice_fields: ChoiceFields | None) -> dict[str, Any]:
        body: dict[str, Any] = {
            "messages": request.chat(),
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
        }
        if request.temperature > 0:
            body["seed"] = request.seed(self._config.seed)
        if request.stop:
            body["stop"] = list(request.stop)
        if request.options and choice_fields:
            # No token stands for less than a byte, so that no option is cut.
            longest = max(len(option.encode()) for option in request.options)
            body |= {"max_tokens": longest + 1, **choice_fields(request.options)}
        return body


def _quoted(text: str) -> str:
    """A string in llama.cpp's grammars, whose escapes are JSON's."""
    return json.dumps(text, ensure_ascii=False)
