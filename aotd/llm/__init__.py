"""Language models behind one small interface; one file per engine."""

from dataclasses import dataclass, replace
from enum import Enum


class EngineName(str, Enum):
    none = "none"
    transformers = "transformers"
    vllm = "vllm"
    openai = "openai"
    replay = "replay"


@dataclass
class LLMConfig:
    """Which language model, and where. Roles may have settings of their own (`RoleLLMConfig`)."""

    engine: EngineName = EngineName.none
    model: str = ""
    """transformers, vllm: a local folder or a hub id (transformers: or a GGUF file). openai: the model's name at
    the server. replay: whose replies, where the record holds several models'."""
    url: str = "http://127.0.0.1:8000/v1"
    """openai: the server, or the file that `aotd serve` writes: RUN/servers/NAME.json."""
    key_variable: str = "OPENAI_API_KEY"
    """openai: environment variable that holds the key; an unset one sends none."""
    dtype: str = "float32"
    """transformers, vllm: torch dtype."""
    batch: int = 8
    """Prompts per batch (transformers, vllm) or requests in flight (openai)."""
    seed: int = 0
    """Seed of sampled replies: another seed, other samples."""
    record: str = ""
    """JSONL file of replies: those in it are not asked for again, new ones are appended. replay: asks nothing else."""
    gpu_memory_utilization: float = 0.9
    """vllm: share of the GPU's memory for weights and KV cache; less where specialists share the GPU."""
    max_model_len: int = 0
    """vllm: longest prompt and reply together, in tokens; 0 is what the model can, which may not fit the GPU."""
    timeout_s: float = 300.0
    """openai: seconds to wait for one reply."""
    retries: int = 4
    """openai: how often a failed request is sent again."""
    thinking_tokens: int | None = None
    """Tokens on top of a reply's limit for a model that reasons aloud. null finds out whether it does, and gives it
    4,096; 0 gives none."""
    wait_s: float = 600.0
    """openai: seconds to wait, in all, for a server that loads its model or asks for patience."""

    setting = "llm"  # without an annotation: no setting itself, but the name of these settings, for errors

    @property
    def choice(self) -> str:
        """The words that choose the engine, for errors."""
        name = self.engine.value
        return f"llm={name}" if self.setting == "llm" else f"{self.setting}.engine={name}"


@dataclass
class RoleLLMConfig:
    """The language model of one role. A setting that is null is that of `llm`; the meanings are the same."""

    engine: EngineName | None = None
    model: str | None = None
    url: str | None = None
    key_variable: str | None = None
    dtype: str | None = None
    batch: int | None = None
    seed: int | None = None
    record: str | None = None
    gpu_memory_utilization: float | None = None
    max_model_len: int | None = None
    timeout_s: float | None = None
    retries: int | None = None
    thinking_tokens: int | None = None
    wait_s: float | None = None


@dataclass
class _OwnLLMConfig(LLMConfig):
    setting: str = "llm"


def role_llm(llm: LLMConfig, role: RoleLLMConfig, setting: str) -> LLMConfig:
    """The settings of a role's language model: its own where it has some, else those of `llm`.

    Args:
        setting: where `role` stands among the settings, e.g. `decompose.llm`, for errors.
    """
    own = {name: value for name, value in vars(role).items() if value is not None}
    return replace(_OwnLLMConfig(**vars(llm), setting=setting), **own) if own else llm


def thinking_setting(llm: LLMConfig) -> dict[str, object]:
    """What a manifest is told of the room to think: nothing, unless a setting says how much."""
    return {} if llm.thinking_tokens is None else {"thinking_tokens": llm.thinking_tokens}
