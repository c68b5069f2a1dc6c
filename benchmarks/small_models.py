"""Specialists of real architectures in sizes for a CPU, with random weights, as checkpoints in a folder.

What they say means nothing; what they take is what is timed. Their sizes keep the order of the real ones: OWLv2 takes
by far the most of a frame, the vision tower of the Video-LLM a third or less of that, CLIP and X-CLIP little. Nothing
is as large as in truth, and the language model least of all: see `execute.py`.

Random weights find nothing or everything. So the detector's class head is centred on the frames it will see, and its
threshold is the score that some share of all patches exceeds (`threshold_for`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors.torch import save_file
from tokenizers import AddedToken
from transformers import CLIPTokenizer, PreTrainedTokenizerFast, set_seed
from transformers.models.owlv2.image_processing_pil_owlv2 import Owlv2ImageProcessorPil
from transformers.utils.logging import disable_progress_bar

from aotd.specialists.protocols import Detector
from aotd.specialists.univtg import Sizes, UniVTG
from aotd.students.tokens import train_tokenizer
from aotd.video.clip import Clip, Pixels

_TEXT = {"hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 2}
_SIDE, _SMALL_SIDE, _TOWER_SIDE, _PATCH = 256, 112, 140, 14


def write_models(folder: Path, frames: Sequence[Pixels], texts: Sequence[str], seed: int) -> None:
    """Checkpoints `owlv2`, `clip`, `univtg`, `xclip` and `llava` below a folder.

    Args:
        frames: what the detector's class head is centred on, RGB `[height, width, 3]` each.
        texts: what the Video-LLM's tokenizer is trained on.
    """
    disable_progress_bar()
    set_seed(seed)
    words = _letters()
    square = {"size": {"height": _SIDE, "width": _SIDE}}
    small = {"size": {"shortest_edge": _SMALL_SIDE}, "crop_size": {"height": _SMALL_SIDE, "width": _SMALL_SIDE}}
    detector = _owlv2(words)
    _centre(detector, Owlv2ImageProcessorPil(**square), frames)
    _write(folder / "owlv2", detector, words, {"image_processor_type": "Owlv2ImageProcessor", **square})
    _write(folder / "clip", _clip(words), words, {"image_processor_type": "CLIPImageProcessor", **small})
    _write(folder / "xclip", _xclip(words), words, {"image_processor_type": "CLIPImageProcessor", **small})
    _write_univtg(folder / "univtg")
    tokenizer = _tokenizer(texts)
    side = {"height": _TOWER_SIDE, "width": _TOWER_SIDE}
    _write(folder / "llava", _llava(tokenizer), tokenizer, {"size": {"shortest_edge": _TOWER_SIDE}, "crop_size": side})


def threshold_for(detector: Detector, clip: Clip, queries: Sequence[str], boxes: float) -> float:
    """The threshold over which a detector finds so many boxes a frame, on the mean over some queries.

    Args:
        detector: one whose threshold is 0.
    """
    scores = [box.score for query in queries for box in detector.detect(clip, query)]
    share = boxes * len(clip.numbers) * len(queries) / len(scores)
    # Between two of the rounded scores: none lies on it.
    return float(np.floor(1000 * np.quantile(scores, 1 - share)) / 1000 + 0.0005)


def _write(folder: Path, model: Any, words: Any, pictures: dict[str, Any]) -> None:
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(pictures), encoding="utf-8")


def _letters() -> CLIPTokenizer:
    """CLIP's way with text, over letters."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    vocabulary = ["!", *letters, *(f"{letter}</w>" for letter in (*letters, ".", ","))]
    return CLIPTokenizer(
        vocab={token: at for at, token in enumerate([*vocabulary, "<|startoftext|>", "<|endoftext|>"])}, merges=[]
    )


def _texts(words: CLIPTokenizer, longest: int) -> dict[str, Any]:
    ends = {"bos_token_id": words.bos_token_id, "eos_token_id": words.eos_token_id}
    return {**_TEXT, "vocab_size": len(words), "max_position_embeddings": longest, **ends}


