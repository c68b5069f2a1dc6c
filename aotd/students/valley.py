"""Student `valley`: a small Video-LLM of our own, in the shape of Valley (Luo et al.), trained from scratch.

    frames -> frame encoder -> patches and frame tokens -> temporal module -> projector -> causal LM

As in Valley (its §4.1, §4.2 v3) the LM is given the patches of the whole video, each aggregated over
time as *last output of a one-layer transformer + average*, and then tokens of each frame. Unlike
Valley's, the frame encoder is a small convolutional one that is trained with the rest; a frame has
several tokens, each pooled by a learned query, and is told to the LM by its number: the embedding of
the number's own text token is added, so that "frame 12" can be read off.

A sequence is `[video | prompt | branch 1 | branch 2]`: the answer and the rationale of a question sit
behind one prompt as branches that cannot see each other, positions restarting at each (design §3).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedConfig, PreTrainedModel

from aotd.students.tokens import encode

SHARED, PADDING = 0, -1
"""Branch of the prompt's tokens, which every branch sees, and of padding, which none does."""


if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

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
        """
        self.image, self.frames, self.hidden, self.layers, self.heads = image, frames, hidden, layers, heads
        self.vocab_size, self.channels = vocab_size, channels
        self.patches, self.tokens_per_frame = patches, tokens_per_frame
        self.number_tokens = list(number_tokens)
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
        seen: Tensor = self.layer(rows)
        return seen.view(batch, places, frames, channels).transpose(1, 2)


class Valley(PreTrainedModel):
    """The student. `forward` gives logits for training, `reply` writes."""

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
        for layer in self.lm.model.layers:
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

    def forward(
        self, pixels: Tensor, numbers: Tensor, input_ids: Tensor, branch: Tensor, positions: Tensor, at: Tensor
    ) -> Tensor:
        """Logits at the chosen places of a batch of branched sequences.

        Args:
            pixels, numbers: as for `video`.
            input_ids: the texts' tokens behind the video, padded on the right, `[B, T]`.
            branch: each token's branch, `SHARED`, `PADDING` or from 1 up, `[B, T]`.
            positions: each token's position behind the video's last, `[B, T]`.
            at: flat indices into `[B, T]` of the tokens whose successors are predicted, `[M]`.

        Returns:
            `[M, vocabulary]`.
        """
        video = self.video(pixels, numbers)
        batch, length = video.shape[:2]
        embeddings = torch.cat([video, self.lm.get_input_embeddings()(input_ids)], dim=1)
        first = torch.arange(length, device=branch.device).expand(batch, -1)
        places = torch.cat([first, positions + length], dim=1)
        mask = branch_mask(torch.cat([torch.full_like(first, SHARED), branch], dim=1))
        hidden = self.lm.model(
            inputs_embeds=embeddings, attention_mask=mask, position_ids=places, use_cache=False
        ).last_hidden_state
        logits: Tensor = self.lm.lm_head(hidden[:, length:].flatten(0, 1)[at])
        return logits

    @torch.inference_mode()
    def reply(self, pixels: Tensor, numbers: Tensor, prompts: Sequence[Sequence[int]], longest: int) -> list[list[int]]:
        """Greedy replies to a batch of prompts, each at most `longest` tokens; the end token is not in them."""
        video = self.video(pixels, numbers)
        width = max(len(prompt) for prompt in prompts)
        pad = self.config.pad_token_id
        ids = torch.tensor([[pad] * (width - len(prompt)) + list(prompt) for prompt in prompts], device=video.device)
        texts = self.lm.get_input_embeddings()(ids)
        rows, masks = [], []
        for row, prompt in enumerate(prompts):
            skip = width - len(prompt)
            # Padding stands before the video: what is read is in one piece, wherever it begins.
            rows.append(torch.cat([texts[row, :skip], video[row], texts[row, skip:]]))
            masks.append(torch.cat([ids.new_zeros(skip), ids.new_ones(video.shape[1] + len(prompt))]))
        written = self.lm.generate(
            inputs_embeds=torch.stack(rows),
            attention_mask=torch.stack(masks),
            generation_config=GenerationConfig(  # type: ignore[no-untyped-call]
                max_new_tokens=longest,
                do_sample=False,
                pad_token_id=pad,
                eos_token_id=self.config.eos_token_id,
            ),
        )
        end = self.config.eos_token_id
        return [row[: row.index(end)] if end in row else row for row in written.tolist()]


def branch_mask(branch: Tensor) -> Tensor:
    """Who sees whom: `[B, 1, S, S]`, true where token `i` sees token `j`.

    A token sees itself and what stands before it in the shared part and in its own branch.
    """
    i, j = branch[:, :, None], branch[:, None, :]
    length = branch.shape[1]
    before = torch.ones(length, length, dtype=torch.bool, device=branch.device).tril()
    return (before & ((j == SHARED) | (i == j)))[:, None]


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
