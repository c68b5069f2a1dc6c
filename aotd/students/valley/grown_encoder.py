"""The frame encoder that `aotd grow` trains: it names what it sees.

A convolutional net over shrunk frames, each with its changes since the frame before and until the one after. What it
gives of a frame as a whole: how likely each verb, phase of an action and thing acted on is, what is held and open, and
the boxes of who acts and of what is acted on. Where a ViT has patches, it has object queries, as DETR has: one for each
kind of thing, and one for people. A query tells whether there is one, how many, and the box and state of the one that
is seen best.

It is trained on playroom's own states and frozen afterwards. It stands for the CLIP of Valley, whose pictures no one
has of playroom.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from aotd.students.valley.encoded import Encoded, FrameEncoder
from aotd.video.clip import Pixels

CELL = 8
"""Pixels of a shrunk frame from one cell to the next."""
PERSON, ACTOR, TARGET = 0, 1, 2
"""Center heatmaps before those of the things: of people, of who acts, of what is acted on."""
BOX_SCALE = 16.0
"""Pixels of a shrunk frame that the net calls 1 when it tells how far the edges of a box are."""
_WAVES = 4.0 * 1.35 ** torch.arange(2, 20)
"""Lengths of the waves that a coordinate is told in, in pixels of the video: some of those that numbers begin with."""
_BOX_WAVES = 4 * 2 * len(_WAVES)
MOST_COUNTED = 6
"""Things of a kind that are told apart from one less; more are told as so many."""
_SEEN = 0.3
"""How likely a peak has to be to count as a thing."""


class GrownSettings(BaseModel):
    """What a `GrownEncoder` is made from; a saved student says it."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["grown"] = "grown"
    width: Annotated[int, Field(ge=16, le=1024, multiple_of=16)]
    """Of the shrunk frame, in pixels."""
    height: Annotated[int, Field(ge=16, le=1024, multiple_of=16)]
    video_width: Annotated[int, Field(ge=16, le=1 << 14)]
    """Of the videos it was grown on, in pixels: boxes are in them."""
    cells: Annotated[int, Field(ge=8, le=4096)]
    """Channels of the net."""
    blocks: Annotated[int, Field(ge=1, le=64)]
    things: Annotated[tuple[str, ...], Field(min_length=1, max_length=4096)]
    """Names of what it tells apart."""
    verbs: Annotated[tuple[tuple[str, ...], ...], Field(min_length=1, max_length=4096)]
    """The words of each verb: took, taking, take."""
    phases: Annotated[tuple[str, ...], Field(min_length=2, max_length=64)]
    """Of an action; the first is that there is none."""


@dataclass(frozen=True)
class EncoderOutputs:
    """What the net finds in N frames, before it is put into features. G × H cells, K = 3 + things."""

    centers: Tensor
    """Logits of a center being there, `[N, K, G, H]`."""
    edges: Tensor
    """How far the four edges (left, up, right, down) are from a cell's center: of things, of people, `[N, 8, G, H]`."""
    states: Tensor
    """Logits of what has its center there being open, and held, `[N, 2, G, H]`."""
    verb: Tensor
    """Logits, `[N, 1 + verbs]`; the first is none."""
    phase: Tensor
    """Logits, `[N, phases]`."""
    thing: Tensor
    """Logits of what is acted on, `[N, things]`."""


class _Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.GroupNorm(1, channels),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 1),
        )

    def forward(self, cells: Tensor) -> Tensor:
        changed: Tensor = self.layers(cells)
        return cells + changed


