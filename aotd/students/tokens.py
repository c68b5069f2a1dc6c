"""A student's own tokenizer: byte-level BPE over the texts it is trained on.

Any text goes in and comes out unchanged, but for a space at its beginning. Whole numbers are single tokens as far as
the texts use them, because rationales are full of frame numbers and pixels.

A text is encoded as if a space stood before it (`add_prefix_space`). So "door" as a whole reply is the token that
stands for it in a sentence, and what was learned of one holds for the other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

from aotd.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, END, VIDEO = "<pad>", "<end>", "<video>"
SPACE = "Ġ"
"""How byte-level BPE writes a space within a token."""
_SMALLEST, _OWN = 300, 259
_OFTEN = 500


def train_tokenizer(texts: Sequence[str], vocabulary: int, at_least: int = 0) -> PreTrainedTokenizerFast:
    """A tokenizer of at most `vocabulary` tokens. The same texts give the same tokenizer.

    `0` up to the largest number in the texts (or `at_least`) become tokens, each as it stands after a
    space and as it stands elsewhere, as long as they take no more than a third of the vocabulary.

    Raises:
        UserError: the vocabulary does not even hold the 256 bytes.
    """
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    if vocabulary < _SMALLEST:
        raise UserError(f"student.valley.vocabulary={vocabulary} is too small: bytes and some words need {_SMALLEST}")
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=Tokenizer.from_str(_trained(tuple(texts), vocabulary, at_least)),
        pad_token=PAD,
        eos_token=END,
        split_special_tokens=True,
        clean_up_tokenization_spaces=False,
    )


@lru_cache(maxsize=1)  # the arms of a run have the same texts
def _trained(texts: tuple[str, ...], vocabulary: int, at_least: int) -> str:
    """A trained tokenizer as JSON."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    written = (int(word) for text in texts for word in re.findall(r"[0-9]+", text) if len(word) <= 4)
    largest = min(max(written, default=0, key=int), (vocabulary - _OWN) // 6)
    # Each number as it stands after a space and elsewhere; but for the letter, nothing is between it and the next.
    numbers = "".join(f" {number}a{number}" for number in range(max(largest, at_least) + 1))
    inner: Any = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    inner.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, END, VIDEO],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    # Said often enough, every number is merged into one token before the rarer words are.
    inner.train_from_iterator(chain(texts, repeat(numbers, _OFTEN)), trainer=trainer)
    return str(inner.to_str())


def encode(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    """The tokens of a text. `<end>` and `<pad>` written in it are plain text."""
    # What stands around this in transformers takes half as long again.
    inner = tokenizer.backend_tokenizer
    inner.encode_special_tokens = True
    tokens: list[int] = inner.encode_batch_fast([text], add_special_tokens=False)[0].ids
    return tokens


def decode(tokenizer: PreTrainedTokenizerFast, tokens: Sequence[int]) -> str:
    """The text of tokens, up to the first end."""
    end, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    kept = list(tokens)[: next((i for i, token in enumerate(tokens) if token in (end, pad)), len(tokens))]
    return str(tokenizer.decode(kept, clean_up_tokenization_spaces=False))


def number_tokens(tokenizer: PreTrainedTokenizerFast, count: int) -> list[int]:
    """The token of each number `0 … count - 1` as it stands after a space ("frame 12"); its last one if it has two."""
    return [encode(tokenizer, f" {number}")[-1] for number in range(count)]
