"""What the families of transformers share as students: loading, looking at a video, and their tokens.

A checkpoint is a local folder or a hub id in the family's own format. It is read without code of its own
(`trust_remote_code`) and without pickle (safetensors only). The vision tower is frozen and runs once per
video; projector and language model are trained (paper, appendix B.1).
"""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor
from transformers import AutoTokenizer
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.utils.hub import cached_file

from aotd.errors import UserError
from aotd.llm.local import decode
from aotd.models import QUANTISED, Precision
from aotd.models.checkpoints import COMPLAINTS, first_line
from aotd.models.loading import empty_model, load_model, read_config
from aotd.models.quantisation import linear_outside, weights_bytes
from aotd.prompts import without_tokens
from aotd.store.untrusted import read_object
from aotd.video.clip import Pixels, Video, frame_numbers, frame_times
from aotd.video_llms.base import BatchRow, TreeCausalLM, VideoFeatures, VideoLLM, VideoPrefix

ADAPTED = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
"""The layers that adapters stand beside."""

AT_ONCE = 8
"""Frames that go through a vision tower at once."""


class FamilyModel(TreeCausalLM):
    """A family's own model, which also takes trees. Each has its family's class name, so that its checkpoints are."""

    @classmethod
    def is_custom_code(cls) -> bool:
        """No: its weights have the family's names, and those of older checkpoints are to be translated."""
        return False


