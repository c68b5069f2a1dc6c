"""A student: a model, its tokenizer, and how both are made, kept and asked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast, set_seed
from transformers.utils.logging import disable_progress_bar

from aotd.errors import UserError
from aotd.records import Mode
from aotd.students import StudentConfig
from aotd.students.frames import Sight, StudentFrames
from aotd.students.prompts import suffix
from aotd.students.tokens import decode, encode, number_tokens, train_tokenizer
from aotd.students.valley import Valley, ValleyConfig, smooth_numbers

ANSWER_TOKENS = 24
"""Longest reply behind the answer suffix: a letter, or a few words."""


@dataclass(frozen=True)
class Asked:
    """One question put to a student."""

    prompt: str
    """Question and options (`aotd.students.prompts.prompt`)."""
    choice: bool
    """Whether it has options."""
    frames: StudentFrames


@dataclass(frozen=True)
class Student:
    """A student that can be asked."""

    model: Valley
    tokenizer: PreTrainedTokenizerFast

    @property
    def sight(self) -> Sight:
        """How it sees a video."""
        config = self.model.config
        return Sight(len(config.number_tokens), config.frames, config.image)

    def reply(self, asked: Sequence[Asked], mode: Mode, longest: int) -> list[str]:
        """The student's replies to a batch of questions, greedily, each at most `longest` tokens."""
        self.model.train(False)
        device = self.model.device
        prompts = [encode(self.tokenizer, one.prompt + suffix(one.choice, mode)) for one in asked]
        pixels = torch.stack([torch.from_numpy(one.frames.pixels) for one in asked])
        numbers = torch.stack([torch.from_numpy(one.frames.numbers) for one in asked])
        written = self.model.reply(pixels.to(device), numbers.to(device), prompts, longest)
        return [decode(self.tokenizer, tokens).strip() for tokens in written]

    def save(self, folder: Path) -> None:
        """Write model (safetensors), config and tokenizer."""
        disable_progress_bar()  # type: ignore[no-untyped-call]
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


def new_student(config: StudentConfig, seen: int, texts: Sequence[str], seed: int) -> Student:
    """An untrained student. The same arguments give the same weights.

    Args:
        seen: frames the specialists sample; their numbers are what it is told.
        texts: what the tokenizer is trained on.

    Raises:
        UserError: sizes that do not fit together.
    """
    _check(config)
    tokenizer = train_tokenizer(texts, config.vocabulary, at_least=seen - 1)
    set_seed(seed)
    model = Valley(
        ValleyConfig(
            image=config.image,
            frames=config.frames,
            hidden=config.hidden,
            layers=config.layers,
            heads=config.heads,
            vocab_size=len(tokenizer),
            channels=config.channels,
            patches=config.patches,
            tokens_per_frame=config.tokens_per_frame,
            number_tokens=number_tokens(tokenizer, seen),
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    smooth_numbers(model, tokenizer)
    return Student(model, tokenizer)


def load_student(folder: Path) -> Student:
    """A student that was saved.

    Raises:
        UserError: there is none in the folder.
    """
    if not (folder / "model.safetensors").is_file():
        raise UserError(f"{folder} holds no student: run `aotd distill` first")
    disable_progress_bar()  # type: ignore[no-untyped-call]
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    return Student(Valley.from_pretrained(folder), tokenizer)


def _check(config: StudentConfig) -> None:
    sizes = ("frames", "image", "channels", "patches", "tokens_per_frame", "hidden", "layers", "heads")
    for name in sizes:
        if getattr(config, name) < 1:
            raise UserError(f"student.{name}={getattr(config, name)} must be 1 or more")
    if config.image % 8:
        raise UserError(f"student.image={config.image} must be a multiple of 8")
    if config.channels % 8:
        raise UserError(f"student.channels={config.channels} must be a multiple of 8")
    if config.hidden % (2 * config.heads):
        raise UserError(f"student.hidden={config.hidden} must be a multiple of twice student.heads={config.heads}")
    side = math.isqrt(config.patches)
    if side * side != config.patches or side > config.image // 8:
        most = (config.image // 8) ** 2
        raise UserError(f"student.patches={config.patches} must be a square number, at most {most} for this image")
