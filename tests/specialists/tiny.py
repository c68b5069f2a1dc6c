"""Tiny checkpoints with random weights, in their architectures' own formats on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file
from transformers import BertTokenizer, CLIPTokenizer, set_seed

WORDS = ("a", "photo", "of", "cup", "glass", "bottle", "door", "book")


def clip_tokenizer() -> CLIPTokenizer:
    """CLIP's way with text, over letters: every letter is a token, with or without the end of a word."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    vocab = ["!", *letters, *(f"{letter}</w>" for letter in (*letters, ".", ","))]
    entries = {token: at for at, token in enumerate([*vocab, "<|startoftext|>", "<|endoftext|>"])}
    return CLIPTokenizer(vocab=entries, merges=[])


def bert_tokenizer() -> BertTokenizer:
    """BERT's way with text. Grounding DINO knows its full stop and question mark by their places."""
    entries = {f"[unused{at}]": at for at in range(1030)}
    places = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, ".": 1012, "?": 1029}
    places |= {word: 200 + at for at, word in enumerate(WORDS)}
    for token, at in places.items():
        del entries[f"[unused{at}]"]
        entries[token] = at
    return BertTokenizer(vocab=entries)


TOWER = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}


def _text(words: Any, **more: Any) -> dict[str, Any]:
    places = {"bos_token_id": words.bos_token_id, "eos_token_id": words.eos_token_id}
    return {**TOWER, "vocab_size": len(words), "max_position_embeddings": 77, **places, **more}


def owl(words: Any, kind: str) -> Any:
    config, model = {
        "owlv2": (transformers.Owlv2Config, transformers.Owlv2ForObjectDetection),
        "owlvit": (transformers.OwlViTConfig, transformers.OwlViTForObjectDetection),
    }[kind]
    text, vision = _text(words, max_position_embeddings=24), {**TOWER, "image_size": 32, "patch_size": 8}
    return model(config(text_config=text, vision_config=vision, projection_dim=TOWER["hidden_size"]))


def grounding_dino(words: Any) -> Any:
    backbone = transformers.SwinConfig(
        embed_dim=8, depths=[1, 1], num_heads=[2, 2], window_size=4, image_size=32, out_indices=[1, 2]
    )
    text = {"vocab_size": len(words), **TOWER, "max_position_embeddings": 64}
    config = transformers.GroundingDinoConfig(
        backbone_config=backbone, text_config={"model_type": "bert", **text}, d_model=32, encoder_layers=1,
        encoder_ffn_dim=24, encoder_attention_heads=2, decoder_layers=2, decoder_ffn_dim=24,
        decoder_attention_heads=2, num_queries=6, num_feature_levels=3, max_text_len=32,
    )  # fmt: skip
    return transformers.GroundingDinoForObjectDetection(config)


def clip(words: Any, kind: str = "clip") -> Any:
    config, model = {
        "clip": (transformers.CLIPConfig, transformers.CLIPModel),
        "siglip": (transformers.SiglipConfig, transformers.SiglipModel),
    }[kind]
    vision = {**TOWER, "image_size": 32, "patch_size": 8}
    more = {"projection_dim": 16} if kind == "clip" else {}
    return model(config(text_config=_text(words), vision_config=vision, **more))


def xclip(words: Any) -> Any:
    vision = {
        **TOWER, "image_size": 32, "patch_size": 8, "num_frames": 4, "mit_hidden_size": 16,
        "mit_intermediate_size": 24, "mit_num_hidden_layers": 1, "mit_num_attention_heads": 2,
    }  # fmt: skip
    config = transformers.XCLIPConfig(
        text_config=_text(words), vision_config=vision, projection_dim=16, prompt_num_attention_heads=2
    )
    return transformers.XCLIPModel(config)


_SQUARE = {"size": {"height": 32, "width": 32}}
_CLIP = {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 32}, "crop_size": _SQUARE["size"]}
PICTURES: dict[str, dict[str, Any]] = {
    "owlv2": {"image_processor_type": "Owlv2ImageProcessor", **_SQUARE},
    "owlvit": {"image_processor_type": "OwlViTImageProcessor", **_SQUARE},
    "grounding_dino": {
        "image_processor_type": "GroundingDinoImageProcessor", "size": {"shortest_edge": 32, "longest_edge": 64},
    },
    "clip": _CLIP,
    "siglip": {"image_processor_type": "SiglipImageProcessor", **_SQUARE},
    "xclip": _CLIP,
}  # fmt: skip


def write_checkpoint(name: str, folder: Path, seed: int = 0) -> Path:
    """A checkpoint of an architecture with random weights, as its own `save_pretrained` writes it."""
    words: Any = bert_tokenizer() if name == "grounding_dino" else clip_tokenizer()
    make: dict[str, Any] = {
        "owlv2": lambda: owl(words, "owlv2"),
        "owlvit": lambda: owl(words, "owlvit"),
        "grounding_dino": lambda: grounding_dino(words),
        "clip": lambda: clip(words),
        "siglip": lambda: clip(words, "siglip"),
        "xclip": lambda: xclip(words),
    }
    set_seed(seed)
    model = make[name]()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PICTURES[name]), encoding="utf-8")
    return folder


def univtg_weights(video: int, text: int, hidden: int = 16) -> dict[str, torch.Tensor]:
    """Random weights under the names of the authors' checkpoints (one layer of width `hidden`, two projections)."""
    row, layer = [hidden], "transformer.encoder.layers.0"
    shapes: dict[str, list[int]] = {
        "txt_position_embed.position_embeddings.weight": [32, hidden],
        "token_type_embeddings.weight": [2, hidden],
        "weightedpool.weight": [hidden, 1],
        f"{layer}.self_attn.in_proj_weight": [3 * hidden, hidden],
        f"{layer}.self_attn.in_proj_bias": [3 * hidden],
        f"{layer}.self_attn.out_proj.weight": [hidden, hidden],
        f"{layer}.self_attn.out_proj.bias": row,
        f"{layer}.linear1.weight": [24, hidden],
        f"{layer}.linear1.bias": [24],
        f"{layer}.linear2.weight": [hidden, 24],
        f"{layer}.linear2.bias": row,
    }
    for norm in ("txt_position_embed.LayerNorm", f"{layer}.norm1", f"{layer}.norm2"):
        shapes |= {f"{norm}.weight": row, f"{norm}.bias": row}
    for side, width in (("vid", video), ("txt", text)):
        for at, given in enumerate((width, hidden)):
            name = f"input_{side}_proj.{at}"
            shapes |= {f"{name}.LayerNorm.weight": [given], f"{name}.LayerNorm.bias": [given]}
            shapes |= {f"{name}.net.1.weight": [hidden, given], f"{name}.net.1.bias": row}
    for head, out in (("span_embed", 2), ("class_embed", 1)):
        for at, width in enumerate((hidden, hidden, out)):
            shapes |= {f"{head}.layers.{at}.weight": [width, hidden, 3], f"{head}.layers.{at}.bias": [width]}
    drawn = torch.Generator().manual_seed(0)
    return {name: 0.4 * torch.randn(shape, generator=drawn) for name, shape in shapes.items()}


def write_univtg(folder: Path, video: int, text: int, **options: Any) -> Path:
    """A converted checkpoint of UniVTG's: weights, and some of what the authors' training writes beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(univtg_weights(video, text), folder / "model.safetensors")
    told = {"nheads": 2, "clip_length": 2, "ctx_mode": "video_tef", "model_id": "univtg", "hidden_dim": 16, **options}
    (folder / "opt.json").write_text(json.dumps(told), encoding="utf-8")
    return folder