class GrownEncoder(FrameEncoder):
    """See the module. Its features are kept short; `unpack` tells boxes in waves, as a linear layer can read them."""

    def __init__(self, settings: GrownSettings) -> None:
        super().__init__()
        self.settings = settings
        channels, things = settings.cells, len(settings.things)
        rows, columns = settings.height // CELL, settings.width // CELL
        self.places = things + 1
        self.named = 1 + len(settings.verbs) + len(settings.phases) + 3 * things
        """Channels with a name: of verbs, phases, things acted on, held, open."""
        self.channels = self.named + 2 + 2 * _BOX_WAVES + 2 + 1 + MOST_COUNTED + 1
        self.stem = nn.Sequential(
            nn.Conv2d(9, channels // 2, 4, stride=4),
            nn.ReLU(),
            nn.Conv2d(channels // 2, channels, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        for layer in (self.stem[0], self.stem[2]):
            nn.init.kaiming_normal_(layer.weight)  # type: ignore[arg-type]
        self.position = nn.Parameter(torch.zeros(1, channels, rows, columns))
        self.blocks = nn.Sequential(*(_Block(channels) for _ in range(settings.blocks)))
        self.norm = nn.GroupNorm(1, channels)
        self.centers = nn.Conv2d(channels, 3 + things, 1)
        nn.init.normal_(self.centers.weight, std=0.02)
        nn.init.constant_(self.centers.bias, -4.0)  # type: ignore[arg-type]  # nearly everywhere there is no center
        self.edges, self.states = nn.Conv2d(channels, 8, 1), nn.Conv2d(channels, 2, 1)
        pooled = 128
        self.pooled = nn.Conv2d(channels, pooled, 1)
        self.frame = nn.Sequential(
            nn.Linear(4 * pooled + 2 * (3 + things) + things, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU()
        )
        self.verb = nn.Linear(256, 1 + len(settings.verbs))
        self.phase, self.thing = nn.Linear(256, len(settings.phases)), nn.Linear(256, things)

    def detect(self, pictures: Tensor) -> EncoderOutputs:
        """Find what there is.

        Args:
            pictures: as `with_changes` gives them, `[N, 9, height, width]`.
        """
        cells = self.norm(self.blocks(self.stem(pictures) + self.position))
        centers = self.centers(cells)
        found = centers.flatten(2).float()
        # Where the maps say that somebody acts and something is acted on, the net looks closer.
        where = torch.softmax(1.5 * found[:, [ACTOR, TARGET]], -1).detach()
        looked = nn.functional.relu(self.pooled(cells)).flatten(2)
        closer = (where.to(looked.dtype) @ looked.transpose(1, 2)).flatten(1)
        likely = torch.sigmoid(found)
        at_target = (likely[:, TARGET + 1 :] * where[:, 1:]).sum(-1)
        whole = [closer, looked.mean(-1), looked.amax(-1), likely.amax(-1), likely.sum(-1) / 4, at_target]
        frame = self.frame(torch.cat([part.to(looked.dtype) for part in whole], -1))
        return EncoderOutputs(
            centers, self.edges(cells), self.states(cells), self.verb(frame), self.phase(frame), self.thing(frame)
        )

    def forward(self, frames: Pixels) -> Encoded:
        """Encode the frames of a video, which stand in their order: each is seen beside its neighbours.

        Returns:
            What is kept: `whole` `[T, 1 + verbs + phases + 3 × things + 10]`; `places`, the object queries,
            `[T, things + 1, 8]`: how likely there is one, how many there are, open, held, box.
        """
        return self.encode_shrunk(shrink(frames, self.settings.width, self.settings.height))

    def encode_shrunk(self, frames: Pixels) -> Encoded:
        """As `forward`, of frames that are shrunk already."""
        outputs = self.detect(with_changes(torch.from_numpy(frames)).to(self.position))
        likely, states = torch.sigmoid(outputs.centers.float()), torch.sigmoid(outputs.states.float())
        peaks = likely * (nn.functional.max_pool2d(likely, 3, 1, 1) == likely)
        boxes = self.boxes(outputs)
        frame = torch.arange(len(likely), device=likely.device)
        things = peaks[:, TARGET + 1 :]
        parts = [logits.float().softmax(-1) for logits in (outputs.verb, outputs.phase, outputs.thing)]
        parts += [(things * states[:, state : state + 1]).flatten(2).amax(-1) for state in (1, 0)]
        busy = []
        for kind, which in ((ACTOR, 1), (TARGET, 0)):
            best = likely[:, kind].flatten(1).max(1)
            parts.append(best.values[:, None])
            busy.append(boxes[:, which].flatten(2)[frame, :, best.indices])
        whole = torch.cat([*parts, *busy], 1)
        asked = torch.cat([things, peaks[:, PERSON : PERSON + 1]], 1).flatten(2)
        there, cell = asked.max(-1)
        count = (asked > _SEEN).sum(-1)
        told = torch.cat([states, boxes[:, 0], boxes[:, 1]], 1).flatten(2).transpose(1, 2)
        told = told.gather(1, cell[..., None].expand(-1, -1, told.shape[-1]))
        box = torch.cat([told[:, :-1, 2:6], told[:, -1:, 6:]], 1)
        return Encoded(whole, torch.cat([there[..., None], count[..., None], told[..., :2], box], -1))

    def boxes(self, outputs: EncoderOutputs) -> Tensor:
        """The box that each cell tells, of a thing and of a person, in pixels of the video: `[N, 2, 4, G, H]`."""
        rows, columns = outputs.edges.shape[2:]
        device = outputs.edges.device
        y, x = torch.meshgrid(torch.arange(rows, device=device), torch.arange(columns, device=device), indexing="ij")
        middle = CELL * torch.stack([x, y]) + CELL / 2
        edges = BOX_SCALE * outputs.edges.float().reshape(-1, 2, 4, rows, columns)
        scale = self.settings.video_width / self.settings.width
        return scale * torch.cat([middle - edges[:, :, :2], middle + edges[:, :, 2:]], 2)

    def unpack(self, encoded: Encoded) -> Encoded:
        """Spread kept features out for a linear layer.

        A query has the channels of a frame's thing acted on and of its box: the same word stands for a thing, whether
        it lies there or is acted on.

        Args:
            encoded: features as `forward` gives them, with any axes before the last.
        """
        settings, named = self.settings, self.named
        whole, places = encoded.whole.float(), encoded.places.float()
        things, first = len(settings.things), 1 + len(settings.verbs) + len(settings.phases)
        sure, busy = whole[..., named : named + 2], whole[..., named + 2 :].reshape(*whole.shape[:-1], 2, 4)
        told = (_waves(busy) * sure[..., None]).flatten(-2)
        frames = nn.functional.pad(torch.cat([whole[..., : named + 2], told], -1), (0, 3 + MOST_COUNTED + 1))
        there, counts, states, boxes = torch.split(places, [1, 1, 2, 4], -1)
        count = torch.arange(MOST_COUNTED + 1, device=places.device)
        spread = torch.zeros(*places.shape[:-1], self.channels, device=places.device)
        spread[..., :things, first : first + things] = torch.eye(things, device=places.device)
        spread[..., things, named] = 1
        behind = named + 2 + _BOX_WAVES
        spread[..., behind : behind + _BOX_WAVES] = _waves(boxes) * there
        spread[..., behind + _BOX_WAVES :] = torch.cat(
            [states * there, there, (counts.clamp(max=MOST_COUNTED) == count).float()], -1
        )
        return Encoded(frames, spread)


def channels_last(encoder: GrownEncoder) -> GrownEncoder:
    """Lay out an encoder's weights as convolutions on a CPU are fastest, some times faster; no value changes."""
    laid_out: GrownEncoder = encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return laid_out


def _waves(pixels: Tensor) -> Tensor:
    """Tell coordinates as sines and cosines: `[…, 4]` -> `[…, 4 × 2 × lengths]`."""
    angles = 2 * math.pi * pixels[..., None] / _WAVES.to(pixels)
    return torch.cat([angles.sin(), angles.cos()], -1).flatten(-2)


def shrink(frames: Pixels, width: int, height: int) -> Pixels:
    """Shrink frames, `[T, H, W, 3]`, to a width and a height."""
    return np.stack(
        [np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BOX)) for frame in frames]
    )


def with_changes(frames: Tensor) -> Tensor:
    """Each frame, less the one before, and the one after less it: `[T, H, W, 3]` uint8 -> `[T, 9, H, W]` about ±1."""
    pictures = frames.permute(0, 3, 1, 2).float() / 128 - 1
    before, after = torch.cat([pictures[:1], pictures[:-1]]), torch.cat([pictures[1:], pictures[-1:]])
    return torch.cat([pictures, 2 * (pictures - before), 2 * (after - pictures)], 1)
