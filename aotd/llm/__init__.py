"""Language models behind one small interface; one file per engine."""

from dataclasses import dataclass
from enum import Enum


class EngineName(str, Enum):
    none = "none"
    transformers = "transformers"
    vllm = "vllm"
    openai = "openai"
    replay = "replay"


@dataclass
class LLMConfig:
    """Which language model, and where."""

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
    """Where replies are sampled: another seed, other samples."""
    record: str = ""
    """JSONL file of replies: those in it are not asked for again, new ones are appended. replay: asks nothing else."""
    gpu_memory_utilization: float = 0.9
    """vllm: share of the GPU's memory it takes, the room for prefixes included; less where specialists share it."""
    max_model_len: int = 0
    """vllm: longest prompt and reply together, in tokens; 0 is what the model can, which may not fit the GPU."""
    timeout_s: float = 300.0
    """openai: seconds to wait for one reply."""
    retries: int = 4
    """openai: how often a failed request is sent again."""
