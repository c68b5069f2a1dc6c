"""How a question is put to a language model from a checkpoint: in the paper's form, or in its own chat format.

    ### You are …                         <|im_start|>system You are … <|im_end|>
    ### Human: <video>                    <|im_start|>user <video>
    Question: …                           Question: … <|im_end|>
    ### Assistant: …                      <|im_start|>assistant …

The video stands before the question, so that questions about one video share it. Valley's data have it before the
question or behind it (appendix B).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aotd.errors import UserError
from aotd.llm.local import chat_text, fitting_messages

_VIDEO, _QUESTION = "qzxvideo", "qzxquestion"
"""Stand for the two while a chat template is rendered."""


@dataclass(frozen=True)
class ChatForm:
    """What stands around video and question."""

    before: list[int]
    """Tokens before the video."""
    between: str
    after: str
    """Between the question and the reply."""


def chat_form(tokenizer: Any, system: str, setting: str) -> ChatForm:
    """The form of a tokenizer's chat template; without a template, the paper's (its §4.3).

    Args:
        system: system message; empty: none.
        setting: whose tokenizer it is, for errors.

    Raises:
        UserError: the template cannot be rendered, or changes what it is given.
    """
    if tokenizer.eos_token_id is None:
        raise UserError(f"{setting}: its tokenizer has no token that ends a reply")
    if not tokenizer.chat_template:
        tokens: list[int] = tokenizer.encode(f"### {system}\n### Human: " if system else "### Human: ")
        end = tokens[-1:] == [tokenizer.eos_token_id]
        return ChatForm(tokens[: len(tokens) - end], "\n", "\n### Assistant:")
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": f"{_VIDEO}\n{_QUESTION}"})
    text = chat_text(tokenizer, fitting_messages(tokenizer, messages), setting)
    if text.count(f"{_VIDEO}\n{_QUESTION}") != 1:
        raise UserError(f"{setting}: its chat template does not write a message as it is given")
    before, after = text.split(f"{_VIDEO}\n{_QUESTION}")
    return ChatForm(tokenizer.encode(before, add_special_tokens=False), "\n", after)


def encode_behind(tokenizer: Any, text: str) -> list[int]:
    """Tokenize a text that does not begin a sequence: some tokenizers put a space before one that does."""
    tokens: list[int] = tokenizer.encode(f"{tokenizer.eos_token}{text}", add_special_tokens=False)
    return tokens[tokens.index(tokenizer.eos_token_id) + 1 :]
