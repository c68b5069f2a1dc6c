"""Language models behind one small interface; one file per engine."""

from aotd.llm.base import Engine, LLMConfig, Reply, load_engine

__all__ = ["Engine", "LLMConfig", "Reply", "load_engine"]
