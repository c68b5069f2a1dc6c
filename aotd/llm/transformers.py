"""Engine `transformers`: a model in this process, from a local folder, a GGUF file or the hub.

Prompts are decoded in padded batches, behind their shared prefixes. Weights are read as safetensors or GGUF only, and
no code that comes with a model is run.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aotd.errors import UserError
from aotd.llm import LLMConfig
from aotd.llm.base import Engine, GenerationRequest, Reply, before_stop, prompt_too_long
from aotd.llm.local import decode, encode_prompt, ends_in_reasoning, find
from aotd.llm.reasoning import split_reasoning
from aotd.llm.thinking import THINKING_TOKENS, cut_in_thought
from aotd.models.checkpoints import COMPLAINTS, check_checkpoint, check_finite, check_size, first_line

if TYPE_CHECKING:
    import torch

    LogitsProcessor = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    """(tokens, scores) -> scores, of which the largest is taken."""
    StoppingCriterion = Callable[[torch.Tensor, Any], torch.Tensor]
    """(tokens, scores) -> which rows end here, booleans."""

ROUNDING = 2.0**-16
"""How far rounding may move a score in float32, as a share of the row's largest: 128 units in its last place. Behind
2,000 tokens SmolLM2-135M, of 30 layers, moves them by 21 at most."""


class TransformersEngine(Engine):
    """A causal language model loaded by transformers, on the GPU where there is one.

    A reply is what transformers' `generate` makes of its prompt alone. In a batch, and behind a prefix that was
    computed for another prompt, numbers are added up in another order. Where that might have decided (two scores closer
    than 2 `ROUNDING`), the prompt is asked again, alone, and that reply counts. So, in float32, replies depend neither
    on `llm.batch` nor on the other requests. In bfloat16 and float16 rounding decides too often for that, and nothing
    is asked again. A mixture of experts is not covered, since rounding may route a token to another expert.
    `llm.batch=1` asks each prompt alone, in any dtype.

    What a model's makers recommend for sampling (top-p, a penalty for repetition, …) is not used. Greedy is the
    likeliest token, and a sample is drawn from the whole distribution.

    Raises:
        UserError: no `llm.model`, no such folder, file or hub model, an unknown dtype, or the extra `gguf`
            is not installed.
    """

    def __init__(self, config: LLMConfig) -> None:
        import torch
        from transformers import GenerationConfig
        from transformers.utils.logging import disable_progress_bar

        from aotd.llm.prefix_cache import PrefixCache, enable_shared_prefix, is_batch_invariant, supports_prefix_cache

        if not config.model:
            raise UserError(f"{config.choice} needs {config.setting}.model=…: a local folder, a GGUF file or a hub id")
        dtype = getattr(torch, config.dtype, None)
        if not isinstance(dtype, torch.dtype):
            raise UserError(f"{config.setting}.dtype: {config.dtype!r} is not a torch dtype; e.g. float32, bfloat16")
        disable_progress_bar()  # type: ignore[no-untyped-call]
        self._batch, self._seed, self._setting = max(config.batch, 1), config.seed, config.setting
        self._thinking_tokens = config.thinking_tokens
        path = find(config.model, config.setting)
        self.model = path.name if path else config.model
        self._tokenizer, self._network = _load(config.model, path, dtype, config.setting)
        self._network.eval().to("cuda" if torch.cuda.is_available() else "cpu")
        if self._tokenizer.pad_token_id is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._ends = _end_tokens(self._network, self._tokenizer)
        # `generate` fills whatever it is not told from here.
        self._network.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]
        if not is_batch_invariant(self._network):
            self._batch = 1
        self._exact = dtype in (torch.float32, torch.float64)
        self._prefix_cache: PrefixCache | None = None
        if self._batch > 1 and supports_prefix_cache(self._network):
            # In half precision the scores of two parts, put together, would be rounded once more.
            self._prefix_cache = PrefixCache(self._network, share=self._exact and enable_shared_prefix(self._network))

    def stream(self, requests: Sequence[GenerationRequest]) -> Iterator[tuple[GenerationRequest, Reply]]:
        """Yield each request with its reply, `llm.batch` of them at a time; the order is the engine's."""
        # Requests that begin alike follow each other. Without a prefix cache those of like length do, for less padding.
        order = (lambda each: each.text) if self._prefix_cache else (lambda each: len(each.text))
        in_order = sorted(requests, key=order)
        for start in range(0, len(in_order), self._batch):
            batch = in_order[start : start + self._batch]
            prompts = [encode_prompt(self._tokenizer, request, self._setting) for request in batch]
            fits = [self._fits(request, prompt) for request, prompt in zip(batch, prompts, strict=True)]
            fitting = [at for at, fit in enumerate(fits) if fit]
            made = self._reply_to([batch[at] for at in fitting], [prompts[at] for at in fitting]) if fitting else []
            reply_of = dict(zip(fitting, made, strict=True))
            for at, request in enumerate(batch):
                yield request, reply_of.get(at) or prompt_too_long(len(prompts[at]))

    def _reply_to(self, requests: Sequence[GenerationRequest], prompts: list[list[int]]) -> list[Reply]:
        """The replies; one that the limit cut off in a thought is made again, with room to think."""
        if requests[0].options:
            return self._answer(requests, prompts, 0)
        more = self._thinking_tokens or 0
        rooms = [self._room_to_think(request, prompt) for request, prompt in zip(requests, prompts, strict=True)]
        # A prompt that ends inside reasoning needs the room at once.
        first = [
            min(room, THINKING_TOKENS if self._thinking_tokens is None and self._opened(prompt) else more)
            for room, prompt in zip(rooms, prompts, strict=True)
        ]
        replies = self._with_room(requests, prompts, dict(enumerate(first)))
        if self._thinking_tokens is None:
            again = {
                at: min(rooms[at], THINKING_TOKENS)
                for at, reply in replies.items()
                if not first[at] and rooms[at] and cut_in_thought(reply)
            }
            replies |= self._with_room(requests, prompts, again)
        return [replies[at] for at in range(len(requests))]

    def _with_room(
        self, requests: Sequence[GenerationRequest], prompts: list[list[int]], room: dict[int, int]
    ) -> dict[int, Reply]:
        """Place among the requests -> its reply, for those that `room` gives room to think; equal rooms together."""
        replies: dict[int, Reply] = {}
        for more in sorted({*room.values()}):
            places = [at for at in room if room[at] == more]
            made = self._answer([requests[at] for at in places], [prompts[at] for at in places], more)
            replies.update(zip(places, made, strict=True))
        return replies

    def _opened(self, prompt: list[int]) -> bool:
        return ends_in_reasoning(self._tokenizer, prompt)

    def _room_to_think(self, request: GenerationRequest, prompt: list[int]) -> int:
        """Tokens that the model has left behind a prompt and the longest reply to it."""
        context = getattr(self._network.config, "max_position_embeddings", None)
        return sys.maxsize if context is None else int(context) - len(prompt) - request.max_tokens

    def _answer(self, requests: Sequence[GenerationRequest], prompts: list[list[int]], more: int) -> list[Reply]:
        work = self._choose if requests[0].options else partial(self._generate, more=more)
        made = work(requests, prompts, together=self._batch > 1)
        again = self._exact and self._batch > 1
        return [
            work([request], [prompt], together=False)[0][0] if again and close else reply
            for request, prompt, (reply, close) in zip(requests, prompts, made, strict=True)
        ]

    def _fits(self, request: GenerationRequest, prompt: list[int]) -> bool:
        room = getattr(self._network.config, "max_position_embeddings", None)
        longest = max((len(option) for option in self._spelt(request.options)), default=request.max_tokens)
        return room is None or len(prompt) + longest <= room

    def _generate(
        self, requests: Sequence[GenerationRequest], prompts: list[list[int]], *, together: bool, more: int
    ) -> list[tuple[Reply, bool]]:
        """Each reply, and whether rounding may have decided it.

        Args:
            more: tokens that a reply may have on top, for what the model thinks.
        """
        import torch

        start, stop = max(len(prompt) for prompt in prompts), requests[0].stop
        close = torch.zeros(len(requests), dtype=torch.bool, device=self._network.device)
        ended = torch.zeros_like(close)
        ends = torch.tensor(self._ends, device=close.device)
        seeds = [request.seed(self._seed) for request in requests]
        pick = _picking(seeds, requests[0].temperature, start, ends, ended, close)
        out = self._run(
            prompts,
            together,
            logits_processor=[pick],
            stopping_criteria=[_stopping(self._tokenizer, stop, start, ended)] if stop else [],
            max_new_tokens=requests[0].max_tokens + more,
        )
        made = []
        for row, prompt, tight in zip(out.sequences, prompts, close.tolist(), strict=True):
            reply = self._read(row[start:], stop, prompt)
            if more and not reply.reasoning:  # the room is for thoughts
                reply = self._read(row[start : start + requests[0].max_tokens], stop, prompt)
            made.append((reply, tight))
        return made

    def _choose(
        self, requests: Sequence[GenerationRequest], prompts: list[list[int]], *, together: bool
    ) -> list[tuple[Reply, bool]]:
        """For each request the likeliest of its options, were the model allowed to write nothing else.

        The options' tokens form a tree. An option is as likely as the product, over the forks on its path, of its
        branch's share among the branches there. Letters fork once, at the first token: then it is the likeliest letter,
        and one pass over the prompt decides.
        """
        spelt = [self._spelt(request.options) for request in requests]
        forks = [(at, path) for at, options in enumerate(spelt) for path in _forks(options)]
        shares, slack = {}, [0.0] * len(requests)
        step = self._batch if together else 1
        for start in range(0, len(forks), step):
            some = forks[start : start + step]
            rows = [[*prompts[at], *path] for at, path in some]
            out = self._run(rows, together, max_new_tokens=1, output_logits=True)
            for (at, path), logits in zip(some, out.logits[0].float(), strict=True):
                branches = sorted({option[len(path)] for option in spelt[at] if option[: len(path)] == path})
                logs = logits[branches].log_softmax(-1).tolist()
                shares.update({(at, (*path, branch)): log for branch, log in zip(branches, logs, strict=True)})
                # A share moves by no more than two scores do.
                slack[at] += 2 * ROUNDING * float(logits.abs().max())
        made = []
        for at, (request, options) in enumerate(zip(requests, spelt, strict=True)):
            likely = [sum(shares.get((at, path[:end]), 0.0) for end in range(1, len(path) + 1)) for path in options]
            best = max(range(len(options)), key=likely.__getitem__)
            tokens = len(options[best]) - 1
            reply = Reply(request.options[best], True, len(prompts[at]), tokens, constrained=True)
            rivals = [other for other in range(len(options)) if likely[best] - likely[other] <= 2 * slack[at]]
            made.append((reply, len(rivals) > 1))
        return made

    def _run(self, rows: list[list[int]], together: bool, **settings: Any) -> Any:
        """Call `generate` on rows of tokens; `together` behind the cached prefixes."""
        import torch
        from transformers import GenerationConfig

        hooks = {name: settings.pop(name, []) for name in ("logits_processor", "stopping_criteria")}
        ends = {"pad_token_id": self._tokenizer.pad_token_id, "eos_token_id": self._ends}
        how = GenerationConfig(do_sample=False, return_dict_in_generate=True, **ends, **settings)  # type: ignore[no-untyped-call]
        with torch.inference_mode():
            past, shared = {}, 0
            if together and self._prefix_cache:
                past["past_key_values"], shared = self._prefix_cache.past(rows, room=settings["max_new_tokens"])
            return self._network.generate(**self._padded(rows, shared), **past, generation_config=how, **hooks)

    def _spelt(self, options: Sequence[str]) -> list[tuple[int, ...]]:
        """The tokens of each option and the end behind them."""
        end = self._tokenizer.eos_token_id
        return [(*self._tokenizer(option, add_special_tokens=False)["input_ids"], end) for option in options]

    def _padded(self, rows: list[list[int]], shared: int = 0) -> dict[str, torch.Tensor]:
        """Rows of tokens as a batch: `input_ids` and `attention_mask`, each (rows, longest).

        Padding stands behind the first `shared` tokens, which are the same in all rows.
        """
        import torch

        longest = max(len(row) for row in rows)
        pads = [longest - len(row) for row in rows]
        pad_token = self._tokenizer.pad_token_id
        padded = [[*row[:shared], *[pad_token] * pad, *row[shared:]] for pad, row in zip(pads, rows, strict=True)]
        mask = [[1] * shared + [0] * pad + [1] * (len(row) - shared) for pad, row in zip(pads, rows, strict=True)]
        device = self._network.device
        return {
            "input_ids": torch.tensor(padded, device=device),
            "attention_mask": torch.tensor(mask, device=device),
        }

    def _read(self, row: torch.Tensor, stop: Sequence[str], prompt: list[int]) -> Reply:
        """The reply in the tokens behind a prompt. The end token is not counted."""
        tokens = row.tolist()
        end = next((at for at, token in enumerate(tokens) if token in self._ends), None)
        written = tokens if end is None else tokens[:end]
        opened = self._opened(prompt)

        def reply(count: int, finished: bool) -> Reply:
            text = decode(self._tokenizer, written[:count])
            return Reply.from_text(text, finished, len(prompt), count, opened=opened)

        whole = reply(len(written), end is not None)
        before = before_stop(whole.text, stop)
        if before is None:
            return whole
        # The first token that completes a stop string is the reply's last.
        count = bisect_left(range(len(written)), True, key=lambda n: before_stop(reply(n, True).text, stop) is not None)
        return replace(reply(count, True), text=before)


