"""Client of an OpenAI-compatible server: sends chat completions and reads their replies."""

from __future__ import annotations

from typing import Any

import httpx

from aotd.errors import UserError
from aotd.llm.base import Reply
from aotd.llm.http_client import HTTPClient, error_text


class ChatClient(HTTPClient):
    """Client of a model at a server's `/chat/completions`.

    Raises:
        UserError: the address is none.
    """

    def __init__(self, setting: str, *, model: str, refused: str = "", **reached: Any) -> None:
        """Args:
        reached: as `HTTPClient` takes them.
        refused: what else to look at where the server refuses a request.
        """
        super().__init__(setting, **reached)
        self._model, self._refused = model, refused

    def send(self, body: dict[str, Any]) -> httpx.Response:
        """Ask for a chat completion, as `post`."""
        return self.post("chat/completions", {"model": self._model, **body})

    def _broken_off(self, response: httpx.Response) -> bool:
        """Whether the server was told to end while it replied: vLLM then sends half a text, with status 200."""
        try:
            return bool(response.json()["choices"][0]["finish_reason"] == "abort")
        except (ValueError, LookupError, TypeError):
            return False

    def read(self, response: httpx.Response, *, constrained: bool = False) -> Reply:
        """Read the reply from an answer.

        Raises:
            UserError: it refuses the key or the request, does not know the model, or sent something else.
        """
        status, setting, where = response.status_code, self._setting, f"{self._setting}.url: {self._url}"
        if status in (401, 403):
            raise UserError(
                f"{where} refuses the key ({status}): put a valid one into the environment variable "
                f"{self._key_variable}, or name another with {setting}.key_variable=…"
            )
        if status == 404:
            raise UserError(
                f"{where} does not know model {self._model!r} or that path (404 {error_text(response)}): "
                f"set {setting}.model=… to "
                + (f"the model that {self._file} names" if self._file else f"one that {self._url}/models lists; ")
                + ("" if self._file else f"{setting}.url mostly ends in /v1")
            )
        if status >= 300:
            raise UserError(
                f"{where} refuses the request ({status} {error_text(response)}): "
                f"see {setting}.url and {setting}.model{self._refused}"
            )
        try:
            data = response.json()
            choice, usage = data["choices"][0], data.get("usage") or {}
            text = str(choice["message"].get("content") or "")
            return Reply(
                # JSON can hold half a character, which no file can.
                text=text.encode("utf-8", "replace").decode("utf-8"),
                # Only "stop" is an end: "length" is the limit, and a filter ("content_filter") is no end either.
                finished=choice.get("finish_reason") in ("stop", "eos", "end_turn"),
                prompt_tokens=int(usage.get("prompt_tokens") or 0),
                reply_tokens=int(usage.get("completion_tokens") or 0),
                constrained=constrained,
            )
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            raise UserError(
                f"{where} answered something that is no chat completion: does {setting}.url end in /v1?"
            ) from None
