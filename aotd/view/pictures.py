"""Frames of a question's video with what the specialists found drawn on them, as images inside the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from aotd.errors import QuestionError, UserError
from aotd.records import Box, BoxesFinding, Detection, EvidenceBox, SpanFinding, Trace
from aotd.scoring.claims import read_claims
from aotd.specialists import SourceName, SpecialistsConfig
from aotd.video.clip import Pixels
from aotd.video.source import DecodedVideos
from aotd.view.finding_text import evenly
from aotd.view.question import Story

WIDTH = 320
"""Width of a picture in pixels; smaller frames are enlarged, so that labels can be read."""
QUALITY = 72
_COLOURS = ("#ffb000", "#4cc9f0", "#ff5d8f", "#7ae582", "#c77dff", "#f8f272")
"""One for each thing, in the order in which things are found; readable under black letters."""
_TRUE = "#ffffff"
_FONT = ImageFont.load_default(13)


@dataclass(frozen=True)
class FramePicture:
    """One frame, drawn on."""

    frame: int
    time_s: float
    """The middle of the part of the video that the frame stands for."""
    things: str
    """What is boxed, in words, for those who cannot see the picture."""
    annotated: bool
    """Whether an annotated box is drawn too, dashed."""
    uri: str
    width: int
    height: int


class NoFramesError(Exception):
    """There are no frames to show; the message says why."""


class Frames:
    """The frames that specialists saw, read again from the run's videos. Use as a context manager."""

    def __init__(self, specialists: SpecialistsConfig, root: str) -> None:
        """`root`: folder of the videos."""
        self._specialists, self._root = specialists, root
        self._sources: dict[int, DecodedVideos] = {}

    def __enter__(self) -> Frames:
        return self

    def __exit__(self, *error: object) -> None:
        for source in self._sources.values():
            source.close()

    def pixels(self, story: Story) -> tuple[Pixels, float, float]:
        """The sampled frames `[frames, height, width, 3]`, and the start and end of their part in seconds.

        Raises:
            NoFramesError: perception is stored text, the video cannot be read, or is not the one the trace is about.
        """
        if self._specialists.source is SourceName.captions or story.question.video is None:
            raise NoFramesError("this question's perception is stored text, not video")
        trace = story.trace
        count = trace.frames if trace else self._specialists.frames
        try:
            if count not in self._sources:
                deadline_s = self._specialists.decode_deadline_s
                self._sources[count] = DecodedVideos(self._root, count, deadline_s)
            video = self._sources[count].open(story.question)
            if trace and (video.width, video.height) != (trace.width, trace.height):
                raise NoFramesError(f"{story.question.video} is not the video that the trace is about")
            return video.pixels(), video.start_s, video.end_s
        except (QuestionError, UserError) as error:
            raise NoFramesError(str(error)) from None


def pictures(story: Story, frames: Frames, count: int) -> list[FramePicture]:
    """At most `count` frames of a question, those first that its chain of thought speaks of.

    Raises:
        NoFramesError: there is nothing to show; the message says why.
    """
    pixels, start_s, end_s = frames.pixels(story)
    number_of_frames = len(pixels)
    part = (end_s - start_s) / number_of_frames
    found = found_boxes(story.trace)
    labels = list(dict.fromkeys(box.label for box in found))
    colours = {label: _COLOURS[n % len(_COLOURS)] for n, label in enumerate(labels)}
    evidence = story.question.evidence
    drawn = []
    for frame in chosen_frames(story, number_of_frames, count):
        here = [box for box in found if box.frame == frame]
        first, last = start_s + frame * part, start_s + (frame + 1) * part
        true = [box for box in evidence.boxes if first <= box.time_s < last] if evidence else []
        image = _draw(pixels[frame], here, true, colours)
        things = ", ".join(sorted({box.label for box in here})) or "nothing boxed"
        drawn.append(
            FramePicture(frame, (first + last) / 2, things, bool(true), _uri(image), image.width, image.height)
        )
    return drawn


