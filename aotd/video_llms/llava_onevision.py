"""Student `llava_onevision`: LLaVA-OneVision, the paper's second family (its §4.3).

    <|im_start|>user <video>
    Question: ... Answer with ...<|im_end|><|im_start|>assistant
    A<|im_end|>

Each frame's patches are projected and then shrunk to half the side (bilinear); one line break follows
the whole video.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import transformers
from torch import Tensor

from aotd.video.clip import Pixels
from aotd.video_llms.base import VideoFeatures, VideoPrefix
from aotd.video_llms.pretrained import (
    FamilyModel,
    PretrainedVideoLLM,
    as_features,
    sequential_prefix,
    spread_video,
    tower_features,
)


class LlavaOnevisionForConditionalGeneration(FamilyModel, transformers.LlavaOnevisionForConditionalGeneration):  # type: ignore[no-untyped-call]
    def language_model_of(self) -> Any:
        return self.model.language_model

    def embed(self, videos: VideoFeatures, input_ids: Tensor) -> dict[str, Any]:
        pooled = self.model.apply_pooling(self.model.multi_modal_projector(videos["features"].to(self.dtype)))
        tokens = pooled.reshape(len(input_ids), -1, pooled.shape[-1])
        newline = self.model.image_newline.expand(len(tokens), 1, -1)
        video = torch.cat([tokens, newline], dim=1).flatten(0, 1)
        places = input_ids == self.config.video_token_id
        return {"inputs_embeds": spread_video(self.get_input_embeddings()(input_ids), places, video)}


class LlavaOnevision(PretrainedVideoLLM):
    """A LLaVA-OneVision."""

    model_type = "llava_onevision"
    model_class = LlavaOnevisionForConditionalGeneration
    before, before_text = "<|im_start|>user ", "<|im_start|>user \n"
    anchor, end = "<video>", "<|im_end|>"
    prepared: ClassVar[dict[str, Any]] = {"do_center_crop": False}
    after = "<|im_end|><|im_start|>assistant\n"

    def frozen_weights(self) -> list[Tensor]:
        return list(self.model.model.vision_tower.parameters())

    def encode_frames(self, frames: Pixels, moments: Sequence[float]) -> VideoFeatures:
        """`features` `[frames, patches, channels]`."""
        config = self.model.config
        features = tower_features(
            self.model.model.vision_tower,
            self.pictures(frames),
            config.vision_feature_layer,
            config.vision_feature_select_strategy,
        )
        return as_features(features=features)

    def video_prefix(self, features: VideoFeatures) -> VideoPrefix:
        frames, patches = features["features"].shape[:2]
        side = math.ceil(math.isqrt(patches) / 2)
        start: list[int] = self.tokenizer.encode(self.before + self.anchor)
        return sequential_prefix(start[: start.index(self._anchor)] + [self._anchor] * (frames * side * side + 1))
