"""HTTP client of a server that may be busy, restarting, or not there yet.

A request that the server could not take right now (429, 5xx, a dropped connection, no answer in time, or a reply
that it broke off) is sent again after a pause that doubles. Whatever a user must mend is one line that names the
setting and the server. Language models (`aotd.llm.openai`), models that take pictures, and specialists on another node
(`aotd.specialists.remote`) use it.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import httpx

from aotd.errors import UserError
from aotd.llm.served import address
from aotd.runtime.signals import stopping

_log = logging.getLogger(__name__)

_LONGEST_PAUSE_S = 60.0
WAIT_S = 1800.0
"""Longest wait for a server that `aotd serve` starts, or that has moved."""
_WARN_AFTER_S = 5.0
"""A longer wait for a server is announced."""


class HTTPClient:
    """Client of a server at an address, or wherever a file says that it is.

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
        while (server := address(self._url, self._key_variable)) is None:
            if waiting.over():
                raise UserError(f"{self._setting}.url: there is no {self._file}: start `aotd serve` for it")
            time.sleep(self._pause_s)
        url, key = server
        return url, {"Authorization": f"Bearer {key}"} if key else {}

    def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        """Send a request, again where trouble may pass, and return the answer, whatever its status.

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
                    problem, wait_s = (
                        f"answered {response.status_code} {error_text(response)}".strip(),
                        _asked_wait(response),
                    )
            if attempt < self._retries:
                time.sleep(min(max(self._pause_s * 2**attempt, wait_s), _LONGEST_PAUSE_S))
            attempt += 1
        log = f" (what it printed is in {self._file.with_suffix('.log')})" if self._file else ""
        raise UserError(
            f"{setting}.url: {self._url} {problem} ({self._retries + 1} tries){log}: "
            f"start the server, or set {setting}.url=…, {setting}.timeout_s=… or {setting}.batch=… to what it can do"
        )

    def _broken_off(self, response: httpx.Response) -> bool:
        """Whether an answer that looks whole is half of one."""
        return False


class _Waiting:
    """The wait for a server, announced on standard error when it takes long: perhaps nobody writes its file."""

    def __init__(self, why: str) -> None:
        self._why, self._began, self._warned = why, time.monotonic(), False

    def over(self) -> bool:
        """Whether to wait no longer."""
        waited_s = time.monotonic() - self._began
        if waited_s > _WARN_AFTER_S and not self._warned:
            self._warned = True
            _log.warning(f"{self._why}: waiting, {WAIT_S / 60:g} minutes at most")
        return waited_s > WAIT_S or stopping()


def _transport(error: Exception, timeout_s: float) -> str:
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return "cannot be reached"
    if isinstance(error, httpx.TimeoutException):
        return f"gave no reply within {timeout_s:g} s"
    return f"dropped the connection ({type(error).__name__})"


def error_text(response: httpx.Response, most: int = 200) -> str:
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
