"""Engine `openai`: any server that speaks the OpenAI chat protocol (vLLM, llama.cpp, Ollama, LM Studio).

A request that the server could not take right now (429, 5xx, a dropped connection, no answer in time) is
sent again after a pause that doubles. Whatever a person must mend is one line that names the server.

The protocol has no word for "one of these strings"; servers that can hold a model to them have words of
their own, and others pass over a word that they do not know. So the server is tried out once: it is asked
for something else, and a server that answers with one of two made-up strings holds its model to them.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import cached_property
from typing import Any

import httpx

from aotd.errors import UserError
from aotd.llm.base import Ask, Engine, LLMConfig, Reply

_LONGEST_PAUSE_S = 60.0

Words = Callable[[Sequence[str]], dict[str, Any]]

DIALECTS: dict[str, Words] = {
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
            raise UserError(f"llm=openai needs llm.model=…, the model's name at {config.url} (its /models lists them)")
        self.model = config.model
        self._config = config
        self._pause_s = pause_s
        self._url = config.url.rstrip("/")
        try:
            host = httpx.URL(self._url).host
        except httpx.InvalidURL:
            host = ""
        if not host or not self._url.startswith(("http://", "https://")):
            raise UserError(f"llm.url: {config.url!r} is not the address of a server; e.g. http://127.0.0.1:8000/v1")
        key = os.environ.get(config.key_variable, "").strip()
        self._client = httpx.Client(
            timeout=httpx.Timeout(config.timeout_s, connect=10.0),
            headers={"Authorization": f"Bearer {key}"} if key else {},
            limits=httpx.Limits(max_connections=max(config.batch, 1)),
            # A proxy that the environment names cannot reach a server on this machine.
            trust_env=host not in ("127.0.0.1", "localhost", "::1"),
        )

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
            sent = {pool.submit(self._ask, ask, words): ask for ask in asks}
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
            pool.shutdown(wait=True, cancel_futures=True)
        if failure:
            raise failure

    @cached_property
    def _words(self) -> Words | None:
        """How this server is told to choose; None where it knows none of the ways."""
        for words in DIALECTS.values():
            ask = Ask("Reply with the word blue.", max_tokens=8, options=_MADE_UP)
            response = self._send(self._body(ask, words))
            # A word that it does not know is a bad request to one server, and nothing to another.
            refused = 400 <= response.status_code < 500 and response.status_code not in (401, 403, 404)
            if not refused and self._read(response, constrained=True).text in _MADE_UP:
                return words
        return None

    def _ask(self, ask: Ask, words: Words | None) -> Reply:
        return self._read(self._send(self._body(ask, words)), constrained=bool(ask.options and words))

    def _body(self, ask: Ask, words: Words | None) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
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

    def _send(self, body: dict[str, Any]) -> httpx.Response:
        """The server's answer, whatever its status, but for trouble that may pass."""
        problem = ""
        for attempt in range(self._config.retries + 1):
            try:
                response = self._client.post(f"{self._url}/chat/completions", json=body)
            except (httpx.TransportError, httpx.DecodingError) as error:
                problem, wait_s = _transport(error, self._config.timeout_s), 0.0
            else:
                if response.status_code != 429 and response.status_code < 500:
                    return response
                problem, wait_s = f"answered {response.status_code} {_said(response)}".strip(), _asked_wait(response)
            if attempt < self._config.retries:
                time.sleep(min(max(self._pause_s * 2**attempt, wait_s), _LONGEST_PAUSE_S))
        raise UserError(
            f"llm.url: {self._url} {problem} ({self._config.retries + 1} tries): "
            "start the server, or set llm.url=…, llm.timeout_s=… or llm.batch=… to what it can do"
        )

    def _read(self, response: httpx.Response, *, constrained: bool) -> Reply:
        status, said = response.status_code, _said(response)
        if status in (401, 403):
            raise UserError(
                f"llm.url: {self._url} refuses the key ({status}): put a valid one into the environment variable "
                f"{self._config.key_variable}, or name another with llm.key_variable=…"
            )
        if status == 404:
            raise UserError(
                f"llm.url: {self._url} does not know model {self.model!r} or that path (404 {said}): "
                f"set llm.model=… to one that {self._url}/models lists; llm.url mostly ends in /v1"
            )
        if status >= 400 and "context" in said.lower():
            # One prompt too long for the model is that question's failure, not the run's.
            return Reply("", finished=False, prompt_tokens=0, reply_tokens=0)
        if status >= 300:
            raise UserError(f"llm.url: {self._url} refuses the request ({status} {said}): see llm.url and llm.model")
        try:
            data = response.json()
            choice, usage = data["choices"][0], data.get("usage") or {}
            return Reply(
                text=str(choice["message"].get("content") or ""),
                # Only "stop" is an end: "length" is the limit, and a filter ("content_filter") is no end either.
                finished=choice.get("finish_reason") in ("stop", "eos", "end_turn"),
                prompt_tokens=int(usage.get("prompt_tokens") or 0),
                reply_tokens=int(usage.get("completion_tokens") or 0),
                constrained=constrained,
            )
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            raise UserError(
                f"llm.url: {self._url} answered something that is no chat completion: does llm.url end in /v1?"
            ) from None


def _quoted(text: str) -> str:
    """A string in llama.cpp's grammars, whose escapes are JSON's."""
    return json.dumps(text, ensure_ascii=False)


def _transport(error: Exception, timeout_s: float) -> str:
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return "cannot be reached"
    if isinstance(error, httpx.TimeoutException):
        return f"gave no reply within {timeout_s:g} s"
    return f"dropped the connection ({type(error).__name__})"


def _said(response: httpx.Response) -> str:
    """The server's own message on one line, cut short."""
    try:
        data: Any = response.json()
    except ValueError:
        data = response.text
    if isinstance(data, dict):
        data = data.get("error", data.get("message", data))
    if isinstance(data, dict):
        data = data.get("message", data)
    return " ".join(str(data).split())[:200]


def _asked_wait(response: httpx.Response) -> float:
    """Seconds the server asks to wait; 0 where it does not say."""
    try:
        return float(response.headers.get("retry-after", 0))
    except ValueError:
        return 0.0
