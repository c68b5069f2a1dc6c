"""The specialist `server` against a real HTTP server in this process that speaks the protocol."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from PIL import Image

from aotd.config.command_line import read_settings
from aotd.errors import QuestionError, UserError
from aotd.llm.thinking import THINKING_TOKENS
from aotd.records import Outcome
from aotd.specialists import VideoLLMConfig
from aotd.specialists.load import load_specialists
from aotd.specialists.video_server import VideoServer
from aotd.video.clip import Clip, Pixels
from tests.conftest import BlankVideo
from tests.llm.test_openai import said, server


class Tinted(BlankVideo):
    """Frame `i` is red of strength `20 * i`."""

    def pixels(self) -> Pixels:
        frames = np.zeros((self.frames, self.height, self.width, 3), np.uint8)
        frames[..., 0] = 20 * np.arange(self.frames)[:, None, None]
        return frames


@contextmanager
def replying(*texts: str, finish: str = "stop", **settings: Any) -> Iterator[tuple[VideoServer, list[dict[str, Any]]]]:
    """A specialist whose server replies with these texts in turn, and the requests it gets."""
    with server(lambda body, number: said(texts[(number - 1) % len(texts)], finish)) as (url, seen):
        config = VideoLLMConfig(model="seer", url=url, retries=0, **{"frames": 3, **settings})
        yield VideoServer(config, "specialists.answering"), seen


def whole(**size: int) -> Clip:
    return Clip.whole(Tinted(**size))


def pictures(request: dict[str, Any]) -> list[Image.Image]:
    *parts, text = request["messages"][0]["content"]
    assert text["type"] == "text"
    head = "data:image/jpeg;base64,"
    urls = [part["image_url"]["url"] for part in parts]
    assert all(url.startswith(head) for url in urls)
    return [Image.open(io.BytesIO(base64.b64decode(url.removeprefix(head)))) for url in urls]


def test_it_is_sent_the_clips_frames_in_order_and_the_prompt() -> None:
    with replying("a red room") as (seer, seen):
        assert seer.answer(whole().span(2, 8), "What colour?") == "a red room"
    (request,) = seen
    shades = [np.asarray(picture)[..., 0].mean() for picture in pictures(request)]
    assert shades == pytest.approx([60, 100, 140], abs=4), "frames 3, 5 and 7"
    assert "What colour?" in request["messages"][0]["content"][-1]["text"]
    assert request["model"] == "seer"
    assert request["temperature"] == 0


def test_large_frames_are_made_smaller() -> None:
    with replying("x") as (seer, seen):
        seer.summarise(whole(width=1600, height=800), "")
    assert {picture.size for picture in pictures(seen[0])} == {(768, 384)}


def test_a_choice_is_a_letter_and_nothing_else() -> None:
    cases = {
        "B": "b", "(A)": "a", "C.": "c", " B\n": "b", "D": None, "b": None, "The answer is B": None,
        "A or B": None, "": None, "1": None,
    }  # fmt: skip
    for text, wanted in cases.items():
        with replying(text) as (seer, seen):
            assert seer.choose("which?", {"seen": "a door"}, ["a", "b", "c"]) == wanted, text
            assert isinstance(seen[0]["messages"][0]["content"], str), "no picture is sent"
    with replying("B", finish="length") as (seer, _):
        assert seer.choose("which?", {"seen": "a door"}, ["a", "b", "c"]) is None


def test_candidates_are_ranked_by_the_numbers_it_replies() -> None:
    candidates = ["open", "close", "hold"]
    for text, wanted in {"3, 1": ["hold", "open"], "2": ["close"], "1,1,2.": ["open", "close"], "None.": []}.items():
        with replying(text) as (seer, _):
            assert seer.actions(whole(), "door", candidates) == wanted
    for text in ("4", "0", "I see 1 and 2", "", "open"):
        with replying(text) as (seer, _), pytest.raises(QuestionError) as caught:
            seer.actions(whole(), "door", candidates)
        assert caught.value.outcome is Outcome.tool_failed, text


def test_several_clips_are_asked_about_at_once_and_kept_in_order() -> None:
    def answer(body: dict[str, Any], number: int) -> Any:
        return said(str(len(body["messages"][0]["content"]) - 1))

    with server(answer) as (url, _):
        seer = VideoServer(VideoLLMConfig(model="seer", url=url, frames=8), "specialists.answering")
        clips = [whole().span(0, count) for count in (5, 1, 8, 2)]
        assert seer.summarise_all([(clip, "") for clip in clips]) == ["5", "1", "8", "2"]


def test_a_busy_server_is_asked_again() -> None:
    answers = [(503, {}), (429, {}), None, said("a door")]
    with server(lambda body, number: answers[number - 1]) as (url, seen):
        config = VideoLLMConfig(model="seer", url=url, retries=3)
        assert VideoServer(config, "specialists.action", pause_s=0.001).answer(whole(), "what?") == "a door"
    assert len(seen) == 4


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((503, {}), r"specialists\.action\.url: .* answered 503 .*\(2 tries\)"),
        ((401, {}), r"refuses the key \(401\): put a valid one into the environment variable OPENAI_API_KEY"),
        ((400, {"error": "At most 1 image"}), r"refuses the request \(400 .*At most 1 image.* take 32 pictures"),
        ((200, {"no": "choices"}), r"answered something that is no chat completion"),
        ((200, b"<html>"), r"answered something that is no chat completion"),
    ],
)
def test_what_is_wrong_with_the_server_is_one_line(answer: Any, says: str) -> None:
    with server(lambda body, number: answer) as (url, _):
        seer = VideoServer(VideoLLMConfig(model="m", url=url, retries=1), "specialists.action", pause_s=0.001)
        with pytest.raises(UserError, match=says) as caught:
            seer.answer(whole(), "what?")
    assert "\n" not in str(caught.value)


def test_a_question_too_long_for_the_server_ends_itself_and_not_the_run() -> None:
    def picky(body: dict[str, Any], number: int) -> Any:
        text = body["messages"][0]["content"][-1]["text"]
        return said("a door") if len(text) < 9000 else (400, {"error": "this is\x1b[31m too much"})

    with server(picky) as (url, _):
        seer = VideoServer(VideoLLMConfig(model="m", url=url, retries=0, frames=1), "specialists.action")
        with pytest.raises(QuestionError, match=r"fails at this prompt.*says: this is\[31m too") as caught:
            seer.answer(whole(), "x" * 100_000)
        assert caught.value.outcome is Outcome.model_refused
        assert seer.answer(whole(), "what?") == "a door"


def test_no_server_no_address_and_no_model_are_one_line() -> None:
    seer = VideoServer(VideoLLMConfig(model="m", url="http://127.0.0.1:9/v1", retries=0), "specialists.action")
    with pytest.raises(UserError, match=r"^specialists\.action\.url: http://127\.0\.0\.1:9/v1 cannot be reached"):
        seer.answer(whole(), "what?")
    with pytest.raises(UserError, match=r"^specialists\.action\.url: 'home' is not the address"):
        VideoServer(VideoLLMConfig(model="m", url="home"), "specialists.action")
    with pytest.raises(UserError, match=r"specialists\.action\.model: name the model"):
        VideoServer(VideoLLMConfig(), "specialists.action")


def test_a_config_names_it_and_many_processes_may_share_it() -> None:
    words = [f"specialists/{part}=server" for part in ("action", "answering")]
    words += [f"specialists.{part}.model=seer" for part in ("action", "answering")]
    config = read_settings("execute", ["specialists=mock", *words]).specialists
    assert not config.weighty()
    specialists = load_specialists(config, ".")
    assert specialists.answering.model.startswith("seer at a server, 16 frames")


def test_thoughts_of_a_server_are_no_findings() -> None:
    for reply in ("<think>A green kettle? No.</think>\n\na red bar", "A green kettle? No.\n</think>a red bar"):
        with replying(reply) as (seer, _):
            assert seer.answer(whole(), "what?") == "a red bar"
    with replying("<think>B?</think>A") as (seer, _):
        assert seer.choose("which?", {"seen": "a door"}, ["a", "b"]) == "a"
    with replying("[THINK]1?[/THINK]2") as (seer, _):
        assert seer.actions(whole(), "door", ["open", "close"]) == ["close"]


def test_thought_that_never_ends_is_an_outcome_of_its_own() -> None:
    with replying("<think>A green kettle. Or", finish="length") as (seer, seen):
        for ask in (
            lambda: seer.answer(whole(), "what?"),
            lambda: seer.choose("which?", {"seen": "a door"}, ["a", "b"]),
            lambda: seer.actions(whole(), "door", ["open", "close"]),
        ):
            with pytest.raises(QuestionError, match=r"raise specialists\.answering\.thinking_tokens") as caught:
                ask()
            assert caught.value.outcome is Outcome.nothing_said
    assert max(request["max_tokens"] for request in seen) == 128 + THINKING_TOKENS


def test_room_to_think_is_in_the_specialists_name_where_it_is_set() -> None:
    with replying("<think>hm</think>x", thinking_tokens=99) as (seer, seen):
        assert seer.answer(whole(), "what?") == "x"
        assert seer.model.endswith(", 99 tokens to think")
        assert seen[0]["max_tokens"] == 32 + 99


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "maximum context length is 9 tokens"),
        (400, "filtered by the content management policy"),
        (413, "too large"),
    ],
)
def test_prompt_that_is_refused_ends_its_question_and_not_the_run(status: int, message: str) -> None:
    def picky(body: dict[str, Any], number: int) -> Any:
        refuses = "knife" in body["messages"][0]["content"][-1]["text"]
        return (status, {"error": {"message": message}}) if refuses else said("a door")

    with server(picky) as (url, seen):
        seer = VideoServer(VideoLLMConfig(model="m", url=url, frames=1), "specialists.action", pause_s=0.001)
        with pytest.raises(QuestionError, match=message) as caught:
            seer.answer(whole(), "Who holds the knife?")
        assert caught.value.outcome is Outcome.model_refused
        assert seer.answer(whole(), "Who holds the cup?") == "a door"
    assert len(seen) == 2
