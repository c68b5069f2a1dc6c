"""Engine `vllm`: vLLM in this process, from a local folder or the hub.

Many prompts run side by side, and what they share at their beginning is computed once (prefix caching).
Weights are read as safetensors only, and no code that comes with a model is run.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from aotd.errors import UserError
from aotd.llm import LLMConfig
from aotd.llm.base import Ask, Engine, Reply
from aotd.llm.local import encode, find
from aotd.models.checkpoints import check_checkpoint, first_line

_QUIET = {
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
    # Its worker in this process, not in one started beside it: nothing is left behind when this one is killed.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
}


class VLLMEngine(Engine):
    """A causal language model run by vLLM.

    Raises:
        UserError: the extra `vllm` is not installed, no `llm.model`, no such folder or hub model, or vLLM
            cannot run it here.
    """

    def __init__(self, config: LLMConfig) -> None:
        if not config.model:
            raise UserError("llm=vllm needs llm.model=…: a local folder or a hub id")
        path = find(config.model)
        if path is not None and path.is_file():
            raise UserError(
                f"llm.model: {config.model} is a file; llm=vllm wants a folder (llm=transformers reads GGUF)"
            )
        check_checkpoint(path or config.model, "llm.model")
        self.model = path.name if path else config.model
        self._batch, self._seed = max(config.batch, 1), config.seed
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._llm = _load(str(path or config.model), config.dtype, config.memory_share, config.context)
        self._tokenizer = self._llm.get_tokenizer()
        self._room = int(self._llm.llm_engine.model_config.max_model_len)

    def stream(self, asks: Sequence[Ask]) -> Iterator[tuple[Ask, Reply]]:
        """Each ask with its reply, `llm.batch` of them at a time; the order is the engine's."""
        # Those that begin alike follow each other: what they share is still there when memory is short.
        asks = sorted(asks, key=lambda ask: ask.prompt)
        for start in range(0, len(asks), self._batch):
            yield from self._replies(asks[start : start + self._batch])

    def _replies(self, asks: Sequence[Ask]) -> Iterator[tuple[Ask, Reply]]:
        prompts = [encode(self._tokenizer, ask.prompt) for ask in asks]
        settings = [self._settings(ask) for ask in asks]
        fits = [len(prompt) + how.max_tokens <= self._room for prompt, how in zip(prompts, settings, strict=True)]
        kept = [at for at, fit in enumerate(fits) if fit]
        made = self._llm.generate(
            [{"prompt_token_ids": prompts[at]} for at in kept], [settings[at] for at in kept], use_tqdm=False
        )
        said = dict(zip(kept, made, strict=True))
        for at, ask in enumerate(asks):
            if at not in said:
                yield ask, Reply("", finished=False, prompt_tokens=len(prompts[at]), reply_tokens=0)
                continue
            out = said[at].outputs[0]
            # "length" is the limit; "stop" is the model's own end.
            finished = out.finish_reason == "stop"
            yield ask, Reply(out.text, finished, len(prompts[at]), len(out.token_ids), constrained=bool(ask.options))

    def _settings(self, ask: Ask) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import StructuredOutputsParams

        if ask.options:
            # No token stands for less than a byte, so that no option is cut.
            longest = max(len(option.encode()) for option in ask.options)
            only = StructuredOutputsParams(choice=list(ask.options))
            return SamplingParams(temperature=0.0, max_tokens=longest + 1, structured_outputs=only)
        seed = ask.seed(self._seed) if ask.temperature > 0 else None
        return SamplingParams(temperature=ask.temperature, max_tokens=ask.max_tokens, seed=seed)


@cache
def _load(model: str, dtype: str, memory_share: float, context: int) -> Any:
    # Once per process, for all verbs of a run: what vLLM has taken of the GPU it keeps until the process ends.
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        from vllm import LLM
    except ImportError as error:
        raise UserError(f"llm=vllm needs `pip install 'aotd[vllm]'` ({first_line(error)})") from None
    try:
        return LLM(
            model=model,
            dtype=dtype,
            enable_prefix_caching=True,
            gpu_memory_utilization=memory_share,
            max_model_len=context or None,
            load_format="safetensors",
            trust_remote_code=False,
            use_tqdm_on_load=False,
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(
            f"llm.model: vLLM cannot run {model} here ({first_line(error)}); "
            "see llm.dtype, llm.context and llm.memory_share"
        ) from None
