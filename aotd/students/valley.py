"""Student `valley`: a small Video-LLM of our own, in the shape of Valley (Luo et al.), trained from scratch.

    frames -> frame encoder -> patches and frame tokens -> temporal module -> projector -> causal LM

As in Valley (its §4.1, §4.2 v3) the LM is given the patches of the whole video, each aggregated over
time as *last output of a one-layer transformer + average*, and then tokens of each frame. Unlike
Valley's, the frame encoder is a small convolutional one that is trained with the rest; a frame has
several tokens, each pooled by a learned query, and is told to the LM by its number: the embedding of
the number's own text token is added, so that "frame 12" can be read off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub.errors import StrictDataclassError
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    set_seed,
)

from aotd.errors import UserError
from aotd.models.checkpoints import COMPLAINTS, check_finite, check_size, first_line
from aotd.students import StudentConfig, ValleySizes
from aotd.students.tokens import VIDEO, decode, encode, number_tokens, train_tokenizer
from aotd.video.clip import Video, frame_numbers
from aotd.video_llms.base import TreeCausalLM, VideoFeatures, VideoLLM, VideoPrefix

EMBEDDING = 0.1
"""Size of a text embedding at the start. Video tokens begin at the same, so that neither drowns the other."""


class ValleyConfig(PreTrainedConfig):  # type: ignore[no-untyped-call]
    """Sizes of a `Valley`."""

    model_type = "aotd_valley"

    def __init__(
        self,
        image: int = 64,
        frames: int = 16,
        hidden: int = 96,
        layers: int = 3,
        heads: int = 3,
        vocab_size: int = 2048,
        channels: int = 64,
        patches: int = 4,
        tokens_per_frame: int = 2,
        number_tokens: Sequence[int] = (0,),
        video_token_id: int = 2,
        pad_token_id: int = 0,
        eos_token_id: int = 1,
        **kwargs: Any,
    ) -> None:
        """
        Args:
            image: side of the square frames in pixels, a multiple of 8.
            frames: frames of a video.
            patches: tokens for the parts of the picture over the whole video, a square number.
            number_tokens: text token of frame number `0 … seen - 1`.
            video_token_id: what stands at the video's places.
        """
        self.image, self.frames, self.hidden, self.layers, self.heads = image, frames, hidden, layers, heads
        self.vocab_size, self.channels = vocab_size, channels
        self.patches, self.tokens_per_frame = patches, tokens_per_frame
        self.number_tokens, self.video_token_id = list(number_tokens), video_token_id
        kwargs |= {"pad_token_id": pad_token_id, "eos_token_id": eos_token_id}
        super().__init__(**kwargs)

    @property
    def video_tokens(self) -> int:
        """How many tokens a video takes in the LM's sequence."""
        return self.patches + self.frames * self.tokens_per_frame


