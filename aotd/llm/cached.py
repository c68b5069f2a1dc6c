"""Replies from the cache (`aotd.store.cache`): a model is loaded only for requests that no run has made before.

This is for models in this process, which are known by their weights. A server is known by a name only, and may have
another model behind it tomorrow. `llm.record` keeps the replies of a server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from pydantic import TypeAdapter, ValidationError

from aotd.llm import LLMConfig
from aotd.llm.base import Engine, GenerationRequest, Reply
from aotd.llm.identity import identity
from aotd.llm.local import find
from aotd.store.cache import Cache, code, key

_REPLY: TypeAdapter[Reply] = TypeAdapter(Reply)


class CachedEngine(Engine):
    """An engine that is loaded when the cache lacks a reply.

    A prompt that was too long for the model is asked again, since it may have got more room in between.
    """

    def __init__(self, config: LLMConfig, cache: Cache, make: Callable[[LLMConfig], Engine]) -> None:
        """
        Raises:
            UserError: no model is named, or it is not there.
        """
        self._config, self._cache, self._make = config, cache, make
        path = find(config.model, config.setting)
        self.model = path.name if path else config.model
        made_by = code("llm", "models/common_prefix.py", "models/kv_cache.py", "prompts/__init__.py")
        self._decides = [identity(config), config.engine.value, config.dtype, made_by]

    def stream(self, requests: Sequence[GenerationRequest]) -> Iterator[tuple[GenerationRequest, Reply]]:
        """Yield the replies that the cache holds, then the model's replies to the other requests.

        Raises:
            UserError: the model cannot be loaded.
        """
        new = []
        for request in requests:
            if (reply := self._cached(request)) is not None:
                yield request, reply
            else:
                new.append(request)
        for request, reply in self._engine.stream(new) if new else ():
            if not reply.refused:
                name = self._key(request)
                empty = None if reply.reasoning else {"reasoning"}
                self._cache.put(f"{name}.reply", name, _REPLY.dump_json(reply, exclude=empty).decode())
            yield request, reply

    @cached_property
    def _engine(self) -> Engine:
        return self._make(self._config)

    def _cached(self, request: GenerationRequest) -> Reply | None:
        name = self._key(request)
        text = self._cache.get(f"{name}.reply", name)
        try:
            return None if text is None else replace(_REPLY.validate_json(text), recorded=True)
        except ValidationError:  # somebody has written into the cache
            return None

    def _key(self, request: GenerationRequest) -> str:
        parts: list[Any] = [self._config.seed if request.temperature > 0 else None, request.text]
        parts += [request.max_tokens, request.temperature, request.sample, list(request.options)]
        if request.roles or request.stop:  # the key of a single user message is older than these
            parts += [list(request.roles), list(request.stop)]
        if self._config.thinking_tokens is not None:
            parts.append({"thinking_tokens": self._config.thinking_tokens})
        return key(*self._decides, *parts)
