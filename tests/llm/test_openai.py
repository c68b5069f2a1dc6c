"""The engine `openai` against a real HTTP server in this process that speaks the protocol."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from aotd.errors import UserError
from aotd.llm import LLMConfig
from aotd.llm.base import GenerationRequest, Message
from aotd.llm.openai import OpenAIEngine
from aotd.llm.replay import RecordedEngine
from aotd.llm.thinking import THINKING_TOKENS

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
                # The answer is made, and lost on its way.
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
        replies = engine(url, batch=4).generate([f"p{i}" for i in range(9)], max_tokens=11)
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
        engine(url, batch=3).generate([f"p{i}" for i in range(12)], max_tokens=4)
    assert most == 3


def test_prompts_that_begin_alike_are_sent_one_after_another() -> None:
    with server(lambda body, number: said("x")) as (url, seen):
        engine(url, batch=1).generate(["b 1", "a 2", "b 3", "a 1", "b 2"], max_tokens=4)
    assert [prompt_of(body) for body in seen] == ["a 1", "a 2", "b 1", "b 2", "b 3"]


def test_a_reply_cut_by_the_limit_is_not_finished() -> None:
    with server(lambda body, number: said("def execute", "length")) as (url, _):
        reply = engine(url).generate(["p"], max_tokens=2)[0]
    assert (reply.text, reply.finished) == ("def execute", False)


def test_a_reply_that_no_file_can_hold_is_mended() -> None:
    broken = json.dumps(said("half \ud83d, whole \U0001f600")[1]).encode()
    with server(lambda body, number: (200, broken)) as (url, _):
        reply = engine(url).generate(["p"], max_tokens=8)[0]
    assert reply.text == "half ?, whole \U0001f600"


@pytest.mark.parametrize(
    "trouble", [(503, {"error": {"message": "loading"}}), (429, {}), (500, b"oops"), None, said("half a", "abort")]
)
def test_passing_trouble_is_tried_again(trouble: Answer | None) -> None:
    with server(lambda body, number: trouble if number < 3 else said("at last")) as (url, seen):
        assert engine(url, retries=2).generate(["p"], max_tokens=4)[0].text == "at last"
    assert len(seen) == 3


def test_trouble_that_stays_is_one_line_that_says_what_to_do() -> None:
    with (
        server(lambda body, number: (503, {"error": {"message": "no\nserver"}})) as (url, seen),
        pytest.raises(UserError) as caught,
    ):
        engine(url, retries=1).generate(["p"], max_tokens=4)
    assert len(seen) == 2
    assert str(caught.value).startswith(f"llm.url: {url} answered 503 no server (2 tries)")
    assert "\n" not in str(caught.value)


def test_a_reply_that_takes_too_long_is_tried_again() -> None:
    def slow_once(body: dict[str, Any], number: int) -> Answer:
        time.sleep(0.3 if number == 1 else 0)
        return said("quick")

    with server(slow_once) as (url, seen):
        assert engine(url, timeout_s=0.1, retries=1).generate(["p"], max_tokens=4)[0].text == "quick"
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((401, {"error": {"message": "bad key"}}), "the environment variable MY_KEY"),
        ((404, {"error": {"message": "model 'tiny' not found"}}), "does not know model 'tiny'"),
        ((400, {"error": {"message": "max_tokens must be positive"}}), "400 max_tokens must be positive"),
        ((200, b"<html>"), "no chat completion"),
        ((200, {"object": "list"}), "no chat completion"),
        ((200, {"choices": []}), "answered without a reply"),
    ],
)
def test_what_a_person_must_mend_is_not_tried_again(answer: Answer, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sesame-123")
    with server(lambda body, number: answer) as (url, seen), pytest.raises(UserError, match=says) as caught:
        engine(url, key_variable="MY_KEY").generate(["p"], max_tokens=4)
    assert len(seen) == 1
    assert seen[0]["key"] == "Bearer sesame-123"
    assert url in str(caught.value)
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (400, "This model's maximum context length is 5 tokens"),
        (413, "Payload Too Large"),
        (422, "Input validation error: `inputs` must have less than 5 tokens. Given: 9"),
        (400, "the prompt is too long"),
    ],
)
def test_a_prompt_too_long_for_the_model_is_that_prompts_failure(status: int, says: str) -> None:
    def picky(body: dict[str, Any], number: int) -> Answer:
        if len(prompt_of(body)) > 5:
            return status, {"error": {"message": says}}
        return said("fits")

    with server(picky) as (url, _):
        replies = engine(url).generate(["short", "much too long"], max_tokens=4)
    assert [(reply.text, reply.finished) for reply in replies] == [("fits", True), ("", False)]


def test_a_setting_that_the_server_refuses_is_not_taken_for_a_long_prompt() -> None:
    answer = 400, {"error": {"message": "max_tokens is too large: 4. This model supports at most 2"}}
    with server(lambda body, number: answer) as (url, _), pytest.raises(UserError, match="too large"):
        engine(url).generate(["p"], max_tokens=4)


def test_a_server_that_is_not_there_is_named() -> None:
    with server(lambda body, number: said("x")) as (url, _):
        pass
    with pytest.raises(UserError, match=f"llm.url: {url} cannot be reached"):
        engine(url, retries=1).generate(["p"], max_tokens=4)


@pytest.mark.parametrize("url", ["localhost:8000", "", "ftp://x/v1", "http://"])
def test_an_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(UserError, match=r"llm\.url"):
        engine(url)


def test_a_model_must_be_named() -> None:
    with pytest.raises(UserError, match=r"llm\.model"):
        OpenAIEngine(LLMConfig(url="http://127.0.0.1:1/v1"))


def test_no_reply_is_lost_doubled_or_given_to_another_prompt() -> None:
    """A server that answers late and out of order, refuses at times, and hangs up after the work is done."""
    chance, lock = random.Random(0), threading.Lock()

    def rough(body: dict[str, Any], number: int) -> Answer | None:
        with lock:
            trouble, pause = chance.random(), chance.random() * 0.01
        time.sleep(pause)
        if trouble < 0.15:
            return None
        if trouble < 0.3:
            return chance.choice([429, 500, 503]), {"error": {"message": "busy"}}
        return said(f"{prompt_of(body)} {body['seed']}")

    prompts = [f"p{i % 40}" for i in range(120)]
    with server(rough) as (url, seen):
        made = engine(url, batch=16, retries=20)
        replies = made.generate(prompts, max_tokens=4, temperature=1.0)
    requests = [GenerationRequest.from_prompt(prompt, 4, 1.0, i // 40) for i, prompt in enumerate(prompts)]
    assert [reply.text for reply in replies] == [f"{request.text} {request.seed(0)}" for request in requests]
    assert len(seen) > 120
    assert len({(prompt_of(body), body["seed"]) for body in seen}) == 120


def test_one_prompt_that_fails_does_not_lose_the_replies_that_came(tmp_path: Path) -> None:
    def picky(body: dict[str, Any], number: int) -> Answer:
        time.sleep(0.05 if prompt_of(body) == "bad" else 0)
        return (422, {"error": {"message": "no"}}) if prompt_of(body) == "bad" else said(prompt_of(body))

    config = LLMConfig(record=str(tmp_path / "replies.jsonl"))
    with server(picky) as (url, seen):
        with pytest.raises(UserError, match="422 no"):
            RecordedEngine(engine(url, batch=4), config, "x").generate(["a", "bad", "b", "c"], max_tokens=4)
        before = len(seen)
        replies = RecordedEngine(engine(url, batch=4), config, "x").generate(["c", "a", "d", "b"], max_tokens=4)
    assert [reply.text for reply in replies] == ["c", "a", "d", "b"]
    assert [prompt_of(body) for body in seen[before:]] == ["d"]


def test_after_a_failure_no_new_request_is_sent_and_those_in_flight_are_kept() -> None:
    def picky(body: dict[str, Any], number: int) -> Answer:
        time.sleep({"bad": 0.02, "late": 0.2}.get(prompt_of(body), 0.1))
        return (422, {"error": {"message": "no"}}) if prompt_of(body) == "bad" else said("kept")

    heard = []

    def listen(url: str) -> None:
        for request, reply in engine(url, batch=2).stream(requests):
            heard.append((request.text, reply.text))

    requests = [GenerationRequest.from_prompt(prompt, 4) for prompt in ("bad", "late", *(f"p{i}" for i in range(20)))]
    with server(picky) as (url, seen), pytest.raises(UserError, match="422 no"):
        listen(url)
    assert ("late", "kept") in heard
    assert len(seen) == len(heard) + 1 < 6


def test_samples_are_sent_with_seeds_and_greedy_requests_without() -> None:
    with server(lambda body, number: said("x")) as (url, seen):
        made = engine(url, seed=5)
        made.generate(["a"] * 3, max_tokens=4, temperature=0.5)
        made.generate(["a"] * 3, max_tokens=4)
    assert {body.get("seed") for body in seen[:3]} == {
        GenerationRequest.from_prompt("a", 4, 0.5, sample).seed(5) for sample in range(3)
    }
    assert [body.get("seed", "none") for body in seen[3:]] == ["none"]


def test_messages_and_stop_strings_are_sent() -> None:
    chat = [Message("system", "s"), Message("user", "a"), Message("assistant", "b"), Message("user", "c")]
    with server(lambda body, number: said("x")) as (url, seen):
        engine(url).generate([chat], max_tokens=4, stop=["\n", "Observation:"])
        engine(url).generate(["a"], max_tokens=4)
    assert [(one["role"], one["content"]) for one in seen[0]["messages"]] == [
        *(("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "c"))
    ]
    assert seen[0]["stop"] == ["\n", "Observation:"]
    assert "stop" not in seen[1]


def test_reply_of_a_server_that_ignores_stop_is_cut() -> None:
    with server(lambda body, number: said("one two three", "length")) as (url, _):
        cut, whole = (
            engine(url).generate(["p"], max_tokens=4, stop=stop)[0] for stop in ([" three", " two"], ["four"])
        )
    assert (cut.text, cut.finished) == ("one", True)
    assert (whole.text, whole.finished) == ("one two three", False)


def held(word: str) -> Callable[[dict[str, Any], int], Answer]:
    """A server that knows one way to be held to options, and then chooses the last; else it says B."""

    def answer(body: dict[str, Any], number: int) -> Answer:
        if word not in body:
            return said("B. The second")
        if word == "grammar":
            options = json.loads(f"[{body['grammar'].removeprefix('root ::= ').replace(' | ', ', ')}]")
        else:
            options = body[word]["choice"] if word == "structured_outputs" else body[word]
        return said(options[-1]) if body["max_tokens"] > len(options[-1]) else said(options[-1][:2], "length")

    return answer


@pytest.mark.parametrize("word", ["structured_outputs", "guided_choice", "grammar"])
def test_a_server_that_can_is_held_to_the_options(word: str) -> None:
    with server(held(word)) as (url, seen):
        made = engine(url)
        choices = made.choose(["which?", "sure?"], [("A", "B", "C"), ('say "no"', "yes – of course")], max_tokens=2)
        made.choose(["and?"], [("A", "B")])
    assert [(choice.option, choice.constrained) for choice in choices] == [("C", True), ("yes – of course", True)]
    # The server is tried out once, before the first choice.
    assert [prompt_of(body) for body in seen[-3:]].count("and?") == 1
    tried = ["structured_outputs", "guided_choice", "grammar"].index(word) + 1
    assert sum("blue" in prompt_of(body) for body in seen) == tried


@pytest.mark.parametrize("refuses", [False, True])
def test_a_server_that_cannot_is_asked_plainly_and_read_strictly(refuses: bool) -> None:
    told = {"which?": "B. The second", "sure?": "I am not.", "long": "A or B"}

    def plain(body: dict[str, Any], number: int) -> Answer:
        if refuses and {"structured_outputs", "guided_choice", "grammar"} & set(body):
            return 400, {"error": {"message": "unknown field"}}
        return said(told.get(prompt_of(body), "blue"))

    with server(plain) as (url, seen):
        choices = engine(url).choose(["which?", "sure?", "long"], [("A", "B"), ("Yes", "No"), ("A", "B")], max_tokens=7)
    assert [(choice.option, choice.constrained) for choice in choices] == [("B", False), (None, False), (None, False)]
    assert choices[1].reply == "I am not."
    asked = [body for body in seen if prompt_of(body) in told]
    assert all(body["max_tokens"] == 7 and set(body) & {"structured_outputs", "grammar"} == set() for body in asked)


def test_a_key_that_is_refused_while_trying_out_is_the_users_to_mend() -> None:
    with (
        server(lambda body, number: (401, {"error": {"message": "bad key"}})) as (url, _),
        pytest.raises(UserError, match="refuses the key"),
    ):
        engine(url).choose(["which?"], [("A", "B")])


def thought(reasoning: str, text: str | None, finish: str = "stop") -> Answer:
    message = {"role": "assistant", "content": text, "reasoning_content": reasoning}
    usage = {"prompt_tokens": 7, "completion_tokens": 3}
    return 200, {"choices": [{"message": message, "finish_reason": finish}], "usage": usage}


def test_thinking_model_gets_room_and_its_thoughts_are_no_reply() -> None:
    def answer(body: dict[str, Any], _: int) -> Answer:
        return said("<think>B?", "length") if body["max_tokens"] < 1000 else said("<think>B? No.</think>\n\nA")

    with server(answer) as (url, seen):
        engine = OpenAIEngine(LLMConfig(url=url, model="m", batch=1))
        replies = engine.generate(["a", "b"], max_tokens=16)
    assert [(reply.text, reply.reasoning) for reply in replies] == [("A", "B? No.")] * 2
    assert [request["max_tokens"] for request in seen] == [16, 16 + THINKING_TOKENS, 16 + THINKING_TOKENS]


def test_choice_of_a_model_that_thinks_first_is_held_to_the_options() -> None:
    def answer(body: dict[str, Any], _: int) -> Answer:
        if body["max_tokens"] < 1000:
            return thought("hm", None, "length")
        return thought("hm hm", body["structured_outputs"]["choice"][0])

    with server(answer) as (url, seen):
        (choice,) = OpenAIEngine(LLMConfig(url=url, model="m")).choose(["A or B?"], [("A", "B")])
    assert (choice.option, choice.constrained, choice.silence) == ("A", True, "")
    assert [request["max_tokens"] > 1000 for request in seen] == [False, True, True]


def test_choice_of_a_thinking_model_that_cannot_be_held_is_read() -> None:
    def answer(body: dict[str, Any], _: int) -> Answer:
        return said("Well, let me", "length") if body["max_tokens"] < 1000 else said("Well, let me see.</think>B")

    with server(answer) as (url, _):
        (choice,) = OpenAIEngine(LLMConfig(url=url, model="m")).choose(["A or B?"], [("A", "B")])
    assert (choice.option, choice.constrained) == ("B", False)


def test_choice_that_was_only_thought_about_is_none() -> None:
    with server(lambda body, _: thought("A, surely", None, "length")) as (url, _):
        (choice,) = OpenAIEngine(LLMConfig(url=url, model="m")).choose(["A or B?"], [("A", "B")])
    assert choice.option is None
    assert choice.silence.startswith("the model was still reasoning at its token limit after 3 tokens")


def test_server_that_has_no_room_to_think_ends_no_run() -> None:
    def answer(body: dict[str, Any], _: int) -> Answer:
        if body["max_tokens"] > 100:
            return 400, {"error": {"message": f"max_tokens is too large: {body['max_tokens']}"}}
        return said("<think>B?", "length")

    with server(answer) as (url, _):
        (reply,) = OpenAIEngine(LLMConfig(url=url, model="m")).generate(["a"], max_tokens=16)
    assert reply.silent
