"""What is left of placeholders and chat tokens in a stranger's text: nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aotd.export.conversations import plain

TOKENS = [
    *("<video>", "<image>", "<audio>", "<bbox>", "<ref-object>", "<cot-process>", "<|im_start|>", "<|im_end|>"),
    *("<|video_pad|>", "<|endoftext|>", "<s>", "</s>", "<start_of_turn>", "<IMG_CONTEXT>", "<<SYS>>", "<|eot_id|>"),
    *("[INST]", "[/INST]", "[IMG]", "[IMG_BREAK]", "[SEP]", "[gMASK]", "[AVAILABLE_TOOLS]"),
]


@pytest.mark.parametrize("token", TOKENS)
@given(before=st.text(), after=st.text())
def test_plain_leaves_no_token(token: str, before: str, after: str) -> None:
    assert token not in plain(before + token + after)


@given(st.text())
def test_plain_is_idempotent(text: str) -> None:
    assert plain(plain(text)) == plain(text)


@pytest.mark.parametrize("text", ["a box at [10, 20, 30, 40] in frame 8", "(A) the door", "what's next? 5 + 3 & more"])
def test_plain_leaves_other_text_alone(text: str) -> None:
    assert plain(text) == text
