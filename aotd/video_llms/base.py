"""The interface of a Video-LLM, whatever its family; students and specialists use it alike.

A sequence is a *video prefix* (the video's tokens, and what the family's chat format puts around them), a *prompt*
(question, options, suffix) and a *reply*. Sequences about one video share its prefix. They stand in one token tree
(`aotd.video_llms.tree`), in training and in generation.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar

from aotd.errors import UserError
from aotd.llm.base import Reply
from aotd.llm.thinking import THINKING_TOKENS, cut_in_thought
from aotd.models.common_prefix import common_prefix_length
from aotd.models.kv_cache import PastKeyValues, reserve
from aotd.prompts.student import suffix
from aotd.records import Mode
from aotd.video.clip import Video
from aotd.video_llms.tree import build_tree, visibility

ANSWER_TOKENS = 24
"""Most tokens of a reply behind the answer suffix: a letter, or a few words."""

VideoFeatures = Mapping[str, Tensor]
"""Tensors that a model computes from a video with its frozen weights alone.

Those of several videos are joined along the first axis."""


@dataclass(frozen=True)
class VideoPrefix:
    """The tokens that every sequence about a video begins with."""

    tokens: list[int]
    """The video's places hold the family's placeholder token."""
    positions: list[list[int]]
    """Position of each token, on each axis of the family: `[axes][tokens]`."""

    @property
    def after(self) -> int:
        """The position of the first token behind the prefix, the same on every axis."""
        return 1 + max(max(axis) for axis in self.positions)


@dataclass(frozen=True)
class BatchRow:
    """One row of a batch: a video, and the sequences behind its prefix as a token tree."""

    features: VideoFeatures
    """Empty where there is no video."""
    prefix: VideoPrefix
    texts: Sequence[Sequence[int]]
    """At least one sequence of tokens behind the prefix."""


@dataclass(frozen=True)
class SharedPrefix:
    """A prefix that texts without a video share, computed once."""

    tokens: list[int]
    past: PastKeyValues
    """Keys and values of the tokens (the KV cache), one row."""


_ROUNDING = 256
"""Steps of float32 by which a logit may differ between two batches; some ten are seen."""


@dataclass(frozen=True)
class TreeBatch:
    """Rows as a model's inputs, padded on the right to the longest."""

    inputs: dict[str, Any]
    """`videos` (joined), `input_ids` and `end` `[B, S]`, `positions` `[axes, B, S]`."""
    paths: list[list[list[int]]]
    """Row -> text -> the place of each token of the text, in `[B * S]`."""


def collate(rows: Sequence[BatchRow], pad: int) -> TreeBatch:
    """Collate rows into one batch.

    Args:
        pad: the padding token.
    """
    trees = [build_tree(row.texts) for row in rows]
    width = max(len(row.prefix.tokens) + len(tree) for row, tree in zip(rows, trees, strict=True))
    axes = len(rows[0].prefix.positions)
    # Arrays, since numpy reads lists of numbers some times faster than torch.
    ids = np.full((len(rows), width), pad)
    end = np.tile(np.arange(1, width + 1), (len(rows), 1))  # padding sees itself alone
    positions = np.zeros((axes, len(rows), width), dtype=np.int64)
    paths = []
    for number, (row, tree) in enumerate(zip(rows, trees, strict=True)):
        first, last = len(row.prefix.tokens), len(row.prefix.tokens) + len(tree)
        ids[number, :last] = row.prefix.tokens + tree.tokens
        end[number, :first] = last
        end[number, first:last] = first + np.array(tree.end, dtype=np.int64)
        positions[:, number, :first] = row.prefix.positions
        positions[:, number, first:last] = row.prefix.after + np.array(tree.depth, dtype=np.int64)
        paths.append([[number * width + first + place for place in path] for path in tree.paths])
    videos = {name: torch.cat([row.features[name] for row in rows]) for name in rows[0].features}
    tensors = {
        "input_ids": torch.from_numpy(ids),
        "end": torch.from_numpy(end),
        "positions": torch.from_numpy(positions),
    }
    return TreeBatch({"videos": videos, **tensors}, paths)


@dataclass(frozen=True)
class PromptInput:
    """One question for a Video-LLM."""

    prompt: str
    """Question and options (`aotd.prompts.student.prompt`)."""
    letter: bool
    """Whether its answer is to be an option's letter."""
    features: VideoFeatures
    """Empty where there is no video; all questions of a batch have some, or none has."""


