"""A model that runs in this process: where its files are, how a request becomes tokens, and tokens a reply."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import TemplateError

from aotd.errors import UserError
from aotd.llm.base import GenerationRequest
from aotd.llm.reasoning import closing_mark, opens_reasoning, reasoning_tokens
from aotd.models.checkpoints import COMPLAINTS, first_line
from aotd.prompts import without_tokens


def find(name: str, setting: str = "llm") -> Path | None:
    """The folder or GGUF file that `llm.model` names; None for a hub id.

    Args:
        setting: whose model it is among the settings, for errors.

    Raises:
        UserError: it looks like a path and is not there, or is a folder without config.json.
    """
    path = Path(name).expanduser()
    looks_local = name.endswith(".gguf") or name.startswith(("/", ".", "~")) or name.count("/") > 1
    if looks_local and not path.exists():
        raise UserError(
            f"{setting}.model: {name} is not there; give a folder with config.json, a .gguf file or a hub id"
        )
    if path.is_dir() and not (path / "config.json").is_file():
        raise UserError(f"{setting}.model: {name} holds no config.json; give the folder that does, or a .gguf file")
    return path.resolve() if path.exists() else None


def encode_prompt(tokenizer: Any, request: GenerationRequest, setting: str = "llm") -> list[int]:
    """Encode the messages of a request in the model's own chat format.

    A tokenizer without a chat template encodes a single user message as it is. A template without a system role (it
    refuses one, or leaves it out) gets the system message at the beginning of the first user message, a blank line
    between them. So does a tokenizer without a template.

    Messages are text: a special token of the model that is written out in one is not read as that token. The template
    came with the model. transformers renders it in Jinja's sandbox, where it reaches nothing; how long it takes is not
    bounded.

    Where the template opens a model's reasoning, and the reply shall be one of some options, the reasoning is closed
    again: the options are weighed as replies, not as thoughts.

    Args:
        setting: whose model it is among the settings, for errors.

    Raises:
        UserError: the template cannot be rendered, or there is none and the request has messages of the assistant.
    """
    special = tokenizer.get_added_vocab()
    messages = [{**message, "content": without_tokens(message["content"], special)} for message in request.chat()]
    messages = fitting_messages(tokenizer, messages)
    if not tokenizer.chat_template:
        if len(messages) > 1:
            raise UserError(f"{setting}.model: it has no chat template and takes one message only: name a chat model")
        return list(tokenizer(messages[0]["content"])["input_ids"])
    text = chat_text(tokenizer, messages, f"{setting}.model")
    if request.options and (closing := closing_mark(text)):
        text = f"{text.rstrip()}\n\n{closing}\n\n"
    # The template writes the special tokens itself.
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def fitting_messages(tokenizer: Any, messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """Move a system message to the beginning of the first user message where a tokenizer's template writes none."""
    if messages[0]["role"] != "system" or _takes_system(tokenizer):
        return messages
    system, first, *others = messages
    return [{**first, "content": f"{system['content']}\n\n{first['content']}"}, *others]


def chat_text(tokenizer: Any, messages: list[dict[str, str]], setting: str) -> str:
    """Render messages in a tokenizer's chat template, up to where the reply begins.

    Args:
        setting: the setting that names the model, for errors.

    Raises:
        UserError: the template cannot be rendered.
    """
    try:
        return _rendered(tokenizer, messages)
    except _CANNOT_RENDER as error:
        raise UserError(f"{setting}: its chat template cannot be rendered ({first_line(error)})") from None


def ends_in_reasoning(tokenizer: Any, prompt: Sequence[int]) -> bool:
    """Whether a prompt ends in a mark that opens reasoning, so that the reply begins inside."""
    return opens_reasoning(str(tokenizer.decode(list(prompt[-_TAIL:]))))


def decode(tokenizer: Any, tokens: Sequence[int], **how: Any) -> str:
    """The text of a reply, without special tokens but for those that part reasoning from what is said.

    Args:
        how: further arguments of the tokenizer's `decode`.
    """
    if not parts_by_special_tokens(tokenizer):
        return str(tokenizer.decode(list(tokens), skip_special_tokens=True, **how))
    dropped = set(_dropped(tokenizer).values())
    return str(tokenizer.decode([token for token in tokens if token not in dropped], **how))


def without_special(tokenizer: Any, text: str) -> str:
    """A reply that was decoded with special tokens, without those that are no part of it."""
    for token in _dropped(tokenizer) if parts_by_special_tokens(tokenizer) else ():
        text = text.replace(token, "")
    return text


def parts_by_special_tokens(tokenizer: Any) -> bool:
    """Whether special tokens part a model's reasoning from its reply, so that they must not be skipped."""
    return len(_dropped(tokenizer)) < len(_special(tokenizer))


@lru_cache(maxsize=4)
def _special(tokenizer: Any) -> dict[str, int]:
    return {str(token): number for number, token in tokenizer.added_tokens_decoder.items() if token.special}


@lru_cache(maxsize=4)
def _dropped(tokenizer: Any) -> dict[str, int]:
    """The special tokens that are no part of a reply."""
    special = _special(tokenizer)
    marks = reasoning_tokens(special)
    return {name: number for name, number in special.items() if name not in marks}


_TAIL = 32
"""Tokens at the end of a prompt that may hold a mark and the blanks behind it."""
_CANNOT_RENDER = (*COMPLAINTS, TemplateError)


def _takes_system(tokenizer: Any) -> bool:
    """Whether a tokenizer's chat template writes a system message."""
    if not tokenizer.chat_template:
        return False
    probe = [{"role": "system", "content": "qzxv"}, {"role": "user", "content": "wkjd"}]
    try:
        return "qzxv" in _rendered(tokenizer, probe)
    except _CANNOT_RENDER:
        return False


def _rendered(tokenizer: Any, messages: list[dict[str, str]]) -> str:
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
