"""Object detection for playroom: the tracks' boxes on the clip's frames, inside its crops."""

from __future__ import annotations

from collections.abc import Iterator

from aotd.datasets.playroom.things import PERSON, THINGS
from aotd.records import Box, Detection
from aotd.specialists.playroom import words
from aotd.specialists.playroom.tracks import Look, look
from aotd.video.clip import Clip

_INSIDE = 0.4
"""Of a thing at the edge of a crop, this share must lie inside to be seen there."""


class PlayroomDetector:
    """Finds household things by colour and contour, and people by their shirts, heads and legs."""

    model = "playroom-colour-contour-1"

    def detect(self, clip: Clip, query: str) -> list[Detection]:
        """Boxes of what `query` names, by frame and then by confidence; see `base.Detector`."""
        names = words.things(query) or ([PERSON] if words.names_person(query) else [])
        if not names or not clip.numbers:
            return []
        seen = look(clip.video)
        found = [
            Detection(frame=frame, box=box, label=query, score=round(score, 3))
            for name in names
            for frame in clip.numbers
            for whole, score in _boxes(seen, name, frame)
            if (box := _within(whole, clip.crops.get(frame)))
        ]
        return sorted(found, key=lambda detection: (detection.frame, -detection.score, detection.box))


def _boxes(seen: Look, name: str, frame: int) -> Iterator[tuple[Box, float]]:
    """What is found of a class in a frame, each with its confidence."""
    if name == PERSON:
        for person in seen.people:
            if frame in person:
                body = person[frame]
                yield body.box, min(0.5 + (body.feet - body.top) / 200, 0.99)
        return
    width, height = THINGS[name].size if name in THINGS else (1, 1)
    for patch in seen.things[name][frame] if name in seen.things else []:
        yield patch.box, min(0.4 + 0.7 * patch.pixels / (width * height), 0.99)


def _within(box: Box, crop: Box | None) -> Box | None:
    """The part of a box inside a crop; None where too little of it is inside."""
    if crop is None:
        return box
    part = (max(box[0], crop[0]), max(box[1], crop[1]), min(box[2], crop[2]), min(box[3], crop[3]))
    wide, high = part[2] - part[0], part[3] - part[1]
    if wide <= 0 or high <= 0 or wide * high < _INSIDE * (box[2] - box[0]) * (box[3] - box[1]):
        return None
    return part
