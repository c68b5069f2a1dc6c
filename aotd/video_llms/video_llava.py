"""Student `video_llava`: Video-LLaVA.

    USER: <video>
    Question: ... Answer with ... ASSISTANT: A</s>

Each frame's patches and its class token are projected, none is pooled: 257 tokens of a frame of 224
pixels. It was trained on 8 frames. Pictures have a tower of their own, which a video never reaches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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


class VideoLlavaForConditionalGeneration(FamilyModel, transformers.VideoLlavaForConditionalGeneration):  # type: ignore[no-untyped-call]
    def language_model_of(self) -> Any:
        return self.model.language_model

    def embed(self, videos: VideoFeatures, input_ids: Tensor) -> dict[str, Any]:
        video = self.model.multi_modal_projector(videos["features"].to(self.dtype)).flatten(0, 1)
        places = input_ids == self.config.video_token_id
        return {"inputs_embeds": spread_video(self.get_input_embeddings()(input_ids), places, video)}


class VideoLlava(PretrainedVideoLLM):
    """A Video-LLaVA."""

    model_type = "video_llava"
    model_class = VideoLlavaForConditionalGeneration
    before, anchor, after, end = "USER: ", "<video>", " ASSISTANT:", "</s>"

    def frozen_weights(self) -> list[Tensor]:
        towers = (self.model.model.video_tower, self.model.model.image_tower)
        return [weight for tower in towers for weight in tower.parameters()]

    def encode_frames(self, frames: Pixels, moments: Sequence[float]) -> VideoFeatures:
        """`features` `[frames, 1 + patches, channels]`: the family keeps class tokens, whatever its config says."""
        layers = self.model.config.vision_feature_layer
        return as_features(features=tower_features(self.model.model.video_tower, self.pictures(frames), layers, "full"))

    def video_prefix(self, features: VideoFeatures) -> VideoPrefix:
        frames, patches = features["features"].shape[:2]
        start: list[int] = self.tokenizer.encode(self.before + self.anchor)
        return sequential_prefix(start[: start.index(self._anchor)] + [self._anchor] * (frames * patches))
