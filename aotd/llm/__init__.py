"""Language models behind one small interface; one file per engine."""

from aotd.llm.base import Engine, EngineName, LLMConfig, Reply, load_engine
from aotd.llm.choice import Choice

__all__ = ["Choice", "Engine", "EngineName", "LLMConfig", "Reply", "load_engine"]