class PretrainedVideoLLM(VideoLLM):
    """A student of a family of transformers."""

    parts = ("projector", "lm")
    model_type: ClassVar[str]
    """What `config.json` of its checkpoints says."""
    model_class: ClassVar[Any]
    before: ClassVar[str]
    """What its chat format has before the video."""
    before_text: ClassVar[str] = ""
    """What its chat format has before a question without a video, where that is not `before`."""
    axes: ClassVar[int] = 1
    """Axes of its positions."""
    anchor: ClassVar[str]
    """The special token right before what is asked."""
    between: ClassVar[str] = "\n"
    """What its chat format has between the video and the question."""
    after: ClassVar[str]
    """What its chat format has between the question and the reply."""
    end: ClassVar[str]
    """The token that ends a reply."""
    prepared: ClassVar[dict[str, Any]] = {}
    """How pictures are prepared where a checkpoint does not say, other than CLIP's."""
    bounds: ClassVar[tuple[str, ...]] = ()
    """What a checkpoint has to say of the size of pictures."""
    largest: ClassVar[int] = 4096
    """The largest number in a checkpoint's size of pictures: a side, in pixels."""

    def __init__(self, model: Any, tokenizer: Any, pictures: dict[str, Any], frames: int, seen: int) -> None:
        self.model, self.tokenizer, self.specialist_frames = model, tokenizer, seen
        self._frames, self._pictures = frames, pictures
        self._special = [*tokenizer.get_added_vocab()]
        self._anchor = self._token(self.anchor)
        self._end = self._token(self.end)
        for parameter in self.frozen_weights():
            parameter.requires_grad_(False)

    def projectors(self) -> list[str]:
        """Names of the modules between tower and language model: trained whole, even beside adapters."""
        return ["multi_modal_projector"]

    @abstractmethod
    def frozen_weights(self) -> list[Tensor]:
        """The weights that are not trained."""

    def _token(self, text: str) -> int:
        token: Any = self.tokenizer.convert_tokens_to_ids(text)
        if token is None or token == self.tokenizer.unk_token_id:
            raise UserError(f"the checkpoint's tokenizer has no token {text}, which {self.model_type} needs")
        return int(token)

    @property
    def end_token(self) -> int:
        return self._end

    @property
    def pad_token(self) -> int:
        return self._end if self.tokenizer.pad_token_id is None else int(self.tokenizer.pad_token_id)

    @property
    def feature_key(self) -> dict[str, Any]:
        return {
            "student": self.model_type,
            "tower": self._tower,
            "seen": self.specialist_frames,
            "frames": self._frames,
            "pictures": self._pictures,
            "dtype": str(self.model.dtype),
        }

    @cached_property
    def _tower(self) -> str:
        """Digest of the frozen weights: equal before and after distillation, and wherever a checkpoint lies."""
        return tensor_digest(self.frozen_weights())

    def frames(self, video: Video) -> tuple[Pixels, list[int]]:
        """The frames it sees, RGB `[frames, height, width, 3]`, and their numbers among the specialists'."""
        pixels = video.pixels()
        numbers = frame_numbers(len(pixels), self._frames)
        return pixels[numbers], numbers

    def encode_video(self, video: Video) -> VideoFeatures:
        frames, numbers = self.frames(video)
        moments = frame_times(video.start_s, video.end_s, video.frames)
        return self.encode_frames(frames, [moments[number] - video.start_s for number in numbers])

    @abstractmethod
    def encode_frames(self, frames: Pixels, moments: Sequence[float]) -> VideoFeatures:
        """What it keeps of some frames.

        Args:
            frames: RGB, `[frames, height, width, 3]`; as many as there are, at least one.
            moments: when each is, in seconds from the beginning of the video.
        """

    def pictures(self, frames: Pixels, **size: Any) -> Tensor:
        """Frames as the vision tower takes them: resized, cropped and normalised, `[frames, 3, height, width]`."""
        pictures = prepare_pictures(frames, {**self.prepared, **self._pictures, **size})
        return pictures.to(self.model.device, self.model.dtype)

    def encode_prompt(self, text: str) -> list[int]:
        tokens: list[int] = self.tokenizer.encode(
            f"{self.anchor}{self.between}{self._plain(text)}{self.after}", add_special_tokens=False
        )
        return tokens[tokens.index(self._anchor) + 1 :]

    def text_row(self, text: str) -> BatchRow:
        """A text that is asked without a video."""
        tokens: list[int] = self.tokenizer.encode(f"{self.before_text or self.before}{self._plain(text)}{self.after}")
        return BatchRow({}, VideoPrefix(tokens[:-1], [list(range(len(tokens) - 1))] * self.axes), [tokens[-1:]])

    def encode_reply(self, reply: str) -> list[int]:
        return [*self.tokenizer.encode(self._plain(reply), add_special_tokens=False), self._end]

    def decode(self, tokens: Sequence[int]) -> str:
        return decode(self.tokenizer, tokens, clean_up_tokenization_spaces=False)

    def _plain(self, text: str) -> str:
        return without_tokens(text, self._special)

    def part_weights(self, part: str) -> list[Tensor]:
        frozen = {id(weight) for weight in self.frozen_weights()}
        owners = (self.model.language_model_of(), self.model.get_output_embeddings())
        language = {id(weight) for owner in owners for weight in owner.parameters()}
        return [
            weight
            for weight in self.model.parameters()
            if id(weight) not in frozen and (part == "lm") is (id(weight) in language)
        ]

    def trainable_model(self, parts: Sequence[str] = (), lora_rank: int = 0) -> Any:
        self.has_adapters = lora_rank > 0 and (not parts or "lm" in parts)
        if not self.has_adapters:
            return super().trainable_model(parts)
        from peft import LoraConfig, get_peft_model

        whole = self.projectors() if not parts or "projector" in parts else None
        adapters = LoraConfig(r=lora_rank, lora_alpha=2 * lora_rank, target_modules=ADAPTED, modules_to_save=whole)
        self._adapted = get_peft_model(self.model, adapters)
        return self._adapted

    def merge_adapters(self) -> None:
        self.model = self._adapted.merge_and_unload()

    def save_extras(self, folder: Path) -> None:
        super().save_extras(folder)
        note = {"seen": self.specialist_frames, "frames": self._frames, "pictures": self._pictures}
        (folder / NOTE).write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")
        # Others read the same under its usual name.
        (folder / PICTURES[0]).write_text(json.dumps(self._pictures, indent=1) + "\n", encoding="utf-8")


