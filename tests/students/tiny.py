"""Tiny checkpoints with random weights, in the families' own formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import AddedToken, decoders, pre_tokenizers
from transformers import PreTrainedTokenizerFast, set_seed

from aotd.students.tokens import train_tokenizer

TEXTS = [
    "USER: Question: What did the person take? Options: (A) the book ASSISTANT:",
    "I see the book at [10, 20, 30, 40] in frame 3. So the answer is the book. user assistant <0.3 seconds>",
]
SPECIAL = ["<s>", "</s>", "<image>", "<video>", "<|im_start|>", "<|im_end|>"]
VISION = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]


def tokenizer() -> PreTrainedTokenizerFast:
    inner = train_tokenizer(TEXTS, 400).backend_tokenizer
    # As the families' own: no space is put before a text.
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    made = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=inner, pad_token="<pad>", eos_token="</s>", bos_token="<s>"
    )
    made.add_tokens([AddedToken(token, special=True, normalized=False) for token in [*SPECIAL, *VISION]])
    return made


def text_config(vocabulary: int, **more: Any) -> dict[str, Any]:
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
    return {**sizes, "num_key_value_heads": 2, "vocab_size": vocabulary, "max_position_embeddings": 2048, **more}


def llava_next_video(words: PreTrainedTokenizerFast, **more: Any) -> transformers.PreTrainedModel:
    vision = {
        "model_type": "clip_vision_model", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3,
        "num_attention_heads": 2, "image_size": 32, "patch_size": 8, "projection_dim": 16,
    }  # fmt: skip
    config = transformers.LlavaNextVideoConfig(
        vision_config=vision,
        text_config={"model_type": "llama", **text_config(len(words))},
        image_token_index=words.convert_tokens_to_ids("<image>"),
        video_token_index=words.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=[[32, 32]],
        **more,
    )
    return transformers.LlavaNextVideoForConditionalGeneration(config)


def llava_onevision(words: PreTrainedTokenizerFast, **more: Any) -> transformers.PreTrainedModel:
    vision = {
        "model_type": "siglip_vision_model", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
        "num_attention_heads": 2, "image_size": 40, "patch_size": 8, "vision_use_head": False,
    }  # fmt: skip
    config = transformers.LlavaOnevisionConfig(
        vision_config=vision,
        text_config={"model_type": "qwen2", "tie_word_embeddings": True, **text_config(len(words))},
        image_token_index=words.convert_tokens_to_ids("<image>"),
        video_token_index=words.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=[[40, 40]],
        tie_word_embeddings=True,
        **more,
    )
    return transformers.LlavaOnevisionForConditionalGeneration(config)


def video_llava(words: PreTrainedTokenizerFast, **more: Any) -> transformers.PreTrainedModel:
    vision = {
        "model_type": "clip_vision_model", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3,
        "num_attention_heads": 2, "image_size": 32, "patch_size": 16, "projection_dim": 16,
    }  # fmt: skip
    config = transformers.VideoLlavaConfig(
        vision_config=vision,
        text_config={"model_type": "llama", **text_config(len(words))},
        image_token_index=words.convert_tokens_to_ids("<image>"),
        video_token_index=words.convert_tokens_to_ids("<video>"),
        **more,
    )
    return transformers.VideoLlavaForConditionalGeneration(config)


def qwen_vl(words: PreTrainedTokenizerFast, **more: Any) -> transformers.PreTrainedModel:
    vision = {
        "depth": 4, "hidden_size": 16, "intermediate_size": 24, "num_heads": 2, "patch_size": 8, "out_hidden_size": 32,
        "num_position_embeddings": 64, "deepstack_visual_indexes": [0, 2],
    }  # fmt: skip
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1], "mrope_interleaved": True}
    config = transformers.Qwen3VLConfig(
        vision_config=vision,
        text_config=text_config(len(words), head_dim=8, rope_parameters=rope),
        image_token_id=words.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=words.convert_tokens_to_ids("<|video_pad|>"),
        vision_start_token_id=words.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=words.convert_tokens_to_ids("<|vision_end|>"),
        **more,
    )
    return transformers.Qwen3VLForConditionalGeneration(config)


MODELS = {
    "llava_next_video": llava_next_video,
    "llava_onevision": llava_onevision,
    "video_llava": video_llava,
    "qwen_vl": qwen_vl,
}
PICTURES = {
    "llava_next_video": {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}},
    "video_llava": {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}},
    "llava_onevision": {"size": {"height": 40, "width": 40}, "do_center_crop": None},
    "qwen_vl": {"size": {"shortest_edge": 4 * 32 * 32, "longest_edge": 4 * 64 * 64}},
}


def write_checkpoint(name: str, folder: Path, **more: Any) -> Path:
    """A checkpoint of a family with random weights, as its own `save_pretrained` writes it."""
    words = tokenizer()
    set_seed(0)
    model = MODELS[name](words, **more)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.2)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PICTURES[name]))
    return folder


VISION_SIZES = {
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2, "image_size": 32,
    "patch_size": 8,
}  # fmt: skip
TEXT_SIZES = {
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 50,
    "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1,
}  # fmt: skip


def write_vision(name: str, folder: Path) -> Path:
    """A CLIP or SigLIP, or its vision model alone, with random weights."""
    sizes: dict[str, dict[str, Any]] = {
        "clip": {"vision_config": VISION_SIZES, "text_config": TEXT_SIZES, "projection_dim": 8},
        "clip_vision_model": VISION_SIZES,
        "siglip": {"vision_config": VISION_SIZES, "text_config": TEXT_SIZES},
        "siglip_vision_model": VISION_SIZES,
    }
    classes = {
        "clip": transformers.CLIPModel,
        "clip_vision_model": transformers.CLIPVisionModel,
        "siglip": transformers.SiglipModel,
        "siglip_vision_model": transformers.SiglipVisionModel,
    }
    pictures: dict[str, Any] = {"size": {"height": 32, "width": 32}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    if name.startswith("clip"):
        pictures = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    set_seed(0)
    model = classes[name](transformers.CONFIG_MAPPING[name](**sizes[name]))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.2)
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(pictures))
    return folder


CHAT = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_lm(kind: str, folder: Path, chat: str = "", **more: Any) -> Path:
    """A causal language model with random weights, and its tokenizer.

    Args:
        kind: its `model_type`.
        chat: its tokenizer's chat template.
    """
    words = tokenizer()
    words.chat_template = chat or None
    config = transformers.CONFIG_MAPPING[kind](**{**text_config(len(words)), **more})
    set_seed(0)
    model = transformers.MODEL_FOR_CAUSAL_LM_MAPPING[type(config)](config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.2)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder
