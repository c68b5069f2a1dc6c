"""OWL-ViT (Minderer et al. 2022) and OWLv2 (Minderer et al. 2023) through transformers.

Each patch of a frame says one box and which of the texts it is, so the image tower and the boxes are
query-free; asking costs one product of patches and texts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aotd.models.lru import Features
from aotd.specialists.detection import FrameDetector

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

    def _look(self, pixels: Tensor) -> list[Features]:
        """Of each picture: what its patches are as vectors of length 1 `[patches, width]`, the shift and the scale of
        their logits `[patches, 1]`, and their boxes `[patches, 4]`; all that the class head does without a text."""
        model = self._model()
        patches = model.image_embedder(pixels)[0]
        flat = patches.flatten(1, 2)
        boxes = model.box_predictor(flat.float(), patches)
        head = model.class_head
        found: list[Features] = []
        # One by one, here and below: a product with few columns is rounded otherwise where it has more rows.
        for one, own in zip(flat.float(), boxes, strict=True):
            vectors = head.dense0(one)
            vectors = vectors / (vectors.norm(dim=-1, keepdim=True) + 1e-6)
            found.append((vectors, head.logit_shift(one), head.elu(head.logit_scale(one)) + 1, own.clone()))
        return found

    def _ask(self, seen: list[Features], texts: list[str]) -> tuple[Tensor, Tensor]:
        import torch

        words = torch.stack([features for (features,) in self._read.each(texts, lambda new: self._embed(texts, new))])
        logits = [(vectors @ words.T + shift) * scale for vectors, shift, scale, _ in seen]
        return torch.stack(logits), torch.stack([boxes for *_, boxes in seen])

    def _embed(self, texts: list[str], new: list[int]) -> list[Features]:
        """Vectors of length 1 of some of the texts, float32."""
        model = self._model().base_model
        found: list[Features] = []
        for at in new:
            tokens = self._tokenizer(
                [_PROMPT.format(texts[at])],
                padding="max_length",
                truncation=True,
                max_length=self._settings.text_config.max_position_embeddings,
                return_tensors="pt",
            ).to(model.device)
            (vector,) = model.get_text_features(tokens["input_ids"], tokens["attention_mask"]).pooler_output.float()
            vector = vector / vector.norm()
            found.append((vector / (vector.norm() + 1e-6),))
        return found


class OWLViT(OWLv2):
    """The first OWL-ViT. Frames are stretched to a square."""

    family = "owlvit"

    def _kinds(self) -> tuple[Any, Any]:
        from transformers import OwlViTForObjectDetection
        from transformers.models.owlvit.image_processing_pil_owlvit import OwlViTImageProcessorPil

        return OwlViTForObjectDetection, OwlViTImageProcessorPil