NOTE = "aotd.json"
"""What a saved student's folder says beside its family's own files."""

MOST_FRAMES = 4096
"""More frames than any student sees."""

PICTURES = ("preprocessor_config.json", "video_preprocessor_config.json")
"""Where checkpoints say how pictures are prepared; the later one holds for videos."""

_PREPARED = (
    *("size", "crop_size", "do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb"),
    *("resample", "rescale_factor", "image_mean", "image_std", "default_to_square"),
)


def read_family_config(family: type[PretrainedVideoLLM], path: str, setting: str) -> Any:
    """Read a checkpoint's `config.json` as the family's own configuration.

    Args:
        setting: the setting that holds `path`, for errors.

    Raises:
        UserError: there is no checkpoint there, it is of another family, or it names what is not in it.
    """
    chosen_by = f"{setting.rpartition('.')[0]}.name"
    return read_config(path, setting, family.model_type, model_class=family.model_class, chosen_by=chosen_by)


def read_checkpoint(
    family: type[PretrainedVideoLLM], path: str, setting: str, held: Precision | torch.dtype, **options: Any
) -> tuple[Any, Any, dict[str, Any]]:
    """Load model, tokenizer, and how pictures are prepared; onto the GPU where there is one.

    Args:
        setting: the setting that holds `path`, for errors.
        held: what the weights are held in; of a quantised model, only the language model's are.
        options: further arguments of `from_pretrained`.

    Raises:
        UserError: there is no such checkpoint, it is of another family, or it is damaged.
    """
    config = read_family_config(family, path, setting)
    whole = quantised_whole(family, config) if held in QUANTISED else []
    model = load_model(path, setting, family.model_class, config, held, whole, **options)
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False, local_files_only=Path(path).is_dir())
    except COMPLAINTS as error:
        raise UserError(f"{setting}={path} cannot be loaded: {first_line(error)}") from None
    pictures = read_pictures(path, setting)
    check_pictures(pictures, f"{setting}={path}", family.largest, family.bounds)
    return model, tokenizer, pictures


def quantised_whole(family: type[PretrainedVideoLLM], config: Any) -> list[str]:
    """Name the linear layers that stay whole where a family's model is quantised: all but the language model's."""
    model = empty_model(family.model_class, config)
    return linear_outside(model, model.language_model_of())


def family_bytes(family: type[PretrainedVideoLLM], path: str, setting: str, precision: Precision) -> int:
    """Count the bytes that a checkpoint's weights take in a precision; nothing but `config.json` is read.

    Raises:
        UserError: as `read_family_config`.
    """
    config = read_family_config(family, path, setting)
    model = empty_model(family.model_class, config)
    return weights_bytes(model, precision, linear_outside(model, model.language_model_of()))


def check_pictures(pictures: dict[str, Any], where: str, largest_side: int = 4096, bounds: Sequence[str] = ()) -> None:
    """Check that pictures can be prepared so: a size that was made up takes all memory, once for every frame.

    Args:
        largest_side: the largest number in their size, in pixels.
        bounds: what must be said of their size.

    Raises:
        UserError: they cannot.
    """
    try:
        prepared = _Prepared.model_validate(pictures)
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(str(part) for part in first["loc"][:1])
        raise UserError(f"{where}: how pictures are prepared cannot be used ({at}: {first['msg']})") from None
    sizes = [size if isinstance(size, dict) else {"side": size} for size in (prepared.size, prepared.crop_size) if size]
    largest = max((side or 0 for size in sizes for side in size.values()), default=0)
    if largest > largest_side:
        raise UserError(f"{where}: pictures of size {largest} are larger than {largest_side}")
    if lacking := [name for name in bounds if not (isinstance(prepared.size, dict) and prepared.size.get(name))]:
        raise UserError(f"{where}: the size of pictures lacks {lacking[0]}")


_Side = Annotated[int, Field(ge=1)]
_Size = _Side | dict[str, _Side | None] | None
_OfChannels = Annotated[float, Field(ge=-1e3, le=1e3)] | Annotated[list[float], Field(min_length=3, max_length=3)]
_Spread = Annotated[float, Field(ge=1e-3, le=1e3)]


