"""Replies that the cache holds (`aotd.store.cache`): a model is asked, and loaded, only for what no run
has asked it before.

For models that run in this process, whose weights tell them from others. A server tells nothing but a name, and may
have another model behind it tomorrow: what it said is kept by `llm.record`, where somebody asks for that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from pydantic import TypeAdapter, ValidationError

from aotd.llm import LLMConfig
from aotd.llm.base import Ask, Engine, Reply
from aotd.llm.identity import identity
from aotd.llm.local import find
from aotd.store.cache import Cache, code, key

_REPLY: TypeAdapter[Reply] = TypeAdapter(Reply)


class Cached(Engine):
    """An engine that is made when the cache does not hold a reply.

    A prompt that was too long for the model is asked again: it may have been given more room since.
    """

    def __init__(self, config: LLMConfig, cache: Cache, make: Callable[[LLMConfig], Engine]) -> None:
        """
        Raises:
            UserError: no model is named, or it is not there.
        """
        self._config, self._cache, self._make = config, cache, make
        path = find(config.model)
        self.model = path.name if path else config.model
        self._decides = [identity(config), config.engine.value, config.dtype, code("llm", "prompts/__init__.py")]

    def stream(self, asks: Sequence[Ask]) -> Iterator[tuple[Ask, Reply]]:
        """What the cache holds, then what the model says to the rest.

        Raises:
            UserError: the model cannot be loaded.
        """
        new = []
        for ask in asks:
            if (reply := self._known(ask)) is not None:
                yield ask, reply
            else:
                new.append(ask)
        for ask, reply in self._engine.stream(new) if new else ():
            if not reply.refused:
                name = self._key(ask)
                self._cache.put(f"{name}.reply", name, _REPLY.dump_json(reply).decode())
            yield ask, reply

    @cached_property
    def _engine(self) -> Engine:
        return self._make(self._config)

    def _known(self, ask: Ask) -> Reply | None:
        name = self._key(ask)
        text = self._cache.get(f"{name}.reply", name)
        try:
            return None if text is None else replace(_REPLY.validate_json(text), recorded=True)
        except ValidationError:  # somebody has written into the cache
            return None

    def _key(self, ask: Ask) -> str:
        seed: Any = self._config.seed if ask.temperature > 0 else None
        return key(*self._decides, seed, ask.prompt, ask.max_tokens, ask.temperature, ask.sample, list(ask.options))
