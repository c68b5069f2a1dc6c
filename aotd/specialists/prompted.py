"""What recognising, answering, summing up and choosing are to a model that takes frames and a prompt.

The prompts are `aotd/prompts/clip_*.txt` and `choose_*.txt`. A model in this process
(`aotd.specialists.video_llm`) and one behind a server (`aotd.specialists.video_server`) share all but
how they rank and how they pick a letter.
"""

from __future__ import annotations

import hashlib
import re
import string
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from aotd.errors import QuestionError
from aotd.llm.base import Reply
from aotd.prompts import one_line, render, source
from aotd.records import Outcome
from aotd.video.clip import Clip, Pixels, frame_times, spread

UNSEEN = "nothing is seen"
"""What is said of a clip without frames."""
_ACTIONS = 3
"""How many actions are named where there are no candidates."""
_PHRASE_TOKENS, _SENTENCES_TOKENS, _ACTIONS_TOKENS = 32, 96, 64
_NO_NOTE = ("", "nothing", "no frames", UNSEEN)
"""Values of `info` that say nothing. A "no" and a 0 say something."""
_PROMPTS = (
    *("clip_answer", "clip_summary", "clip_caption", "clip_actions", "clip_actions_with", "clip_action"),
    *("clip_action_with", "clip_rank", "choose_option", "choose_open"),
)
_NUMBERING = re.compile(r"^\s*(?:[-*•]|\(?\d+[.):])\s*")
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)")
_PADDING = (122, 116, 104)
"""Colour beside a crop: CLIP's mean, which is nothing to a tower that takes it off."""

Asked = tuple[Clip | None, str]
"""A prompt, and the clip it is about."""


class Prompted(ABC):
    """Recogniser and answerer over a model that takes frames and a prompt."""

    model: str

    @abstractmethod
    def say(self, asked: Sequence[Asked], longest: int) -> list[Reply]:
        """Greedy replies, each of at most `longest` tokens, in order. No clip is without frames."""

    @abstractmethod
    def rank(self, clip: Clip, obj: str | None, candidates: Sequence[str]) -> list[str]:
        """Some or all of the candidates, the most likely action in the clip first."""

    @abstractmethod
    def pick(self, prompt: str, count: int) -> int | None:
        """Which of the first `count` letters is the reply to a prompt without frames; None where it is unreadable."""

    def actions(self, clip: Clip, obj: str | None, candidates: Sequence[str]) -> list[str]:
        """The candidates in the order of `rank`; without candidates, up to three actions that the model names.

        A line that the token limit cut off is not read.
        """
        if not clip.numbers:
            return []
        if candidates:
            return self.rank(clip, obj, candidates)
        prompt = render("clip_actions_with", thing=one_line(obj)) if obj else render("clip_actions")
        return _actions_in(self.say([(clip, prompt)], _ACTIONS_TOKENS)[0])

    def answer(self, clip: Clip, question: str) -> str:
        """A short phrase; "nothing is seen" of an empty clip."""
        if not clip.numbers:
            return UNSEEN
        prompt = render("clip_answer", question=one_line(question))
        return _whole(self.say([(clip, prompt)], _PHRASE_TOKENS)[0])

    def summarise(self, clip: Clip, query: str) -> str:
        """One or two sentences; "nothing is seen" of an empty clip."""
        return self.summaries([clip], query)[0]

    def summaries(self, clips: Sequence[Clip], query: str) -> list[str]:
        """As `summarise`, of several clips at once."""
        prompt = render("clip_summary", question=one_line(query)) if query.strip() else render("clip_caption")
        asked = [(clip, prompt) for clip in clips if clip.numbers]
        said = iter(self.say(asked, _SENTENCES_TOKENS) if asked else [])
        return [_whole(next(said)) if clip.numbers else UNSEEN for clip in clips]

    def choose(self, question: str, info: Mapping[str, str], options: Sequence[str]) -> str | None:
        """The option whose letter the model prefers, told question, options and `info`; no video is shown.

        None where no value of `info` says anything, where the letter cannot be read (a server), and, without
        options, where there is no whole answer.

        Raises:
            QuestionError: `tool_failed`: more options than letters.
        """
        told = [f"{one_line(name)}: {one_line(text)}" for name, text in info.items() if not _says_nothing(text)]
        if not told:
            return None
        asked = {"question": one_line(question), "notes": "\n".join(told)}
        if not options:
            reply = self.say([(None, render("choose_open", **asked))], _PHRASE_TOKENS)[0]
            return _one_line(reply.text) or None if reply.finished else None
        if len(options) > len(string.ascii_uppercase):
            raise QuestionError(Outcome.tool_failed, f"select_answer: {len(options)} options are more than letters")
        lettered = zip(string.ascii_uppercase, options, strict=False)
        listed = "\n".join(f"({letter}) {one_line(option)}" for letter, option in lettered)
        picked = self.pick(render("choose_option", **asked, options=listed), len(options))
        return None if picked is None else options[picked]


def prompts_digest() -> str:
    """Hash of the prompts, for the model's name in manifests."""
    return hashlib.sha256("\0".join(source(name) for name in _PROMPTS).encode()).hexdigest()[:8]


def shown(clip: Clip, count: int) -> tuple[Pixels, list[float]]:
    """The frames of a clip that a model is shown: all, or `count` spread over them where there are more.

    Where the clip is cropped, each frame is as large as it can be on a square of its own, so that nothing
    of it is cut off by who takes squares, and no shape is changed. A crop that lies outside its frame
    shows nothing: an empty square.

    Returns:
        RGB `[frames, height, width, 3]`, and when each is, in seconds from the beginning of the video.
    """
    numbers = spread(clip.numbers, count)
    video = clip.video
    times = frame_times(video.start_s, video.end_s, video.frames)
    moments = [times[number] - video.start_s for number in numbers]
    if not clip.crops:
        return video.pixels()[numbers], moments
    parts = [clip.pixels(number) for number in numbers]
    side = max([1, *(max(part.shape[:2]) for part in parts if part.size)])
    return np.stack([_squared(part, side) for part in parts]), moments


def _squared(part: Pixels, side: int) -> Pixels:
    """A picture in the middle of a square, as large as it fits."""
    square = Image.new("RGB", (side, side), _PADDING)
    if not part.size:
        return np.asarray(square)
    height, width = part.shape[:2]
    scale = side / max(height, width)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    square.paste(
        Image.fromarray(part).resize(size, Image.Resampling.BICUBIC), ((side - size[0]) // 2, (side - size[1]) // 2)
    )
    return np.asarray(square)


def _says_nothing(text: str) -> bool:
    return _one_line(text).rstrip(".").casefold() in _NO_NOTE


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _whole(reply: Reply) -> str:
    """A reply on one line; one that the limit cut off, as far as its last whole sentence, if it has one."""
    text = _one_line(reply.text)
    ends = [] if reply.finished else [end.end() for end in _SENTENCE_END.finditer(text)]
    return text[: ends[-1]] if ends else text


def _actions_in(reply: Reply) -> list[str]:
    """The actions that a reply lists, one a line."""
    lines = reply.text.splitlines()
    if not reply.finished:
        lines = lines[:-1]
    named = [_one_line(_NUMBERING.sub("", line)).rstrip(".").strip("\"'“” ") for line in lines]
    found: dict[str, str] = {}
    for name in named:
        if name and name.casefold() not in ("none", "nothing"):
            found.setdefault(name.casefold(), name)
    return list(found.values())[:_ACTIONS]