def _stopping(tokenizer: Any, stop: Sequence[str], start: int, ended: torch.Tensor) -> StoppingCriterion:
    """End a row when its last tokens hold a stop string.

    This saves the tokens behind a stop string. It does not decide the text: `_read` cuts the whole reply. A stop string
    in a thought ends nothing.

    Args:
        start: where replies begin, behind the padded prompts.
        ended: (rows,) booleans; set for each row that has ended.
    """
    import torch

    # No token stands for less than a byte, but for a few that leave no text.
    tail = max(len(string.encode()) for string in stop) + 4

    def said(row: torch.Tensor) -> bool:
        opened = ends_in_reasoning(tokenizer, row[:start].tolist())
        return (
            before_stop(split_reasoning(decode(tokenizer, row[start:].tolist()), opened=opened).text, stop) is not None
        )

    def stopped(tokens: torch.Tensor, _: Any) -> torch.Tensor:
        replies = tokens[:, max(start, tokens.shape[1] - tail) :].tolist()
        hits = [
            over or (before_stop(decode(tokenizer, reply), stop) is not None and said(row))
            for row, reply, over in zip(tokens, replies, ended.tolist(), strict=True)
        ]
        ended.logical_or_(torch.tensor(hits, device=ended.device))
        return ended.clone()

    return stopped


