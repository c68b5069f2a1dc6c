"""Open-vocabulary detectors over frames: what OWL-ViT, OWLv2 and Grounding DINO share (paper §3.2, Table 1).

Pictures are prepared, and boxes read out, by each architecture's own processor in transformers (the PIL ones:
no torchvision is needed). What does not depend on the query is computed once per frame and kept
(`aotd.models.lru`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import groupby
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

from aotd.models.checkpoints import checkpoint_name
from aotd.models.cpu import threads
from aotd.models.loading import empty_model, load_frozen, load_part, read_config
from aotd.models.lru import FeatureLRU, Features, frame_key
from aotd.models.model_cache import ModelCache
from aotd.models.quantisation import device, dtype_of, precision_name, weights_bytes
from aotd.records import Box, Detection
from aotd.scoring.iou import apart
from aotd.specialists import DetectionConfig
from aotd.specialists.query_terms import alternatives
from aotd.video.clip import Clip, Pixels

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class FrameDetector(ABC):
    """A detector that looks at one frame at a time."""

    family: ClassVar[str]
    """`model_type` of its checkpoints."""
    mixed: ClassVar[bool]
    """Whether pictures of different sizes may go through it together."""
    boxes_from: ClassVar[tuple[str, ...]] = ()
    """Modules that stay in float32, whatever the precision: in bfloat16 a box is off by several pixels."""

    def __init__(self, config: DetectionConfig, models: ModelCache) -> None:
        """Reads the checkpoint's configuration; the weights are loaded when a clip is first looked at.

        Raises:
            UserError: the checkpoint is not there, or of another family.
        """
        self._config, self._models = config, models
        self._settings = read_config(config.model, "specialists.detection.model", self.family)
        self.model = (
            f"{self.family} {checkpoint_name(config.model)}, {precision_name(config.precision)}, "
            f"threshold {config.threshold:g}, overlap {config.overlap:g}"
        )
        empty = empty_model(self._kinds()[0], self._settings)
        self._size = weights_bytes(empty, config.precision, self.boxes_from)
        self._seen, self._read = FeatureLRU(), FeatureLRU()
        self._processor: Any = load_part(config.model, "specialists.detection.model", self._kinds()[1])
        self._tokenizer: Any = load_part(config.model, "specialists.detection.model", _tokenizers())

    def detect(self, clip: Clip, query: str) -> list[Detection]:
        """Boxes of what `query` names, by frame and then by confidence; see `base.Detector`.

        A query such as `cup/glass/bottle` is any of the three: a box has the score of the one that fits best.
        Boxes lie inside what the clip shows of a frame. A query without words names nothing.
        """
        import torch

        texts = alternatives(query)
        if not texts:
            return []
        found: list[Detection] = []
        with torch.inference_mode():
            seen = self._features(clip)
            for numbers in self._batches(clip, list(seen), self._config.batch):
                sizes = [clip.pixels(number).shape[:2] for number in numbers]
                logits, boxes = self._ask([seen[number] for number in numbers], texts)
                results = self._processor.post_process_object_detection(
                    SimpleNamespace(logits=logits.float(), pred_boxes=boxes.float()),
                    threshold=self._config.threshold,
                    target_sizes=sizes,
                )
                for number, size, result in zip(numbers, sizes, results, strict=True):
                    found += self._detections(clip, number, size, query, result)
        return found

    def _features(self, clip: Clip) -> dict[int, Features]:
        """Frame number -> what the image tower made of the frame; those that show nothing are left out."""
        numbers = [number for number in clip.numbers if clip.shows(number)]

        def look(new: list[int]) -> Iterator[Features]:
            self._model()  # loaded by this thread
            batches = self._batches(clip, [numbers[at] for at in new], threads.at_once(self._config.batch))
            return threads.through(
                batches, lambda batch: self._prepared([clip.pixels(number) for number in batch]), self._look
            )

        return dict(zip(numbers, self._seen.each([frame_key(clip, number) for number in numbers], look), strict=True))

    def room(self) -> int:
        """How many videos' features can be kept."""
        return self._seen.room()

    def _detections(
        self, clip: Clip, number: int, size: tuple[int, int], query: str, result: dict[str, Any]
    ) -> list[Detection]:
        """A frame's boxes, best first, in pixels of the original frame."""
        left, top = clip.origin(number)
        scored: list[tuple[float, Box]] = []
        for score, box in zip(result["scores"].tolist(), result["boxes"].tolist(), strict=True):
            x1, x2 = (round(left + min(max(value, 0.0), size[1]), 1) for value in (box[0], box[2]))
            y1, y2 = (round(top + min(max(value, 0.0), size[0]), 1) for value in (box[1], box[3]))
            if x1 < x2 and y1 < y2:
                scored.append((round(score, 3), (x1, y1, x2, y2)))
        scored.sort(key=lambda item: (-item[0], item[1]))
        kept = apart([box for _, box in scored], self._config.overlap)
        return [Detection(frame=number, box=scored[at][1], label=query, score=scored[at][0]) for at in kept]

    def _batches(self, clip: Clip, numbers: list[int], most: int) -> Iterator[list[int]]:
        """Those of some frames of a clip that go through the model together, `most` at the most."""
        shapes = {number: clip.pixels(number).shape[:2] for number in numbers}
        runs = [numbers] if self.mixed else [list(run) for _, run in groupby(numbers, key=lambda at: shapes[at])]
        for run in runs:
            for at in range(0, len(run), most):
                yield run[at : at + most]

    def _model(self) -> Any:
        key = f"{self.family} {self._config.model} {self._config.precision.value}"
        return self._models.take(key, self._size, self._load)

    def _load(self) -> Any:
        from aotd.models.cpu.linear import pack

        kind = self._kinds()[0]
        config, setting = self._config, "specialists.detection.model"
        model = load_frozen(config.model, setting, kind, self._settings, config.precision, self.boxes_from)
        for name in self.boxes_from:
            getattr(model, name).float()
        return pack(model)

    def _prepared(self, pictures: Sequence[Pixels]) -> Tensor:
        """Pictures as the model takes them, `[n, 3, height, width]`."""
        pixels: Tensor = self._processor(list(pictures), return_tensors="pt", input_data_format="channels_last")[
            "pixel_values"
        ]
        return pixels.to(device(), self._dtype())

    def _dtype(self) -> torch.dtype:
        return dtype_of(self._config.precision)

    @abstractmethod
    def _kinds(self) -> tuple[Any, Any]:
        """The model's class, and that of its picture processor."""

    @abstractmethod
    def _look(self, pixels: Tensor) -> list[Features]:
        """What the image tower makes of pictures, `[n, 3, height, width]`."""

    @abstractmethod
    def _ask(self, seen: list[Features], texts: list[str]) -> tuple[Tensor, Tensor]:
        """Logits `[frames, boxes, words or texts]` and boxes `[frames, boxes, 4]`, centre and size as shares."""


def _tokenizers() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer
