"""A LLaVA-OneVision in a size for a laptop, begun from nothing: the family without what it has learned.

For seeing whether what holds for one student holds for another (paper §4.3), where no checkpoint is at
hand or could be trained. Its tower is frozen as it is drawn, the same for every seed, so that a video is
looked at once; projector and language model are drawn from the seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tokenizers import AddedToken
from transformers import LlavaOnevisionConfig, PreTrainedTokenizerFast, set_seed

from aotd.students.tokens import PAD, train_tokenizer
from aotd.video_llms.llava_onevision import LlavaOnevision, LlavaOnevisionForConditionalGeneration

IMAGE, PATCH, WIDTH, LAYERS, HEADS, VOCABULARY = 64, 8, 96, 3, 3, 2048


def new_small_onevision(frames: int, specialist_frames: int, texts: Sequence[str], seed: int) -> LlavaOnevision:
    """An untrained student of about a million weights. The same arguments give the same.

    Args:
        frames: frames it sees, 16 tokens each.
        specialist_frames: frames the specialists sample.
        texts: what its tokenizer is trained on.
    """
    words = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=train_tokenizer(texts, VOCABULARY, at_least=specialist_frames - 1).backend_tokenizer,
        pad_token=PAD,
        eos_token=LlavaOnevision.end,
    )
    chat = ("<image>", LlavaOnevision.anchor, "<|im_start|>", LlavaOnevision.end)
    words.add_tokens([AddedToken(token, special=True, normalized=False) for token in chat])
    number: dict[str, int] = words.get_added_vocab()
    config = LlavaOnevisionConfig(
        vision_config={
            "model_type": "siglip_vision_model",
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": IMAGE,
            "patch_size": PATCH,
            "vision_use_head": False,
        },
        text_config={
            "model_type": "qwen2",
            "hidden_size": WIDTH,
            "intermediate_size": 3 * WIDTH,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS,
            "num_key_value_heads": HEADS,
            "vocab_size": len(words),
            "max_position_embeddings": 4096,
            "initializer_range": 0.8 / math.sqrt(WIDTH),
            "tie_word_embeddings": True,
        },
        image_token_index=number["<image>"],
        video_token_index=number[LlavaOnevision.anchor],
        image_grid_pinpoints=[[IMAGE, IMAGE]],
        tie_word_embeddings=True,
    )
    set_seed(0)
    tower = LlavaOnevisionForConditionalGeneration(config).model.vision_tower
    set_seed(seed)
    model = LlavaOnevisionForConditionalGeneration(config)
    model.model.vision_tower.load_state_dict(tower.state_dict())
    pictures = {"size": {"height": IMAGE, "width": IMAGE}}
    return LlavaOnevision(model, words, pictures, frames, specialist_frames)
