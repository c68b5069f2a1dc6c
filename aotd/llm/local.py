"""A model that runs in this process: where its files are, and how a request becomes tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import TemplateError

from aotd.errors import UserError
from aotd.llm.base import GenerationRequest
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

    Args:
        setting: whose model it is among the settings, for errors.

    Raises:
        UserError: the template cannot be rendered, or there is none and the request has messages of the assistant.
    """
    special = tokenizer.get_added_vocab()
    messages = [{**message, "content": without_tokens(message["content"], special)} for message in request.chat()]
    if messages[0]["role"] == "system" and not _takes_system(tokenizer):
        system, first, *others = messages
        messages = [{**first, "content": f"{system['content']}\n\n{first['content']}"}, *others]
    if not tokenizer.chat_template:
        if len(messages) > 1:
            raise UserError(f"{setting}.model: it has no chat template and takes one message only: name a chat model")
        return list(tokenizer(messages[0]["content"])["input_ids"])
    try:
        text = _rendered(tokenizer, messages)
    except _CANNOT_RENDER as error:
        raise UserError(f"{setting}.model: its chat template cannot be rendered ({first_line(error)})") from None
    # The template writes the special tokens itself.
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


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
