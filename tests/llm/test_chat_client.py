"""The client of a chat server: what ends one question, what ends the run, what is waited for, and how it is asked."""

from __future__ import annotations

import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from aotd.errors import UserError
from aotd.llm.base import Reply, ReplyFailure
from aotd.llm.chat_client import ChatClient
from aotd.llm.http_client import HTTPClient
from tests.llm.test_openai import Answer, said, server


def client(url: str, **settings: Any) -> ChatClient:
    given = {"key_variable": "MY_KEY", "timeout_s": 5.0, "retries": 2, "batch": 1, "pause_s": 0.001} | settings
    return ChatClient("llm", url=url, model="tiny", **given)


def ask(url: str, **settings: Any) -> Reply:
    messages = [{"role": "user", "content": "red or blue?"}]
    return client(url, **settings).ask({"messages": messages, "max_tokens": 9, "temperature": 0.0})


def failing(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


@pytest.mark.parametrize("finish", ["stop", "eos_token", "stop_sequence", "end_turn", "STOP", None, "", "tool_calls"])
def test_reply_that_came_to_its_end(finish: Any) -> None:
    with server(lambda body, number: said("red", finish)) as (url, _):
        assert ask(url) == Reply("red", True, 7, 3)


@pytest.mark.parametrize("finish", ["length", "max_tokens", "MAX_TOKENS", "model_length"])
def test_reply_that_was_cut(finish: str) -> None:
    with server(lambda body, number: said("re", finish)) as (url, _):
        assert ask(url) == Reply("re", False, 7, 3)


@pytest.mark.parametrize(
    ("answer", "failure", "words"),
    [
        (
            (400, failing("filtered by the content management policy", code="content_filter")),
            "content_filter",
            "filtered",
        ),
        ((403, failing('Your input was flagged for "violence"')), "content_filter", "flagged"),
        ((400, failing("maximum context length is 5 tokens")), "prompt_too_long", "5 tokens"),
        ((500, failing("Context size has been exceeded.")), "prompt_too_long", "Context size"),
        ((200, failing("the request exceeds the available context size", code=400)), "prompt_too_long", "exceeds"),
        ((200, {"choices": [{"message": {"content": None, "refusal": "I can't"}}]}), "content_filter", "I can't"),
        (said("", "content_filter"), "content_filter", ""),
        ((200, {"object": "chat.completion", "choices": []}), "content_filter", "no choice"),
    ],
)
def test_what_ends_one_question(answer: Answer, failure: str, words: str) -> None:
    with server(lambda body, number: answer) as (url, seen):
        reply = ask(url)
    assert reply.failure is ReplyFailure(failure)
    assert (reply.text, reply.finished, reply.refused) == ("", False, True)
    assert words in reply.words
    assert words in reply.failed
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((401, failing("bad key")), r"refuses the key \(401 bad key\): .* MY_KEY"),
        ((200, failing("No auth credentials found", code=401)), "refuses the key"),
        (
            (429, failing("You exceeded your current quota", code="insufficient_quota")),
            "no more credit .*current quota",
        ),
        ((402, failing("Insufficient credits")), "no more credit"),
        ((404, failing("no model")), r"does not know model 'tiny' .*\(404 no model\)"),
        ((400, failing("tiny is not a valid model ID")), "does not know model 'tiny'"),
        ((200, {"error": "Unexpected endpoint or method. (POST /chat/completions)"}), "does not know .* path"),
        (
            (200, b"<html><title>Open WebUI</title></html>"),
            r"no chat completion \(Open WebUI\): does llm.url end in /v1",
        ),
        ((308, b""), r"has moved \(308\)"),
        (
            (200, b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\n'),
            "streams its reply, though nobody asks for that",
        ),
        ((200, {"id": "x", "choices": []}), "answered without a reply .*: see the log of that server"),
        ((400, failing("max_tokens is too large: 512")), r"lower the max_tokens=… of its job"),
        ((405, b"Method Not Allowed"), r"refuses the request \(405 Method Not Allowed\)"),
    ],
)
def test_what_ends_the_run_is_not_tried_again(answer: Answer, says: str) -> None:
    with server(lambda body, number: answer) as (url, seen), pytest.raises(UserError, match=says) as caught:
        ask(url)
    assert len(seen) == 1
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "trouble",
    [
        (200, failing("Provider returned error: upstream overloaded", code=502)),
        (200, failing("rate limited", code="429")),
        (200, {"choices": [{"error": {"code": 503, "message": "upstream"}}]}),
        (200, b""),
        (200, b"  \n"),
        said("half a", "error"),
        said("", "insufficient_system_resource"),
        (503, failing("Loading model", type="unavailable_error", code=503)),
        (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
        (502, b"<html><title>502 Bad Gateway</title></html>"),
        (504, b""),
        (408, b""),
        (409, b""),
        None,
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_may_pass_is_tried_again(trouble: Answer | None) -> None:
    with server(lambda body, number: trouble if number < 3 else said("red")) as (url, seen):
        assert ask(url).text == "red"
    assert len(seen) == 3


def test_page_of_a_proxy_passes_where_the_server_has_answered_before() -> None:
    answers = [said("red"), (200, b"<html><title>Busy</title></html>"), said("blue")]
    with server(lambda body, number: answers[number - 1]) as (url, _):
        made = client(url)
        body = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 9}
        assert [made.ask(body).text for _ in range(2)] == ["red", "blue"]


def test_trouble_that_stays_names_the_settings_and_the_servers_words(slept: list[float]) -> None:
    answer = 502, failing("Provider returned error: upstream overloaded")
    with server(lambda body, number: answer) as (url, seen), pytest.raises(UserError) as caught:
        ask(url)
    said_ = str(caught.value)
    assert f"{url} answered 502 Provider returned error: upstream overloaded" in said_
    assert "llm.retries" in said_ or "llm.wait_s" in said_
    assert seen


# ── patience ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses of clients, which take no time."""
    pauses: list[float] = []
    monkeypatch.setattr("aotd.llm.http_client._slept", lambda seconds: pauses.append(seconds) or seconds)
    return pauses


def test_loading_model_is_waited_for_longer_than_retries_last(
    slept: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    loading = 503, failing("Loading model", type="unavailable_error")
    with server(lambda body, number: loading if number < 30 else said("red")) as (url, _), caplog.at_level("WARNING"):
        assert ask(url, retries=0, pause_s=0.5).text == "red"
    assert max(slept) == 5.0
    assert [record.message for record in caplog.records] == [
        f"llm.url: {url} answered 503 Loading model: waiting, 600 s at most (llm.wait_s)"
    ]


def test_loading_model_is_waited_for_no_longer_than_the_setting(slept: list[float]) -> None:
    loading = 503, failing("Loading model")
    with server(lambda body, number: loading) as (url, _), pytest.raises(UserError) as caught:
        ask(url, wait_s=30.0, pause_s=0.5)
    assert sum(slept) <= 30.0
    assert "answered 503 Loading model" in str(caught.value)
    assert "llm.wait_s=30" in str(caught.value)


def test_wait_that_is_longer_than_the_setting_is_told_at_once(slept: list[float]) -> None:
    with (
        server(lambda body, number: (429, failing("Please try again in 12m0.5s."))) as (url, seen),
        pytest.raises(UserError, match=r"try again in 12m0.5s\. \(1 try\) and asks to wait 720 s more"),
    ):
        ask(url)
    assert slept == []
    assert len(seen) == 1


def test_server_is_asked_again_when_it_said(slept: list[float]) -> None:
    answers = [(429, failing("try again in 7s")), (503, failing("x", metadata={})), said("red")]
    with server(lambda body, number: answers[number - 1]) as (url, _):
        assert ask(url).text == "red"
    assert slept[0] == 7.0
    assert slept[1] < 1.0


def test_header_that_asks_to_wait(slept: list[float]) -> None:
    class Handler(BaseHTTPRequestHandler):
        asked = 0

        def do_POST(self) -> None:
            type(self).asked += 1
            raw = b'{"choices":[{"message":{"content":"red"}}]}' if self.asked > 1 else b""
            self.send_response(200 if raw else 503)
            self.send_header("Retry-After", "11")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *arguments: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        assert ask(f"http://127.0.0.1:{httpd.server_port}/v1", retries=0).text == "red"
        httpd.shutdown()
    assert slept == [11.0]


# ── words ─────────────────────────────────────────────────────────────────────────────────────────


def fussy(body: dict[str, Any], number: int) -> Answer:
    """OpenAI's reasoning models: neither `max_tokens`, nor a temperature, nor stop strings."""
    if "max_tokens" in body:
        text = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        )
        return 400, failing(text, param="max_tokens", code="unsupported_parameter")
    if body.get("temperature", 1) != 1:
        text = "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is."
        return 400, failing(text, param="temperature", code="unsupported_value")
    if "stop" in body:
        return 400, failing("Unsupported parameter: 'stop' is not supported with this model.", param="stop")
    return said(f"{body['max_completion_tokens']}")


def test_server_is_asked_in_its_own_words_from_then_on(caplog: pytest.LogCaptureFixture) -> None:
    body = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 9, "temperature": 0.0, "stop": ["\n"]}
    with server(fussy) as (url, seen), caplog.at_level("WARNING"):
        made = client(url)
        assert made.ask(body).text == "9"
        assert len(seen) == 4
        assert made.ask(body | {"max_tokens": 5}).text == "5"
        assert len(seen) == 5
    assert len(caplog.records) == 2
    assert "is asked without temperature from now on" in caplog.records[0].message


