"""Student `qwen_vl`: Qwen3-VL.

    <|im_start|>user
    <0.3 seconds><|vision_start|>(frame pair)<|vision_end|><1.1 seconds>... Question: ...<|im_end|>
    <|im_start|>assistant
    A<|im_end|>

Two frames make one grid of patches, two by two of them one token; each grid is told its time. Positions
have three axes (time, height, width) and are the family's own. The tower's middle layers reach the first
layers of the language model too (deepstack), so the features hold what each merger is given.
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
from aotd.video_llms.pretrained import FamilyModel, PretrainedVideoLLM, as_features, spread_video


class Qwen3VLForConditionalGeneration(FamilyModel, transformers.Qwen3VLForConditionalGeneration):  # type: ignore[no-untyped-call]
    def language_model_of(self) -> Any:
        return self.model.language_model

    def embed(self, videos: VideoFeatures, input_ids: Tensor) -> dict[str, Any]:
        visual = self.model.visual
        places = input_ids == self.config.video_token_id
        deep = [merger(videos[f"layer_{n}"].to(self.dtype)) for n, merger in enumerate(visual.deepstack_merger_list)]
        embeddings = self.get_input_embeddings()(input_ids)
        return {
            "inputs_embeds": spread_video(embeddings, places, visual.merger(videos["last"].to(self.dtype))),
            "visual_pos_masks": places,
            "deepstack_visual_embeds": deep,
        }


class QwenVL(PretrainedVideoLLM):
    """A Qwen3-VL."""

    model_type = "qwen3_vl"
    model_class = Qwen3VLForConditionalGeneration
    before, between, anchor, end = "<|im_start|>user\n", "", "<|vision_end|>", "<|im_end|>"
    axes = 3
    prepared: ClassVar[dict[str, Any]] = {"do_center_crop": False}
    after = "<|im_end|>\n<|im_start|>assistant\n"
    bounds = ("shortest_edge", "longest_edge")
    largest = 1 << 26  # its bounds are pixels of the whole video

    def projectors(self) -> list[str]:
        deep = range(len(self.model.model.visual.deepstack_merger_list))
        return ["visual.merger", *(f"visual.deepstack_merger_list.{number}" for number in deep)]

    def frozen_weights(self) -> list[Tensor]:
        visual = self.model.model.visual
        return [*visual.patch_embed.parameters(), *visual.pos_embed.parameters(), *visual.blocks.parameters()]

    def encode_frames(self, frames: Pixels, moments: Sequence[float]) -> VideoFeatures:
        """`layer_<n>` and `last` `[patches, channels]`, what each merger is given; `grid` `[1, 3]`, patches in time,
        height and width; `seconds` `[grids]`, the time of each pair of frames."""
        patches, grid = self.patches(frames)
        given: dict[str, Tensor] = {}
        visual = self.model.model.visual
        mergers = {f"layer_{n}": merger for n, merger in enumerate(visual.deepstack_merger_list)}
        mergers["last"] = visual.merger

        def keep(name: str) -> Any:
            def hook(_: Any, arguments: tuple[Tensor, ...]) -> None:
                given[name] = arguments[0].detach()

            return hook

        hooks = [merger.register_forward_pre_hook(keep(name)) for name, merger in mergers.items()]
        try:
            with torch.no_grad():
                visual(patches, grid_thw=grid.to(patches.device))
        finally:
            for hook in hooks:
                hook.remove()
        together = self.model.config.vision_config.temporal_patch_size
        whole = [*moments, *moments[-1:] * (-len(moments) % together)]
        pairs = zip(whole[::together], whole[together - 1 :: together], strict=True)
        seconds = torch.tensor([(first + last) / 2 for first, last in pairs])
        return as_features(**given, grid=grid, seconds=seconds)

    def patches(self, frames: Pixels) -> tuple[Tensor, Tensor]:
        """Frames as the tower takes them (`patchify`), in the size that the checkpoint's bounds allow."""
        vision, bounds = self.model.config.vision_config, self._pictures["size"]
        height, width = fitting_size(
            (len(frames), *frames.shape[1:3]), vision, bounds["shortest_edge"], bounds["longest_edge"]
        )
        pictures = self.pictures(frames, size={"height": height, "width": width})
        return patchify(pictures, vision.patch_size, vision.temporal_patch_size, vision.spatial_merge_size)

    def video_prefix(self, features: VideoFeatures) -> VideoPrefix:
        merge = self.model.config.vision_config.spatial_merge_size
        (time, height, width), video_token = features["grid"][0].tolist(), self.model.config.video_token_id
        count = height * width // merge**2
        start, stop = self._token("<|vision_start|>"), self._anchor
        tokens: list[int] = self.tokenizer.encode(self.before, add_special_tokens=False)
        for second in features["seconds"].tolist():
            told = self.tokenizer.encode(f"<{second:.1f} seconds>", add_special_tokens=False)
            tokens += [*told, start, *[video_token] * count, stop]
        ids = torch.tensor([tokens])
        positions, _ = self.model.model.get_rope_index(
            ids, mm_token_type_ids=2 * (ids == video_token).int(), video_grid_thw=features["grid"].clone()
        )
        assert len(features["seconds"]) == time
        return VideoPrefix(tokens, positions[:, 0].tolist())


def fitting_size(shape: tuple[int, int, int], vision: Any, least: int, most: int) -> tuple[int, int]:
    """Height and width of a video's frames for the tower: multiples of a token's side, within bounds.

    Args:
        shape: frames, height, width.
        least, most: pixels of the whole video (the checkpoint's `shortest_edge` and `longest_edge`).
    """
    count, height, width = shape
    factor, pair = vision.patch_size * vision.spatial_merge_size, vision.temporal_patch_size
    if min(height, width) < factor:
        scale = max(factor / height, factor / width)
        height, width = int(height * scale), int(width * scale)
    high, wide = round(height / factor) * factor, round(width / factor) * factor
    pixels = round(count / pair) * pair * high * wide
    if pixels > most:
        shrink = math.sqrt(count * height * width / most)
        high, wide = (max(factor, math.floor(side / shrink / factor) * factor) for side in (height, width))
    elif pixels < least:
        stretch = math.sqrt(least / (count * height * width))
        high, wide = (math.ceil(side * stretch / factor) * factor for side in (height, width))
    return high, wide


def patchify(pictures: Tensor, patch: int, pair: int, merge: int) -> tuple[Tensor, Tensor]:
    """Pictures `[frames, 3, height, width]` as the tower's patches, those of one token next to each other.

    Returns:
        Patches `[patches, 3 * pair * patch * patch]`, and how many there are in time, height and width, `[1, 3]`.
    """
    missing = -len(pictures) % pair
    pictures = torch.cat([pictures, pictures[-1:].expand(missing, -1, -1, -1)])
    time, high, wide = len(pictures) // pair, pictures.shape[2] // patch, pictures.shape[3] // patch
    cut = pictures.reshape(time, pair, 3, high // merge, merge, patch, wide // merge, merge, patch)
    patches = cut.permute(0, 3, 6, 4, 7, 2, 1, 5, 8).reshape(time * high * wide, 3 * pair * patch * patch)
    return patches, torch.tensor([[time, high, wide]])
