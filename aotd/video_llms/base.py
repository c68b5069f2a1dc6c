"""What every student can do, whatever its family.

A sequence is an *opening* (the video's tokens, and what its family writes around them), what is *asked*
behind it (question, options, suffix) and what is *said*. Sequences about one video share their opening,
and stand in one tree (`aotd.video_llms.tree`), in training as in asking.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar

from aotd.llm.base import Reply
from aotd.models.kv_cache import Layers, make_room
from aotd.prompts.student import suffix
from aotd.records import Mode
from aotd.video.clip import Video
from aotd.video_llms.tree import fork, grow, sees

ANSWER_TOKENS = 24
"""Longest reply behind the answer suffix: a letter, or a few words."""

View = Mapping[str, Tensor]
"""What a student keeps of a video: as much as it can see without any weight that is trained. Those of
several videos are joined along the first axis."""


@dataclass(frozen=True)
class Opening:
    """What every sequence about a video begins with."""

    tokens: list[int]
    """The video's places hold the family's placeholder."""
    positions: list[list[int]]
    """Position of each token, on each axis of the family: `[axes][tokens]`."""

    @property
    def after(self) -> int:
        """The position of the first token behind it, the same on every axis."""
        return 1 + max(max(axis) for axis in self.positions)


@dataclass(frozen=True)
class Row:
    """One video and the sequences behind its opening, as a tree."""

    view: View
    """Empty where there is no video."""
    opening: Opening
    texts: Sequence[Sequence[int]]
    """Tokens behind the opening, at least one."""


@dataclass(frozen=True)
class Beginning:
    """What texts without a video begin with, read once for all of them."""

    tokens: list[int]
    known: Layers
    """Keys and values of the tokens, one row."""


_ROUNDING = 256
"""Steps of float32 by which a logit may differ between two batches; some ten are seen."""


@dataclass(frozen=True)
class Batch:
    """Rows as a model takes them, padded on the right to the longest."""

    inputs: dict[str, Any]
    """`views` (joined), `input_ids` and `end` `[B, S]`, `positions` `[axes, B, S]`."""
    paths: list[list[list[int]]]
    """Row -> text -> the place of each of its tokens, in `[B * S]`."""


def collate(rows: Sequence[Row], pad: int) -> Batch:
    """Put rows into one batch."""
    trees = [grow(row.texts) for row in rows]
    width = max(len(row.opening.tokens) + len(tree) for row, tree in zip(rows, trees, strict=True))
    axes = len(rows[0].opening.positions)
    # Arrays, since numpy reads lists of numbers some times faster than torch.
    ids = np.full((len(rows), width), pad)
    end = np.tile(np.arange(1, width + 1), (len(rows), 1))  # padding sees itself alone
    positions = np.zeros((axes, len(rows), width), dtype=np.int64)
    paths = []
    for number, (row, tree) in enumerate(zip(rows, trees, strict=True)):
        first, last = len(row.opening.tokens), len(row.opening.tokens) + len(tree)
        ids[number, :last] = row.opening.tokens + tree.tokens
        end[number, :first] = last
        end[number, first:last] = first + np.array(tree.end, dtype=np.int64)
        positions[:, number, :first] = row.opening.positions
        positions[:, number, first:last] = row.opening.after + np.array(tree.depth, dtype=np.int64)
        paths.append([[number * width + first + place for place in path] for path in tree.paths])
    views = {name: torch.cat([row.view[name] for row in rows]) for name in rows[0].view}
    tensors = {
        "input_ids": torch.from_numpy(ids),
        "end": torch.from_numpy(end),
        "positions": torch.from_numpy(positions),
    }
    return Batch({"views": views, **tensors}, paths)


@dataclass(frozen=True)
class Asked:
    """One question put to a student."""

    prompt: str
    """Question and options (`aotd.prompts.student.prompt`)."""
    choice: bool
    """Whether it has options."""
    view: View


class TreeModel(ABC):
    """What makes a causal model take trees. A family's class inherits from this, then from its own in transformers."""

    device: torch.device
    get_input_embeddings: Any
    get_output_embeddings: Any

    def forward(
        self,
        views: View | None = None,
        input_ids: Tensor | None = None,
        end: Tensor | None = None,
        positions: Tensor | None = None,
        at: Tensor | None = None,
        **plain: Any,
    ) -> Any:
        """`tree_logits`, or without a tree what the family's own `forward` gives."""
        if views is None or input_ids is None or end is None or positions is None or at is None:
            return super().forward(input_ids=input_ids, **plain)  # type: ignore[misc]
        return self.tree_logits(views, input_ids, end, positions, at)

    @abstractmethod
    def embed(self, views: View, input_ids: Tensor) -> dict[str, Any]:
        """What the language model is given beside mask and positions: `inputs_embeds` `[B, S, hidden]`, and more."""

    @abstractmethod
    def language_model_of(self) -> Any:
        """The language model without its head."""

    def _given(self, views: View, input_ids: Tensor) -> dict[str, Any]:
        """What `embed` gives; without a video, the embeddings of the tokens."""
        return self.embed(views, input_ids) if views else {"inputs_embeds": self.get_input_embeddings()(input_ids)}

    def tree_logits(
        self, views: View, input_ids: Tensor, end: Tensor, positions: Tensor, at: Tensor, known: Layers | None = None
    ) -> Tensor:
        """Logits at some places of a batch of trees.

        Args:
            views: the videos', joined.
            input_ids, end: as in `Batch`, `[B, S]`.
            positions: `[axes, B, S]`.
            at: places in `[B * S]` whose successors are predicted, `[M]`.
            known: keys and values of the tokens before all of the trees (`keys_and_values`).

        Returns:
            `[M, vocabulary]`: nothing is computed for other places.
        """
        language_model = self.language_model_of()
        given = self._given(views, input_ids)
        seen, cache = sees(end), None
        if known:
            count = len(input_ids)
            cache = DynamicCache([tuple(part.expand(count, -1, -1, -1) for part in layer) for layer in known])
            seen = torch.nn.functional.pad(seen, (known[0][0].shape[2], 0), value=True)
        mask = _attention_mask(seen, language_model.config._attn_implementation, given["inputs_embeds"].dtype)
        hidden = language_model(
            **given, attention_mask=mask, position_ids=_squeezed(positions), past_key_values=cache, use_cache=False
        ).last_hidden_state
        logits: Tensor = self.get_output_embeddings()(hidden.flatten(0, 1)[at])
        return logits

    @torch.inference_mode()
    def keys_and_values(self, opening: Opening) -> Layers:
        """What the language model keeps of an opening without a video, one row."""
        ids, positions = (torch.tensor(one, device=self.device) for one in ([opening.tokens], opening.positions))
        cache = DynamicCache()
        self.language_model_of()(
            **self._given({}, ids), position_ids=_squeezed(positions[:, None]), past_key_values=cache, use_cache=True
        )
        return [(keys, values) for keys, values, _ in cache]

    @torch.inference_mode()
    def write(self, rows: Sequence[Row], end_token: int, pad: int, longest: int) -> list[list[int]]:
        """Greedy continuations of rows of one text each, at most `longest` tokens; the end token is not in them.

        Sums are rounded otherwise in another batch. A row in which that might have decided between two tokens
        (`close`) is written again by itself, so that what is written does not depend on the other rows.
        """
        language_model = self.language_model_of()
        width = max(len(row.opening.tokens) + len(row.texts[0]) for row in rows)
        axes = len(rows[0].opening.positions)
        ids = torch.full((len(rows), width), pad)
        seen = torch.zeros(len(rows), width, dtype=torch.long)
        positions = torch.zeros(axes, len(rows), width, dtype=torch.long)
        for number, row in enumerate(rows):
            # Padding stands on the left, so that every row is continued at the same place.
            first = width - len(row.opening.tokens) - len(row.texts[0])
            middle = first + len(row.opening.tokens)
            ids[number, first:] = torch.tensor([*row.opening.tokens, *row.texts[0]])
            seen[number, first:] = 1
            positions[:, number, first:middle] = torch.tensor(row.opening.positions)
            positions[:, number, middle:] = row.opening.after + torch.arange(width - middle)
        device = self.device
        ids, seen, positions = ids.to(device), seen.to(device), positions.to(device)
        views = {name: torch.cat([row.view[name] for row in rows]).to(device) for name in rows[0].view}
        given = self._given(views, ids)
        cache = DynamicCache(config=language_model.config)
        written: list[Tensor] = []
        done = torch.zeros(len(rows), dtype=torch.bool, device=device)
        lucky = torch.zeros_like(done)
        for _ in range(longest):
            out = language_model(
                **given,
                attention_mask=seen,
                position_ids=_squeezed(positions),
                past_key_values=cache,
                use_cache=True,
            )
            if not written:
                make_room(cache, longest - 1)
            logits = self.get_output_embeddings()(out.last_hidden_state[:, -1])
            lucky |= close(logits) & ~done
            token = logits.argmax(-1).masked_fill(done, end_token)
            done |= token == end_token
            if done.all():
                break
            written.append(token)
            given = {"inputs_embeds": self.get_input_embeddings()(token[:, None])}
            seen = torch.cat([seen, torch.ones_like(seen[:, :1])], dim=1)
            positions = positions[:, :, -1:] + 1
        rows_written = torch.stack(written, dim=1).tolist() if written else [[] for _ in rows]
        texts = [row[: row.index(end_token)] if end_token in row else row for row in rows_written]
        if len(rows) > 1:
            for number in lucky.nonzero()[:, 0].tolist():
                texts[number] = self.write([rows[number]], end_token, pad, longest)[0]
        return texts


