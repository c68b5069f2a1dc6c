"""Grounding DINO (Liu et al. 2023) through transformers; it stands in for GLIP, the paper's other detector.

The image backbone runs once per frame and the text encoder once per query. What follows them, the encoder in
which picture and text are fused and the decoder, depends on both and runs for every query.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import GroundingDinoForObjectDetection
from transformers.modeling_outputs import BackboneOutput, BaseModelOutput
from transformers.models.grounding_dino.image_processing_pil_grounding_dino import GroundingDinoImageProcessorPil

from aotd.models import Precision
from aotd.models.cpu.linear import pack
from aotd.models.loading import empty_model, load_frozen
from aotd.models.lru import FeatureLRU, Features
from aotd.models.model_cache import ModelCache
from aotd.models.quantisation import refuse_quantisation, weights_bytes
from aotd.specialists import DetectionConfig
from aotd.specialists.detection import FrameDetector

if TYPE_CHECKING:
    from torch import Tensor


class Recalled(nn.Module):
    """Stands where the image backbone stood, and gives what the backbone made of the frames before."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.maps: tuple[Tensor, ...] = ()
        """Feature maps of the frames that are asked about, `[frames, channels, height, width]` each."""

    def forward(self, pixel_values: Tensor, **_: Any) -> BackboneOutput:
        return BackboneOutput(feature_maps=self.maps)  # type: ignore[arg-type]


class ReadOnce(nn.Module):
    """The text encoder for batches in which every row is the same text; each text is encoded once."""

    def __init__(self, encoder: nn.Module, kept: FeatureLRU) -> None:
        super().__init__()
        self.encoder = encoder
        self._kept = kept

    def forward(self, tokens: Tensor, *rest: Tensor, **more: Any) -> BaseModelOutput:
        def encode(_: list[int]) -> list[Features]:
            return [(self.encoder(tokens[:1], *(part[:1] for part in rest), **more).last_hidden_state[0],)]

        ((states,),) = self._kept.each([tuple(tokens[0].tolist())], encode)
        return BaseModelOutput(last_hidden_state=states.expand(len(tokens), -1, -1))


class GroundingDino(FrameDetector):
    """Boxes for a text. `precision` is that of the image backbone; what says the boxes computes in float32."""

    family = "grounding-dino"
    mixed = False

    def __init__(self, config: DetectionConfig, models: ModelCache) -> None:
        refuse_quantisation(config.precision, "specialists.detection.precision", "grounding_dino")
        super().__init__(config, models)
        empty = empty_model(GroundingDinoForObjectDetection, self._settings)
        self._size = weights_bytes(empty, Precision.float32)

    def _kinds(self) -> tuple[Any, Any]:
        return GroundingDinoForObjectDetection, GroundingDinoImageProcessorPil

    def _load(self) -> Any:
        path, setting = self._config.model, "specialists.detection.model"
        model = load_frozen(path, setting, GroundingDinoForObjectDetection, self._settings, torch.float32)
        encoder = model.model.backbone.conv_encoder
        encoder.model = Recalled(encoder.model.to(self._dtype()))
        model.model.text_backbone = ReadOnce(model.model.text_backbone, self._read)
        return pack(model)

    def _look(self, pixels: Tensor) -> list[Features]:
        backbone = self._model().model.backbone.conv_encoder.model.backbone
        maps = backbone(pixels, return_dict=True).feature_maps
        size = torch.tensor(pixels.shape[-2:])
        return [(size, *(level[at].clone() for level in maps)) for at in range(len(pixels))]

    def _ask(self, seen: list[Features], texts: list[str]) -> tuple[Tensor, Tensor]:
        model = self._model()
        levels = zip(*(maps for _, *maps in seen), strict=True)
        model.model.backbone.conv_encoder.model.maps = tuple(torch.stack(level).float() for level in levels)
        tokens = self._tokenizer(
            ". ".join(texts) + ".", truncation=True, max_length=self._settings.max_text_len, return_tensors="pt"
        ).to(model.device)
        words = {name: rows.expand(len(seen), -1) for name, rows in tokens.items()}
        height, width = seen[0][0].tolist()
        # Only the shape of the pictures is read again.
        pixels = torch.zeros((), device=model.device).expand(len(seen), 3, height, width)
        outputs = model(pixel_values=pixels, **words)
        model.model.backbone.conv_encoder.model.maps = ()
        return outputs.logits, outputs.pred_boxes
