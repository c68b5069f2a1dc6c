"""Valley's temporal modules on a student that sees: v1, v2 and v3, with and without tokens of single frames.

    python -m benchmarks.temporal                        three seeds each: some 90 CPU minutes
    python -m benchmarks.temporal --seeds 1 --steps 50   to try it

Each cell is a student with the frozen encoder of another. Its projector, temporal module and language model begin from
random weights and learn stage `speak` of `aotd grow`, shorter than a student that is kept. All cells learn from the
same scenes and are measured on others, as `benchmarks.seeing` does: what is done in a frame within an action, when an
action is done, and where things are. Differences are from v1 with frame tokens, paired by scene and seed; whole scenes
are drawn.

Rows are printed as they are done. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from aotd.datasets.playroom import Difficulty
from aotd.grow import GrowConfig, GrowthStage, GrowthStageName
from aotd.grow.encoders import save_encoder
from aotd.grow.job import TEXT_SCENES
from aotd.grow.scenes import SceneSource
from aotd.grow.speak import lesson_texts, see_scene, start_worker, videos_of_step
from aotd.grow.training import StageSchedule, train
from aotd.grow.window import Window
from aotd.runtime.pools import worker_pool
from aotd.scoring.intervals import estimate
from aotd.students import StudentConfig, TemporalKind, ValleySettings
from aotd.students.packaged import student_folder
from aotd.students.registry import load_student
from aotd.students.valley.grown_encoder import GrownEncoder
from aotd.students.valley.student import new_valley
from benchmarks.seeing import FRAMES, Told, seen, told_of

CELLS = [(kind, tokens) for tokens in (True, False) for kind in TemporalKind]
KINDS = ("action", "span", "box")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--student", default="packaged:valley_grown", help="whose encoder they have")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=6, help="videos of a step")
    parser.add_argument("--learned", type=int, default=600, help="scenes that all cells learn from")
    parser.add_argument("--scenes", type=int, default=60, help="scenes that they are measured on")
    parser.add_argument("--seed", type=int, default=7, help="of those scenes")
    given = parser.parse_args()
    torch.set_num_threads(1)
    student = load_student(student_folder(given.student), StudentConfig())
    encoder = student.model.encoder
    assert isinstance(encoder, GrownEncoder), "not a grown student"
    settings, grow = encoder.settings, GrowConfig()
    source = SceneSource(grow.scenes, Difficulty.standard, FRAMES, (settings.width, settings.height))
    stage = GrowthStage(GrowthStageName.speak, given.steps, given.batch)
    schedule = StageSchedule(stage.steps, stage.learning_rate, save_steps=stage.steps)
    texts = lesson_texts(source, TEXT_SCENES)
    told: dict[tuple[TemporalKind, bool], list[Told]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        save_encoder(encoder, folder / "eyes")
        scenes = list(seen(student, given.seed, given.scenes, folder))
        with worker_pool(1, start_worker, folder / "eyes") as pool:
            window = Window(partial(see_scene, source), pool, first=given.learned, per_step=0, size=given.learned)
            for seed in range(given.seeds):
                for kind, tokens in CELLS:
                    started = time.process_time()
                    sizes = ValleySettings(hidden=192, layers=4, heads=6, temporal=kind, frame_tokens=tokens)
                    config = replace(StudentConfig(frames=FRAMES), valley=sizes)
                    cell = new_valley(config, FRAMES, texts, seed, encoder)
                    cell.trainable_model()
                    name = f"{kind.value}{'' if tokens else ', no frame tokens'}, seed {seed}"
                    (folder / name).mkdir()
                    train(name, cell.model, schedule, videos_of_step(cell, window, stage, seed), folder / name)
                    found = told_of(cell, scenes)
                    told[kind, tokens].append(found)
                    means = " ".join(f"{one} {np.mean([own for _, own, _ in found[one]]):.3f}" for one in KINDS)
                    print(f"{name}: {means} ({(time.process_time() - started) / 60:.1f} CPU min)", flush=True)
    print(json.dumps([row(kind, tokens, told) for kind, tokens in CELLS]))
    return 0


def row(kind: TemporalKind, tokens: bool, told: dict[tuple[TemporalKind, bool], list[Told]]) -> dict[str, object]:
    """One cell: means over seeds, with the other video's, and differences from v1 with frame tokens."""
    made: dict[str, object] = {"temporal": kind.value, "frame_tokens": tokens}
    for one in KINDS:
        own = np.array([[value for _, value, _ in found[one]] for found in told[kind, tokens]])
        base = np.array([[value for _, value, _ in found[one]] for found in told[TemporalKind.v1, True]])
        other = [value for found in told[kind, tokens] for _, _, value in found[one]]
        videos = [number for number, _, _ in told[kind, tokens][0][one]]
        score = estimate(own.mean(0), 2000, 0, videos)
        less = estimate((own - base).mean(0), 2000, 0, videos, difference=True)
        assert score is not None
        assert less is not None
        made[one] = [round(value, 3) for value in (score.mean, score.low, score.high)]
        made[f"{one}_seeds"] = [round(float(value), 3) for value in own.mean(1)]
        made[f"{one}_other_video"] = round(float(np.mean(other)), 3)
        made[f"{one}_less_v1"] = [round(value, 3) for value in (less.mean, less.low, less.high)]
    return made


if __name__ == "__main__":
    sys.exit(main())
