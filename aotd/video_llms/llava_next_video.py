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
from aotd.video_llms.base import Opening, View
from aotd.video_llms.pretrained import FamilyModel, PretrainedStudent, of_tower, spread_video, straight, view_of


class LlavaNextVideoForConditionalGeneration(FamilyModel, transformers.LlavaNextVideoForConditionalGeneration):  # type: ignore[no-untyped-call]
    def language_model_of(self) -> Any:
        return self.model.language_model

    def embed(self, views: View, input_ids: Tensor) -> dict[str, Any]:
        features = views["features"].to(self.dtype)
        if _pool_has_weights(self):
            features = self.model.vision_resampler(features)
        video = self.model.multi_modal_projector(features).flatten(0, 1)
        places = input_ids == self.config.video_token_id
        return {"inputs_embeds": spread_video(self.get_input_embeddings()(input_ids), places, video)}


class LlavaNextVideo(PretrainedStudent):
    """A LLaVA-NeXT-Video."""

    model_type = "llava_next_video"
    model_class = LlavaNextVideoForConditionalGeneration
    before, anchor, after, end = "USER: ", "<video>", " ASSISTANT:", "</s>"

    def frozen(self) -> list[Tensor]:
        # Its videos have no line breaks, so the one it has for pictures is never reached.
        return [*self.model.model.vision_tower.parameters(), self.model.model.image_newline]

    def look(self, frames: Pixels, moments: Sequence[float]) -> View:
        """`features` `[frames, patches, channels]`, pooled where pooling has no weights."""
        config = self.model.config
        features = of_tower(
            self.model.model.vision_tower,
            self.pictures(frames),
            config.vision_feature_layer,
            config.vision_feature_select_strategy,
        )
        if not _pool_has_weights(self.model):
            with torch.no_grad():
                features = self.model.model.vision_resampler(features)
        return view_of(features=features)

    def opening(self, view: View) -> Opening:
        frames, patches = view["features"].shape[:2]
        if _pool_has_weights(self.model):
            patches //= self.model.config.spatial_pool_stride**2
        start: list[int] = self.tokenizer.encode(self.before + self.anchor)
        return straight(start[: start.index(self._anchor)] + [self._anchor] * (frames * patches))


def _pool_has_weights(model: Any) -> bool:
    return bool(model.config.spatial_pool_mode == "conv")
