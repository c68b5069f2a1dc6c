"""Draws a scene and encodes it as an H.264 video.

What makes perception hard is set by `difficulty`: noise, a trembling camera, colours that stray from the
class's own, uneven light, something that stands before the lens, and how strongly the video is compressed.
One encoder thread and fixed settings: the same scene gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from random import Random

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from aotd.datasets.playroom import Difficulty
from aotd.datasets.playroom.scene import WALL_LINE, PlayroomScene, Pose
from aotd.datasets.playroom.things import (
    DARK,
    FLOORS,
    FPS,
    HAIR,
    HEIGHT,
    SKIN,
    TROUSERS,
    WALLS,
    WIDTH,
    Colour,
    PlayroomPart,
    Thing,
)

Pixels = NDArray[np.uint8]
MARGIN = 4
"""The scene is drawn this much larger on every side, so that a trembling camera shows no edge."""


@dataclass(frozen=True)
class PlayroomLook:
    """How hard it is to see."""

    noise: float
    """Standard deviation of the noise, in grey levels."""
    tremble: int
    """How far the camera strays, in pixels."""
    stray: int
    """How far a thing's colour strays from its class's, per channel, in grey levels."""
    flicker: float
    """How far the brightness strays from frame to frame, as a share."""
    occluder: float
    """Chance of a post in the foreground."""
    crf: int
    """H.264 constant rate factor: the higher, the coarser."""


LOOKS = {
    Difficulty.easy: PlayroomLook(noise=1.5, tremble=0, stray=0, flicker=0.0, occluder=0.0, crf=20),
    Difficulty.standard: PlayroomLook(noise=5.0, tremble=1, stray=8, flicker=0.02, occluder=0.3, crf=26),
    Difficulty.hard: PlayroomLook(noise=11.0, tremble=2, stray=20, flicker=0.06, occluder=1.0, crf=32),
}
POST: Colour = (92, 94, 98)


def draw(
    scene: PlayroomScene, seed: str, difficulty: Difficulty, chosen: Collection[int] | None = None
) -> list[Pixels]:
    """Draw frames of a scene, RGB, each `[HEIGHT, WIDTH, 3]`.

    Args:
        chosen: numbers of the frames to draw; None: all. A frame looks the same whichever are drawn beside it.
    """
    look = LOOKS[difficulty]
    rng = Random(f"{seed}/{scene.name}/draw")  # noqa: S311
    room = _room(rng)
    colours = [{role: _stray(thing.colour_of(role), rng, look.stray) for role in ROLES} for thing in scene.things]
    shirts = [_stray(shirt, rng, look.stray) for shirt in scene.shirts]
    post = rng.uniform(20, WIDTH - 30) if rng.random() < look.occluder else None
    noise = np.random.default_rng(rng.getrandbits(32)).normal(0, look.noise, (2 * HEIGHT, 2 * WIDTH, 1))
    grain = noise.astype(np.int16)
    drawn = []
    for number in range(len(scene.frames)):
        # Chance is drawn upon for every frame, so that those that are drawn do not depend on the others.
        dx, dy = (MARGIN + rng.randint(-look.tremble, look.tremble) for _ in range(2))
        brightness = 1 + rng.uniform(-look.flicker, look.flicker) if look.flicker else 1.0
        x, y = rng.randrange(WIDTH), rng.randrange(HEIGHT)
        if chosen is not None and number not in chosen:
            continue
        image = room.copy()
        _draw_frame(ImageDraw.Draw(image), scene, number, colours, shirts)
        if post is not None:
            ImageDraw.Draw(image).rectangle((MARGIN + post, 0, MARGIN + post + 9, HEIGHT + 2 * MARGIN), fill=POST)
        pixels = np.asarray(image.crop((dx, dy, dx + WIDTH, dy + HEIGHT)), dtype=np.int16)
        if look.flicker:
            pixels = (pixels * brightness).astype(np.int16)
        drawn.append(np.clip(pixels + grain[y : y + HEIGHT, x : x + WIDTH], 0, 255).astype(np.uint8))
    return drawn


def encode(frames: list[Pixels], path: Path, difficulty: Difficulty) -> None:
    """Write frames as an mp4 file."""
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.thread_count = 1
        stream.options = {"preset": "veryfast", "crf": str(LOOKS[difficulty].crf), "threads": "1", "g": str(2 * FPS)}
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


ROLES = ("base", "inside", "dark", "light")


def _stray(colour: Colour, rng: Random, by: int) -> Colour:
    r, g, b = (min(255, max(0, value + rng.randint(-by, by))) for value in colour)
    return r, g, b


def _room(rng: Random) -> Image.Image:
    """An empty room: striped wall, boarded floor."""
    wide, high = WIDTH + 2 * MARGIN, HEIGHT + 2 * MARGIN
    wall, floor = rng.choice(WALLS), rng.choice(FLOORS)
    image = Image.new("RGB", (wide, high), wall)
    pen = ImageDraw.Draw(image)
    step = rng.randint(14, 26)
    for x in range(rng.randrange(step), wide, step):
        pen.line((x, 0, x, high), fill=_shade(wall, -7), width=rng.randint(1, 4))
    line = WALL_LINE + MARGIN
    pen.rectangle((0, line, wide, high), fill=floor)
    pen.rectangle((0, line - 3, wide, line), fill=_shade(wall, -45))
    y, gap = line + 6.0, 6.0
    while y < high:
        pen.line((0, y, wide, y), fill=_shade(floor, -10))
        y, gap = y + gap, gap + 3
    slant = rng.uniform(0.5, 1.2)
    for x in range(-wide, 2 * wide, 40):
        middle = wide / 2
        pen.line((middle + (x - middle) * slant, line, middle + (x - middle) * 1.7, high), fill=_shade(floor, -7))
    return image


def _shade(colour: Colour, by: int) -> Colour:
    return colour[0] + by, colour[1] + by, colour[2] + by


def _draw_frame(
    pen: ImageDraw.ImageDraw, scene: PlayroomScene, number: int, colours: list[dict[str, Colour]], shirts: list[Colour]
) -> None:
    """Painter's order: wall, furniture, then people and small things from far to near."""
    frame = scene.frames[number]
    order: list[tuple[float, int, int]] = []
    for index, (thing, item) in enumerate(zip(scene.things, frame.items, strict=True)):
        if item.holder is None:
            depth = {"wall": -2.0, "back": -1.0, "floor": item.base}[thing.place]
            order.append((depth, 1, index))
    order += [(pose.feet, 0, who) for who, pose in enumerate(frame.people) if not pose.hidden]
    for _, is_thing, index in sorted(order):
        if is_thing:
            _draw_thing(pen, scene, number, index, colours[index])
        else:
            _draw_person(pen, frame.people[index], shirts[index])
            for held, item in enumerate(frame.items):
                if item.holder == index:
                    _draw_thing(pen, scene, number, held, colours[held])
                    _draw_hands(pen, frame.people[index])