class TreeCausalLM(ABC):
    """A mixin that makes a causal language model take token trees.

    A family's class inherits from this one first, then from its own class in transformers.
    """

    device: torch.device
    get_input_embeddings: Any
    get_output_embeddings: Any

    def forward(
        self,
        videos: VideoFeatures | None = None,
        input_ids: Tensor | None = None,
        end: Tensor | None = None,
        positions: Tensor | None = None,
        at: Tensor | None = None,
        **plain: Any,
    ) -> Any:
        """Run `tree_logits`; without a tree, the family's own `forward`."""
        if videos is None or input_ids is None or end is None or positions is None or at is None:
            return super().forward(input_ids=input_ids, **plain)  # type: ignore[misc]
        return self.tree_logits(videos, input_ids, end, positions, at)

    @abstractmethod
    def embed(self, videos: VideoFeatures, input_ids: Tensor) -> dict[str, Any]:
        """Compute the language model's inputs beside mask and positions: `inputs_embeds` `[B, S, hidden]`, and more."""

    @abstractmethod
    def language_model_of(self) -> Any:
        """Return the language model without its head."""

    def _embed(self, videos: VideoFeatures, input_ids: Tensor) -> dict[str, Any]:
        """Run `embed`; without a video, embed the tokens."""
        return self.embed(videos, input_ids) if videos else {"inputs_embeds": self.get_input_embeddings()(input_ids)}

    def tree_logits(
        self,
        videos: VideoFeatures,
        input_ids: Tensor,
        end: Tensor,
        positions: Tensor,
        at: Tensor,
        past: PastKeyValues | None = None,
    ) -> Tensor:
        """Compute logits at some places of a batch of trees.

        Args:
            videos: features of the batch's videos, joined.
            input_ids, end: as in `TreeBatch`, `[B, S]`.
            positions: `[axes, B, S]`.
            at: the places in `[B * S]` whose next token is predicted, `[M]`.
            past: keys and values of the tokens before all of the trees (`keys_and_values`).

        Returns:
            `[M, vocabulary]`. Nothing is computed for other places.
        """
        language_model = self.language_model_of()
        inputs = self._embed(videos, input_ids)
        visible, cache = visibility(end), None
        if past:
            count = len(input_ids)
            cache = DynamicCache([tuple(part.expand(count, -1, -1, -1) for part in layer) for layer in past])
            visible = torch.nn.functional.pad(visible, (past[0][0].shape[2], 0), value=True)
        mask = _attention_mask(visible, language_model.config._attn_implementation, inputs["inputs_embeds"].dtype)
        hidden = language_model(
            **inputs, attention_mask=mask, position_ids=_squeezed(positions), past_key_values=cache, use_cache=False
        ).last_hidden_state
        logits: Tensor = self.get_output_embeddings()(hidden.flatten(0, 1)[at])
        return logits

    @torch.inference_mode()
    def keys_and_values(self, prefix: VideoPrefix) -> PastKeyValues:
        """Compute the KV cache of a prefix without a video, one row."""
        ids = torch.tensor([prefix.tokens], device=self.device)
        positions = torch.tensor(prefix.positions, device=self.device)
        cache = DynamicCache()
        self.language_model_of()(
            **self._embed({}, ids), position_ids=_squeezed(positions[:, None]), past_key_values=cache, use_cache=True
        )
        return [(keys, values) for keys, values, _ in cache]

    @torch.inference_mode()
    def greedy_decode(self, rows: Sequence[BatchRow], end_token: int, pad: int, max_tokens: int) -> list[list[int]]:
        """Continue rows of one text each greedily, by at most `max_tokens` tokens; the end token is left out.

        Sums round differently in another batch. A row in which that may have decided between two tokens (`is_close`)
        is decoded again by itself. So the tokens of a row do not depend on the other rows.
        """
        language_model = self.language_model_of()
        width = max(len(row.prefix.tokens) + len(row.texts[0]) for row in rows)
        axes = len(rows[0].prefix.positions)
        ids = torch.full((len(rows), width), pad)
        mask = torch.zeros(len(rows), width, dtype=torch.long)
        positions = torch.zeros(axes, len(rows), width, dtype=torch.long)
        for number, row in enumerate(rows):
            # Padding stands on the left, so that every row is continued at the same place.
            first = width - len(row.prefix.tokens) - len(row.texts[0])
            middle = first + len(row.prefix.tokens)
            ids[number, first:] = torch.tensor([*row.prefix.tokens, *row.texts[0]])
            mask[number, first:] = 1
            positions[:, number, first:middle] = torch.tensor(row.prefix.positions)
            positions[:, number, middle:] = row.prefix.after + torch.arange(width - middle)
        device = self.device
        ids, mask, positions = ids.to(device), mask.to(device), positions.to(device)
        videos = {name: torch.cat([row.features[name] for row in rows]).to(device) for name in rows[0].features}
        inputs = self._embed(videos, ids)
        cache = DynamicCache(config=language_model.config)
        generated: list[Tensor] = []
        done = torch.zeros(len(rows), dtype=torch.bool, device=device)
        uncertain = torch.zeros_like(done)
        for _ in range(max_tokens):
            out = language_model(
                **inputs,
                attention_mask=mask,
                position_ids=_squeezed(positions),
                past_key_values=cache,
                use_cache=True,
            )
            if not generated:
                reserve(cache, max_tokens - 1)
            logits = self.get_output_embeddings()(out.last_hidden_state[:, -1])
            uncertain |= is_close(logits) & ~done
            token = logits.argmax(-1).masked_fill(done, end_token)
            done |= token == end_token
            if done.all():
                break
            generated.append(token)
            inputs = {"inputs_embeds": self.get_input_embeddings()(token[:, None])}
            mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
            positions = positions[:, :, -1:] + 1
        sequences = torch.stack(generated, dim=1).tolist() if generated else [[] for _ in rows]
        texts = [tokens[: tokens.index(end_token)] if end_token in tokens else tokens for tokens in sequences]
        if len(rows) > 1:
            for number in uncertain.nonzero()[:, 0].tolist():
                texts[number] = self.greedy_decode([rows[number]], end_token, pad, max_tokens)[0]
        return texts