def test_what_a_server_wants_is_learned_by_several_at_once() -> None:
    body = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 9, "temperature": 0.0}
    replies: list[Reply] = []
    with server(fussy) as (url, _):
        made = client(url, batch=8)
        threads = [threading.Thread(target=lambda: replies.append(made.ask(body))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [reply.text for reply in replies] == ["9"] * 8


def test_refusal_of_what_was_not_sent_ends_the_run() -> None:
    answer = 400, failing("Unsupported parameter: 'logprobs' is not supported with this model.", param="logprobs")
    with server(lambda body, number: answer) as (url, seen), pytest.raises(UserError, match="logprobs"):
        ask(url)
    assert len(seen) == 1


# ── a prompt at which the server fails ────────────────────────────────────────────────────────────


def test_prompt_at_which_alone_a_server_fails_ends_its_question() -> None:
    def picky(body: dict[str, Any], number: int) -> Answer:
        fails = "red or blue?" in str(body["messages"])
        return (500, failing("index out of range")) if fails else said("blue")

    with server(picky) as (url, seen):
        reply = ask(url)
    assert reply.failure is ReplyFailure.refused
    assert "500 index out of range" in reply.words
    assert len(seen) == 4


@pytest.mark.parametrize("status", [500, 502, 503])
def test_server_that_fails_at_any_prompt_ends_the_run(status: int) -> None:
    with (
        server(lambda body, number: (status, failing("no"))) as (url, _),
        pytest.raises(UserError, match=f"{status} no"),
    ):
        ask(url)


# ── certificates and keys ─────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificate")
    made = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    names = "-addext subjectAltName=DNS:localhost -keyout key.pem -out certificate.pem"
    subprocess.run(f"{made} {names}".split(), cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def tls_port(certificate: Path) -> Any:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = b'{"choices":[{"message":{"content":"red"},"finish_reason":"stop"}]}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *arguments: Any) -> None: ...

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None: ...

    httpd = Server(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "certificate.pem", certificate / "key.pem")
    httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
    threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield httpd.server_port
    httpd.shutdown()
    httpd.server_close()


def test_certificate_that_nobody_trusts_is_named(tls_port: int) -> None:
    began = time.monotonic()
    with pytest.raises(UserError, match=r"certificate that is not trusted \(self-signed certificate\).*SSL_CERT_FILE"):
        ask(f"https://localhost:{tls_port}/v1", retries=9, pause_s=5.0)
    assert time.monotonic() - began < 3.0


def test_certificate_that_a_file_names_is_trusted(
    tls_port: int, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "certificate.pem"))
    assert ask(f"https://localhost:{tls_port}/v1").text == "red"
    with pytest.raises(UserError, match=r"IP address mismatch.*name in the address"):
        ask(f"https://127.0.0.1:{tls_port}/v1")


def test_server_without_tls_at_a_secure_address_is_named() -> None:
    with server(lambda body, number: said("red")) as (url, _), pytest.raises(UserError, match="write http://"):
        ask(url.replace("http:", "https:"))


def test_key_that_cannot_be_is_told_before_anything_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "“sk-abc”")
    with server(lambda body, number: said("red")) as (url, seen), pytest.raises(UserError, match="MY_KEY"):
        ask(url)
    assert seen == []


@pytest.mark.parametrize(
    ("there", "whole"),
    [
        ("/login?next=%2F", "http://127.0.0.1:1/login?next=%2F"),
        ("https://there.example/v1/chat/completions", "https://there.example/v1/chat/completions"),
        ("", "http://127.0.0.1:1/v1"),
        ("http://x:1e9/", "http://x:1e9/"),
    ],
)
def test_address_that_a_server_moved_to_is_whole(there: str, whole: str) -> None:
    moved = httpx.Response(302, headers={"location": there})
    assert client("http://127.0.0.1:1/v1?key=secret")._moved_to(moved) == whole


def test_key_that_a_server_tells_is_not_told_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sesame-1234")
    answer = 401, failing("Incorrect API key provided: sesame-1234")
    with server(lambda body, number: answer) as (url, _), pytest.raises(UserError, match="Incorrect") as caught:
        ask(url)
    assert "sesame" not in str(caught.value)


def test_proxy_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://me:sesame@127.0.0.1:9")
    with pytest.raises(UserError, match=r"through the proxy that HTTP_PROXY names, http://…@127.0.0.1:9") as caught:
        ask("http://server.example/v1", retries=0)
    assert "sesame" not in str(caught.value)


def test_proxy_that_wants_a_password_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(lambda body, number: (407, b"")) as (url, _):
        monkeypatch.setenv("HTTP_PROXY", url.removesuffix("/v1"))
        with pytest.raises(UserError, match="the proxy that HTTP_PROXY names"):
            ask("http://server.example/v1", retries=0)


def test_own_servers_say_for_good_what_is_wrong() -> None:
    with server(lambda body, number: (409, failing("let both be alike"))) as (url, seen):
        made = HTTPClient("llm", url=url, key_variable="", timeout_s=5.0, retries=3, batch=1, pause_s=0.001)
        assert made.post("specialist", {}).status_code == 409
    assert len(seen) == 1
