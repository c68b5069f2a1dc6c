"""Use a detector of your own, without an edit in aotd.

    python examples/my_specialist.py runs/mine dataset.playroom.train_videos=4 dataset.playroom.val_videos=0 \
        dataset.playroom.test_videos=0

It finds things of the built-in world by the colour of their pixels. The settings choose it by its registered name.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from aotd.cli.main import main
from aotd.datasets.playroom.things import THINGS
from aotd.records import Detection, Trace
from aotd.specialists import DetectionConfig
from aotd.specialists.subtasks import register
from aotd.store.stage import Stage
from aotd.video.clip import Clip

FARTHEST = 40.0
"""The largest distance of a pixel's colour from that of a thing."""


class ColourDetector:
    """A detector is a class with the name of its model and the methods of its sub-task: here, `detect`."""

    def __init__(self, config: DetectionConfig) -> None:
        self._threshold = config.threshold
        self.model = f"colour-1, threshold {config.threshold:g}"  # change it with what it finds: findings are cached

    def detect(self, clip: Clip, query: str) -> list[Detection]:
        """Return one box around all pixels of the thing's colour, on each frame of the clip."""
        thing = next((thing for name, thing in THINGS.items() if name in query), None)
        if thing is None:
            return []
        found = []
        for number in clip.numbers:
            left, top = clip.origin(number)
            distance = np.linalg.norm(clip.pixels(number).astype(float) - thing.colour, axis=2)
            rows, columns = np.nonzero(distance < FARTHEST)
            score = min(rows.size / 100, 1.0)
            if score > self._threshold:
                box = (left + columns.min(), top + rows.min(), left + columns.max() + 1, top + rows.max() + 1)
                found.append(Detection(frame=number, box=tuple(map(float, box)), label=query, score=round(score, 3)))
        return found


register("detection", "colour", ColourDetector)  # at the top: the verbs' worker processes import this file again

if __name__ == "__main__":
    run, settings = sys.argv[1], sys.argv[2:]
    for verb in ("load", "decompose", "execute"):
        if status := main([verb, f"run={run}", "specialists.detection.name=colour", *settings]):
            sys.exit(status)
    traces = Stage(Path(run), "execute", Trace)
    print(f"{len(traces.records())} traces, detection by {traces.manifest()['models']['detection']}")
