"""Student `llava_next_video`: LLaVA-NeXT-Video, the paper's own (its §4.1).

    USER: <video>
    Question: ... Answer with ... ASSISTANT: A</s>

Each frame's patches are pooled (2 x 2 as a rule: 144 tokens of a frame of 336 pixels) and projected.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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


class LlavaNextVideoForConditionalGeneration(FamilyModel, transformers.LlavaNextVideoForConditionalGeneration):  # type: ignore[no-untyped-call]
    def language_model_of(self) -> Any:
        return self.model.language_model

    def embed(self, videos: VideoFeatures, input_ids: Tensor) -> dict[str, Any]:
        features = videos["features"].to(self.dtype)
        if _pool_has_weights(self):
            features = self.model.vision_resampler(features)
        video = self.model.multi_modal_projector(features).flatten(0, 1)
        places = input_ids == self.config.video_token_id
        return {"inputs_embeds": spread_video(self.get_input_embeddings()(input_ids), places, video)}


class LlavaNextVideo(PretrainedVideoLLM):
    """A LLaVA-NeXT-Video."""

    model_type = "llava_next_video"
    model_class = LlavaNextVideoForConditionalGeneration
    before, anchor, after, end = "USER: ", "<video>", " ASSISTANT:", "</s>"

    def frozen_weights(self) -> list[Tensor]:
        # Its videos have no line breaks, so the one it has for pictures is never reached.
        return [*self.model.model.vision_tower.parameters(), self.model.model.image_newline]

    def encode_frames(self, frames: Pixels, moments: Sequence[float]) -> VideoFeatures:
        """`features` `[frames, patches, channels]`, pooled where pooling has no weights."""
        config = self.model.config
        features = tower_features(
            self.model.model.vision_tower,
            self.pictures(frames),
            config.vision_feature_layer,
            config.vision_feature_select_strategy,
        )
        if not _pool_has_weights(self.model):
            with torch.no_grad():
                features = self.model.model.vision_resampler(features)
        return as_features(features=features)

    def video_prefix(self, features: VideoFeatures) -> VideoPrefix:
        frames, patches = features["features"].shape[:2]
        if _pool_has_weights(self.model):
            patches //= self.model.config.spatial_pool_stride**2
        start: list[int] = self.tokenizer.encode(self.before + self.anchor)
        return sequential_prefix(start[: start.index(self._anchor)] + [self._anchor] * (frames * patches))


def _pool_has_weights(model: Any) -> bool:
    return bool(model.config.spatial_pool_mode == "conv")
