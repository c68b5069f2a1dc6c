"""Engine `vllm`: vLLM in this process, from a local folder or the hub.

Many prompts run side by side, and their shared prefix is computed once (prefix caching). Weights are read as
safetensors only, and no code that comes with a model is run.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from aotd.errors import UserError
from aotd.llm import LLMConfig
from aotd.llm.base import Engine, GenerationRequest, Reply, prompt_too_long
from aotd.llm.local import decode, encode_prompt, ends_in_reasoning, find, parts_by_special_tokens, without_special
from aotd.llm.thinking import THINKING_TOKENS, cut_in_thought
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
            raise UserError(f"{config.choice} needs {config.setting}.model=…: a local folder or a hub id")
        path = find(config.model, config.setting)
        if path is not None and path.is_file():
            raise UserError(
                f"{config.setting}.model: {config.model} is a file; {config.choice} wants a folder "
                "(llm=transformers reads GGUF)"
            )
        check_checkpoint(path or config.model, f"{config.setting}.model")
        self.model = path.name if path else config.model
        self._batch, self._seed, self._setting = max(config.batch, 1), config.seed, config.setting
        self._thinking_tokens = config.thinking_tokens
        model, setting = str(path or config.model), config.setting
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._llm = _load(model, config.dtype, config.gpu_memory_utilization, config.max_model_len)
        except (OSError, ValueError, RuntimeError) as error:
            raise UserError(
                f"{setting}.model: vLLM cannot run {model} here ({first_line(error)}); "
                f"see {setting}.dtype, {setting}.max_model_len and {setting}.gpu_memory_utilization"
            ) from None
        self._tokenizer = self._llm.get_tokenizer()
        self._room = int(self._llm.llm_engine.model_config.max_model_len)

    def stream(self, requests: Sequence[GenerationRequest]) -> Iterator[tuple[GenerationRequest, Reply]]:
        """Yield each request with its reply, `llm.batch` of them at a time; the order is the engine's."""
        # Requests that begin alike follow each other: their shared prefix is still cached when memory is short.
        requests = sorted(requests, key=lambda request: request.text)
        for start in range(0, len(requests), self._batch):
            yield from self._replies_to(requests[start : start + self._batch])

    def _replies_to(self, requests: Sequence[GenerationRequest]) -> Iterator[tuple[GenerationRequest, Reply]]:
        prompts = [encode_prompt(self._tokenizer, request, self._setting) for request in requests]
        rooms = [self._room_to_think(request, prompt) for request, prompt in zip(requests, prompts, strict=True)]
        opened = [ends_in_reasoning(self._tokenizer, prompt) for prompt in prompts]
        more = self._thinking_tokens or 0
        # A prompt that ends inside reasoning needs room to think at once.
        first = [
            0 if request.options else min(room, THINKING_TOKENS if begun and self._thinking_tokens is None else more)
            for request, room, begun in zip(requests, rooms, opened, strict=True)
        ]
        fitting = {at: first[at] for at, room in enumerate(rooms) if room >= 0}
        replies = self._generated(requests, prompts, opened, fitting)
        if self._thinking_tokens is None:
            again = {
                at: min(rooms[at], THINKING_TOKENS)
                for at, reply in replies.items()
                if not first[at] and rooms[at] and cut_in_thought(reply)
            }
            replies |= self._generated(requests, prompts, opened, again)
        for at, request in enumerate(requests):
            yield request, replies.get(at) or prompt_too_long(len(prompts[at]))

    def _room_to_think(self, request: GenerationRequest, prompt: list[int]) -> int:
        """Tokens that the model has left behind a prompt and the longest reply to it; below 0 it does not fit."""
        return self._room - len(prompt) - _longest(request)

    def _generated(
        self, requests: Sequence[GenerationRequest], prompts: list[list[int]], opened: list[bool], room: dict[int, int]
    ) -> dict[int, Reply]:
        """Place among the requests -> its reply, for those that `room` gives room to think."""
        if not room:
            return {}
        outputs = self._llm.generate(
            [{"prompt_token_ids": prompts[at]} for at in room],
            [self._sampling(requests[at], more) for at, more in room.items()],
            use_tqdm=False,
        )
        replies = {}
        for (at, more), output in zip(room.items(), outputs, strict=True):
            made, request = output.outputs[0], requests[at]
            tokens = list(made.token_ids)
            # "length" is the limit; "stop" is the model's own end, or a stop string.
            finished = made.finish_reason == "stop"
            text = without_special(self._tokenizer, made.text)
            reply = Reply.from_text(
                text, finished, len(prompts[at]), len(tokens), constrained=bool(request.options), opened=opened[at]
            )
            if more and not reply.reasoning and len(tokens) > request.max_tokens:  # the room is for thoughts
                cut = decode(self._tokenizer, tokens[: request.max_tokens])
                reply = Reply(cut, False, len(prompts[at]), request.max_tokens)
            replies[at] = reply
        return replies

    def _sampling(self, request: GenerationRequest, more: int) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import StructuredOutputsParams

        if request.options:
            only = StructuredOutputsParams(choice=list(request.options))
            return SamplingParams(temperature=0.0, max_tokens=_longest(request), structured_outputs=only)
        return SamplingParams(
            temperature=request.temperature,
            max_tokens=request.max_tokens + more,
            seed=request.seed(self._seed) if request.temperature > 0 else None,
            stop=list(request.stop) or None,
            skip_special_tokens=not parts_by_special_tokens(self._tokenizer),
        )


def _longest(request: GenerationRequest) -> int:
    """The most tokens of a reply. No token stands for less than a byte, so that no option is cut."""
    return max((len(option.encode()) + 1 for option in request.options), default=request.max_tokens)


@cache
def _load(model: str, dtype: str, gpu_memory_utilization: float, max_model_len: int) -> Any:
    # Once per process, for all verbs of a run: what vLLM has taken of the GPU it keeps until the process ends.
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        from vllm import LLM
    except ImportError as error:
        raise UserError(f"llm=vllm needs `pip install 'aotd[vllm]'` ({first_line(error)})") from None
    return LLM(
        model=model,
        dtype=dtype,
        enable_prefix_caching=True,
        gpu_memory_utilization=gpu_memory_utilization,
        max_model_len=max_model_len or None,
        load_format="safetensors",
        trust_remote_code=False,
        use_tqdm_on_load=False,
    )