def _picking(
    seeds: Sequence[int],
    temperature: float,
    start: int,
    ends: torch.Tensor,
    ended: torch.Tensor,
    close: torch.Tensor,
) -> LogitsProcessor:
    """Make the likeliest token a sample where the temperature is above 0, by Gumbel noise on the scores.

    Each row has a generator of its own. So a sample depends neither on the other rows nor on torch's global state, and
    leaves that as it was.

    Args:
        start: where replies begin, behind the padded prompts.
        ends: tokens at which a reply ends.
        ended: (rows,) booleans of the rows that a stop string has ended (`_stopping`).
        close: (rows,) booleans; set where, before a reply's end, rounding may decide which score is the largest.
    """
    import torch

    generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def pick(tokens: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        slack = 2 * ROUNDING * scores.abs().amax(1)
        if temperature > 0:
            drawn = [torch.rand(scores.shape[1], generator=own, dtype=torch.float64) for own in generators]
            noise = -torch.log(-torch.log(torch.stack(drawn)))
            scores, slack = scores.double() / temperature + noise.to(scores.device), slack / temperature
        best, second = scores.topk(2).values.unbind(1)
        running = ~torch.isin(tokens[:, start:], ends).any(1) & ~ended
        close.logical_or_((best - second <= slack) & running)
        return scores

    return pick


def _forks(options: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """The token prefixes of options at which they fork, the shortest first."""
    branches: dict[tuple[int, ...], set[int]] = {}
    for option in options:
        for end in range(len(option)):
            branches.setdefault(option[:end], set()).add(option[end])
    return sorted((path for path, next_ in branches.items() if len(next_) > 1), key=lambda path: (len(path), path))


def _load(name: str, path: Path | None, dtype: torch.dtype, setting: str) -> tuple[Any, Any]:
    """(tokenizer, model) of a folder, a GGUF file or, where `path` is None, a hub id."""
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    where = name if path is None else str(path)
    options: dict[str, Any] = {}
    if path is not None and path.is_file():
        where, options = str(path.parent), {"gguf_file": path.name}
    check_checkpoint(where, f"{setting}.model")
    closed: dict[str, Any] = {"trust_remote_code": False, "local_files_only": path is not None}
    try:
        tokenizer = AutoTokenizer.from_pretrained(where, **closed, **options)
        if not options:
            options = {"use_safetensors": True}
            if path is not None:
                settings = AutoConfig.from_pretrained(where, **closed)
                check_size(AutoModelForCausalLM.from_config, settings, path, f"{setting}.model={name}")
        network = AutoModelForCausalLM.from_pretrained(where, dtype=dtype, **closed, **options)
    except ImportError as error:
        raise UserError(f"{setting}.model: {name} needs `pip install 'aotd[gguf]'` ({first_line(error)})") from None
    except (*COMPLAINTS, SafetensorError, StrictDataclassError) as error:
        raise UserError(f"{setting}.model: {name} cannot be loaded ({first_line(error)})") from None
    check_finite(network, f"{setting}.model={name}")
    return tokenizer, network


def _end_tokens(network: Any, tokenizer: Any) -> list[int]:
    """Every token at which a reply ends: the tokenizer's, and those the model's settings name."""
    named = network.generation_config.eos_token_id
    ends = {tokenizer.eos_token_id, *(named if isinstance(named, list) else [named])}
    return sorted(end for end in ends if end is not None)
