"""The engine `openai` against a real HTTP server in this process that speaks the protocol."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from aotd.errors import UserError
from aotd.llm.base import LLMConfig
from aotd.llm.openai import OpenAIEngine

Answer = tuple[int, Any]


def said(text: str, finish: str = "stop") -> Answer:
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": finish}
    return 200, {"choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}


@contextmanager
def server(answer: Callable[[dict[str, Any], int], Answer | None]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server; `answer(body, number)` gives status and JSON, or None to hang up. Yields its url and the requests."""
    seen: list[dict[str, Any]] = []
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                seen.append({**body, "path": self.path, "key": self.headers.get("Authorization")})
                number = len(seen)
            got = answer(body, number)
            if got is None:
                self.close_connection = True
                return
            status, data = got
            raw = data if isinstance(data, bytes) else json.dumps(data).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}/v1", seen
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


def engine(url: str, **settings: Any) -> OpenAIEngine:
    return OpenAIEngine(LLMConfig(url=url, model="tiny", **settings), pause_s=0.001)


def prompt_of(body: dict[str, Any]) -> str:
    assert len(body["messages"]) == 1
    assert body["messages"][0]["role"] == "user"
    return str(body["messages"][0]["content"])


def test_replies_come_in_the_order_of_the_prompts_whatever_the_server_does() -> None:
    def slow_first(body: dict[str, Any], number: int) -> Answer:
        time.sleep(0.05 if prompt_of(body) == "p0" else 0)
        return said(prompt_of(body).upper())

    with server(slow_first) as (url, seen):
        replies = engine(url, batch=4).complete([f"p{i}" for i in range(9)], max_tokens=11)
    assert [reply.text for reply in replies] == [f"P{i}" for i in range(9)]
    assert all(reply.finished for reply in replies)
    assert (replies[0].prompt_tokens, replies[0].reply_tokens) == (7, 3)
    assert {(r["path"], r["model"], r["max_tokens"], r["temperature"]) for r in seen} == {
        ("/v1/chat/completions", "tiny", 11, 0.0)
    }


def test_no_more_requests_are_in_flight_than_the_batch() -> None:
    inside, most, lock = 0, 0, threading.Lock()

    def count(body: dict[str, Any], number: int) -> Answer:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        time.sleep(0.01)
        with lock:
            inside -= 1
        return said("x")

    with server(count) as (url, _):
        engine(url, batch=3).complete([f"p{i}" for i in range(12)], max_tokens=4)
    assert most == 3


def test_a_reply_cut_by_the_limit_is_not_finished() -> None:
    with server(lambda body, number: said("def execute", "length")) as (url, _):
        reply = engine(url).complete(["p"], max_tokens=2)[0]
    assert (reply.text, reply.finished) == ("def execute", False)


@pytest.mark.parametrize("trouble", [(503, {"error": {"message": "loading"}}), (429, {}), (500, b"oops"), None])
def test_passing_trouble_is_tried_again(trouble: Answer | None) -> None:
    with server(lambda body, number: trouble if number < 3 else said("at last")) as (url, seen):
        assert engine(url, retries=2).complete(["p"], max_tokens=4)[0].text == "at last"
    assert len(seen) == 3


def test_trouble_that_stays_is_one_line_that_says_what_to_do() -> None:
    with (
        server(lambda body, number: (503, {"error": {"message": "still\nloading"}})) as (url, seen),
        pytest.raises(UserError) as caught,
    ):
        engine(url, retries=1).complete(["p"], max_tokens=4)
    assert len(seen) == 2
    assert str(caught.value).startswith(f"llm.url: {url} answered 503 still loading (2 tries)")
    assert "\n" not in str(caught.value)


def test_a_reply_that_takes_too_long_is_tried_again() -> None:
    def slow_once(body: dict[str, Any], number: int) -> Answer:
        time.sleep(0.3 if number == 1 else 0)
        return said("quick")

    with server(slow_once) as (url, seen):
        assert engine(url, timeout_s=0.1, retries=1).complete(["p"], max_tokens=4)[0].text == "quick"
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((401, {"error": {"message": "bad key"}}), "the environment variable MY_KEY"),
        ((404, {"error": {"message": "model 'tiny' not found"}}), "does not know model 'tiny'"),
        ((400, {"error": {"message": "max_tokens must be positive"}}), "400 max_tokens must be positive"),
        ((200, b"<html>"), "no chat completion"),
        ((200, {"object": "list"}), "no chat completion"),
        ((200, {"choices": []}), "no chat completion"),
    ],
)
def test_what_a_person_must_mend_is_not_tried_again(answer: Answer, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sesame-123")
    with server(lambda body, number: answer) as (url, seen), pytest.raises(UserError, match=says) as caught:
        engine(url, key_variable="MY_KEY").complete(["p"], max_tokens=4)
    assert len(seen) == 1
    assert seen[0]["key"] == "Bearer sesame-123"
    assert url in str(caught.value)
    assert "sesame" not in str(caught.value)


def test_a_prompt_too_long_for_the_model_is_that_prompts_failure() -> None:
    def picky(body: dict[str, Any], number: int) -> Answer:
        if len(prompt_of(body)) > 5:
            return 400, {"error": {"message": "This model's maximum context length is 5 tokens"}}
        return said("fits")

    with server(picky) as (url, _):
        replies = engine(url).complete(["short", "much too long"], max_tokens=4)
    assert [(reply.text, reply.finished) for reply in replies] == [("fits", True), ("", False)]


def test_a_server_that_is_not_there_is_named() -> None:
    with server(lambda body, number: said("x")) as (url, _):
        pass
    with pytest.raises(UserError, match=f"llm.url: {url} cannot be reached"):
        engine(url, retries=1).complete(["p"], max_tokens=4)


@pytest.mark.parametrize("url", ["localhost:8000", "", "ftp://x/v1", "http://"])
def test_an_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(UserError, match=r"llm\.url"):
        engine(url)


def test_a_model_must_be_named() -> None:
    with pytest.raises(UserError, match=r"llm\.model"):
        OpenAIEngine(LLMConfig(url="http://127.0.0.1:1/v1"))
