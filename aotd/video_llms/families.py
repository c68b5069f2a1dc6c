"""The families of Video-LLMs that begin from a checkpoint; students and specialists alike."""

from __future__ import annotations

from aotd.video_llms.llava_next_video import LlavaNextVideo
from aotd.video_llms.llava_onevision import LlavaOnevision
from aotd.video_llms.pretrained import PretrainedVideoLLM
from aotd.video_llms.qwen_vl import QwenVL
from aotd.video_llms.video_llava import VideoLlava

FAMILIES: dict[str, type[PretrainedVideoLLM]] = {
    "llava_next_video": LlavaNextVideo,
    "llava_onevision": LlavaOnevision,
    "video_llava": VideoLlava,
    "qwen_vl": QwenVL,
}
"""Name in the settings -> family."""
