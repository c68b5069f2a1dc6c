"""HTTP client of a server that may be busy, loading, restarting, or not there yet.

A request that fails for the moment (5xx, a dropped connection, no answer in time, or a reply that the server broke off)
is sent again after a pause that doubles, `retries` times. A server that asks for patience (429, `Retry-After`, a model
that is loading) is waited for, `wait_s` in all. Whatever a user must mend is one line that names the setting, or the
variable, and the server. Language models (`aotd.llm.openai`), models that take pictures, and specialists on another
node (`aotd.specialists.remote`) use it.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from aotd.errors import UserError
from aotd.llm.dialects import Cause, ServerError, clean, page_words, read_error
from aotd.llm.served import address
from aotd.runtime.connection import (
    certificate_problem,
    joined,
    key_headers,
    key_of,
    masked,
    open_client,
    proxy_of,
    server_url,
)
from aotd.runtime.signals import stopping

_log = logging.getLogger(__name__)

_LONGEST_PAUSE_S = 60.0
_LOADING_PAUSE_S = 5.0
"""Longest pause before a server whose model loads is asked again."""
WAIT_S = 1800.0
"""Longest wait for a server that `aotd serve` starts, or that has moved."""
_WARN_AFTER_S = 5.0
"""A longer wait for a server is announced."""


@dataclass(frozen=True)
class Trouble:
    """Why a request is sent again."""

    words: str
    patient: bool = False
    """Whether the server asks for patience: then time counts, and not how often it was asked."""
    wait_s: float = 0.0
    """How long it asks to wait."""
    longest_pause_s: float = _LONGEST_PAUSE_S
    status: int = 0
    """Of the answer; 0 where there was none."""


class ServerFailedError(UserError):
    """A server that kept failing."""

    def __init__(self, line: str, trouble: Trouble) -> None:
        super().__init__(line)
        self.trouble = trouble


class HTTPClient:
    """Client of a server at an address, or wherever a file says that it is.

    Raises:
        UserError: the address is none, or the environment names a proxy, certificates or a key that cannot be.
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
        wait_s: float = 600.0,
        pause_s: float = 0.5,
    ) -> None:
        """Args:
        setting: where the other arguments stand among the settings, e.g. `llm`, for errors.
        key_variable: environment variable that holds the key for an address; an unset one sends none.
        batch: requests in flight at a time.
        wait_s: longest wait for a server that asks for patience, in seconds.
        pause_s: the wait before the first retry, in seconds.
        url: the server's address, or the file that `aotd serve` writes (`aotd.llm.served`).
        """
        self._setting, self._key_variable = setting, key_variable
        self._timeout_s, self._retries, self._wait_s, self._pause_s = timeout_s, retries, wait_s, pause_s
        self._file = Path(url) if url.endswith(".json") else None
        self._url = url if self._file else server_url(url, f"{setting}.url")
        self._shown = masked(self._url)
        self._proxy = None if self._file else proxy_of(self._url)
        self._client = open_client(
            self._url,
            timeout=httpx.Timeout(self._timeout_s, connect=10.0),
            connections=max(batch, 1),
            inside=self._file is not None,
        )
        self._warned = False
        if self._file is None:
            address(self._url, key_variable)  # a key that cannot be is told before the work begins

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
        return url, key_headers(url, key)

    def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        """Send a request, again where trouble may pass, and return the answer, whatever its status.

        Args:
            path: behind the address, e.g. `chat/completions`.

        Raises:
            UserError: it cannot be reached, or keeps failing.
        """
        tries, failed, waited_s = 0, 0, 0.0
        gone = _Waiting(f"{self._setting}.url: the server that {self._file} names cannot be reached")
        while True:
            url, headers = self._where()
            tries += 1
            try:
                response = self._sent(url, headers, path, body)
            except (httpx.TransportError, httpx.DecodingError) as error:
                if self._file is not None and isinstance(error, httpx.ConnectError) and not gone.over():
                    # Its job was ended and will begin again, here or elsewhere: the file will say where.
                    time.sleep(self._pause_s)
                    continue
                trouble = self._transport(error)
            else:
                if (found := self._trouble(response)) is None:
                    return response
                trouble = found
            pause_s = min(self._pause_s * 2 ** min(tries - 1, 20), trouble.longest_pause_s)
            pause_s = max(pause_s, trouble.wait_s)
            if not trouble.patient:
                failed += 1
                pause_s = min(pause_s, _LONGEST_PAUSE_S)
            over = waited_s + pause_s > self._wait_s if trouble.patient else failed > self._retries
            if over or stopping():
                raise self._gives_up(trouble, tries, waited_s, pause_s)
            if trouble.patient:
                self._announce(trouble, waited_s + pause_s)
            waited_s += _slept(pause_s)

    def _sent(self, url: str, headers: dict[str, str], path: str, body: dict[str, Any]) -> httpx.Response:
        return self._client.post(joined(url, path), json=body, headers=headers)

    def _gives_up(self, trouble: Trouble, tries: int, waited_s: float, pause_s: float) -> ServerFailedError:
        setting = self._setting
        log = f" (what it printed is in {self._file.with_suffix('.log')})" if self._file else ""
        told = f"{setting}.url: {self._shown} {trouble.words} ({tries} {'try' if tries == 1 else 'tries'})"
        if trouble.patient:
            wants = f"asks to wait {pause_s:.0f} s more" if trouble.wait_s else "is still not ready"
            return ServerFailedError(
                f"{told} and {wants} after {waited_s:.0f} s{log}: wait and start again, or raise "
                f"{setting}.wait_s={self._wait_s:g}",
                trouble,
            )
        return ServerFailedError(
            f"{told}{log}: start the server, or set {setting}.url=…, {setting}.timeout_s=…, {setting}.retries=… "
            f"or {setting}.batch=… to what it can do",
            trouble,
        )

    def _announce(self, trouble: Trouble, waits_s: float) -> None:
        """Tell once of a wait that is not short."""
        if waits_s > _WARN_AFTER_S and not self._warned:
            self._warned = True
            _log.warning(
                f"{self._setting}.url: {self._shown} {trouble.words}: waiting, {self._wait_s:g} s at most "
                f"({self._setting}.wait_s)"
            )

    def _trouble(self, response: httpx.Response) -> Trouble | None:
        """Why a request is to be sent again after an answer; None where the answer counts.

        Raises:
            UserError: it is a proxy's that wants a name and a password.
        """
        if response.status_code == 407 and self._proxy is not None:
            raise self._proxy_refuses("407 Proxy Authentication Required")
        error = self._error(response)
        if error is None:
            return None
        words = f"answered {error.status} {error.words}".strip()
        # What `aotd serve` keeps is waited for there: what it says here is final.
        if error.cause in (Cause.loading, Cause.busy) and (self._file is None or error.status == 429):
            longest_s = _LOADING_PAUSE_S if error.cause is Cause.loading else _LONGEST_PAUSE_S
            return Trouble(words, True, error.wait_s or 0.0, longest_s, error.status)
        if error.cause in (Cause.loading, Cause.busy, Cause.failing):
            return Trouble(words, wait_s=error.wait_s or 0.0, status=error.status)
        return None

    def _error(self, response: httpx.Response) -> ServerError | None:
        """The error that an answer tells."""
        if response.status_code < 400 or response.status_code == 409:  # 409 is what our own servers say for good
            return None
        return self._told(response)

    def _told(self, response: httpx.Response) -> ServerError | None:
        """The error in an answer, without the key: some servers say it back."""
        error = read_error(response.status_code, response.headers, response.content)
        key = "" if error is None or self._file else key_of(self._key_variable)
        return replace(error, words=error.words.replace(key, "…")) if error and key else error

    def _transport(self, error: httpx.TransportError | httpx.DecodingError) -> Trouble:
        """Why there is no answer.

        Raises:
            UserError: nothing will change that but the user.
        """
        if problem := certificate_problem(error):
            raise UserError(f"{self._setting}.url: {self._shown} {problem}")
        if isinstance(error, httpx.ProxyError):
            raise self._proxy_refuses(clean(str(error)) or "no reason told")
        through = f" through the proxy that {self._proxy[0]} names, {masked(self._proxy[1])}" if self._proxy else ""
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return Trouble(f"cannot be reached{through}")
        if isinstance(error, httpx.TimeoutException):
            return Trouble(f"gave no reply within {self._timeout_s:g} s{through}")
        return Trouble(f"dropped the connection ({type(error).__name__}){through}")

    def _proxy_refuses(self, why: str) -> UserError:
        variable, proxy = self._proxy or ("", "")
        return UserError(
            f"{self._setting}.url: {self._shown}: the proxy that {variable} names, {masked(proxy)}, refuses ({why}): "
            f"mend {variable}, e.g. http://name:password@host:port, or put the server's host into NO_PROXY"
        )


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


def _slept(seconds: float) -> float:
    """Sleep, and less than that where the process is told to stop. Returns `seconds`."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and not stopping():
        time.sleep(min(left, 0.5))
    return seconds


def error_text(response: httpx.Response, most: int = 200) -> str:
    """The server's own message on one line, cut to so many characters."""
    error = read_error(response.status_code, response.headers, response.content)
    return clean(error.words if error else page_words(response.text), most)
