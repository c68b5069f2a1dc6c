"""Load the engine that a config names. A model in this process is loaded once for all users with equal settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from weakref import WeakValueDictionary

from aotd.errors import UserError
from aotd.llm import EngineName, LLMConfig
from aotd.llm.base import Engine
from aotd.store.cache import Cache


def _transformers(config: LLMConfig) -> Engine:
    from aotd.llm.transformers import TransformersEngine

    return TransformersEngine(config)


def _vllm(config: LLMConfig) -> Engine:
    from aotd.llm.vllm import VLLMEngine

    return VLLMEngine(config)


def _openai(config: LLMConfig) -> Engine:
    from aotd.llm.openai import OpenAIEngine

    return OpenAIEngine(config)


ENGINES: dict[EngineName, Callable[[LLMConfig], Engine]] = {
    EngineName.transformers: _transformers,
    EngineName.vllm: _vllm,
    EngineName.openai: _openai,
}
PINNED = (EngineName.transformers, EngineName.vllm)
"""Engines whose model is in this process, and known by more than a name."""
_in_use: WeakValueDictionary[tuple[object, ...], Engine] = WeakValueDictionary()
"""Settings -> their engine, while somebody holds it."""
_last: list[Engine] = []
"""The engine that was loaded last; held for the next verb, until `release_engines`."""


def load_engine(config: LLMConfig, wanted_by: str, cache: Cache | None = None) -> Engine:
    """The engine of a config, with its record where `llm.record` names one.

    Args:
        wanted_by: the setting that needs it, e.g. `decompose.author=llm`, for the error.
        cache: replies of earlier runs; a model is loaded when it lacks one.

    Raises:
        UserError: no engine is set, its model or record is not there, or its extra is not installed.
    """
    from aotd.llm.replay import RecordedEngine

    if config.engine is EngineName.replay:
        return RecordedEngine(None, config, wanted_by)
    if config.engine not in ENGINES:
        names = " or ".join(replace(config, engine=name).choice for name in ENGINES)
        raise UserError(f"{wanted_by} needs a language model: add {names}, and {config.setting}.model=…")
    if cache is not None and config.engine in PINNED and config.model:
        from aotd.llm.cached import CachedEngine

        engine: Engine = CachedEngine(config, cache, _loaded)
    else:
        engine = _loaded(config)
    return RecordedEngine(engine, config, wanted_by) if config.record else engine


def release_engines() -> None:
    """Let go of the engine that was loaded last, so that its memory is free unless somebody uses it."""
    _last.clear()


def _loaded(config: LLMConfig) -> Engine:
    """The engine of these settings, loaded unless its model is in memory with equal settings."""
    if config.engine not in PINNED:
        return ENGINES[config.engine](config)
    key = tuple(getattr(config, field.name) for field in fields(LLMConfig) if field.name != "record")
    engine = _in_use.get(key)
    if engine is None:
        release_engines()  # before the next one takes its memory
        engine = _in_use[key] = ENGINES[config.engine](config)
    _last[:] = [engine]
    return engine
