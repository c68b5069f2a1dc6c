"""Room to think: how many tokens more a model that reasons aloud may write, so that it comes to its reply.

A limit such as 16 tokens for a letter is meant for what a model says. A model that thinks first never gets there. So
a reply that the limit cuts off in its reasoning is asked for again, with room to think. What a model that does not
think is asked, and what it replies, stays as it is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from aotd.llm.base import Reply, ReplyFailure

THINKING_TOKENS = 4096
"""Room to think where no setting says how much."""


def cut_in_thought(reply: Reply) -> bool:
    """Whether the token limit cut off the reply of a model that reasons."""
    return bool(reply.reasoning) and not reply.finished


Send = Callable[[int, bool], Reply]
"""Sends a request with a token limit. Told that the limit leaves room to think, it gives a reply that failed where the
server has no such room."""


class ThinkingRoom:
    """The room that a server's model gets, which tells by its replies whether it thinks. Threads may share it."""

    def __init__(self, tokens: int | None) -> None:
        """Args:
        tokens: given to every reply from the start; None gives room as soon as the model is seen to think.
        """
        self._tokens = tokens
        self._thinks: bool | None = None
        """None until a reply has told."""
        self._hides = False
        """Whether it thinks and the server shows nothing of it."""
        self._finding_out = threading.Lock()

    def ask(self, longest: int, send: Send) -> Reply:
        """A reply of at most `longest` tokens, and what the model thinks before it."""
        if self._tokens is not None:
            reply = send(longest + self._tokens, False)
            return _within(reply, longest) if self._tokens else reply
        if self._thinks and (roomy := self._roomy(longest, send)) is not None:
            return roomy
        reply = send(longest, False)
        if reply.reasoning:
            self._thinks = True
        if reply.finished or reply.refused:
            return reply
        if not reply.reasoning:
            if reply.constrained:
                return reply
            # A chat template may have opened the reasoning, so that nothing tells it until it ends. Found out once.
            with self._finding_out:
                if self._thinks is None:
                    roomy = self._roomy(longest, send, found_out=False)
                    self._thinks = roomy is not None and bool(roomy.reasoning)
                    return roomy if roomy is not None and self._thinks else reply
            if not self._thinks:
                return reply
            return self._roomy(longest, send) or reply
        roomy = self._roomy(longest, send, found_out=False)
        self._hides = self._hides or (roomy is not None and roomy.finished and not roomy.reasoning)
        return roomy or reply

    def _roomy(self, longest: int, send: Send, *, found_out: bool = True) -> Reply | None:
        """The reply with room to think; None where the server has none.

        Args:
            found_out: whether the model is known to think, but not yet to have thought about this prompt.
        """
        for room in _ROOMS:
            reply = send(longest + room, True)
            if reply.failure is not ReplyFailure.prompt_too_long:
                return _within(reply, longest) if found_out and not self._hides else reply
        return None


_ROOMS = (THINKING_TOKENS, THINKING_TOKENS // 4)
"""The room that a model gets, and the one where its context does not hold that."""


def _within(reply: Reply, longest: int) -> Reply:
    """A reply that had room to think, and is no longer than it may be if the model did not think."""
    if reply.reasoning or reply.refused or reply.constrained:
        return reply
    if not reply.finished:
        # A model that thinks, and never came to an end: the template had opened its reasoning.
        return replace(reply, text="", reasoning=reply.text)
    return replace(reply, finished=reply.reply_tokens <= longest)
