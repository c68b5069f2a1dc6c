"""A tokenizer depends on its texts alone, and knows the numbers in them."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from aotd.students.tokens import END, PAD, VIDEO, decode, encode, train_tokenizer

TEXTS = ["What did the person take?", "I see the book at [10, 20, 30, 140] in frame 3. So the answer is the book."]


def test_numbers_count_as_if_in_texts_of_their_own() -> None:
    apart = Tokenizer(models.BPE())
    apart.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    apart.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1200,
        special_tokens=[PAD, END, VIDEO],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    numbers = [f" {number}a{number}" for number in range(141)]
    apart.train_from_iterator([*TEXTS, *(500 * numbers)], trainer=trainer)
    assert train_tokenizer(TEXTS, 1200).get_vocab() == apart.get_vocab()


def test_tokenizers_of_the_same_texts_are_equal_and_share_nothing() -> None:
    one, same, other = train_tokenizer(TEXTS, 600), train_tokenizer(TEXTS, 600), train_tokenizer(TEXTS[:1], 600)
    assert one.backend_tokenizer.to_str() == same.backend_tokenizer.to_str() != other.backend_tokenizer.to_str()
    one.add_tokens(["<more>"])
    assert encode(same, "<more>") == encode(train_tokenizer(TEXTS, 600), "<more>") != encode(one, "<more>")


def test_encode_equals_transformers_without_special_tokens(tmp_path: Path) -> None:
    made = train_tokenizer(TEXTS, 600)
    texts = [*TEXTS, "", " 7", f"{END}{PAD} says the {VIDEO}", "häßlich 本 \u200d\n\n  ."]
    own = [made.encode(text, add_special_tokens=False, split_special_tokens=True) for text in texts]
    assert [encode(made, text) for text in texts] == own
    assert not {made.eos_token_id, made.pad_token_id} & {token for tokens in own for token in tokens}
    made.save_pretrained(tmp_path)
    loaded = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    assert [encode(loaded, text) for text in texts] == own


def test_a_word_is_the_same_token_at_the_beginning_of_a_text_and_behind_a_space() -> None:
    made = train_tokenizer(TEXTS, 600)
    assert encode(made, "book") == encode(made, "the book")[1:]
    assert encode(made, "3") == encode(made, "frame 3")[1:]


def test_texts_come_out_as_they_went_in() -> None:
    made = train_tokenizer(TEXTS, 600)
    for text in [*TEXTS, "", "book", "häßlich 本 \u200d\n\n  .", "\n x"]:
        assert decode(made, encode(made, text)) == text
