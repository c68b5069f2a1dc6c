"""The model: temporal module over places, beside the frames as wholes, through one linear layer into a causal LM.

    Z = [places over time ⊕ whole of frame 1 ⊕ … ⊕ whole of frame T],  LM(projector(Z), text)

The frame encoder is a part of it, so that a saved student is whole, but it is not called here: a video's features are
its outputs.

Source: Valley §4.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from transformers import CONFIG_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING, PreTrainedConfig, PreTrainedModel

from aotd.students import FrameWeights, TemporalKind
from aotd.students.valley.encoded import Encoded, FrameEncoder
from aotd.students.valley.encoder import (
    VISION_MODELS,
    ConvEncoder,
    ConvSettings,
    EncoderSettings,
    VisionModelEncoder,
)
from aotd.students.valley.grown_encoder import GrownEncoder, GrownSettings
from aotd.students.valley.temporal import temporal_module
from aotd.video_llms.base import TreeCausalLM, VideoFeatures
from aotd.video_llms.pretrained import spread_video

VIDEO = -1
"""What stands at the video's places among the tokens. No vocabulary needs another token for it."""


class ValleyConfig(PreTrainedConfig):  # type: ignore[no-untyped-call]
    """What a `Valley` is made of; `config.json` of a saved student."""

    model_type = "aotd_valley"

    def __init__(
        self,
        encoder: dict[str, Any] | None = None,
        vision_config: Any = None,
        text_config: Any = None,
        temporal: str = "v3",
        frame_weights: str = "per_place",
        frame_tokens: bool = True,
        frames: int = 16,
        frames_per_second: float = 0.0,
        seen: int = 32,
        own_lm: bool = False,
        number_tokens: Sequence[int] = (),
        system: str = "",
        **kwargs: Any,
    ) -> None:
        """
        Args:
            encoder: the settings of the frame encoder, `EncoderSettings` as JSON.
            vision_config: configuration of its vision model, if it has one.
            text_config: configuration of the LM.
            temporal, frame_weights, frame_tokens, frames, frames_per_second, system: as in the settings.
            seen: frames that the specialists sample.
            own_lm: whether the LM is the small one that began from nothing.
            number_tokens: its token of each frame's number, `0 … seen - 1`.
        """
        self.encoder = encoder
        self.vision_config, self.text_config = _inner(vision_config), _inner(text_config)
        self.temporal, self.frame_weights, self.frame_tokens = temporal, frame_weights, frame_tokens
        self.frames, self.frames_per_second, self.seen = frames, frames_per_second, seen
        self.own_lm, self.number_tokens, self.system = own_lm, list(number_tokens), system
        super().__init__(**kwargs)


def _inner(config: Any) -> Any:
    """A configuration within another, which JSON holds as an object."""
    return CONFIG_MAPPING[config["model_type"]].from_dict(config) if isinstance(config, dict) else config


def encoder_of(config: ValleyConfig) -> FrameEncoder:
    """Make the frame encoder of a configuration, with random weights."""
    settings = TypeAdapter[Any](EncoderSettings).validate_python(config.encoder)
    if isinstance(settings, ConvSettings):
        return ConvEncoder(settings)
    if isinstance(settings, GrownSettings):
        return GrownEncoder(settings)
    return VisionModelEncoder(VISION_MODELS[config.vision_config.model_type](config.vision_config), settings)


class Valley(TreeCausalLM, PreTrainedModel):  # type: ignore[misc,unused-ignore]
    """The model. What stands for a video is its places over time, then its frames."""

    config_class = ValleyConfig
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    config: ValleyConfig
    numbers: Tensor
    lm: Any  # transformers types neither its calls nor what it generates

    def __init__(self, config: ValleyConfig, encoder: nn.Module | None = None, lm: Any = None) -> None:
        """
        Args:
            encoder, lm: those of a checkpoint; else both are made with random weights.
        """
        super().__init__(config)
        made: Any = encoder_of(config) if encoder is None else encoder
        self.encoder = made
        kind, weights = TemporalKind(config.temporal), FrameWeights(config.frame_weights)
        self.temporal = temporal_module(kind, weights, channels=made.channels, places=made.places, frames=config.frames)
        self.projector = nn.Linear(made.channels, config.text_config.hidden_size)
        language: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(config.text_config)]
        self.lm = language(config.text_config) if lm is None else lm
        if config.own_lm:
            self.register_buffer("numbers", torch.tensor(config.number_tokens))
            # transformers' own norms compute in float32 whatever they are given; these keep to the weights' precision.
            hidden = config.text_config.hidden_size
            self.lm.model.norm = nn.RMSNorm(hidden, eps=1e-6)
            for layer in self.lm.model.layers:
                layer.input_layernorm = nn.RMSNorm(hidden, eps=1e-6)
                layer.post_attention_layernorm = nn.RMSNorm(hidden, eps=1e-6)
                for name in ("q_norm", "k_norm"):  # Qwen3 has them
                    if hasattr(layer.self_attn, name):
                        setattr(layer.self_attn, name, nn.RMSNorm(layer.self_attn.head_dim, eps=1e-6))
        self.post_init()  # type: ignore[no-untyped-call]

    def _init_weights(self, module: nn.Module) -> None:
        """Nothing: torch's own beginnings suit the parts that are ours; the others have begun by their own rules."""

    def video(self, videos: VideoFeatures) -> Tensor:
        """The tokens of some videos, one after another, `[tokens of all, hidden]`.

        Args:
            videos: features as `ValleyStudent.encode_video` gives them, joined.
        """
        counts = videos["frames"].tolist()
        encoded = self.encoder.unpack(Encoded(videos["whole"], videos["places"]))
        places, whole = (part.to(self.projector.weight.dtype) for part in (encoded.places, encoded.whole))
        if len(set(counts)) == 1:
            over_time = self.temporal(places.view(len(counts), counts[0], *places.shape[1:]))
        else:
            over_time = torch.cat([self.temporal(one[None]) for one in torch.split(places, counts)])
        projected: Tensor = self.projector(over_time)
        if not self.config.frame_tokens:
            return projected.flatten(0, 1)
        frames = self.projector(whole)
        if self.config.own_lm:
            number = videos["numbers"].clamp(max=len(self.numbers) - 1)
            frames = frames + self.get_input_embeddings()(self.numbers[number])
        pairs = zip(projected, torch.split(frames, counts), strict=True)
        return torch.cat([part for pair in pairs for part in pair])

    def embed(self, videos: VideoFeatures, input_ids: Tensor) -> dict[str, Any]:
        embeddings = self.get_input_embeddings()(input_ids.clamp(min=0))
        return {"inputs_embeds": spread_video(embeddings, input_ids == VIDEO, self.video(videos))}

    def language_model_of(self) -> Any:
        return self.lm.base_model

    def get_input_embeddings(self) -> nn.Module:
        module: nn.Module = self.lm.get_input_embeddings()
        return module

    def get_output_embeddings(self) -> nn.Module:
        module: nn.Module = self.lm.get_output_embeddings()
        return module
