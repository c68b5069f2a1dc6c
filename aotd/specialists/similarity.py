"""Temporal grounding by likeness: the stretch around the frame that a text fits best.

The plainest grounder that looks at pixels. It needs no training and no features made beforehand; it knows
scenes and things rather than actions, and finds a moment in every clip that has frames.
"""

from __future__ import annotations

import numpy as np
from torch.nn.functional import cosine_similarity

from aotd.models.model_cache import ModelCache
from aotd.records import SpanFinding
from aotd.specialists import GroundingConfig
from aotd.specialists.imagetext import ImageText
from aotd.specialists.query_terms import sentence
from aotd.specialists.temporal_peak import around_peak
from aotd.video.clip import Clip


class SimilarityGrounder:
    """Cosine similarity of each frame and the query under CLIP or SigLIP, smoothed over time."""

    def __init__(self, config: GroundingConfig, models: ModelCache) -> None:
        self._towers = ImageText("grounding", config, models, ("clip", "siglip"))
        self.model = f"similarity, {self._towers.model}"

    def ground(self, clip: Clip, query: str) -> SpanFinding | None:
        """The stretch around the peak; `score` is the similarity of its best frame. None of an empty clip or query."""
        asked = sentence(query)
        if not clip.numbers or not asked:
            return None
        curve = cosine_similarity(self._towers.frames(clip), self._towers.text(asked)[None]).numpy()
        first, last = around_peak(curve, clip.video.frames)
        return SpanFinding(
            start=clip.numbers[first],
            end=clip.numbers[last] + 1,
            score=round(float(np.clip(curve[first : last + 1].max(), 0, 1)), 3),
        )

    def room(self) -> int:
        """How many videos' vectors can be kept."""
        return self._towers.room()
