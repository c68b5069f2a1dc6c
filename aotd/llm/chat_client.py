"""Client of an OpenAI-compatible server: sends chat completions and reads their replies.

What a server's answer means, and how it wants to be asked, is decided by `aotd.llm.dialects`. A prompt that the server
refuses is a reply that failed (`Reply.failure`), and ends one question. What a user has to mend ends the run.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from dataclasses import replace
from typing import Any

import httpx

from aotd.errors import UserError
from aotd.llm.base import Reply, ReplyFailure
from aotd.llm.dialects import (
    OPTIONAL,
    Cause,
    ChatMessage,
    ReplyEnd,
    ServerError,
    Wording,
    chat_message,
    clean,
    learned,
    over_our_limit,
    page_words,
)
from aotd.llm.http_client import HTTPClient, ServerFailedError, Trouble
from aotd.llm.served import POISON
from aotd.llm.thinking import ThinkingRoom

_log = logging.getLogger(__name__)

_FAILURES = {
    Cause.prompt_too_long: ReplyFailure.prompt_too_long,
    Cause.content_filter: ReplyFailure.content_filter,
}
"""What ends one question."""
_STREAMED = re.compile(r"\s*(?:data|event|id|retry)?:")
"""How a stream of events begins."""
_COMPLETION = re.compile(r'\s*\{.*"choices"\s*:', re.DOTALL)
"""A chat completion, whatever is in it."""
_PROBE = {"messages": [{"role": "user", "content": "Reply with the word blue."}], "max_tokens": 16, "temperature": 0.0}
"""A prompt that no server has a reason to fail at."""


class ChatClient(HTTPClient):
    """Client of a model at a server's `/chat/completions`.

    Raises:
        UserError: as `HTTPClient`.
    """

    def __init__(
        self, setting: str, *, model: str, refused: str = "", thinking_tokens: int | None = None, **reached: Any
    ) -> None:
        """Args:
        reached: as `HTTPClient` takes them.
        refused: what else to look at where the server refuses a request.
        thinking_tokens: room to think (`aotd.llm.thinking`).
        """
        super().__init__(setting, **reached)
        self._room = ThinkingRoom(thinking_tokens)
        self._model, self._refused = model, refused
        self._wording = Wording()
        self._learning = threading.Lock()
        self._has_answered = False
        """Whether this server has replied once: then its address is right."""

    def ask(self, body: dict[str, Any], *, constrained: bool = False, blame: bool = False) -> Reply:
        """The reply to a request. One to a prompt that the server refuses has a `failure`.

        Args:
            body: messages, `max_tokens` and the like, as OpenAI names them; the server is asked in its own words.
            blame: whether the prompt is to blame where the server refuses its form: a program made it very long.

        Raises:
            UserError: the server cannot be reached, keeps failing, refuses the key or any request, or does not know
                the model.
        """

        def send(limit: int, roomy: bool) -> Reply:
            answer = self._answer(body | {"max_tokens": limit})
            if isinstance(answer, Reply):
                return replace(answer, constrained=constrained) if answer.failure is None else answer
            if answer.cause is Cause.request and (roomy or blame):
                # No model is asked for more than it can say, only because it might think.
                failure = ReplyFailure.prompt_too_long if roomy else ReplyFailure.refused
                return _failed(failure, answer.words)
            raise self._ends_run(answer)

        return self._room.ask(body["max_tokens"], send)

    def tried(self, body: dict[str, Any]) -> Reply | None:
        """The reply to a request that the server may not understand; None where it refuses it for its form.

        Raises:
            UserError: as `ask`, for all other reasons.
        """
        reply = self.ask(body, constrained=True, blame=True)
        return None if reply.failure is ReplyFailure.refused else reply

    def _answer(self, body: dict[str, Any]) -> Reply | ServerError:
        """The reply, or the error that ends the run."""
        wording = self._wording
        while True:
            try:
                response = self.post("chat/completions", {"model": self._model, **wording.put(body)})
            except ServerFailedError as failed:
                if self._fails_at_this_alone(failed.trouble):
                    return _failed(ReplyFailure.refused, failed.trouble.words)
                raise
            if POISON in response.headers:
                said = self._told(response)
                return _failed(ReplyFailure.refused, said.words if said else "")
            error = self._error(response)
            if error is None:
                return self._read(response)
            if error.cause in _FAILURES:
                return _failed(_FAILURES[error.cause], error.words)
            better = learned(error, wording.put(body), wording)
            if better is None:
                return error
            wording = self._learn(better, error)

    def _learn(self, better: Wording, error: ServerError) -> Wording:
        """Remember how this server wants to be asked."""
        with self._learning:
            known = self._wording
            both = Wording(
                limit=better.limit if better.limit != "max_tokens" else known.limit,
                without=better.without | known.without,
                folds_system=better.folds_system or known.folds_system,
            )
            if both != known:
                self._wording = both
                lost = " and ".join(name for name in OPTIONAL if name in both.without - known.without)
                told = f"is asked without {lost} from now on, and may reply otherwise each time" if lost else ""
                level = logging.WARNING if lost else logging.DEBUG
                _log.log(level, f"{self._setting}.url: {self._shown} {told or both}: it says: {error.words}")
            return both

    def _fails_at_this_alone(self, trouble: Trouble) -> bool:
        """Whether a server that keeps failing answers another prompt: then it is this one that ends in its error."""
        if trouble.status != 500:
            return False
        url, headers = self._where()
        try:
            found = self._sent(url, headers, "chat/completions", {"model": self._model, **self._wording.put(_PROBE)})
        except httpx.HTTPError:
            return False
        return found.status_code == 200 and self._trouble(found) is None and self._message(found) is not None

    def _trouble(self, response: httpx.Response) -> Trouble | None:
        if (found := super()._trouble(response)) is not None:
            return found
        if response.status_code >= 300:
            return None
        if not response.content.strip():
            return Trouble(f"answered {response.status_code} and nothing else")
        message = self._message(response)
        if message is None and self._has_answered and self._error(response) is None:
            return Trouble(f"answered what is no reply ({page_words(response.text)})")
        # vLLM that is told to end while it replies sends half a text, with status 200.
        if message is not None and message.end is ReplyEnd.broken_off:
            return Trouble("broke off its reply", status=500)
        return None

    def _error(self, response: httpx.Response) -> ServerError | None:
        return self._told(response)

    def _message(self, response: httpx.Response) -> ChatMessage | None:
        try:
            return chat_message(json.loads(response.content))
        except (ValueError, RecursionError):
            return None

    def _read(self, response: httpx.Response) -> Reply:
        """Read the reply from an answer that is no error.

        Raises:
            UserError: the server sent something else.
        """
        where = f"{self._setting}.url: {self._shown}"
        if response.status_code >= 300:
            there = clean(self._moved_to(response))
            raise UserError(f"{where} has moved ({response.status_code}): set {self._setting}.url=… to {there}")
        message = self._message(response)
        if message is None:
            said = page_words(response.text)[:80]
            if _STREAMED.match(response.text):
                raise UserError(
                    f"{where} streams its reply, though nobody asks for that ({said}): switch streaming off there, or "
                    f"in the proxy before it"
                )
            if _COMPLETION.match(response.text):
                raise UserError(f"{where} answered without a reply ({said}): see the log of that server")
            raise UserError(
                f"{where} answered something that is no chat completion ({said}): does {self._setting}.url end in /v1?"
            )
        self._has_answered = True
        if message.end is ReplyEnd.content_filter:  # half a text is nobody's reply
            return _failed(ReplyFailure.content_filter, message.words)
        whole = message.end is ReplyEnd.stop
        return Reply.from_text(
            message.text, whole, message.prompt_tokens, message.reply_tokens, reasoning=message.reasoning
        )

    def _moved_to(self, response: httpx.Response) -> str:
        """The whole address that an answer leads to."""
        there = str(response.headers.get("location", ""))
        try:
            return str(httpx.URL(self._url).copy_with(query=None).join(there))
        except httpx.InvalidURL:
            return there

    def _ends_run(self, error: ServerError) -> UserError:
        """The line that tells a user what to mend."""
        setting, where = self._setting, f"{self._setting}.url: {self._shown}"
        said = f"{error.status} {error.words}".strip()
        if error.cause is Cause.key:
            return UserError(
                f"{where} refuses the key ({said}): put a valid one into the environment variable "
                f"{self._key_variable}, or name another with {setting}.key_variable=…"
            )
        if error.cause is Cause.quota:
            return UserError(f"{where} gives the key in {self._key_variable} no more credit ({said}): see to its bill")
        if error.cause is Cause.model:
            named = f"the model that {self._file} names" if self._file else f"one that {self._shown}/models lists"
            ends = "" if self._file else f"; {setting}.url mostly ends in /v1"
            return UserError(
                f"{where} does not know model {self._model!r} or that path ({said}): "
                f"set {setting}.model=… to {named}{ends}"
            )
        limit = ", and lower the max_tokens=… of its job (decompose.max_tokens, …)" if over_our_limit(error) else ""
        return UserError(
            f"{where} refuses the request ({said}): see {setting}.url and {setting}.model{self._refused}{limit}"
        )


def _failed(failure: ReplyFailure, words: str) -> Reply:
    return Reply("", finished=False, prompt_tokens=0, reply_tokens=0, failure=failure, words=words)