class _Prepared(BaseModel):
    """What `_PREPARED` names, as it can be used."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    size: _Size = None
    crop_size: _Size = None
    do_resize: bool = True
    do_center_crop: bool = True
    do_rescale: bool = True
    do_normalize: bool = True
    do_convert_rgb: bool = True
    default_to_square: bool = True
    resample: Annotated[int, Field(ge=0, le=5)] = 0
    rescale_factor: Annotated[float, Field(ge=0, le=1e3)] = 1.0
    image_mean: _OfChannels = 0.0
    image_std: _Spread | Annotated[list[_Spread], Field(min_length=3, max_length=3)] = 1.0


def read_pictures(path: str, setting: str) -> dict[str, Any]:
    """Read how a checkpoint's pictures are prepared, in the names of a `preprocessor_config.json`.

    Raises:
        UserError: its files do not say it.
    """
    noted = read_json(path, NOTE).get("pictures")
    if noted and isinstance(noted, dict):
        return noted
    pictures: dict[str, Any] = {}
    for name in PICTURES:
        pictures |= {
            key: value for key, value in read_json(path, name).items() if key in _PREPARED and value is not None
        }
    if not pictures:
        raise UserError(f"{setting}={path}: there is no {PICTURES[0]}, which says how pictures are prepared")
    return pictures


def prepare_pictures(frames: Pixels, pictures: dict[str, Any]) -> Tensor:
    """Resize, crop and normalise frames, `[frames, 3, height, width]`, as `read_pictures` says.

    PIL does it, not torchvision: no more is needed than what is installed.
    """
    processor = CLIPImageProcessorPil(**pictures)
    pixels = processor(list(frames), return_tensors="np", input_data_format="channels_last")["pixel_values"]
    return torch.from_numpy(np.stack(pixels))


def tensor_digest(tensors: Iterable[Tensor]) -> str:
    """Digest tensors: equal for equal values of equal types."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().cpu().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def read_json(path: str, name: str) -> dict[str, Any]:
    file = cached_file(path, name, _raise_exceptions_for_missing_entries=False)
    return read_object(Path(file), f"{path}: {name}") if file else {}


def spread_video(embeddings: Tensor, places: Tensor, video: Tensor) -> Tensor:
    """Text embeddings `[B, S, hidden]` with the video's `[N, hidden]` at the `N` places that are true in `[B, S]`."""
    assert int(places.sum()) == len(video), "as many video tokens as places"
    return embeddings.masked_scatter(places[:, :, None].expand_as(embeddings), video.to(embeddings.dtype))


def sequential_prefix(tokens: Sequence[int]) -> VideoPrefix:
    """An opening whose positions count up on one axis."""
    return VideoPrefix(list(tokens), [list(range(len(tokens)))])


def selected_layers(hidden_states: Sequence[Tensor], layers: int | list[int]) -> Tensor:
    """The layers of a tower that a LLaVA takes its features from, `[frames, patches, channels]`."""
    picked = [hidden_states[layer] for layer in ([layers] if isinstance(layers, int) else layers)]
    return torch.cat(picked, dim=-1)


def tower_features(tower: Any, pictures: Tensor, layers: int | list[int], strategy: str) -> Tensor:
    """What a LLaVA's vision tower makes of pictures, a few at a time.

    Args:
        layers: the config's `vision_feature_layer`.
        strategy: the config's `vision_feature_select_strategy`: `default` leaves out the first token.
    """
    with torch.no_grad():
        parts = [
            selected_layers(tower(part, output_hidden_states=True).hidden_states, layers)
            for part in torch.split(pictures, AT_ONCE)
        ]
    features = torch.cat(parts)
    return features[:, 1:] if strategy == "default" else features


def as_features(**tensors: Tensor) -> VideoFeatures:
    """Tensors as they are kept: on the CPU, each a block of its own."""
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