def _vision(width: int, layers: int, side: int, patch: int) -> dict[str, int]:
    sizes = {"hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": layers}
    return {**sizes, "num_attention_heads": width // 64, "image_size": side, "patch_size": patch}


def _owlv2(words: CLIPTokenizer) -> Any:
    # Longer texts than the real one's 16 tokens: there a word is a token, here a letter is.
    config = transformers.Owlv2Config(
        text_config=_texts(words, 32), vision_config=_vision(256, 6, _SIDE, 16), projection_dim=128
    )
    model = transformers.Owlv2ForObjectDetection(config).eval()
    head = model.class_head
    with torch.no_grad():
        for layer, value in ((head.logit_shift, 0.0), (head.logit_scale, 9.0)):
            layer.weight.zero_()
            layer.bias.fill_(value)  # a score is then sigmoid(10 * cosine)
        for layer in (model.box_head.dense0, model.box_head.dense1, model.box_head.dense2):
            layer.weight.normal_(std=0.02)
        # Boxes lie about their patches, a fifth of the picture wide or so.
        model.box_head.dense2.bias.copy_(torch.tensor([0.0, 0.0, 1.2, 1.2]))
    return model


@torch.inference_mode()
def _centre(model: Any, processor: Any, frames: Sequence[Pixels]) -> None:
    """Have the patches' vectors for classes lie around 0, so that a query finds some of them, whatever it is."""
    pixels = processor(list(frames), return_tensors="pt", input_data_format="channels_last")["pixel_values"]
    patches = model.image_embedder(pixels)[0].flatten(0, 2)
    model.class_head.dense0.bias -= model.class_head.dense0(patches).mean(dim=0)


def _clip(words: CLIPTokenizer) -> Any:
    vision = _vision(128, 4, _SMALL_SIDE, 16)
    return transformers.CLIPModel(
        transformers.CLIPConfig(text_config=_texts(words, 77), vision_config=vision, projection_dim=128)
    )


def _xclip(words: CLIPTokenizer) -> Any:
    mit = {"mit_hidden_size": 128, "mit_intermediate_size": 512, "mit_num_hidden_layers": 1}
    vision = {**_vision(128, 4, _SMALL_SIDE, 16), "num_frames": 8, **mit, "mit_num_attention_heads": 2}
    return transformers.XCLIPModel(
        transformers.XCLIPConfig(
            text_config=_texts(words, 77), vision_config=vision, projection_dim=128, prompt_num_attention_heads=2
        )
    )


def _write_univtg(folder: Path) -> None:
    """Four layers as in the authors' network, over CLIP's features and the edges of each clip."""
    sizes = Sizes(video=128 + 2, text=128, hidden=256, feedforward=512, layers=4, projections=2, words=32)
    model = UniVTG(sizes, heads=8)
    with torch.no_grad():
        model.weightedpool["weight"].normal_()
        # Windows of a quarter of the video or so, from wherever the foreground is.
        model.span_embed.layers[-1].bias.fill_(-2.0)
        for name, weight in model.named_parameters():
            if weight.ndim > 1 and not name.startswith("span_embed"):
                weight.mul_(2.0)  # so that what is asked makes a difference
    folder.mkdir(parents=True)
    save_file({name: weight.contiguous() for name, weight in model.state_dict().items()}, folder / "model.safetensors")
    (folder / "opt.json").write_text(json.dumps({"nheads": 8, "clip_length": 1, "ctx_mode": "video_tef"}))


def _tokenizer(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    inner = train_tokenizer(texts, 2048).backend_tokenizer
    words = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", eos_token="</s>", bos_token="<s>")
    special = ("<s>", "</s>", "<image>", "<video>")
    words.add_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return words


def _llava(words: PreTrainedTokenizerFast) -> Any:
    """A LLaVA-NeXT-Video: 25 tokens of a frame, 800 of 32."""
    text = {
        "model_type": "llama", "hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 4,
        "num_attention_heads": 4, "num_key_value_heads": 4, "vocab_size": len(words), "max_position_embeddings": 4096,
    }  # fmt: skip
    config = transformers.LlavaNextVideoConfig(
        vision_config={"model_type": "clip_vision_model", **_vision(256, 4, _TOWER_SIDE, _PATCH)},
        text_config=text,
        image_token_index=words.convert_tokens_to_ids("<image>"),
        video_token_index=words.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=[[_TOWER_SIDE, _TOWER_SIDE]],
    )
    model = transformers.LlavaNextVideoForConditionalGeneration(config)
    with torch.no_grad():
        for weight in model.model.language_model.parameters():
            if weight.ndim > 1:
                weight.normal_(std=0.06)  # what is asked makes a difference
    return model
