"""Student `valley`: Valley with a frozen frame encoder and a causal LM of one's choice, or a small one from nothing.

What is named in the settings (`student.valley.encoder`, `student.valley.lm`) comes from checkpoints, as in the paper.
What is not is small and begins from random weights: a convolutional encoder, the same for every seed, and a Llama or
Qwen3 with a tokenizer of its own (`aotd.students.tokens`). To that LM each frame is told by its number: the embedding
of the number's own token is added to the frame's, so that "frame 12" can be read off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, Field, ValidationError
from torch import Tensor, nn
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoTokenizer,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
    set_seed,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from aotd.errors import UserError
from aotd.llm.local import decode as decode_plain
from aotd.models.checkpoints import COMPLAINTS, first_line
from aotd.models.loading import load_model, load_part, read_config
from aotd.prompts import without_tokens
from aotd.students import FrameWeights, SmallLM, StudentConfig, TemporalKind, ValleySettings
from aotd.students.tokens import SPACE, decode, encode, number_tokens, train_tokenizer
from aotd.students.valley.chat import chat_form, encode_behind
from aotd.students.valley.encoder import (
    VISION_MODELS,
    ConvSettings,
    EncoderSettings,
    VisionSettings,
    check_encoder,
    read_encoder,
)
from aotd.students.valley.grown_encoder import MOST_COUNTED, GrownEncoder
from aotd.students.valley.model import VIDEO, Valley, ValleyConfig, encoder_of
from aotd.video.clip import Video, frame_numbers
from aotd.video_llms.base import BatchRow, VideoFeatures, VideoLLM, VideoPrefix, collate
from aotd.video_llms.pretrained import MOST_FRAMES, as_features, check_pictures, sequential_prefix, tensor_digest

EMBEDDING = 0.1
"""Size of a text embedding of the small LM at the start. Video tokens begin at the same: neither drowns the other."""


class ValleyStudent(VideoLLM):
    """A `Valley` with its tokenizer."""

    parts = ("projector", "temporal", "lm")

    def __init__(self, model: Valley, tokenizer: Any, setting: str = "student.valley.lm") -> None:
        """
        Args:
            setting: what the LM was chosen by, for errors.

        Raises:
            UserError: a tokenizer that cannot be used.
        """
        self.model: Valley = model
        self.tokenizer: Any = tokenizer
        self.specialist_frames = model.config.seen
        model.encoder.requires_grad_(False)
        self._form = None if model.config.own_lm else chat_form(tokenizer, model.config.system, setting)
        self._special = [*tokenizer.get_added_vocab()]

    @property
    def pad_token(self) -> int:
        return self.end_token if self.tokenizer.pad_token_id is None else int(self.tokenizer.pad_token_id)

    @property
    def feature_key(self) -> dict[str, Any]:
        config = self.model.config
        return {
            "student": "valley",
            "encoder": config.encoder,
            "weights": self._encoder_digest,
            "seen": self.specialist_frames,
            "frames": config.frames,
            "frames_per_second": config.frames_per_second,
        }

    @cached_property
    def _encoder_digest(self) -> str:
        return tensor_digest(self.model.encoder.parameters())

    def part_weights(self, part: str) -> list[Tensor]:
        module: nn.Module = getattr(self.model, part)
        return list(module.parameters())

    def encode_video(self, video: Video) -> VideoFeatures:
        """Encode the frames it sees.

        Returns:
            `places` `[T, P, C]` and `whole` `[T, C]`, in float16; the frames' `numbers` among the specialists' `[T]`;
            and in `frames` `[1]` how many they are.
        """
        pixels = video.pixels()
        numbers = frame_numbers(len(pixels), self._count(video, len(pixels)))
        with torch.no_grad():
            encoded = self.model.encoder(pixels[numbers])
        places, whole = encoded.places.half(), encoded.whole.half()
        if not (places.isfinite().all() and whole.isfinite().all()):
            raise UserError("student.valley.encoder: its outputs are too large for float16, as which they are kept")
        return as_features(
            places=places, whole=whole, numbers=torch.tensor(numbers), frames=torch.tensor([len(numbers)])
        )

    def _count(self, video: Video, available: int) -> int:
        """How many frames it sees: a fixed number, or so many for each second, none of them twice."""
        config = self.model.config
        if not config.frames_per_second:
            return config.frames
        wanted = round((video.end_s - video.start_s) * config.frames_per_second)
        return max(1, min(wanted, config.frames, available))

    def video_prefix(self, features: VideoFeatures) -> VideoPrefix:
        count = features["places"].shape[1] + self.model.config.frame_tokens * len(features["numbers"])
        return sequential_prefix([*(self._form.before if self._form else ()), *[VIDEO] * count])

    def text_prefix(self) -> VideoPrefix:
        # What stands before a video stays, for its end belongs to the chat format. A prefix has a token at least.
        return sequential_prefix([*(self._form.before if self._form else ())] or [self.end_token])

    def encode_prompt(self, text: str) -> list[int]:
        if self._form is None:
            return encode(self.tokenizer, text)
        return encode_behind(self.tokenizer, f"{self._form.between}{self._plain(text).strip()}{self._form.after}")

    def encode_reply(self, reply: str) -> list[int]:
        if self._form is None:
            return [*encode(self.tokenizer, reply), self.end_token]
        return [*self.tokenizer.encode(self._plain(reply), add_special_tokens=False), self.end_token]

    def decode(self, tokens: Sequence[int]) -> str:
        if self._form is None:
            return decode(self.tokenizer, tokens)
        return decode_plain(self.tokenizer, tokens, clean_up_tokenization_spaces=False)

    def _plain(self, text: str) -> str:
        return without_tokens(text, self._special)


# ── beginning ─────────────────────────────────────────────────────────────────────────────────────


def new_valley(
    config: StudentConfig,
    specialist_frames: int,
    texts: Sequence[str],
    seed: int,
    grown: GrownEncoder | None = None,
) -> ValleyStudent:
    """A student that has not been trained as one. The same arguments give the same weights.

    Args:
        specialist_frames: frames the specialists sample; their numbers are what the small LM is told.
        texts: what the small LM's tokenizer is trained on.
        grown: its frame encoder, in place of the one that the settings describe.

    Raises:
        UserError: settings that do not fit together, or a checkpoint that cannot be used.
    """
    settings, dtype = config.valley, getattr(torch, config.dtype.value)
    _check(config)
    encoder: Any = None
    vision_config: Any = None
    if grown is not None:
        encoder, described = grown, grown.settings.model_dump()
    elif settings.encoder:
        encoder = read_encoder(settings.encoder, settings.encoder_skip, dtype)
        described, vision_config = encoder.settings.model_dump(), encoder.vision.config
    else:
        conv = ConvSettings(image=settings.image, channels=settings.channels, places=settings.patches)
        described = conv.model_dump()
    lm: Any = None
    if settings.lm:
        lm, tokenizer = _read_lm(config, dtype)
        text_config, numbers = lm.config, []
    else:
        tokenizer = train_tokenizer(texts, settings.vocabulary, at_least=specialist_frames - 1)
        text_config, numbers = _small_lm(settings, tokenizer), number_tokens(tokenizer, specialist_frames)
    made_of = ValleyConfig(
        encoder=described,
        vision_config=vision_config,
        text_config=text_config,
        temporal=settings.temporal.value,
        frame_weights=settings.frame_weights.value,
        frame_tokens=settings.frame_tokens,
        frames=config.frames,
        frames_per_second=settings.frames_per_second,
        seen=specialist_frames,
        own_lm=lm is None,
        number_tokens=numbers,
        system=settings.system if lm is not None else "",
    )
    if encoder is None:
        set_seed(0)  # every seed has the same encoder, so a video is encoded once
        encoder = encoder_of(made_of)
    set_seed(seed)
    model = Valley(made_of, encoder, lm)
    if lm is None:
        _begin_small(model, tokenizer)
    if lm is None and grown is not None:
        _begin_named(model, grown, tokenizer)
    weight = next(encoder.parameters())
    model.to(weight.device, dtype)
    student = ValleyStudent(model, tokenizer)
    if lm is not None:
        _check_tree(student, f"student.valley.lm={settings.lm}")
    return student


def _read_lm(config: StudentConfig, dtype: torch.dtype) -> tuple[Any, Any]:
    """Load a causal LM and its tokenizer."""
    path, setting = config.valley.lm, "student.valley.lm"
    lm_config = read_config(path, setting, *MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, wanted="a causal language model")
    if not isinstance(getattr(lm_config, "hidden_size", None), int):
        raise UserError(f"{setting}={path} is more than a language model: name one that reads text only")
    model_class = MODEL_FOR_CAUSAL_LM_MAPPING[type(lm_config)]
    model = load_model(path, setting, model_class, lm_config, dtype, attn_implementation=config.attention.value)
    return model, load_part(path, setting, AutoTokenizer)


_SMALL_LMS: dict[SmallLM, Any] = {SmallLM.llama: LlamaConfig, SmallLM.qwen3: Qwen3Config}


def _small_lm(settings: ValleySettings, tokenizer: PreTrainedTokenizerFast) -> PreTrainedConfig:
    config: PreTrainedConfig = _SMALL_LMS[settings.small_lm](
        vocab_size=len(tokenizer),
        hidden_size=settings.hidden,
        intermediate_size=3 * settings.hidden,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.heads,
        head_dim=settings.hidden // settings.heads,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        initializer_range=0.8 / math.sqrt(settings.hidden),
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    return config


@torch.no_grad()
def _begin_small(model: Valley, tokenizer: PreTrainedTokenizerFast) -> None:
    """Give the small LM, and the layer before it, weights that a short training gets on with."""
    nn.init.normal_(model.lm.get_input_embeddings().weight, std=EMBEDDING)
    for layer in model.lm.model.layers:
        # The customary 0.02 leaves so narrow a model almost linear, and a short run has no time to grow out of it.
        layer.self_attn.o_proj.weight /= math.sqrt(2 * model.config.text_config.num_hidden_layers)
        layer.mlp.down_proj.weight /= math.sqrt(2 * model.config.text_config.num_hidden_layers)
    nn.init.normal_(model.projector.weight, std=EMBEDDING / math.sqrt(model.projector.in_features))
    nn.init.zeros_(model.projector.bias)
    smooth_numbers(model, tokenizer)


@torch.no_grad()
def _begin_named(model: Valley, encoder: GrownEncoder, tokenizer: PreTrainedTokenizerFast) -> None:
    """Begin the projector as a dictionary: what stands for a thing or a verb becomes the word for it.

    A thing that is held or open is told by its word, too, turned each in a way of its own; how many there are, by the
    number.
    """
    table, settings = model.lm.get_input_embeddings().weight, encoder.settings

    def embedded(words: Sequence[str]) -> Tensor:
        return torch.stack([table[encode(tokenizer, f" {word}")].mean(0) for word in words])

    def turned(words: Tensor) -> Tensor:
        rotation: Tensor = torch.linalg.qr(torch.randn(words.shape[1], words.shape[1]))[0]
        return 0.7 * words @ rotation

    weight = model.projector.weight
    weight *= 0.1
    things = embedded(settings.things)
    verbs = torch.stack([embedded(forms).sum(0) / math.sqrt(len(forms)) for forms in settings.verbs])
    first = 1 + len(settings.verbs) + len(settings.phases)
    weight[:, 1 : 1 + len(verbs)] = verbs.T
    for number, named in enumerate((things, turned(things), turned(things))):
        begin = first + number * len(things)
        weight[:, begin : begin + len(things)] = named.T
    counts = embedded([str(count) for count in range(MOST_COUNTED + 1)])
    weight[:, -len(counts) :] = counts.T
    weight[:, -len(counts) - 3 : -len(counts)] = EMBEDDING * torch.randn(len(weight), 3)


@torch.no_grad()
def smooth_numbers(model: Valley, tokenizer: PreTrainedTokenizerFast) -> None:
    """Begin the embeddings of numbers as waves of their value in one half, so that 41 starts out close to 42.

    Boxes and frames are numbers; learned from nothing, each one would be a word of its own.
    """
    table, vocabulary = model.lm.get_input_embeddings().weight, tokenizer.get_vocab()
    half = table.shape[1] // 2
    lengths = 4.0 * 1.35 ** torch.arange(half // 2).clamp(max=20)
    for number in range(1000):
        angles = 2 * math.pi * number / lengths
        waves = math.sqrt(2) * EMBEDDING * torch.cat([angles.sin(), angles.cos()])
        for token in (f"{number}", f"{SPACE}{number}"):
            if token in vocabulary:
                table[vocabulary[token], : len(waves)] = waves


_ROUNDING = {torch.float32: 1e-3, torch.bfloat16: 5e-2}
"""How far logits of a tree may be from those of a sequence, as a share of the largest."""


def _check_tree(student: ValleyStudent, where: str) -> None:
    """Find out whether an LM computes in a tree what it computes in a sequence.

    Not all do: some take no mask for each token, find positions by themselves, or change logits behind their head.

    Raises:
        UserError: it does not.
    """
    model = student.model
    first, second, third = 3, 4, 5  # every vocabulary has these
    batch = collate([BatchRow({}, sequential_prefix([first]), [[second, third], [third, second]])], 0)
    at = [path[-1] for path in batch.paths[0]]
    inputs = {name: value.to(model.device) for name, value in batch.inputs.items() if name != "videos"}
    model.train(False)
    try:
        with torch.no_grad():
            tree = model.tree_logits({}, **inputs, at=torch.tensor(at, device=model.device))
            sequences = torch.tensor([[first, second, third], [first, third, second]], device=model.device)
            alone = model.lm(input_ids=sequences).logits[:, -1]
    except COMPLAINTS as error:
        raise UserError(f"{where}: this language model cannot read trees of tokens ({first_line(error)})") from None
    if not (tree - alone).abs().max() <= _ROUNDING[model.dtype] * alone.abs().max():
        raise UserError(f"{where}: this language model computes in a tree of tokens what it does not in a sequence")


def _check(config: StudentConfig) -> None:
    sizes = config.valley
    if not 1 <= config.frames <= MOST_FRAMES:
        raise UserError(f"student.frames={config.frames} must be from 1 to {MOST_FRAMES}")
    if not 0 <= sizes.frames_per_second <= MOST_PER_SECOND:
        wanted = f"from 0 (student.frames of them) to {MOST_PER_SECOND}"
        raise UserError(f"student.valley.frames_per_second={sizes.frames_per_second:g} must be {wanted}")
    for name in ("image", "channels", "patches", "hidden", "layers", "heads"):
        if getattr(sizes, name) < 1:
            raise UserError(f"student.valley.{name}={getattr(sizes, name)} must be 1 or more")
    for name in ("image", "channels"):
        if getattr(sizes, name) % 8:
            raise UserError(f"student.valley.{name}={getattr(sizes, name)} must be a multiple of 8")
    if sizes.hidden % (2 * sizes.heads):
        twice = f"twice student.valley.heads={sizes.heads}"
        raise UserError(f"student.valley.hidden={sizes.hidden} must be a multiple of {twice}")
    if not _is_grid(sizes.patches, sizes.image):
        most = (sizes.image // 8) ** 2
        raise UserError(
            f"student.valley.patches={sizes.patches} must be a square number, at most {most} for this image"
        )


def _is_grid(places: int, image: int) -> bool:
    side = math.isqrt(places)
    return side * side == places and side <= image // 8


# ── saved ones ────────────────────────────────────────────────────────────────────────────────────

MOST_PER_SECOND = 1000.0
"""More frames a second than any student sees."""


class _Saved(BaseModel):
    """What no weight of a saved student bears out, as it can be used."""

    encoder: EncoderSettings
    temporal: TemporalKind
    frame_weights: FrameWeights
    frame_tokens: bool
    frames: Annotated[int, Field(ge=1, le=MOST_FRAMES)]
    frames_per_second: Annotated[float, Field(ge=0, le=MOST_PER_SECOND)]
    seen: Annotated[int, Field(ge=1, le=MOST_FRAMES)]
    own_lm: bool
    number_tokens: Annotated[list[int], Field(max_length=MOST_FRAMES)]
    system: Annotated[str, Field(max_length=10_000)]


def load_valley(folder: Path, config: StudentConfig) -> ValleyStudent:
    """A student that was saved.

    Args:
        config: how it is to be held (`attention`, `dtype`).

    Raises:
        UserError: its files are damaged or do not fit together, or its weights are no safetensors.
    """
    where, setting = str(folder), "student"
    made_of = read_config(where, setting, ValleyConfig.model_type, model_class=Valley)
    saved = _check_saved(made_of, f"{folder}: config.json")
    made_of.text_config._attn_implementation = config.attention.value
    model = load_model(where, setting, Valley, made_of, getattr(torch, config.dtype.value))
    if isinstance(saved.encoder, VisionSettings):
        check_encoder(model.encoder, where, f"{folder}: config.json: skip={saved.encoder.skip}")
    try:
        kind: Any = PreTrainedTokenizerFast if saved.own_lm else AutoTokenizer
        named = {} if saved.own_lm else {"config": made_of.text_config}
        tokenizer = kind.from_pretrained(where, local_files_only=True, trust_remote_code=False, **named)
    except COMPLAINTS as error:
        raise UserError(f"{folder} holds no student that can be read ({first_line(error)})") from None
    return ValleyStudent(model, tokenizer, where)


def _check_saved(config: ValleyConfig, where: str) -> _Saved:
    try:
        saved = _Saved.model_validate(config.to_dict())
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{where} cannot be used ({at}: {first['msg']})") from None
    if not isinstance(getattr(config.text_config, "hidden_size", None), int):
        raise UserError(f"{where}: text_config describes no language model")
    if isinstance(saved.encoder, VisionSettings):
        if getattr(config.vision_config, "model_type", None) not in VISION_MODELS:
            raise UserError(f"{where}: vision_config describes no vision model of {', '.join(VISION_MODELS)}")
        check_pictures(saved.encoder.pictures, where)
    elif isinstance(saved.encoder, ConvSettings) and not _is_grid(saved.encoder.places, saved.encoder.image):
        raise UserError(f"{where}: encoder.places must be a square number of parts of the picture")
    if saved.own_lm:
        if config.text_config.model_type not in [kind.value for kind in SmallLM]:
            raise UserError(f"{where}: text_config is not that of our own language model")
        if len(saved.number_tokens) != saved.seen or not all(
            0 <= token < config.text_config.vocab_size for token in saved.number_tokens
        ):
            raise UserError(f"{where}: number_tokens must be tokens, one for each frame")
    return saved


def check_agrees(config: StudentConfig, student: ValleyStudent) -> None:
    """Check that the settings do not contradict a student that was loaded. Those at their defaults say nothing.

    Its encoder and its LM are its own, whatever checkpoints the settings name to begin from.

    Raises:
        UserError: a setting says otherwise than the student.
    """
    saved, settings, default = student.model.config, config.valley, StudentConfig()
    there: dict[str, Any] = {
        name: getattr(saved, name) for name in ("temporal", "frame_weights", "frame_tokens", "frames_per_second")
    }
    encoder: dict[str, Any] = saved.encoder or {}
    if encoder["kind"] == "conv":
        there |= {"image": encoder["image"], "channels": encoder["channels"], "patches": encoder["places"]}
    elif encoder["kind"] == "vision_model":
        there["encoder_skip"] = encoder["skip"]
    if saved.own_lm:
        text = saved.text_config
        there |= {"hidden": text.hidden_size, "layers": text.num_hidden_layers, "heads": text.num_attention_heads}
        there["small_lm"] = SmallLM(text.model_type)
    else:
        there["system"] = saved.system
    said = {f"valley.{name}": (getattr(settings, name), getattr(default.valley, name), there[name]) for name in there}
    said["frames"] = (config.frames, default.frames, saved.frames)
    for name, (value, usual, own) in said.items():
        if value not in (usual, own):
            shown = getattr(value, "value", value)
            raise UserError(
                f"student.{name}={shown}, but the student in student.path={config.path} has {own}: "
                f"leave student.{name} out"
            )
