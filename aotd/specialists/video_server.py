"""Specialist `server`: a model that takes pictures, behind an OpenAI-compatible server (vLLM, llama.cpp, …).

    vllm serve Qwen/Qwen3-VL-8B-Instruct --limit-mm-per-prompt '{"image": 16}'
    aotd execute specialists/answering=server specialists.answering.model=Qwen/Qwen3-VL-8B-Instruct

Frames go as JPEG pictures in the message, in their order, before the prompt. A server tells no
probabilities of replies it has not written, so what is ranked or chosen is read out of its reply,
strictly: a reply that is not what was asked for is never guessed at.
"""

from __future__ import annotations

import base64
import io
import re
import string
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from PIL import Image

from aotd.errors import QuestionError, UserError
from aotd.llm.base import Reply
from aotd.llm.chat_client import ChatClient
from aotd.prompts import one_line, render
from aotd.records import Outcome
from aotd.specialists import VideoLLMConfig
from aotd.specialists.prompted import Asked, Prompted, prompts_digest, shown, thinking_room
from aotd.video.clip import Clip, Pixels

_LONG = 8_000
"""Characters. Where a server refuses a longer prompt, what a program put into it is to blame, not the settings."""
_LONGEST_SIDE = 768
"""Larger frames are made smaller, to this many pixels."""
_QUALITY = 90
_LETTER = re.compile(r"\(?([A-Z])\)?[.:]?")
_NUMBERS = re.compile(r"\d+(?:\s*,\s*\d+)*\.?")
_LETTER_TOKENS, _NUMBERS_TOKENS = 8, 128


class VideoServer(Prompted):
    """A model at `url` as recogniser and answerer."""

    def __init__(self, config: VideoLLMConfig, setting: str, pause_s: float = 0.5) -> None:
        """Args:
            setting: where `config` stands among the settings, for errors.
            pause_s: the wait before the first retry.

        Raises:
            UserError: no model is named, or `url` is no address.
        """
        if not config.model:
            raise UserError(f"{setting}.model: name the model at {config.url} (its /models lists them)")
        if config.frames < 1:
            raise UserError(f"{setting}.frames={config.frames} must be 1 or more")
        self._config, self.setting, self.batch = config, setting, max(config.batch, 1)
        names = ("url", "model", "key_variable", "timeout_s", "retries", "wait_s", "batch", "thinking_tokens")
        settings = {name: getattr(config, name) for name in names}
        refused = f", and does it take {config.frames} pictures in a prompt?"
        self._client = ChatClient(setting, **settings, pause_s=pause_s, refused=refused)
        shown_to = f"{config.model} at a server, {config.frames} frames"
        self.model = f"{shown_to}, prompts {prompts_digest()}{thinking_room(config.thinking_tokens)}"

    def say(self, asked: Sequence[Asked], longest: int) -> list[Reply]:
        """As `Prompted.say`, with up to `batch` requests in flight.

        Raises:
            QuestionError: `model_refused`: the server refuses a prompt.
            UserError: the server cannot be reached, or refuses.
        """
        pool = ThreadPoolExecutor(max_workers=min(self.batch, len(asked)))
        try:
            return list(pool.map(lambda one: self._ask(one[0], one[1], longest), asked))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def ranks(self, asked: Sequence[tuple[Clip, str | None, Sequence[str]]]) -> list[list[str]]:
        """The candidates that the model says are done, in its order; none where it says none.

        Raises:
            QuestionError: `tool_failed`: a reply is no list of their numbers.
        """
        prompts = []
        for clip, obj, candidates in asked:
            listed = "\n".join(f"{number}. {one_line(name)}" for number, name in enumerate(candidates, start=1))
            prompts.append((clip, render("clip_rank", thing=one_line(obj or "anything"), actions=listed)))
        replies = self.heard(prompts, _NUMBERS_TOKENS)
        return [self._ranked(reply, candidates) for reply, (_, _, candidates) in zip(replies, asked, strict=True)]

    def _ranked(self, reply: Reply, candidates: Sequence[str]) -> list[str]:
        text = reply.text.strip()
        if reply.finished and text.rstrip(".").casefold() == "none":
            return []
        numbers = [int(one) for one in re.findall(r"\d+", text)] if _NUMBERS.fullmatch(text) else []
        if not reply.finished or not numbers or not all(1 <= number <= len(candidates) for number in numbers):
            told = repr(" ".join(text.split())[:80])
            raise QuestionError(
                Outcome.tool_failed, f"{self._config.model} was to name actions by number, and replied {told}"
            )
        return [candidates[number - 1] for number in dict.fromkeys(numbers)]

    def picks(self, asked: Sequence[tuple[str, int]]) -> list[int | None]:
        """The letter in each reply, which must be nothing else ("B", "(B)", "B."); otherwise None."""
        replies = self.heard([(None, prompt) for prompt, _ in asked], _LETTER_TOKENS)
        return [_letter(reply, count) for reply, (_, count) in zip(replies, asked, strict=True)]

    def _ask(self, clip: Clip | None, prompt: str, longest: int) -> Reply:
        body = {
            "messages": [{"role": "user", "content": _content(clip, prompt, self._config.frames)}],
            "max_tokens": longest,
            "temperature": 0.0,
        }
        reply = self._client.ask(body, blame=len(prompt) > _LONG)
        if reply.failed:
            raise QuestionError(Outcome.model_refused, f"{self._config.model}: {reply.failed}")
        return reply


def _letter(reply: Reply, count: int) -> int | None:
    letter = _LETTER.fullmatch(reply.text.strip())
    number = string.ascii_uppercase.index(letter[1]) if letter and reply.finished else count
    return number if number < count else None


def _content(clip: Clip | None, prompt: str, frames: int) -> str | list[dict[str, Any]]:
    """A user message: the clip's pictures, then the prompt; without a clip, the prompt."""
    if clip is None:
        return prompt
    pictures = shown(clip, frames)[0]
    parts: list[dict[str, Any]] = [
        {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{_jpeg(picture)}"}} for picture in pictures
    ]
    return [*parts, {"type": "text", "text": prompt}]


def _jpeg(picture: Pixels) -> str:
    image = Image.fromarray(picture)
    image.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    written = io.BytesIO()
    image.save(written, "JPEG", quality=_QUALITY)
    return base64.b64encode(written.getvalue()).decode()
