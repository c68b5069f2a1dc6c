"""Room to think: how many tokens more a model that reasons aloud may write, so that it comes to its reply.

A limit such as 16 tokens for a letter is meant for what a model says. A model that thinks first never gets there. So
a reply that the limit cuts off in its reasoning is asked for again, with room to think. What a model that does not
think is asked, and what it replies, stays as it is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from aotd.errors import UserError
from aotd.llm.base import Reply

THINKING_TOKENS = 4096
"""Room to think where no setting says how much."""


def check_thinking_tokens(tokens: int | None, setting: str) -> None:
    """Check the setting `thinking_tokens`.

    Args:
        setting: where it stands, e.g. `llm`.

    Raises:
        UserError: it is below 0.
    """
    if tokens is not None and tokens < 0:
        raise UserError(f"{setting}.thinking_tokens={tokens} must be 0 or more, or null to find out")


def cut_in_thought(reply: Reply) -> bool:
    """Whether the token limit cut off the reply of a model that reasons."""
    return bool(reply.reasoning) and not reply.finished


class ThinkingRoom:
    """The room that a server's model gets, which tells by its replies whether it thinks. Threads may share it."""

    def __init__(self, tokens: int | None) -> None:
        """Args:
        tokens: given to every reply from the start; None gives `THINKING_TOKENS` as soon as the model thinks.
        """
        self._tokens = tokens
        self._thinks: bool | None = None
        """None until a reply has told."""
        self._finding_out = threading.Lock()

    def ask(self, longest: int, send: Callable[[int], Reply]) -> Reply:
        """A reply of at most `longest` tokens, and what the model thinks before it.

        Args:
            send: sends the request with a token limit.
        """
        given = self._given()
        reply = send(longest + given)
        if reply.reasoning:
            self._thinks = True
        if self._tokens is None and not given:
            reply = self._with_room(longest, send, reply)
        return _within(reply, longest) if given else reply

    def _given(self) -> int:
        if self._tokens is not None:
            return self._tokens
        return THINKING_TOKENS if self._thinks else 0

    def _with_room(self, longest: int, send: Callable[[int], Reply], reply: Reply) -> Reply:
        """The reply again with room to think, if the limit cut it off in a thought."""
        if reply.finished or reply.refused:
            return reply
        if not reply.reasoning and (reply.constrained or self._thinks is False):
            return reply
        if reply.reasoning or self._thinks:
            longer = send(longest + THINKING_TOKENS)
            return reply if longer.refused else _within(longer, longest)
        # A chat template may have opened the reasoning, so that nothing tells it until it ends. Found out once.
        with self._finding_out:
            if self._thinks is None:
                longer = send(longest + THINKING_TOKENS)
                self._thinks = bool(longer.reasoning)
                return longer if self._thinks else reply
        return self._with_room(longest, send, reply)


def _within(reply: Reply, longest: int) -> Reply:
    """A reply that had room to think, and is no longer than it may be if the model did not think."""
    if reply.reasoning or reply.refused or reply.constrained:
        return reply
    if not reply.finished:
        # A model that thinks, and never came to an end: the template had opened its reasoning.
        return replace(reply, text="", reasoning=reply.text)
    return replace(reply, finished=reply.reply_tokens <= longest)
