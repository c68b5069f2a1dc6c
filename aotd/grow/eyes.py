"""Stage eyes: the frame encoder learns where the centers of things are, their boxes and states, and what is done.

A step sees single frames of many scenes. Whole videos teach it nothing: their frames are too much alike. Middles and
boxes are learned first, and what is done counts a little more at each of the first steps, since the net looks for it
where the center heatmaps point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from aotd.datasets.playroom.labels import PHASES, THING_NAMES, SceneLabels
from aotd.datasets.playroom.things import PLAYROOM_VERBS, WIDTH
from aotd.grow import EncoderSizes
from aotd.grow.scenes import SceneSource, draw_parts, parts_of
from aotd.grow.window import Window
from aotd.students.valley.grown_encoder import (
    ACTOR,
    BOX_SCALE,
    CELL,
    PERSON,
    TARGET,
    EncoderOutputs,
    GrownEncoder,
    GrownSettings,
    channels_last,
    with_changes,
)
from aotd.video.clip import Pixels

SCENES, FIRST = 600, 100
"""Scenes that a step draws frames from, once it can, and at the first step."""
NEW_PER_STEP = 4
_WARM_STEPS = 300
"""Steps until what is done counts as much as where things are."""
_NEAR = 1.5
"""How fast a cell's wanted likelihood of a center falls off beside it, per square of a cell's side."""


def new_encoder(sizes: EncoderSizes, seed: int) -> GrownEncoder:
    """Make an encoder with random weights."""
    torch.manual_seed(seed)
    settings = GrownSettings(
        width=sizes.width,
        height=sizes.height,
        video_width=WIDTH,
        cells=sizes.cells,
        blocks=sizes.blocks,
        things=THING_NAMES,
        verbs=tuple((verb.past, verb.doing, verb.plain) for verb in PLAYROOM_VERBS.values()),
        phases=PHASES,
    )
    return channels_last(GrownEncoder(settings))


@dataclass(frozen=True)
class FrameTargets:
    """What is true of N frames. G × H cells, K center heatmaps as the encoder has them."""

    centers: Tensor
    """1 in a center's cell, less around it, `[N, K, G, H]`."""
    edges: Tensor
    """How far the edges are from the middle of its cell, of things, then of people, `[N, 8, G, H]`."""
    has_box: Tensor
    """Where `edges` says something, `[N, 2, G, H]`."""
    states: Tensor
    """Open, and held, `[N, 2, G, H]`."""
    done: Tensor
    """Verb, phase, and thing acted on (-1 for none), `[N, 3]`."""


@dataclass(frozen=True)
class DrawnPart:
    """A part of a scene, drawn."""

    frames: Pixels
    """RGB, `[F, height, width, 3]`, shrunk."""
    labels: SceneLabels


def draw_scene(source: SceneSource, number: int) -> DrawnPart:
    """Draw one part of a scene; what `Window` calls."""
    parts = parts_of(source, number, 1)
    return DrawnPart(draw_parts(source, parts)[0], parts[0].labels)


def frames_of_step(
    encoder: GrownEncoder, window: Window[DrawnPart], batch: int, seed: int, *, actions: bool
) -> Callable[[int], dict[str, Tensor]]:
    """Return what gives the losses of a step.

    Args:
        actions: whether the encoder is told what is done, by whom and with what.
    """

    def losses(step: int) -> dict[str, Tensor]:
        rng = Random(f"{seed}/eyes/{step}")  # noqa: S311
        scenes = list(window.at(step))
        parts = rng.sample(scenes, batch) if len(scenes) >= batch else rng.choices(scenes, k=batch)
        pictures, targets = [], []
        for part in parts:
            frame = rng.randrange(len(part.frames))
            last = len(part.frames) - 1
            beside = part.frames[[max(frame - 1, 0), frame, min(frame + 1, last)]]
            pictures.append(with_changes(torch.from_numpy(beside))[1])
            targets.append(targets_of(part.labels, frame, encoder.settings, actions=actions))
        true = FrameTargets(*(torch.from_numpy(np.stack(values)) for values in zip(*targets, strict=True)))
        outputs = encoder.detect(torch.stack(pictures).to(memory_format=torch.channels_last))
        return encoder_losses(outputs, true, min(1.0, step / _WARM_STEPS) if actions else None)

    return losses


