"""Load the engine that a config names."""

from __future__ import annotations

from collections.abc import Callable

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
"""Engines whose model is known by more than a name."""


def load_engine(config: LLMConfig, wanted_by: str, cache: Cache | None = None) -> Engine:
    """The engine of a config, with its record where `llm.record` names one.

    Args:
        wanted_by: the setting that needs it, e.g. `decompose.author=llm`, for the error.
        cache: what models said to other runs; a model that it answers for is not loaded.

    Raises:
        UserError: no engine is set, its model or record is not there, or its extra is not installed.
    """
    from aotd.llm.replay import RecordedEngine

    if config.engine is EngineName.replay:
        return RecordedEngine(None, config, wanted_by)
    if config.engine not in ENGINES:
        names = " or ".join(f"llm={name.value}" for name in ENGINES)
        raise UserError(f"{wanted_by} needs a language model: add {names}, and llm.model=…")
    if cache is not None and config.engine in PINNED and config.model:
        from aotd.llm.cached import CachedEngine

        engine: Engine = CachedEngine(config, cache, ENGINES[config.engine])
    else:
        engine = ENGINES[config.engine](config)
    return RecordedEngine(engine, config, wanted_by) if config.record else engine
