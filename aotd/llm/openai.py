"""Engine `openai`: any server that speaks the OpenAI chat protocol (vLLM, llama.cpp, Ollama, LM Studio).

A request that the server could not take right now (429, 5xx, a dropped connection, no answer in time) is
sent again after a pause that doubles. Whatever a person must mend is one line that names the server.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from aotd.errors import UserError
from aotd.llm.base import LLMConfig, Reply

_LONGEST_PAUSE_S = 60.0


class OpenAIEngine:
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

    def complete(self, prompts: Sequence[str], *, max_tokens: int, temperature: float = 0.0) -> list[Reply]:
        """One reply per prompt, in order, with up to `llm.batch` requests in flight.

        Raises:
            UserError: the server cannot be reached, refuses the key, does not know the model, or keeps failing.
        """
        if not prompts:
            return []

        def ask(prompt: str) -> Reply:
            return self._ask(prompt, max_tokens, temperature)

        pool = ThreadPoolExecutor(max_workers=min(max(self._config.batch, 1), len(prompts)))
        try:
            return list(pool.map(ask, prompts))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _ask(self, prompt: str, max_tokens: int, temperature: float) -> Reply:
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": max_tokens,
            "temperature": temperature,
        }
        problem = ""
        for attempt in range(self._config.retries + 1):
            try:
                response = self._client.post(f"{self._url}/chat/completions", json=body)
            except (httpx.TransportError, httpx.DecodingError) as error:
                problem, wait_s = _transport(error, self._config.timeout_s), 0.0
            else:
                if response.status_code != 429 and response.status_code < 500:
                    return self._read(response)
                problem, wait_s = f"answered {response.status_code} {_said(response)}".strip(), _asked_wait(response)
            if attempt < self._config.retries:
                time.sleep(min(max(self._pause_s * 2**attempt, wait_s), _LONGEST_PAUSE_S))
        raise UserError(
            f"llm.url: {self._url} {problem} ({self._config.retries + 1} tries): "
            "start the server, or set llm.url=…, llm.timeout_s=… or llm.batch=… to what it can do"
        )

    def _read(self, response: httpx.Response) -> Reply:
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
            )
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            raise UserError(
                f"llm.url: {self._url} answered something that is no chat completion: does llm.url end in /v1?"
            ) from None


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
