"""Frames and texts as vectors of one space: CLIP (Radford et al. 2021) or SigLIP (Zhai et al. 2023)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer, CLIPModel, SiglipModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from aotd.models import WeightsConfig
from aotd.models.checkpoints import checkpoint_name
from aotd.models.cpu import threads
from aotd.models.cpu.linear import pack
from aotd.models.loading import empty_model, load_frozen, load_part, read_config
from aotd.models.lru import FeatureLRU, Features, frame_key
from aotd.models.model_cache import ModelCache
from aotd.models.quantisation import precision_name, weights_bytes
from aotd.video.clip import Clip

_FAMILIES: dict[str, tuple[Any, Any]] = {
    "clip": (CLIPModel, CLIPImageProcessorPil),
    "siglip": (SiglipModel, SiglipImageProcessorPil),
}


class ImageText:
    """Each frame and each text goes through its tower once."""

    def __init__(
        self, role: str, config: WeightsConfig, models: ModelCache, families: tuple[str, ...] = ("clip",)
    ) -> None:
        """Reads the checkpoint's configuration; the weights are loaded when they are first needed.

        Args:
            role: sub-task whose settings name the checkpoint.
            families: `clip`, `siglip`.

        Raises:
            UserError: the checkpoint is not there, or of another family.
        """
        self._config, self._models = config, models
        self._setting = f"specialists.{role}.model"
        self._settings = settings = read_config(config.model, self._setting, *families)
        self._family: str = settings.model_type
        self._longest: int = settings.text_config.max_position_embeddings
        self.text_width: int = settings.text_config.hidden_size
        """Width of the states of a text's tokens."""
        self.width: int = getattr(settings, "projection_dim", self.text_width)
        """Width of the vectors."""
        self._kind, processor = _FAMILIES[self._family]
        self._size = weights_bytes(empty_model(self._kind, settings), config.precision)
        self._processor: Any = load_part(config.model, self._setting, processor)
        self._tokenizer: Any = load_part(config.model, self._setting, AutoTokenizer)
        self._seen, self._read, self._states = FeatureLRU(), FeatureLRU(), FeatureLRU()
        self.model = f"{self._family} {checkpoint_name(config.model)}, {precision_name(config.precision)}"

    def frames(self, clip: Clip) -> Tensor:
        """A vector for each frame of a clip, as the clip shows it: `[frames, width]`, float32, of any length.

        Zeros for a crop that is too thin to be looked at.
        """
        shown = [number for number in clip.numbers if clip.shows(number)]
        seen = self._seen.each(
            [frame_key(clip, number) for number in shown], lambda new: self._look(clip, [shown[at] for at in new])
        )
        vectors = {number: vector for number, (vector,) in zip(shown, seen, strict=True)}
        nothing = torch.zeros(self.width)
        return torch.stack([vectors.get(number, nothing) for number in clip.numbers])

    def text(self, text: str) -> Tensor:
        """A vector in the space of the frames: `[width]`, float32, of any length."""
        ((vector,),) = self._read.each([text], lambda _: [(self._embed(text),)])
        return vector

    def states(self, text: str) -> Tensor:
        """CLIP's last states of the tokens of a text, its start and end among them: `[tokens, width]`, float32."""
        ((states,),) = self._states.each([text], lambda _: [(self._tokens_of(text),)])
        return states

    def room(self) -> int:
        """How many videos' vectors can be kept."""
        return self._seen.room()

    @torch.inference_mode()
    def _look(self, clip: Clip, numbers: list[int]) -> list[Features]:
        model = self._model()

        def prepared(batch: list[int]) -> Tensor:
            pictures = [clip.pixels(number) for number in batch]
            pixels = self._processor(pictures, return_tensors="pt", input_data_format="channels_last")["pixel_values"]
            made: Tensor = pixels.to(model.device, model.dtype)
            return made

        most = threads.at_once(self._config.batch)
        batches = (numbers[at : at + most] for at in range(0, len(numbers), most))
        vectors = threads.through(batches, prepared, lambda pixels: self._vectors(model, pixels))
        return [(vector.float().cpu(),) for vector in vectors]

    def _vectors(self, model: Any, pixels: Tensor) -> Iterator[Tensor]:
        """What the image tower makes of each picture, `[width]`.

        What comes behind the patches is done one by one: a product of few rows is rounded otherwise where it has more.
        """
        if self._family == "siglip":  # its tower ends in a head of its own
            yield from (model.get_image_features(one[None]).pooler_output[0] for one in pixels)
        else:
            pooled = model.vision_model(pixel_values=pixels).last_hidden_state[:, 0]
            norm, projection = model.vision_model.post_layernorm, model.visual_projection
            yield from (projection(norm(one[None]))[0] for one in pooled)

    @torch.inference_mode()
    def _embed(self, text: str) -> Tensor:
        vector: Tensor = self._model().get_text_features(**self._tokens(text)).pooler_output[0]
        return vector.float().cpu()

    @torch.inference_mode()
    def _tokens_of(self, text: str) -> Tensor:
        states: Tensor = self._model().text_model(**self._tokens(text)).last_hidden_state[0]
        return states.float().cpu()

    def _tokens(self, text: str) -> dict[str, Tensor]:
        # SigLIP was trained on texts that are padded to their full length, and sees the padding.
        padding = "max_length" if self._family == "siglip" else False
        tokens = self._tokenizer(
            text, padding=padding, truncation=True, max_length=self._longest, return_tensors="pt"
        ).to(self._model().device)
        if self._family == "siglip":
            return {"input_ids": tokens["input_ids"]}
        return {"input_ids": tokens["input_ids"], "attention_mask": tokens["attention_mask"]}

    def _model(self) -> Any:
        path, precision = self._config.model, self._config.precision
        return self._models.take(
            f"{self._family} {path} {precision.value}",
            self._size,
            lambda: pack(load_frozen(path, self._setting, self._kind, self._settings, precision)),
        )
