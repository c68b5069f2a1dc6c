"""Engine `transformers`: a model in this process, from a local folder, a GGUF file or the hub.

Greedy decoding in left-padded batches. Weights are read as safetensors or GGUF only, and no code that
comes with a model is run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aotd.errors import UserError
from aotd.llm.base import LLMConfig, Reply

if TYPE_CHECKING:
    import torch


class TransformersEngine:
    """A causal language model loaded by transformers, on the GPU where there is one.

    Raises:
        UserError: no `llm.model`, no such folder, file or hub model, an unknown dtype, or the extra `gguf`
            is not installed.
    """

    def __init__(self, config: LLMConfig) -> None:
        import torch
        from transformers.utils.logging import disable_progress_bar

        if not config.model:
            raise UserError("llm=transformers needs llm.model=…: a local folder, a GGUF file or a hub id")
        dtype = getattr(torch, config.dtype, None)
        if not isinstance(dtype, torch.dtype):
            raise UserError(f"llm.dtype: {config.dtype!r} is not a torch dtype; e.g. float32, bfloat16")
        disable_progress_bar()  # type: ignore[no-untyped-call]
        self._batch = max(config.batch, 1)
        self.model, self._tokenizer, self._network = _load(config.model, dtype)
        self._network.eval().to("cuda" if torch.cuda.is_available() else "cpu")
        self._tokenizer.padding_side = "left"
        if self._tokenizer.pad_token_id is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._ends = _end_tokens(self._network, self._tokenizer)

    def complete(self, prompts: Sequence[str], *, max_tokens: int, temperature: float = 0.0) -> list[Reply]:
        """One reply per prompt, in order; `llm.batch` prompts at a time. Temperature 0 is greedy.

        A prompt that leaves no room for `max_tokens` in the model's context gives an empty, unfinished reply.
        """
        texts = [self._chat(prompt) for prompt in prompts]
        replies: list[Reply] = []
        for start in range(0, len(texts), self._batch):
            replies += self._complete(texts[start : start + self._batch], max_tokens, temperature)
        return replies

    def _chat(self, prompt: str) -> str:
        """The prompt as one user message in the model's own format; as it is where the model has none."""
        if not self._tokenizer.chat_template:
            return prompt
        messages = [{"role": "user", "content": prompt}]
        return str(self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))

    def _complete(self, texts: list[str], max_tokens: int, temperature: float) -> list[Reply]:
        # A chat template writes the special tokens itself.
        special = not self._tokenizer.chat_template
        room = getattr(self._network.config, "max_position_embeddings", None)
        lengths = [len(self._tokenizer(text, add_special_tokens=special)["input_ids"]) for text in texts]
        fits = [room is None or length + max_tokens <= room for length in lengths]
        kept = [text for text, fit in zip(texts, fits, strict=True) if fit]
        made = iter(self._generate(kept, special, max_tokens, temperature) if kept else [])
        replies = []
        for length, fit in zip(lengths, fits, strict=True):
            text, finished, tokens = next(made) if fit else ("", False, 0)
            replies.append(Reply(text, finished, prompt_tokens=length, reply_tokens=tokens))
        return replies

    def _generate(
        self, texts: list[str], special: bool, max_tokens: int, temperature: float
    ) -> list[tuple[str, bool, int]]:
        import torch
        from transformers import GenerationConfig

        inputs = self._tokenizer(texts, add_special_tokens=special, padding=True, return_tensors="pt")
        inputs = {name: inputs[name].to(self._network.device) for name in ("input_ids", "attention_mask")}
        settings: dict[str, Any] = {"do_sample": False}
        if temperature > 0:
            settings = {"do_sample": True, "temperature": temperature}
        settings |= {"pad_token_id": self._tokenizer.pad_token_id, "eos_token_id": self._ends}
        how = GenerationConfig(max_new_tokens=max_tokens, **settings)  # type: ignore[no-untyped-call]
        with torch.inference_mode():
            rows = self._network.generate(**inputs, generation_config=how)
        return [self._read(row[inputs["input_ids"].shape[1] :]) for row in rows]

    def _read(self, row: torch.Tensor) -> tuple[str, bool, int]:
        """Text, whether the model ended it by itself, and its number of tokens."""
        tokens = row.tolist()
        end = next((at for at, token in enumerate(tokens) if token in self._ends), None)
        kept = tokens if end is None else tokens[:end]
        return str(self._tokenizer.decode(kept, skip_special_tokens=True)), end is not None, len(kept)


def _load(name: str, dtype: torch.dtype) -> tuple[str, Any, Any]:
    """(name for manifests, tokenizer, model)."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = Path(name).expanduser()
    looks_local = name.endswith(".gguf") or name.startswith(("/", ".", "~")) or name.count("/") > 1
    if looks_local and not path.exists():
        raise UserError(f"llm.model: {name} is not there; give a folder with config.json, a .gguf file or a hub id")
    where = name
    options: dict[str, Any] = {}
    if path.is_file():
        where, options = str(path.parent), {"gguf_file": path.name}
    elif path.is_dir():
        where = str(path)
        if not (path / "config.json").is_file():
            raise UserError(f"llm.model: {name} holds no config.json; give the folder that does, or a .gguf file")
    try:
        tokenizer = AutoTokenizer.from_pretrained(where, **options)
        if not options:
            options = {"use_safetensors": True}
        network = AutoModelForCausalLM.from_pretrained(where, dtype=dtype, **options)
    except ImportError as error:
        raise UserError(f"llm.model: {name} needs `pip install 'aotd[gguf]'` ({_line(error)})") from None
    except (OSError, ValueError) as error:
        raise UserError(f"llm.model: {name} cannot be loaded ({_line(error)})") from None
    return (path.resolve().name if path.exists() else name), tokenizer, network


def _end_tokens(network: Any, tokenizer: Any) -> list[int]:
    """Every token at which a reply ends: the tokenizer's, and those the model's settings name."""
    named = network.generation_config.eos_token_id
    ends = {tokenizer.eos_token_id, *(named if isinstance(named, list) else [named])}
    return sorted(end for end in ends if end is not None)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
