"""Recorded replies: any engine with a file of its replies, and engine `replay`, the file alone.

A record is JSON lines, one reply each, appended as it arrives:

    {"prompt": "5e88…", "ends_in": "…where was the cup?", "max_tokens": 512, "model": "my-model", "text": "def …",
     "finished": true, "prompt_tokens": 1984, "reply_tokens": 88}

A prompt is known by its hash. The line also holds everything else that decides a reply. So a reply is used for an
equal request only: another limit, temperature, sample, seed, stop string or model is asked anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from aotd.errors import UserError
from aotd.llm import LLMConfig
from aotd.llm.base import Engine, GenerationRequest, Reply, ReplyFailure
from aotd.prompts import one_line
from aotd.store.files import Shard
from aotd.store.untrusted import is_file, lines


class RecordedReply(BaseModel):
    """One line of a record. A field at its default is not written."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    prompt: str
    """SHA-256 of the prompt (`GenerationRequest.text`), in hex."""
    roles: tuple[str, ...] = ()
    """Roles of the prompt's messages; empty for a single user message."""
    ends_in: str
    """The last words of the last message, for people: most prompts of a run begin alike."""
    max_tokens: int
    temperature: float = 0.0
    sample: int = 0
    """Which sample of the prompt it is, from 0."""
    seed: int = 0
    """`llm.seed`, where the temperature is above 0."""
    options: tuple[str, ...] = ()
    """What the reply had to be one of; empty where it was free."""
    stop: tuple[str, ...] = ()
    """Strings before which the reply had to end."""
    thinking_tokens: int | None = None
    """`llm.thinking_tokens`, where it was set."""
    model: str
    text: str
    finished: bool
    prompt_tokens: int
    reply_tokens: int
    constrained: bool = False
    reasoning: str = ""
    """What the model thought before it said the text. Older lines hold both in `text`."""
    failure: ReplyFailure | None = None
    """Why the reply is not whole, where it is not the limit; earlier records say nothing."""
    words: str = ""
    """What the server said of that."""

    @property
    def key(self) -> tuple[object, ...]:
        """What decides a reply, except the model."""
        prompt = self.prompt, self.roles
        limits = self.max_tokens, self.thinking_tokens
        return prompt, limits, self.temperature, self.sample, self.seed, self.options, self.stop

    @property
    def reply(self) -> Reply:
        tokens = self.prompt_tokens, self.reply_tokens
        if self.reasoning or self.failure:
            finished = self.finished and self.failure is None
            return Reply(self.text, finished, *tokens, self.constrained, self.reasoning, True, self.failure, self.words)
        reply = Reply.from_text(self.text, self.finished, *tokens, constrained=self.constrained)
        return replace(reply, recorded=True)


class RecordedEngine(Engine):
    """An engine that asks only for what its record lacks, and records it; or the record alone.

    A prompt that was too long for the model is asked again where there is an engine, since it may have got more room
    in between. Where a record holds several replies to one request, the last one counts. One process at a time may
    record into a file.

    Raises:
        UserError: `llm.record` is not set or not there (replay), a whole line of it is none, or it holds
            several models' replies and `llm.model` names none of them (replay).
    """

    def __init__(self, engine: Engine | None, config: LLMConfig, wanted_by: str) -> None:
        """`wanted_by` is the setting that needs the replies, for errors; `engine` is None for `llm=replay`."""
        setting = config.setting
        if not config.record:
            raise UserError(
                f"{config.choice} needs {setting}.record=…, a file that another engine recorded with {setting}.record=…"
            )
        self._path = Path(config.record).expanduser()
        if engine is None and not self._path.is_file():
            raise UserError(
                f"{setting}.record: {self._path} is not there; record it with an engine and the same {setting}.record"
            )
        recorded = _read(self._path, setting)
        self.model = engine.model if engine else _model(self._path, recorded, config)
        self._engine, self._config, self._wanted_by = engine, config, wanted_by
        self._lines = {line.key: line for line in recorded if line.model == self.model}
        self._prompts = {line.prompt for line in self._lines.values()}

    def stream(self, requests: Sequence[GenerationRequest]) -> Iterator[tuple[GenerationRequest, Reply]]:
        """Yield the replies that the record holds, then the engine's replies to the other requests.

        Raises:
            UserError: the engine cannot be reached; or there is none, and the record lacks a reply.
        """
        new = []
        for request in requests:
            line = self._lines.get(self._line(request, _NOTHING).key)
            if line is None or (line.reply.refused and self._engine):
                new.append(request)
            else:
                yield request, line.reply
        if not new:
            return
        if self._engine is None:
            raise UserError(self._missing(new[0]))
        shard = Shard(self._path)
        try:
            for request, reply in self._engine.stream(new):
                line = self._line(request, reply)
                shard.append(line)
                self._lines[line.key] = line
                yield request, reply
        finally:
            shard.close()

    def _line(self, request: GenerationRequest, reply: Reply) -> RecordedReply:
        return RecordedReply(
            prompt=hashlib.sha256(request.text.encode()).hexdigest(),
            roles=request.roles,
            ends_in=one_line(request.messages[-1].content[-400:])[-80:],
            max_tokens=request.max_tokens,
            temperature=request.temperature,
            sample=request.sample,
            seed=self._config.seed if request.temperature > 0 else 0,
            options=request.options,
            stop=request.stop,
            thinking_tokens=self._config.thinking_tokens,
            model=self.model,
            text=reply.text,
            finished=reply.finished,
            prompt_tokens=reply.prompt_tokens,
            reply_tokens=reply.reply_tokens,
            constrained=reply.constrained,
            reasoning=reply.reasoning,
            failure=reply.failure,
            words=reply.words,
        )

    def _missing(self, request: GenerationRequest) -> str:
        line, setting = self._line(request, _NOTHING), self._config.setting
        words = one_line(request.messages[0].content[:400])[:60]
        if line.prompt in self._prompts:
            fields = ("max_tokens", "thinking_tokens", "temperature", "sample", "seed", "options", "stop", "roles")
            values = ", ".join(f"{name} {getattr(line, name)}" for name in fields if getattr(line, name))
            what = f"holds the prompt {words!r} … {line.ends_in[-40:]!r}, but not with {values}"
        else:
            what = f"holds no reply of {self.model} to the prompt {words!r} … {line.ends_in[-40:]!r}"
        return (
            f"{setting}.record: {self._path} {what} (asked by {self._wanted_by}); "
            f"record it with an engine in place of {self._config.choice} and the same {setting}.record"
        )


_NOTHING = Reply("", finished=False, prompt_tokens=0, reply_tokens=0)


def _read(path: Path, setting: str) -> list[RecordedReply]:
    """Read the lines of a record; a missing file has none, and a torn last line is not read."""
    if not is_file(path):
        return []
    replies = []
    for number, text in lines(path):
        if not text.endswith(b"\n"):
            break
        try:
            replies.append(RecordedReply.model_validate_json(text))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "line"
            raise UserError(
                f"{setting}.record: {path}:{number} is no recorded reply ({where}: {first['msg']}); "
                "mend or delete that line, or name another file"
            ) from None
    return replies


def _model(path: Path, recorded: Sequence[RecordedReply], config: LLMConfig) -> str:
    """The one model of a record, or the one that `llm.model` names."""
    models, wanted, setting = sorted({line.model for line in recorded}), config.model, config.setting
    if wanted in models:
        return wanted
    if wanted or len(models) != 1:
        names = ", ".join(models) or "no model"
        raise UserError(f"{setting}.record: {path} holds replies of {names}: set {setting}.model=… to one of them")
    return models[0]