def close(logits: Tensor) -> Tensor:
    """Rows `[rows]` of `[rows, choices]` whose two largest logits lie so close that rounding may decide between them.

    In float32. In 16 bits nearly every row would be: there what a batch decides is taken as it is.
    """
    if logits.dtype != torch.float32:
        return torch.zeros(len(logits), dtype=torch.bool, device=logits.device)
    first, second = logits.topk(2).values.unbind(-1)
    return first - second <= _ROUNDING * torch.finfo(torch.float32).eps * logits.abs().amax(-1)


def _cut(opening: Opening, part: slice) -> Opening:
    return Opening(opening.tokens[part], [axis[part] for axis in opening.positions])


def _squeezed(positions: Tensor) -> Tensor:
    """Models with one axis of positions take `[B, S]`."""
    return positions[0] if len(positions) == 1 else positions


def _attention_mask(sees: Tensor, implementation: str, dtype: torch.dtype) -> Any:
    """Who sees whom, in the form an attention implementation of transformers takes."""
    if implementation == "sdpa":
        return sees
    assert implementation == "eager", implementation
    return torch.zeros(sees.shape, dtype=dtype, device=sees.device).masked_fill(~sees, torch.finfo(dtype).min)


class Student(ABC):
    """A student that can be asked and trained."""

    model: Any
    """A `PreTrainedModel` that is a `TreeModel`."""
    tokenizer: PreTrainedTokenizerBase
    seen: int
    """How many frames the specialists sample: the numbers in its rationales are theirs."""

    @property
    def end_token(self) -> int:
        """What ends a reply."""
        return int(self.tokenizer.eos_token_id)

    @property
    def pad_token(self) -> int:
        return int(self.tokenizer.pad_token_id)

    @property
    @abstractmethod
    def sight(self) -> dict[str, Any]:
        """What decides a view beside the video, for the cache's names."""

    @abstractmethod
    def view(self, video: Video) -> View:
        """What it keeps of a video.

        Raises:
            QuestionError: `video_unreadable`.
        """

    @abstractmethod
    def opening(self, view: View) -> Opening:
        """What a sequence about this video begins with."""

    @abstractmethod
    def asked(self, text: str) -> list[int]:
        """Tokens behind the opening of what is asked (prompt and suffix)."""

    @abstractmethod
    def said(self, reply: str) -> list[int]:
        """Tokens of a reply, the end token last."""

    @abstractmethod
    def text(self, tokens: Sequence[int]) -> str:
        """What written tokens say."""

    adapted = False
    """Whether adapters are trained, and not the model itself."""

    def trained(self) -> Any:
        """The module that is given to a trainer."""
        return self.model

    def recompute(self) -> None:
        """Compute activations again for the gradients, and not keep them."""
        # Transformers had this under its old name until 5.20 or so.
        enable = (
            getattr(self.model, "activation_checkpointing_enable", None) or self.model.gradient_checkpointing_enable
        )
        enable({"use_reentrant": False})

    def merge(self) -> None:
        """Work trained adapters into the model."""
        assert self.adapted

    def save(self, folder: Path) -> None:
        """Write model (safetensors), config and tokenizer, as `from_pretrained` reads them."""
        disable_progress_bar()  # type: ignore[no-untyped-call]
        self.model.save_pretrained(folder)
        self.save_beside(folder)

    def save_beside(self, folder: Path) -> None:
        """Write what a student needs beside model and config."""
        self.tokenizer.save_pretrained(folder)

    def reply(self, asked: Sequence[Asked], mode: Mode, longest: int) -> list[str]:
        """The student's replies to a batch of questions, greedily, each at most `longest` tokens."""
        return [reply.text for reply in self.replies(asked, mode, longest)]

    def replies(self, asked: Sequence[Asked], mode: Mode, longest: int) -> list[Reply]:
        """As `reply`, with the numbers of their tokens."""
        return self.say([self.row(one.view, one.prompt + suffix(one.choice, mode)) for one in asked], longest)

    def row(self, view: View, text: str) -> Row:
        """A text that is asked behind a video."""
        return Row(view, self.opening(view), [self.asked(text)])

    def say(self, rows: Sequence[Row], longest: int) -> list[Reply]:
        """Greedy replies to a batch of rows of one text each; one that did not end within `longest` tokens is
        unfinished. The video's tokens are among those of the prompt."""
        self.model.train(False)
        written = self.model.write(rows, self.end_token, self.pad_token, longest)
        asked = [len(row.opening.tokens) + len(row.texts[0]) for row in rows]
        return [
            Reply(self.text(tokens).strip(), len(tokens) < longest, prompt_tokens=count, reply_tokens=len(tokens))
            for tokens, count in zip(written, asked, strict=True)
        ]

    def log_probs(self, row: Row, replies: Sequence[str]) -> list[float]:
        """How likely each reply is behind a row of one text: the mean log-probability of its tokens, the end's too.

        The replies are branches of one tree, so the video is computed once for all of them.
        """
        asked, said = row.texts[0], [self.said(reply) for reply in replies]
        batch = collate([Row(row.view, row.opening, [[*asked, *tokens] for tokens in said])], self.pad_token)
        at = [place for path in batch.paths[0] for place in path[len(asked) - 1 : -1]]
        logits = self._logits(batch, at)
        labels = torch.tensor([token for tokens in said for token in tokens], device=logits.device)
        # A little at a time: a vocabulary is large, and float32 twice as large.
        parts = zip(torch.split(logits, 64), torch.split(labels, 64), strict=True)
        each = torch.cat([part.float().log_softmax(-1).gather(1, label[:, None])[:, 0] for part, label in parts])
        return [float(one.mean()) for one in torch.split(each, [len(tokens) for tokens in said])]

    def beginning(self, rows: Sequence[Row]) -> Beginning:
        """What some rows without a video begin with."""
        self.model.train(False)
        opening = _cut(rows[0].opening, slice(fork([row.opening.tokens for row in rows], 0)))
        return Beginning(opening.tokens, self.model.keys_and_values(opening))

    def next_logits(self, rows: Sequence[Row], beginning: Beginning) -> Tensor:
        """What rows of one text each, without a video, are followed by: `[rows, vocabulary]`.

        Args:
            beginning: what the rows begin with, as a rule; it is not read again.
        """
        shared = fork([beginning.tokens, *(row.opening.tokens[:-1] for row in rows)], 0)
        rest = [Row(row.view, _cut(row.opening, slice(shared, None)), row.texts) for row in rows]
        known = [(keys[:, :, :shared], values[:, :, :shared]) for keys, values in beginning.known]
        batch = collate(rest, self.pad_token)
        return self._logits(batch, [paths[0][-1] for paths in batch.paths], known)

    @torch.inference_mode()
    def _logits(self, batch: Batch, at: Sequence[int], known: Layers | None = None) -> Tensor:
        """Logits at some places of a batch, `[len(at), vocabulary]`."""
        self.model.train(False)
        device = self.model.device
        inputs = {name: one.to(device) for name, one in batch.inputs.items() if name != "views"}
        views = {name: one.to(device) for name, one in batch.inputs["views"].items()}
        logits: Tensor = self.model.tree_logits(views, **inputs, at=torch.tensor(at, device=device), known=known)
        return logits
