"""What stands before a model's server: it lets in who knows the key, and finds the prompt that ends the server.

A prompt can end a server: a picture of no pixels, a length nobody has tried. All that were in it at that moment are
suspects, and no program that asks it can tell which it was, the less so from other nodes. Here all requests come
through. When the server ends, those that were in it wait until it is back, and are asked again one at a time. The
one that ends it by itself is answered with status 422, and is not asked again; all others get their reply late.
"""

from __future__ import annotations

import hmac
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from aotd.errors import UserError
from aotd.llm.served import POISON
from aotd.models.load_lock import ReadersWriterLock
from aotd.serve.backend import Backend

_LONGEST = 256 << 20
"""Bytes of a request: some hundred pictures."""


class Gate:
    """Passes requests on to a backend, and its answers back."""

    def __init__(self, backend: Backend, key: str, port: int = 0) -> None:
        """`port`: where it listens, on all of this machine's addresses; 0 is any free one."""
        self._backend, self._key = backend, key
        self._lock = ReadersWriterLock()
        # What takes how long is for those who ask to say, and for the backend's own thread.
        self._client = httpx.Client(timeout=None, trust_env=False, limits=httpx.Limits(max_connections=None))  # noqa: S113
        gate = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                gate._serve(self)

            def do_POST(self) -> None:
                gate._serve(self)

            def log_message(self, format: str, *given: Any) -> None:
                """The backend has a log."""

        class Server(ThreadingHTTPServer):
            request_queue_size = 1024
            daemon_threads = True

        # Other nodes ask too; who has not the key learns nothing.
        self._server = Server(("0.0.0.0", port), Handler)  # noqa: S104
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._client.close()

    def _serve(self, asked: BaseHTTPRequestHandler) -> None:
        length = asked.headers.get("Content-Length") or "0"
        key = asked.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(key.encode(), self._key.encode()):
            return answer(asked, 401, "the key is in the file that names this server")
        whole = length.isdigit() and int(length) <= _LONGEST and "Transfer-Encoding" not in asked.headers
        if not asked.path.startswith("/v1/") or ".." in asked.path or not whole:
            return answer(asked, 404, "no such path, or a request without its length, or too long a one")
        body = asked.rfile.read(int(length))
        try:
            found = self._forward(asked.command, asked.path, body)
        except UserError as error:
            return answer(asked, 503, str(error))
        except httpx.HTTPError as error:
            return answer(asked, 502, f"the server is there and dropped the connection ({type(error).__name__})")
        if found is None:
            return answer(asked, 422, "the server ended twice while it had this prompt, the second time alone", POISON)
        return send(asked, found.status_code, found.content, found.headers.get("content-type", ""))

    def _forward(self, method: str, path: str, body: bytes) -> httpx.Response | None:
        """The backend's answer; None where the request ends it.

        Raises:
            UserError: the backend is not started any more.
            httpx.HTTPError: it lives, and does not answer.
        """
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        for hold in (self._lock.read, self._lock.write):
            with hold():
                life = self._backend.wait()
                try:
                    found = self._client.request(method, f"{self._backend.url}{path}", content=body, headers=headers)
                except httpx.TransportError:
                    if not self._has_ended(life):
                        raise
                else:
                    # vLLM whose engine has died says 500 to all who are in it, and only then ends.
                    if found.status_code < 500 or not self._has_ended(life):
                        return found
        return None

    def _has_ended(self, life: int) -> bool:
        """Whether that life of the backend is over. One that does not say that it is well is waited for: it ends."""
        while not self._backend.ended(life):
            if self._backend.answers():
                return False
        return True


def answer(asked: BaseHTTPRequestHandler, status: int, why: str, *marks: str) -> None:
    """Say what is wrong with a request, as servers of the OpenAI protocol do; `marks` are further headers."""
    text = httpx.Response(status, json={"error": {"message": why}})
    send(asked, status, text.content, "application/json", *marks)


def send(asked: BaseHTTPRequestHandler, status: int, body: bytes, kind: str, *marks: str) -> None:
    """Answer a request; `kind` is the body's media type."""
    try:
        asked.send_response(status)
        asked.send_header("Content-Type", kind)
        asked.send_header("Content-Length", str(len(body)))
        for mark in marks:
            asked.send_header(mark, "1")
        asked.end_headers()
        asked.wfile.write(body)
    except ConnectionError:  # who asked has gone
        return
