"""What every engine can do, and how one is chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from aotd.errors import UserError


@dataclass(frozen=True)
class Reply:
    """What a model said."""

    text: str
    finished: bool
    """False where the token limit cut it off; such a reply is never read as complete."""
    prompt_tokens: int
    reply_tokens: int


class Engine(Protocol):
    """A language model that answers prompts."""

    model: str
    """Name of the model, for manifests."""

    def complete(self, prompts: Sequence[str], *, max_tokens: int, temperature: float = 0.0) -> list[Reply]:
        """One reply per prompt, in order. Each prompt is one user message in the model's chat format.

        Raises:
            UserError: the model cannot be reached.
        """
        ...


class EngineName(str, Enum):
    none = "none"
    transformers = "transformers"
    openai = "openai"


@dataclass
class LLMConfig:
    """Which language model, and where."""

    engine: EngineName = EngineName.none
    model: str = ""
    """transformers: a local folder, a GGUF file or a hub id. openai: the model's name at the server."""
    url: str = "http://127.0.0.1:8000/v1"
    """openai: the server."""
    key_variable: str = "OPENAI_API_KEY"
    """openai: environment variable that holds the key; an unset one sends none."""
    dtype: str = "float32"
    """transformers: torch dtype."""
    batch: int = 8
    """Prompts per batch (transformers) or requests in flight (openai)."""
    timeout_s: float = 300.0
    """openai: seconds to wait for one reply."""
    retries: int = 4
    """openai: how often a failed request is sent again."""


def _transformers(config: LLMConfig) -> Engine:
    from aotd.llm.transformers import TransformersEngine

    return TransformersEngine(config)


def _openai(config: LLMConfig) -> Engine:
    from aotd.llm.openai import OpenAIEngine

    return OpenAIEngine(config)


ENGINES: dict[EngineName, Callable[[LLMConfig], Engine]] = {
    EngineName.transformers: _transformers,
    EngineName.openai: _openai,
}


def load_engine(config: LLMConfig, wanted_by: str) -> Engine:
    """The engine of a config.

    Args:
        wanted_by: the setting that needs it, e.g. `decompose.author=llm`, for the error.

    Raises:
        UserError: no engine is set, its model is not there, or its extra is not installed.
    """
    if config.engine not in ENGINES:
        raise UserError(f"{wanted_by} needs a language model: add llm=openai or llm=transformers and llm.model=…")
    return ENGINES[config.engine](config)
