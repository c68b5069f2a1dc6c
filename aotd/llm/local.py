"""A model that runs in this process: where it lies, and how it is spoken to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aotd.errors import UserError
from aotd.models.checkpoints import COMPLAINTS, first_line
from aotd.prompts import without_tokens


def find(name: str) -> Path | None:
    """The folder or GGUF file that `llm.model` names; None for a hub id.

    Raises:
        UserError: it looks like a path and is not there, or is a folder without config.json.
    """
    path = Path(name).expanduser()
    looks_local = name.endswith(".gguf") or name.startswith(("/", ".", "~")) or name.count("/") > 1
    if looks_local and not path.exists():
        raise UserError(f"llm.model: {name} is not there; give a folder with config.json, a .gguf file or a hub id")
    if path.is_dir() and not (path / "config.json").is_file():
        raise UserError(f"llm.model: {name} holds no config.json; give the folder that does, or a .gguf file")
    return path.resolve() if path.exists() else None


def encode(tokenizer: Any, prompt: str) -> list[int]:
    """The prompt as one user message in the model's own format; as it is where the model has none.

    What the prompt holds is text: a token of the model's own that somebody has typed into it is not read as that token.
    The format is a template that came with the model. transformers renders it in Jinja's sandbox, where it
    reaches nothing; how long it takes is not bounded.

    Raises:
        UserError: the template cannot be rendered.
    """
    from jinja2 import TemplateError

    prompt = without_tokens(prompt, tokenizer.get_added_vocab())
    if not tokenizer.chat_template:
        return list(tokenizer(prompt)["input_ids"])
    messages = [{"role": "user", "content": prompt}]
    try:
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    except (*COMPLAINTS, TemplateError) as error:
        raise UserError(f"llm.model: its chat template cannot be rendered ({first_line(error)})") from None
    # The template writes the special tokens itself.
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])