def grid_positions(side: int, channels: int) -> Tensor:
    """Sines and cosines of the row and the column of each cell of a square grid, `[side * side, channels]`."""
    waves = math.pi / side * torch.arange(1, channels // 4 + 1)
    angles = (torch.arange(side)[:, None] + 0.5) * waves
    line = torch.cat([angles.sin(), angles.cos()], dim=1)
    return torch.cat([line[:, None].expand(-1, side, -1), line[None].expand(side, -1, -1)], dim=2).flatten(0, 1)


class FrameEncoder(nn.Module):
    """Frames `[N, 6, image, image]` -> cells `[N, cells, channels]`; cells stand 8 pixels apart."""

    def __init__(self, image: int, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.convolutions = nn.Sequential(
            nn.Conv2d(6, half, 4, stride=4),
            nn.GELU(),
            nn.Conv2d(half, channels, 3, stride=2, padding=1),
            nn.GELU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )
        self.position = nn.Parameter(grid_positions(image // 8, channels))
        self.norm = nn.LayerNorm(channels)

    def forward(self, frames: Tensor) -> Tensor:
        cells = self.convolutions(frames).flatten(2).transpose(1, 2)
        normed: Tensor = self.norm(cells + self.position)
        return normed


class Temporal(nn.Module):
    """A one-layer transformer over the frames, for each place by itself."""

    def __init__(self, channels: int, frames: int) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.zeros(frames, channels))
        self.layer = nn.TransformerEncoderLayer(
            channels, 4, 2 * channels, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """`[B, frames, places, channels]` -> the same shape."""
        batch, frames, places, channels = tokens.shape
        rows = tokens.transpose(1, 2).reshape(batch * places, frames, channels) + self.position
        attended: Tensor = self.layer(rows)
        return attended.view(batch, places, frames, channels).transpose(1, 2)


class Valley(TreeCausalLM, PreTrainedModel):  # type: ignore[misc,unused-ignore]
    """The model. Its video prefix is the video's tokens and nothing else."""

    config_class = ValleyConfig
    main_input_name = "input_ids"
    config: ValleyConfig
    numbers: Tensor
    lm: Any  # transformers types neither its calls nor what it generates

    def __init__(self, config: ValleyConfig) -> None:
        super().__init__(config)
        channels, hidden = config.channels, config.hidden
        self.encoder = FrameEncoder(config.image, channels)
        self.queries = nn.Parameter(torch.randn(config.tokens_per_frame, channels) / math.sqrt(channels))
        self.temporal = Temporal(channels, config.frames)
        norm = nn.RMSNorm(hidden)
        nn.init.constant_(norm.weight, EMBEDDING)
        self.projector = nn.Sequential(
            nn.LayerNorm(channels),
            nn.Linear(channels, hidden),
            nn.GELU(),
            nn.Linear(hidden, hidden),
            norm,
        )
        self.kind = nn.Parameter(torch.zeros(config.patches + config.tokens_per_frame, hidden))
        self.register_buffer("numbers", torch.tensor(config.number_tokens))
        self.lm = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=config.vocab_size,
                hidden_size=hidden,
                intermediate_size=3 * hidden,
                num_hidden_layers=config.layers,
                num_attention_heads=config.heads,
                max_position_embeddings=4096,
                tie_word_embeddings=True,
                initializer_range=0.8 / math.sqrt(hidden),
                pad_token_id=config.pad_token_id,
                eos_token_id=config.eos_token_id,
                bos_token_id=None,
            )
        )
        nn.init.normal_(self.lm.get_input_embeddings().weight, std=EMBEDDING)
        # transformers' own norms compute in float32 whatever they are given; these keep to the weights' precision.
        self.lm.model.norm = nn.RMSNorm(hidden, eps=1e-6)
        for layer in self.lm.model.layers:
            layer.input_layernorm = nn.RMSNorm(hidden, eps=1e-6)
            layer.post_attention_layernorm = nn.RMSNorm(hidden, eps=1e-6)
            # The customary 0.02 leaves so narrow a model almost linear, and a short run has no time to grow out of it.
            layer.self_attn.o_proj.weight.data /= math.sqrt(2 * config.layers)
            layer.mlp.down_proj.weight.data /= math.sqrt(2 * config.layers)
        self.post_init()  # type: ignore[no-untyped-call]

    def _init_weights(self, module: nn.Module) -> None:
        """Nothing: torch's own beginnings suit the parts that are ours; the LM has begun by its own rules."""

    def video(self, pixels: Tensor, numbers: Tensor) -> Tensor:
        """The video's tokens.

        Args:
            pixels: `[B, frames, image, image, 3]`, 0 … 255.
            numbers: the frames' numbers, `[B, frames]`.

        Returns:
            `[B, patches + frames * tokens_per_frame, hidden]`.
        """
        batch, count = numbers.shape
        picture = pixels.permute(0, 1, 4, 2, 3).to(self.kind.dtype) / 128 - 1
        moving = picture - picture.mean(1, keepdim=True)
        cells = self.encoder(torch.cat([picture, 2 * moving], dim=2).flatten(0, 1))
        weights = torch.softmax(self.queries @ cells.transpose(1, 2), dim=-1)
        tokens = (weights @ cells).view(batch, count, -1, cells.shape[2])
        side, places = math.isqrt(cells.shape[1]), math.isqrt(self.config.patches)
        grid = cells.transpose(1, 2).reshape(batch * count, -1, side, side)
        patches = nn.functional.adaptive_avg_pool2d(grid, places).flatten(2).transpose(1, 2)
        patches = patches.reshape(batch, count, -1, cells.shape[2])
        over_time = self.temporal(torch.cat([patches, tokens], dim=2))
        aggregated = over_time[:, -1, : self.config.patches] + patches.mean(1)
        frames = over_time[:, :, self.config.patches :]
        said = self.lm.get_input_embeddings()(self.numbers[numbers.clamp(max=len(self.numbers) - 1)])
        frames = self.projector(frames) + self.kind[self.config.patches :] + said[:, :, None]
        return torch.cat([self.projector(aggregated) + self.kind[: self.config.patches], frames.flatten(1, 2)], dim=1)

    def embed(self, videos: VideoFeatures, input_ids: Tensor) -> dict[str, Any]:
        count = self.config.frames
        pixels, numbers = videos["pixels"], videos["numbers"]
        video = self.video(pixels.reshape(-1, count, *pixels.shape[1:]), numbers.reshape(-1, count))
        embeddings = self.lm.get_input_embeddings()(input_ids)
        starts = (input_ids == self.config.video_token_id).int().argmax(1)
        places = starts[:, None] + torch.arange(video.shape[1], device=input_ids.device)
        return {"inputs_embeds": embeddings.scatter(1, places[:, :, None].expand_as(video), video)}

    def language_model_of(self) -> Any:
        return self.lm.model

    def get_input_embeddings(self) -> nn.Module:
        module: nn.Module = self.lm.get_input_embeddings()
        return module

    def get_output_embeddings(self) -> nn.Module:
        module: nn.Module = self.lm.get_output_embeddings()
        return module


@torch.no_grad()
def smooth_numbers(model: Valley, tokenizer: PreTrainedTokenizerFast) -> None:
    """Begin the embeddings of numbers as waves of their value in one half, so that 41 starts out close to 42.

    Boxes and frames are numbers; learned from nothing, each one would be a word of its own.
    """
    table = model.lm.get_input_embeddings().weight
    half = table.shape[1] // 2
    lengths = 4.0 * 1.35 ** torch.arange(half // 2).clamp(max=20)
    for number in range(1000):
        angles = 2 * math.pi * number / lengths
        waves = math.sqrt(2) * EMBEDDING * torch.cat([angles.sin(), angles.cos()])
        for text in (f"{number}", f" {number}"):
            tokens = encode(tokenizer, text)
            if len(tokens) == 1:
                table[tokens[0], : len(waves)] = waves


class ValleyStudent(VideoLLM):
    """A `Valley` with its own tokenizer (`aotd.students.tokens`). Nothing of it is frozen: its features are pixels."""

    parts = ("vision", "projector", "temporal", "lm")

    def __init__(self, model: Valley, tokenizer: PreTrainedTokenizerFast) -> None:
        self.model: Valley = model
        self.tokenizer: PreTrainedTokenizerFast = tokenizer
        self.specialist_frames = len(model.config.number_tokens)
        count = model.config.video_tokens
        self._prefix = VideoPrefix([model.config.video_token_id] * count, [list(range(count))])

    @property
    def feature_key(self) -> dict[str, Any]:
        config = self.model.config
        return {"student": "valley", "seen": self.specialist_frames, "frames": config.frames, "image": config.image}

    def part_weights(self, part: str) -> list[Tensor]:
        return [weight for name, weight in self.model.named_parameters() if _PART_OF[name.partition(".")[0]] == part]

    def encode_video(self, video: Video) -> VideoFeatures:
        """`pixels`, RGB `[frames, image, image, 3]`, squeezed into a square; `numbers` `[frames]`, the specialists'."""
        count, side = self.model.config.frames, self.model.config.image
        frames = video.pixels()
        numbers = frame_numbers(len(frames), count)
        small = [
            np.asarray(Image.fromarray(frames[n]).resize((side, side), Image.Resampling.BOX))
            for n in frame_numbers(len(frames), count)
        ]
        return {"pixels": torch.from_numpy(np.stack(small)), "numbers": torch.tensor(numbers)}

    def video_prefix(self, features: VideoFeatures) -> VideoPrefix:
        return self._prefix

    def encode_prompt(self, text: str) -> list[int]:
        return encode(self.tokenizer, text)

    def encode_reply(self, reply: str) -> list[int]:
        return [*encode(self.tokenizer, reply), self.tokenizer.eos_token_id]

    def decode(self, tokens: Sequence[int]) -> str:
        return decode(self.tokenizer, tokens)


_PART_OF = {
    "encoder": "vision",
    "queries": "vision",
    "temporal": "temporal",
    "projector": "projector",
    "kind": "projector",
    "lm": "lm",
}
"""Module or weight of a `Valley` -> the part of a student that it belongs to."""


def new_valley(config: StudentConfig, specialist_frames: int, texts: Sequence[str], seed: int) -> ValleyStudent:
    """An untrained student. The same arguments give the same weights.

    Args:
        specialist_frames: frames the specialists sample; their numbers are what it is told.
        texts: what the tokenizer is trained on.

    Raises:
        UserError: sizes that do not fit together.
    """
    _check(config)
    sizes = config.valley
    tokenizer = train_tokenizer(texts, sizes.vocabulary, at_least=specialist_frames - 1)
    video_token_id = tokenizer.convert_tokens_to_ids(VIDEO)
    assert isinstance(video_token_id, int)
    set_seed(seed)
    model = Valley(
        ValleyConfig(
            image=sizes.image,
            frames=config.frames,
            hidden=sizes.hidden,
            layers=sizes.layers,
            heads=sizes.heads,
            vocab_size=len(tokenizer),
            channels=sizes.channels,
            patches=sizes.patches,
            tokens_per_frame=sizes.tokens_per_frame,
            number_tokens=number_tokens(tokenizer, specialist_frames),
            video_token_id=video_token_id,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    smooth_numbers(model, tokenizer)
    return ValleyStudent(model, tokenizer)


def check_agrees(config: StudentConfig, student: ValleyStudent) -> None:
    """Check that the settings do not contradict a student that was loaded. Those at their defaults say nothing.

    Raises:
        UserError: a setting says otherwise than the student.
    """
    saved, default = student.model.config, StudentConfig()
    settings = {"frames": (config.frames, default.frames, saved.frames)}
    for size in fields(ValleySizes):
        name = size.name
        if name != "vocabulary":  # the most tokens that a tokenizer may have, and this one is trained
            values = (getattr(config.valley, name), getattr(default.valley, name), getattr(saved, name))
            settings[f"valley.{name}"] = values
    for name, (value, usual, there) in settings.items():
        if value not in (usual, there):
            raise UserError(
                f"student.{name}={value}, but the student in student.path={config.path} has {there}: "
                f"leave student.{name} out"
            )


def load_valley(folder: Path) -> ValleyStudent:
    """A student that was saved.

    Raises:
        UserError: its files are damaged or do not fit together, or its weights are no safetensors.
    """
    try:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        config = ValleyConfig.from_pretrained(folder)
        _check_saved(config, folder)
        check_size(Valley, config, folder, str(folder))
        read: Any = Valley.from_pretrained(
            folder, config=config, use_safetensors=True, output_loading_info=True, local_files_only=True
        )
        model, loaded = read
        student = ValleyStudent(model, tokenizer)
    except (*COMPLAINTS, SafetensorError, StrictDataclassError) as error:
        raise UserError(f"{folder} holds no student that can be read ({first_line(error)})") from None
    if missing := sorted(loaded["missing_keys"]):
        raise UserError(f"{folder} lacks {len(missing)} weights of its student, among them {missing[0]}")
    check_finite(model, str(folder))
    return student


def _check_saved(config: ValleyConfig, folder: Path) -> None:
    """What no weight depends on, and the size of a video's features does."""
    for name, value, most in (("image", config.image, 1024), ("frames", config.frames, 4096)):
        if not isinstance(value, int) or not 1 <= value <= most:
            raise UserError(f"{folder}: config.json: {name} must be a number from 1 to {most}")
    if not config.number_tokens or not all(0 <= token < config.vocab_size for token in config.number_tokens):
        raise UserError(f"{folder}: config.json: number_tokens must be tokens, one for each frame")


def _check(config: StudentConfig) -> None:
    sizes = config.valley
    if config.frames < 1:
        raise UserError(f"student.frames={config.frames} must be 1 or more")
    for name in ("image", "channels", "patches", "tokens_per_frame", "hidden", "layers", "heads"):
        if getattr(sizes, name) < 1:
            raise UserError(f"student.valley.{name}={getattr(sizes, name)} must be 1 or more")
    for name in ("image", "channels"):
        if getattr(sizes, name) % 8:
            raise UserError(f"student.valley.{name}={getattr(sizes, name)} must be a multiple of 8")
    if sizes.hidden % (2 * sizes.heads):
        twice = f"twice student.valley.heads={sizes.heads}"
        raise UserError(f"student.valley.hidden={sizes.hidden} must be a multiple of {twice}")
    side = math.isqrt(sizes.patches)
    if side * side != sizes.patches or side > sizes.image // 8:
        most = (sizes.image // 8) ** 2
        raise UserError(
            f"student.valley.patches={sizes.patches} must be a square number, at most {most} for this image"
        )