def is_close(logits: Tensor) -> Tensor:
    """Find rows whose two largest logits lie so close that rounding may decide between them.

    Only float32 is looked at: in 16 bits nearly every row would be close.

    Args:
        logits: `[rows, choices]`.

    Returns:
        `[rows]`, boolean.
    """
    if logits.dtype != torch.float32:
        return torch.zeros(len(logits), dtype=torch.bool, device=logits.device)
    first, second = logits.topk(2).values.unbind(-1)
    return first - second <= _ROUNDING * torch.finfo(torch.float32).eps * logits.abs().amax(-1)


_BATCH_TOKENS = 2048
"""Tokens of trees that are computed at once, padding included: some such passes fill a GPU as well as one long one."""


def _alike(trees: Sequence[BatchRow]) -> Iterator[list[int]]:
    """Divide trees into batches of trees that are about as long, so that little is padding."""
    lengths = [len(tree.prefix.tokens) + len(build_tree(tree.texts)) for tree in trees]
    batch: list[int] = []
    for number in sorted(range(len(trees)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[number] > _BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def _slice(prefix: VideoPrefix, part: slice) -> VideoPrefix:
    return VideoPrefix(prefix.tokens[part], [axis[part] for axis in prefix.positions])


def _squeezed(positions: Tensor) -> Tensor:
    """Drop the axis of positions for models that have one only: they take `[B, S]`."""
    return positions[0] if len(positions) == 1 else positions


def _attention_mask(visible: Tensor, implementation: str, dtype: torch.dtype) -> Any:
    """Convert a boolean mask to the form that an attention implementation of transformers takes."""
    if implementation == "sdpa":
        return visible
    assert implementation == "eager", implementation
    return torch.zeros(visible.shape, dtype=dtype, device=visible.device).masked_fill(~visible, torch.finfo(dtype).min)


class VideoLLM(ABC):
    """A Video-LLM that can be asked and trained."""

    model: Any
    """A `PreTrainedModel` that is a `TreeCausalLM`."""
    tokenizer: PreTrainedTokenizerBase
    specialist_frames: int
    """How many frames the specialists sample. The frame numbers in its rationales are theirs."""

    @property
    def end_token(self) -> int:
        """The token that ends a reply."""
        return int(self.tokenizer.eos_token_id)

    @property
    def pad_token(self) -> int:
        return int(self.tokenizer.pad_token_id)

    @property
    @abstractmethod
    def feature_key(self) -> dict[str, Any]:
        """What decides a video's features beside the video; the key of a cache."""

    @abstractmethod
    def encode_video(self, video: Video) -> VideoFeatures:
        """Compute the features of a video.

        Raises:
            QuestionError: `video_unreadable`.
        """

    @abstractmethod
    def video_prefix(self, features: VideoFeatures) -> VideoPrefix:
        """Return the prefix of all sequences about a video."""

    def text_prefix(self) -> VideoPrefix:
        """Return the prefix of all sequences without a video, as long as a student is trained on such.

        Raises:
            UserError: the family is always given a video.
        """
        raise UserError(
            f"{type(self).__name__} is always given a video: an arm without one (distill.arms.NAME.video=false) "
            "needs student=valley"
        )

    def prefix_of(self, features: VideoFeatures) -> VideoPrefix:
        """Return what sequences about a video begin with; of empty features, those without one."""
        return self.video_prefix(features) if features else self.text_prefix()

    @abstractmethod
    def encode_prompt(self, text: str) -> list[int]:
        """Tokenize a prompt with its suffix, as it stands behind the video prefix."""

    @abstractmethod
    def encode_reply(self, reply: str) -> list[int]:
        """Tokenize a reply, the end token last."""

    @abstractmethod
    def decode(self, tokens: Sequence[int]) -> str:
        """Turn generated tokens into text."""

    has_adapters = False
    """Whether adapters are trained, and not the model itself."""

    parts: ClassVar[tuple[str, ...]]
    """Names of the parts that can be trained: some of `vision`, `projector`, `temporal` and `lm`."""

    @abstractmethod
    def part_weights(self, part: str) -> list[Tensor]:
        """Return the weights of one of `parts`. Each weight that can be trained is in exactly one of them."""

    def trainable_model(self, parts: Sequence[str] = (), lora_rank: int = 0) -> Any:
        """Return the module that a trainer is given, in which only some parts are trained.

        Args:
            parts: of `parts`; none: all of them.
            lora_rank: rank of adapters that are trained in place of `lm`; 0: `lm` itself is.
        """
        for part in self.parts:
            for weight in self.part_weights(part):
                weight.requires_grad_(not parts or part in parts)
        return self.model

    def enable_gradient_checkpointing(self) -> None:
        """Compute activations again in the backward pass instead of keeping them."""
        # Transformers had this under its old name until 5.20 or so.
        enable = (
            getattr(self.model, "activation_checkpointing_enable", None) or self.model.gradient_checkpointing_enable
        )
        enable({"use_reentrant": False})

    def merge_adapters(self) -> None:
        """Merge trained adapters into the model."""
        assert self.has_adapters

    def save(self, folder: Path) -> None:
        """Write model (safetensors), config and tokenizer, as `from_pretrained` reads them."""
        disable_progress_bar()  # type: ignore[no-untyped-call]
        self.model.save_pretrained(folder)
        self.save_extras(folder)

    def save_extras(self, folder: Path) -> None:
        """Write what a saved model's folder holds beside model and config."""
        self.tokenizer.save_pretrained(folder)
        for weights in folder.glob("*.safetensors"):  # safetensors lets only their owner read them
            weights.chmod((folder / "config.json").stat().st_mode)

    def reply(self, prompts: Sequence[PromptInput], mode: Mode, max_tokens: int) -> list[str]:
        """Reply to a batch of questions greedily, each with at most `max_tokens` tokens."""
        return [reply.text for reply in self.replies(prompts, mode, max_tokens)]

    def replies(self, prompts: Sequence[PromptInput], mode: Mode, max_tokens: int) -> list[Reply]:
        """As `reply`, with the numbers of tokens."""
        rows = [self.prompt_row(one.features, one.prompt + suffix(one.letter, mode)) for one in prompts]
        return self.generate(rows, max_tokens)

    def prompt_row(self, features: VideoFeatures, text: str) -> BatchRow:
        """Make the row of a prompt behind a video, or behind none."""
        return BatchRow(features, self.prefix_of(features), [self.encode_prompt(text)])

    def generate(self, rows: Sequence[BatchRow], max_tokens: int, thinking_tokens: int | None = None) -> list[Reply]:
        """Generate replies to a batch of rows of one text each, greedily.

        A reply that does not end within `max_tokens` tokens is unfinished. The prompt's tokens include the video's.

        Args:
            thinking_tokens: how many more a reply may have that is cut off in a thought; None: `THINKING_TOKENS`.
        """
        replies = self._generate(rows, max_tokens)
        more = THINKING_TOKENS if thinking_tokens is None else thinking_tokens
        again = [at for at, reply in enumerate(replies) if more and cut_in_thought(reply)]
        if again:
            longer = self._generate([rows[at] for at in again], max_tokens + more)
            for at, reply in zip(again, longer, strict=True):
                replies[at] = reply
        return replies

    def _generate(self, rows: Sequence[BatchRow], max_tokens: int) -> list[Reply]:
        self.model.train(False)
        generated = self.model.greedy_decode(rows, self.end_token, self.pad_token, max_tokens)
        prompts = [len(row.prefix.tokens) + len(row.texts[0]) for row in rows]
        return [
            Reply.from_text(self.decode(tokens).strip(), len(tokens) < max_tokens, count, len(tokens))
            for tokens, count in zip(generated, prompts, strict=True)
        ]

    def log_probs(self, rows: Sequence[BatchRow], replies: Sequence[Sequence[str]]) -> list[list[float]]:
        """Score replies to rows of one text each: the mean log-probability of a reply's tokens, the end token included.

        Rows with the same features (the same object) share one video prefix in one token tree, and the replies to a row
        share its text. So everything that is shared is computed once.

        Args:
            replies: those to each row.

        Returns:
            Row -> the score of each of its replies.
        """
        same: dict[int, list[int]] = {}
        for number, row in enumerate(rows):
            same.setdefault(id(row.features), []).append(number)
        groups = list(same.values())
        targets = [[self.encode_reply(reply) for reply in of_row] for of_row in replies]
        trees = []
        for group in groups:
            texts = [[*rows[number].texts[0], *tokens] for number in group for tokens in targets[number]]
            trees.append(BatchRow(rows[group[0]].features, rows[group[0]].prefix, texts))
        scores: dict[int, list[float]] = {}
        for batch in _alike(trees):
            scores |= self._scored([trees[n] for n in batch], [groups[n] for n in batch], rows, targets)
        return [scores[number] for number in range(len(rows))]

    def _scored(
        self,
        trees: Sequence[BatchRow],
        groups: Sequence[Sequence[int]],
        rows: Sequence[BatchRow],
        targets: Sequence[Sequence[Sequence[int]]],
    ) -> dict[int, list[float]]:
        """Score replies in one batch of trees.

        Args:
            groups: tree -> the rows that stand in it.
            targets: row -> the tokens of its replies.
        """
        batch = collate(trees, self.pad_token)
        order = [number for group in groups for number in group]
        paths = iter(path for paths in batch.paths for path in paths)
        at = [place for n in order for _ in targets[n] for place in next(paths)[len(rows[n].texts[0]) - 1 : -1]]
        logits = self._logits(batch, at)
        labels = torch.tensor([token for n in order for tokens in targets[n] for token in tokens], device=logits.device)
        # A little at a time: a vocabulary is large, and float32 twice as large.
        parts = zip(torch.split(logits, 64), torch.split(labels, 64), strict=True)
        each = torch.cat([part.float().log_softmax(-1).gather(1, label[:, None])[:, 0] for part, label in parts])
        means = iter(torch.split(each, [len(tokens) for n in order for tokens in targets[n]]))
        return {n: [float(next(means).mean()) for _ in targets[n]] for n in order}

    def shared_prefix(self, rows: Sequence[BatchRow]) -> SharedPrefix:
        """Compute the prefix that some rows without a video share."""
        self.model.train(False)
        prefix = _slice(rows[0].prefix, slice(common_prefix_length([row.prefix.tokens for row in rows])))
        return SharedPrefix(prefix.tokens, self.model.keys_and_values(prefix))

    def next_logits(self, rows: Sequence[BatchRow], shared: SharedPrefix) -> Tensor:
        """Compute the logits of the next token of rows of one text each, without a video: `[rows, vocabulary]`.

        Args:
            shared: a prefix that the rows have in part or in whole; it is not computed again.
        """
        length = common_prefix_length([shared.tokens, *(row.prefix.tokens[:-1] for row in rows)])
        rest = [BatchRow(row.features, _slice(row.prefix, slice(length, None)), row.texts) for row in rows]
        past = [(keys[:, :, :length], values[:, :, :length]) for keys, values in shared.past]
        batch = collate(rest, self.pad_token)
        return self._logits(batch, [paths[0][-1] for paths in batch.paths], past)

    @torch.inference_mode()
    def _logits(self, batch: TreeBatch, at: Sequence[int], past: PastKeyValues | None = None) -> Tensor:
        """Compute logits at some places of a batch, `[len(at), vocabulary]`."""
        self.model.train(False)
        device = self.model.device
        inputs = {name: tensor.to(device) for name, tensor in batch.inputs.items() if name != "videos"}
        videos = {name: tensor.to(device) for name, tensor in batch.inputs["videos"].items()}
        logits: Tensor = self.model.tree_logits(videos, **inputs, at=torch.tensor(at, device=device), past=past)
        return logits
