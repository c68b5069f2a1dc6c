"""Controls for a grown student: what it would answer with perfect perception, and with none.

    python -m benchmarks.sight perfect runs/perfect --student runs/grown/grow/student dataset.root=data/world
    aotd distill run=runs/perfect …; aotd evaluate run=runs/perfect …

Writes a student's features of all videos of a playroom run, before `distill` and `evaluate` would compute them; they
then find them there. `perfect` makes them from the scenes' own state, in the form of the grown encoder's outputs, and
`none` makes them zeros. The run needs `aotd load` before, with the same settings of the dataset.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from aotd.config.compose import compose
from aotd.datasets.playroom import PlayroomConfig
from aotd.datasets.playroom.build import SPLITS, plans
from aotd.datasets.playroom.labels import SceneLabels, label_frames
from aotd.datasets.playroom.scene import PlayroomScene
from aotd.datasets.playroom.staging import play
from aotd.datasets.playroom.things import FPS
from aotd.records import Question
from aotd.store.run import Run
from aotd.students import StudentConfig
from aotd.students.features import run_features, write_features
from aotd.students.registry import load_student
from aotd.students.valley.grown_encoder import GrownEncoder
from aotd.video.clip import frame_times
from aotd.video_llms.base import VideoFeatures
from aotd.video_llms.pretrained import as_features


def perfect(labels: SceneLabels, encoder: GrownEncoder) -> VideoFeatures:
    """What the encoder would give if it made no mistake."""
    settings = encoder.settings
    count, things = len(labels.verb), len(settings.things)
    busy = labels.target >= 0
    frame = np.arange(count)
    verb = np.zeros((count, 1 + len(settings.verbs)), np.float32)
    verb[frame, labels.verb] = 1
    phase = np.zeros((count, len(settings.phases)), np.float32)
    phase[frame, labels.phase] = 1
    acted, held, opened = (np.zeros((count, things), np.float32) for _ in range(3))
    acted[frame[busy], labels.kinds[labels.target[busy]]] = 1
    for item, kind in enumerate(labels.kinds):
        held[:, kind] = np.maximum(held[:, kind], labels.is_held[:, item])
        opened[:, kind] = np.maximum(opened[:, kind], labels.is_open[:, item])
    boxes = np.zeros((count, 2, 4), np.float32)
    boxes[busy, 0] = labels.people[frame[busy], labels.actor[busy]]
    boxes[busy, 1] = labels.things[frame[busy], labels.target[busy]]
    sure = (busy[:, None] & ~np.isnan(boxes).any(-1)).astype(np.float32)
    whole = np.concatenate([verb, phase, acted, held, opened, sure, np.nan_to_num(boxes).reshape(count, 8)], 1)
    queries = np.zeros((count, things + 1, 8), np.float32)
    for row in range(count):
        kinds = [*labels.kinds, *[things] * labels.people.shape[1]]
        seen = np.concatenate([labels.things[row], labels.people[row]])
        for item, (kind, box) in enumerate(zip(kinds, seen, strict=True)):
            if np.isnan(box).any():
                continue
            query = queries[row, kind]
            query[0], query[1] = 1, query[1] + 1
            query[4:] = box
            if kind < things:
                query[2:4] = labels.is_open[row, item], labels.is_held[row, item]
    return as_features(
        places=torch.from_numpy(queries).half(), whole=torch.from_numpy(whole).half(),
        numbers=torch.arange(count), frames=torch.tensor([count]),
    )  # fmt: skip


def labels_of(question: Question, scenes: Mapping[str, PlayroomScene], frames: int) -> SceneLabels:
    scene = scenes[question.video_id]
    start_s, end_s = question.start_s or 0.0, question.end_s or len(scene.frames) / FPS
    return label_frames(scene, [int(moment * FPS) for moment in frame_times(start_s, end_s, frames)])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sight", choices=("perfect", "none"))
    parser.add_argument("run", type=Path)
    parser.add_argument("--student", type=Path, required=True)
    parser.add_argument("settings", nargs="*", help="the settings that `aotd load` was given")
    given = parser.parse_intermixed_args()
    config = compose(given.settings)
    student = load_student(given.student, StudentConfig())
    encoder = student.model.encoder
    assert isinstance(encoder, GrownEncoder), "not a grown student"
    run = Run(given.run)
    cache = run_features(run, config.specialists, config.dataset.root, student)
    world: PlayroomConfig = config.dataset.playroom
    scenes = {plan.scene: play(plan, str(world.seed)) for split in SPLITS for plan in plans(world, split)}
    made = 0
    for question in run.questions.records():
        path = given.run / "distill" / "views" / f"{cache.key(question)}.safetensors"
        if path.is_file():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        features = perfect(labels_of(question, scenes, student.specialist_frames), encoder)
        if given.sight == "none":
            features = {name: value * 0 if value.is_floating_point() else value for name, value in features.items()}
        write_features(path, features, 0.0)
        made += 1
    print(f"features of {made} parts of videos, {given.sight}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