def _draw_thing(
    pen: ImageDraw.ImageDraw, scene: PlayroomScene, number: int, index: int, colours: dict[str, Colour]
) -> None:
    thing, item = scene.things[index], scene.frames[number].items[index]
    width, height = thing.size
    left, top = MARGIN + item.x - width / 2, MARGIN + item.base - height
    for part in _parts(thing, item.open):
        points = [
            (left + x * width, top + y * height) for x, y in zip(part.points[::2], part.points[1::2], strict=True)
        ]
        fill = colours[part.role]
        if part.kind == "rect":
            pen.rectangle((*points[0], points[1][0] - 1, points[1][1] - 1), fill=fill)
        elif part.kind == "ellipse":
            pen.ellipse((*points[0], points[1][0] - 1, points[1][1] - 1), fill=fill)
        else:
            pen.polygon(points, fill=fill)


def _parts(thing: Thing, is_open: bool) -> tuple[PlayroomPart, ...]:
    return thing.open_parts if is_open else thing.parts


def _draw_person(pen: ImageDraw.ImageDraw, pose: Pose, shirt: Colour) -> None:
    s, x = pose.scale, pose.x + MARGIN
    feet, hip, shoulder, top = (MARGIN + y for y in (pose.feet, pose.hip, pose.shoulder, pose.head_top))
    knee = (hip + feet) / 2
    bend = pose.facing * 8 * pose.crouch * s
    for sign in (-1, 1):
        foot = x + sign * (5 * s + pose.stride)
        pen.line((x + sign * 4 * s, hip, x + sign * 5 * s + bend, knee, foot, feet), fill=TROUSERS, width=round(7 * s))
        pen.rectangle((foot - 4 * s, feet - 3, foot + 4 * s, feet + 1), fill=DARK)
    pen.rounded_rectangle((x - 10 * s, shoulder, x + 10 * s, hip + 3 * s), radius=4, fill=shirt)
    head = (x - 9 * s, top, x + 9 * s, top + 22 * s)
    pen.ellipse(head, fill=SKIN)
    pen.chord((head[0], head[1] - 1, head[2], head[3] - 1), 180, 360, fill=HAIR)
    eye = x + pose.facing * 4 * s
    pen.rectangle((eye - 1, top + 12 * s, eye, top + 13 * s), fill=DARK)
    for side in (1, 0):
        sign = pose.facing if side == 0 else -pose.facing
        hand_x, hand_y = pose.hand(side)
        pen.line(
            (x + sign * 9 * s, shoulder + 4 * s, hand_x + MARGIN, hand_y + MARGIN), fill=_shade_down(shirt), width=6
        )
    _draw_hands(pen, pose)


def _draw_hands(pen: ImageDraw.ImageDraw, pose: Pose) -> None:
    for side in (0, 1):
        x, y = pose.hand(side)
        pen.ellipse((MARGIN + x - 4, MARGIN + y - 4, MARGIN + x + 3, MARGIN + y + 3), fill=SKIN)


def _shade_down(colour: Colour) -> Colour:
    r, g, b = (round(value * 0.85) for value in colour)
    return r, g, b