def targets_of(
    labels: SceneLabels, frame: int, settings: GrownSettings, *, actions: bool = True
) -> tuple[NDArray[np.float32], ...]:
    """The targets of one frame, in the order of `FrameTargets`.

    Args:
        actions: whether who acts and what is acted on is marked.
    """
    rows, columns = settings.height // CELL, settings.width // CELL
    centers = np.zeros((TARGET + 1 + len(settings.things), rows, columns), np.float32)
    edges = np.zeros((2, 4, rows, columns), np.float32)
    has_box = np.zeros((2, rows, columns), np.float32)
    states = np.zeros((2, rows, columns), np.float32)
    scale = settings.width / settings.video_width

    def mark(which: int, maps: tuple[int, ...], box: NDArray[np.float32]) -> tuple[int, int]:
        x1, y1, x2, y2 = box * scale
        x, y = (x1 + x2) / 2, (y1 + y2) / 2
        column, row = min(int(x // CELL), columns - 1), min(int(y // CELL), rows - 1)
        for near_row in range(max(row - 1, 0), min(row + 2, rows)):
            for near in range(max(column - 1, 0), min(column + 2, columns)):
                away = ((near + 0.5) * CELL - x) ** 2 + ((near_row + 0.5) * CELL - y) ** 2
                value = 1.0 if (near, near_row) == (column, row) else float(np.exp(-_NEAR * away / CELL**2))
                for number in maps:
                    centers[number, near_row, near] = max(centers[number, near_row, near], value)
        center_x, center_y = (column + 0.5) * CELL, (row + 0.5) * CELL
        edges[which, :, row, column] = center_x - x1, center_y - y1, x2 - center_x, y2 - center_y
        has_box[which, row, column] = 1
        return row, column

    for item, kind in enumerate(labels.kinds):
        if not np.isnan(box := labels.things[frame, item]).any():
            maps = (TARGET + 1 + int(kind), *((TARGET,) if actions and labels.target[frame] == item else ()))
            row, column = mark(0, maps, box)
            states[:, row, column] = labels.is_open[frame, item], labels.is_held[frame, item]
    for person, box in enumerate(labels.people[frame]):
        if not np.isnan(box).any():
            mark(1, (PERSON, *((ACTOR,) if actions and labels.actor[frame] == person else ())), box)
    target = labels.target[frame]
    done = np.array([labels.verb[frame], labels.phase[frame], labels.kinds[target] if target >= 0 else -1])
    return centers, edges.reshape(8, rows, columns), has_box, states, done


def encoder_losses(outputs: EncoderOutputs, true: FrameTargets, share: float | None) -> dict[str, Tensor]:
    """The losses of what was found.

    Args:
        share: how much what is done counts beside where things are; None: it is not told.
    """
    logits = outputs.centers
    likely, wanted = torch.sigmoid(logits).detach(), (true.centers == 1).float()
    # Hard cells count, and cells beside a center hardly do (focal loss of CenterNet).
    weight = wanted * (1 - likely) ** 2 + (1 - wanted) * (1 - true.centers) ** 4 * likely**2
    centers = (functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none") * weight).sum()
    has_box = true.has_box.repeat_interleave(4, 1)
    far = ((outputs.edges - true.edges / BOX_SCALE).abs() * has_box).sum()
    thing = true.has_box[:, :1]
    states = functional.binary_cross_entropy_with_logits(outputs.states, true.states, reduction="none") * thing
    losses = {
        "centers": centers / wanted.sum().clamp(min=1),
        "boxes": far / true.has_box.sum().clamp(min=1),
        "states": states.sum() / thing.sum().clamp(min=1),
    }
    if share is None:
        return losses
    verb, phase, acted = true.done.long().unbind(1)
    busy = acted >= 0
    losses["verb"] = share * functional.cross_entropy(outputs.verb, verb)
    losses["phase"] = share * functional.cross_entropy(outputs.phase, phase)
    if busy.any():
        losses["thing"] = share * functional.cross_entropy(outputs.thing[busy], acted[busy])
    return losses