def found_boxes(trace: Trace | None) -> list[Detection]:
    """Every box of a trace; one that several calls came back with is there once."""
    events = trace.events if trace else ()
    boxes = [box for event in events if isinstance(event.finding, BoxesFinding) for box in event.finding.boxes]
    return list({(box.frame, box.label, box.box): box for box in boxes}.values())


def chosen_frames(story: Story, frames: int, count: int) -> list[int]:
    """Frames to show, ascending: spoken of in the thought, else with boxes, else in a span, else any."""
    claims = read_claims(story.thought.text) if story.thought else None
    spoken = [box.frame for box in claims.boxes if box.frame is not None] if claims else []
    boxed = [box.frame for box in found_boxes(story.trace)]
    spans = [event.finding for event in (story.trace.events if story.trace else ())]
    inside = [
        n for span in spans if isinstance(span, SpanFinding) for n in range(max(span.start, 0), min(span.end, frames))
    ]
    chosen: set[int] = set()
    for tier in (spoken, boxed, inside, range(frames)):
        chosen |= set(_spread_frames({n for n in tier if 0 <= n < frames} - chosen, count - len(chosen)))
    return sorted(chosen)


def _spread_frames(numbers: Iterable[int], count: int) -> list[int]:
    """At most `count` of the numbers, evenly over their order; a single one from the middle."""
    ordered = sorted(numbers)
    return ordered[len(ordered) // 2 :][:count] if count < 2 else evenly(ordered, count)


def _draw(
    pixels: Pixels, found: Sequence[Detection], true: Sequence[EvidenceBox], colours: dict[str, str]
) -> Image.Image:
    scale = WIDTH / pixels.shape[1]
    image = Image.fromarray(pixels).resize((WIDTH, max(round(pixels.shape[0] * scale), 1)), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    for annotated in true:
        _dashes(pen, _scaled(annotated.box, scale))
    for box in found:
        pen.rectangle(_scaled(box.box, scale), outline=colours[box.label], width=2)
    taken: list[Box] = []
    for box in found:  # labels last: no box crosses them out
        taken.append(_label(pen, _scaled(box.box, scale), box.label, colours[box.label], image.size, taken))
    return image


def _scaled(box: Box, scale: float) -> Box:
    """In pixels of the picture; a box written backwards is turned round, since PIL refuses it."""
    x1, y1, x2, y2 = (value * scale for value in box)
    return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)


def _label(
    pen: ImageDraw.ImageDraw, box: Box, text: str, colour: str, size: tuple[int, int], taken: Sequence[Box]
) -> Box:
    """Write a box's label at its edge, where no other label stands if there is such a place; return the place."""
    words = text if len(text) <= 24 else text[:23] + "…"
    wide, high = pen.textlength(words, font=_FONT) + 6, 16
    left = min(max(box[0], 0), max(size[0] - wide, 0))
    tops = [
        min(max(top, 0), size[1] - high) for top in (box[1] - high, box[3], box[1], box[1] - 2 * high, box[3] - high)
    ]
    places = [(left, top, left + wide, top + high) for top in tops]
    place = next((place for place in places if not any(_overlap(place, other) for other in taken)), places[0])
    pen.rectangle(place, fill=colour)
    pen.text((place[0] + 3, place[1] + high / 2), words, fill="black", font=_FONT, anchor="lm")
    return place


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _dashes(pen: ImageDraw.ImageDraw, box: Box) -> None:
    x1, y1, x2, y2 = (round(value) for value in box)
    for x in range(x1, x2, 8):
        for y in (y1, y2):
            pen.line((x, y, min(x + 4, x2), y), fill=_TRUE)
    for y in range(y1, y2, 8):
        for x in (x1, x2):
            pen.line((x, y, x, min(y + 4, y2)), fill=_TRUE)


def _uri(image: Image.Image) -> str:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
