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
    batch: int
    """How many prompts it takes at once."""
    setting: str = "specialists.answering"
    """Where its settings stand, for errors."""

    @abstractmethod
    def say(self, asked: Sequence[Asked], longest: int) -> list[Reply]:
        """Greedy replies, each of at most `longest` tokens, in order. No clip is without frames."""

    def heard(self, asked: Sequence[Asked], longest: int) -> list[Reply]:
        """As `say`, where each reply says something.

        Raises:
            QuestionError: `nothing_said`: a reply is all reasoning.
        """
        replies = self.say(asked, longest)
        for reply in replies:
            if reply.silent:
                raise QuestionError(
                    Outcome.nothing_said, f"{self.model}: {reply.silence(f'{self.setting}.thinking_tokens')}"
                )
        return replies

    @abstractmethod
    def ranks(self, asked: Sequence[tuple[Clip, str | None, Sequence[str]]]) -> list[list[str]]:
        """For each clip, thing and candidates: some or all of these, the most likely action in the clip first."""

    @abstractmethod
    def picks(self, asked: Sequence[tuple[str, int]]) -> list[int | None]:
        """For each prompt, without frames: which of the first so many letters is the reply; None for none of them."""

    def actions(self, clip: Clip, obj: str | None, candidates: Sequence[str]) -> list[str]:
        """The candidates in the order of `ranks`; without candidates, up to three actions that the model names.

        A line that the token limit cut off is not read.
        """
        return self.actions_all([(clip, obj, candidates)])[0]

    def actions_all(self, asked: Sequence[tuple[Clip, str | None, Sequence[str]]]) -> list[list[str]]:
        """As `actions`, of several at once."""
        found: dict[int, list[str]] = {at: [] for at, (clip, _, _) in enumerate(asked) if not clip.numbers}
        ranked = [at for at in range(len(asked)) if at not in found and asked[at][2]]
        named = [at for at in range(len(asked)) if at not in found and not asked[at][2]]
        if ranked:
            found |= zip(ranked, self.ranks([asked[at] for at in ranked]), strict=True)
        if named:
            replies = self.heard([(asked[at][0], _action_prompt(asked[at][1])) for at in named], _ACTIONS_TOKENS)
            found |= zip(named, map(_actions_in, replies), strict=True)
        return [found[at] for at in range(len(asked))]

    def answer(self, clip: Clip, question: str) -> str:
        """A short phrase; "nothing is seen" of an empty clip."""
        return self.answer_all([(clip, question)])[0]

    def answer_all(self, asked: Sequence[tuple[Clip, str]]) -> list[str]:
        """As `answer`, of several at once."""
        return self._told(
            [(clip, render("clip_answer", question=one_line(question))) for clip, question in asked], _PHRASE_TOKENS
        )

    def summarise(self, clip: Clip, query: str) -> str:
        """One or two sentences; "nothing is seen" of an empty clip."""
        return self.summarise_all([(clip, query)])[0]

    def summarise_all(self, asked: Sequence[tuple[Clip, str]]) -> list[str]:
        """As `summarise`, of several at once."""
        return self._told([(clip, _summary_prompt(query)) for clip, query in asked], _SENTENCES_TOKENS)

    def _told(self, asked: Sequence[tuple[Clip, str]], longest: int) -> list[str]:
        seen = [(clip, prompt) for clip, prompt in asked if clip.numbers]
        said = iter(self.heard(seen, longest) if seen else [])
        return [_whole(next(said)) if clip.numbers else UNSEEN for clip, _ in asked]

    def choose(self, question: str, info: Mapping[str, str], options: Sequence[str]) -> str | None:
        """The option whose letter the model prefers, told question, options and `info`; no video is shown.

        None where no value of `info` says anything, where the letter cannot be read (a server), and, without
        options, where there is no whole answer.

        Raises:
            QuestionError: `tool_failed`: more options than letters.
        """
        return self.choose_all([(question, info, options)])[0]

    def choose_all(self, asked: Sequence[tuple[str, Mapping[str, str], Sequence[str]]]) -> list[str | None]:
        """As `choose`, of several at once."""
        prompts = [choice_prompt(*one) for one in asked]
        chosen: dict[int, str | None] = {}
        lettered = [at for at, prompt in enumerate(prompts) if prompt and asked[at][2]]
        free = [at for at, prompt in enumerate(prompts) if prompt and not asked[at][2]]
        if lettered:
            picked = self.picks([(prompts[at], len(asked[at][2])) for at in lettered])
            chosen |= {at: None if one is None else asked[at][2][one] for at, one in zip(lettered, picked, strict=True)}
        if free:
            replies = self.heard([(None, prompts[at]) for at in free], _PHRASE_TOKENS)
            said = [_one_line(reply.text) or None if reply.finished else None for reply in replies]
            chosen |= zip(free, said, strict=True)
        return [chosen.get(at) for at in range(len(asked))]


def _action_prompt(obj: str | None) -> str:
    return render("clip_actions_with", thing=one_line(obj)) if obj else render("clip_actions")


def _summary_prompt(query: str) -> str:
    return render("clip_summary", question=one_line(query)) if query.strip() else render("clip_caption")


def choice_prompt(question: str, info: Mapping[str, str], options: Sequence[str]) -> str:
    """What is asked for a choice; empty where no value of `info` says anything.

    Raises:
        QuestionError: `tool_failed`: more options than letters.
    """
    told = [f"{one_line(name)}: {one_line(text)}" for name, text in info.items() if not _says_nothing(text)]
    if not told:
        return ""
    asked = {"question": one_line(question), "notes": "\n".join(told)}
    if not options:
        return render("choose_open", **asked)
    if len(options) > len(string.ascii_uppercase):
        raise QuestionError(Outcome.tool_failed, f"select_answer: {len(options)} options are more than letters")
    lettered = zip(string.ascii_uppercase, options, strict=False)
    listed = "\n".join(f"({letter}) {one_line(option)}" for letter, option in lettered)
    return render("choose_option", **asked, options=listed)


def prompts_digest() -> str:
    """Hash of the prompts, for the model's name in manifests."""
    return hashlib.sha256("\0".join(source(name) for name in _PROMPTS).encode()).hexdigest()[:8]


def thinking_room(tokens: int | None) -> str:
    """The setting `thinking_tokens`, for the model's name in manifests; empty where it is not set."""
    return "" if tokens is None else f", {tokens} tokens to think"


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
