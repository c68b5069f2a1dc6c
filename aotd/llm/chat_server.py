"""A server that is asked over HTTP: how it is reached, asked again, and, where it speaks of chats, understood.

A request that the server could not take right now (429, 5xx, a dropped connection, no answer in time, or a reply
that it broke off) is sent again after a pause that doubles. Whatever a person must mend is one line that names the
setting and the server. Language models (`aotd.llm.openai`), models that take pictures, and specialists on another node
(`aotd.specialists.remote`) share it.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import httpx

from aotd.errors import UserError
from aotd.llm.base import Reply
from aotd.llm.served import address
from aotd.runtime.signals import stopping

_log = logging.getLogger(__name__)

_LONGEST_PAUSE_S = 60.0
WAIT_S = 1800.0
"""How long a server is waited for that `aotd serve` starts, or has moved."""
POISON = "X-Ends-The-Server"
"""Header of an answer to a prompt that has ended its server twice (`aotd.serve.gate`)."""
_SAY_AFTER_S = 5.0
"""Who waits for a server for longer is told so."""


class Server:
    """A server at an address, or wherever a file says that it is.

    Raises:
        UserError: the address is none.
    """

    def __init__(
        self,
        setting: str,
        *,
        url: str,
        key_variable: str,
        timeout_s: float,
        retries: int,
        batch: int,
        pause_s: float = 0.5,
    ) -> None:
        """Args:
        setting: where the other arguments stand among the settings, e.g. `llm`, for errors.
        key_variable: environment variable that holds the key for an address; an unset one sends none.
        batch: requests in flight at a time.
        pause_s: the wait before the first retry, in seconds.
        url: the server's address, or the file that `aotd serve` writes (`aotd.llm.served`).
        """
        self._setting, self._key_variable = setting, key_variable
        self._timeout_s, self._retries, self._pause_s = timeout_s, retries, pause_s
        self._url = url.rstrip("/")
        self._file = Path(url) if url.endswith(".json") else None
        if self._file is not None:
            self._client = self._client_of(batch, trust_env=False)
            return
        try:
            host = httpx.URL(self._url).host
        except httpx.InvalidURL:
            host = ""
        if not host or not self._url.startswith(("http://", "https://")):
            raise UserError(f"{setting}.url: {url!r} is not the address of a server; e.g. http://127.0.0.1:8000/v1")
        # A proxy that the environment names cannot reach a server on this machine.
        self._client = self._client_of(batch, trust_env=host not in ("127.0.0.1", "localhost", "::1"))

    def _client_of(self, batch: int, *, trust_env: bool) -> httpx.Client:
        return httpx.Client(
            timeout=httpx.Timeout(self._timeout_s, connect=10.0),
            limits=httpx.Limits(max_connections=max(batch, 1)),
            trust_env=trust_env,
        )

    def _where(self) -> tuple[str, dict[str, str]]:
        """Address and headers of a request; waits for the file that says so.

        Raises:
            UserError: there is no file within `WAIT_S`, or it holds something else.
        """
        waiting = _Waiting(f"{self._setting}.url: there is no {self._file} yet, which `aotd serve` writes")
        while (found := address(self._url, self._key_variable)) is None:
            if waiting.over():
                raise UserError(f"{self._setting}.url: there is no {self._file}: start `aotd serve` for it")
            time.sleep(self._pause_s)
        url, key = found
        return url, {"Authorization": f"Bearer {key}"} if key else {}

    def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        """The server's answer, whatever its status, but for trouble that may pass.

        Args:
            path: behind the address, e.g. `chat/completions`.

        Raises:
            UserError: it cannot be reached, or keeps failing.
        """
        problem, setting = "", self._setting
        attempt, waiting = 0, _Waiting(f"{setting}.url: the server that {self._file} names cannot be reached")
        while attempt <= self._retries:
            url, headers = self._where()
            try:
                response = self._client.post(f"{url}/{path}", json=body, headers=headers)
            except (httpx.TransportError, httpx.DecodingError) as error:
                problem, wait_s = _transport(error, self._timeout_s), 0.0
                if self._file is not None and isinstance(error, httpx.ConnectError) and not waiting.over():
                    # Its job was ended and will begin again, here or elsewhere: the file will say where.
                    time.sleep(self._pause_s)
                    continue
            else:
                if self._broken_off(response):
                    problem, wait_s = "broke off its reply", 0.0
                elif response.status_code != 429 and response.status_code < 500:
                    return response
                else:
                    problem, wait_s = f"answered {response.status_code} {said(response)}".strip(), _asked_wait(response)
            if attempt < self._retries:
                time.sleep(min(max(self._pause_s * 2**attempt, wait_s), _LONGEST_PAUSE_S))
            attempt += 1
        kept = f" (what it printed is in {self._file.with_suffix('.log')})" if self._file else ""
        raise UserError(
            f"{setting}.url: {self._url} {problem} ({self._retries + 1} tries){kept}: "
            f"start the server, or set {setting}.url=…, {setting}.timeout_s=… or {setting}.batch=… to what it can do"
        )

    def _broken_off(self, response: httpx.Response) -> bool:
        """Whether an answer that looks well is half of one."""
        return False


class ChatServer(Server):
    """A model at a server's `/chat/completions`.

    Raises:
        UserError: the address is none.
    """

    def __init__(self, setting: str, *, model: str, refused: str = "", **reached: Any) -> None:
        """Args:
        reached: as `Server` takes them.
        refused: what else to look at where the server refuses a request.
        """
        super().__init__(setting, **reached)
        self._model, self._refused = model, refused

    def send(self, body: dict[str, Any]) -> httpx.Response:
        """As `post`, of a chat."""
        return self.post("chat/completions", {"model": self._model, **body})

    def _broken_off(self, response: httpx.Response) -> bool:
        """Whether the server was told to end while it replied: vLLM then sends half a text, with status 200."""
        try:
            return bool(response.json()["choices"][0]["finish_reason"] == "abort")
        except (ValueError, LookupError, TypeError):
            return False

    def read(self, response: httpx.Response, *, constrained: bool = False) -> Reply:
        """The reply in an answer.

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
                f"{where} does not know model {self._model!r} or that path (404 {said(response)}): "
                f"set {setting}.model=… to "
                + (f"the model that {self._file} names" if self._file else f"one that {self._url}/models lists; ")
                + ("" if self._file else f"{setting}.url mostly ends in /v1")
            )
        if status >= 300:
            raise UserError(
                f"{where} refuses the request ({status} {said(response)}): "
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


class _Waiting:
    """Waits for a server, with a line on standard error where that takes long: a file may be one that nobody writes."""

    def __init__(self, why: str) -> None:
        self._why, self._began, self._said = why, time.monotonic(), False

    def over(self) -> bool:
        """Whether to wait no longer."""
        waited_s = time.monotonic() - self._began
        if waited_s > _SAY_AFTER_S and not self._said:
            self._said = True
            _log.warning(f"{self._why}: waiting, {WAIT_S / 60:g} minutes at most")
        return waited_s > WAIT_S or stopping()


def _transport(error: Exception, timeout_s: float) -> str:
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return "cannot be reached"
    if isinstance(error, httpx.TimeoutException):
        return f"gave no reply within {timeout_s:g} s"
    return f"dropped the connection ({type(error).__name__})"


def said(response: httpx.Response, most: int = 200) -> str:
    """The server's own message on one line, cut to so many characters."""
    try:
        data: Any = response.json()
    except ValueError:
        data = response.text
    if isinstance(data, dict):
        data = data.get("error", data.get("message", data))
    if isinstance(data, dict):
        data = data.get("message", data)
    return " ".join(str(data).split())[:most]


def _asked_wait(response: httpx.Response) -> float:
    """Seconds the server asks to wait; 0 where it does not say."""
    try:
        return float(response.headers.get("retry-after", 0))
    except ValueError:
        return 0.0
