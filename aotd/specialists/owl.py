"""OWL-ViT (Minderer et al. 2022) and OWLv2 (Minderer et al. 2023) through transformers.

Each patch of a frame says one box and which of the texts it is, so the image tower and the boxes are
query-free; asking costs one product of patches and texts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aotd.specialists.detection import FrameDetector
from aotd.specialists.kept import Features
from aotd.video.clip import Pixels

if TYPE_CHECKING:
    from torch import Tensor

_PROMPT = "a photo of a {}"
"""How a thing is put to the models (CLIP's prompt, which they were trained and are commonly used with)."""


class OWLv2(FrameDetector):
    """The paper's detector. Frames are padded to a square at their right and lower edge."""

    family = "owlv2"
    mixed = True
    boxes_from = ("class_head", "box_head")

    def _kinds(self) -> tuple[Any, Any]:
        from transformers import Owlv2ForObjectDetection
        from transformers.models.owlv2.image_processing_pil_owlv2 import Owlv2ImageProcessorPil

        return Owlv2ForObjectDetection, Owlv2ImageProcessorPil

    def _look(self, pictures: list[Pixels]) -> list[Features]:
        model = self._model()
        patches = model.image_embedder(self._prepared(pictures))[0]
        flat = patches.flatten(1, 2)
        boxes = model.box_predictor(flat.float(), patches)
        return [(flat[at].clone(), boxes[at].clone()) for at in range(len(pictures))]

    def _ask(self, seen: list[Features], texts: list[str]) -> tuple[Tensor, Tensor]:
        import torch

        words = torch.stack([features for (features,) in self._read.each(texts, lambda new: self._embed(texts, new))])
        patches = torch.stack([features for features, _ in seen]).float()
        logits, _ = self._model().class_predictor(patches, words.float().expand(len(seen), -1, -1))
        return logits, torch.stack([boxes for _, boxes in seen])

    def _embed(self, texts: list[str], new: list[int]) -> list[Features]:
        """Vectors of length 1 of some of the texts."""
        model = self._model().base_model
        tokens = self._tokenizer(
            [_PROMPT.format(texts[at]) for at in new],
            padding="max_length",
            truncation=True,
            max_length=self._settings.text_config.max_position_embeddings,
            return_tensors="pt",
        ).to(model.device)
        words = model.get_text_features(tokens["input_ids"], tokens["attention_mask"]).pooler_output
        return [(vector / vector.norm(),) for vector in words]


class OWLViT(OWLv2):
    """The first OWL-ViT. Frames are stretched to a square."""

    family = "owlvit"

    def _kinds(self) -> tuple[Any, Any]:
        from transformers import OwlViTForObjectDetection
        from transformers.models.owlvit.image_processing_pil_owlvit import OwlViTImageProcessorPil

        return OwlViTForObjectDetection, OwlViTImageProcessorPil
