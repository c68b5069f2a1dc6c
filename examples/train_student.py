"""Train a student in two stages on a small playroom run, and print its losses.

    python examples/train_student.py runs/two_stages

The first stage trains the projector on labels alone; the second trains projector and language model on chains of
thought too. Sizes are tiny, so that all of it takes less than a minute on one core.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

from aotd.commands.run import run_verb
from aotd.config.compose import compose
from aotd.distill import ArmConfig, DistillConfig, StageConfig
from aotd.store.run import Run
from aotd.students import StudentConfig, ValleySettings

SIZES = ValleySettings(image=16, channels=16, patches=1, hidden=32, layers=1, heads=2, vocabulary=500)
ARM = ArmConfig(
    stages=[
        StageConfig(trainable=["projector"], rationales=False, learning_rate=1e-2, max_steps=6),
        StageConfig(trainable=["projector", "lm"], epochs=1),
    ]
)


def main(folder: str) -> None:
    # Everything until the training: videos are drawn, and programs, traces and thoughts need no model.
    config = compose(
        [
            "experiment=demo",
            f"run={folder}",
            f"dataset.root={folder}/videos",
            f"cache.folder={folder}/cache",
            "dataset.playroom.train_videos=8",
            "dataset.playroom.val_videos=0",
            "dataset.playroom.test_videos=4",
            "specialists.frames=8",
        ]
    )
    distill = DistillConfig(arms={"two_stages": ARM}, max_tokens_per_batch=1024, workers=1)
    config = replace(config, distill=distill, student=StudentConfig(frames=4, valley=SIZES))
    for verb in ("load", "decompose", "execute", "convert", "verify", "distill"):
        run_verb(verb, config)
    run = Run(Path(folder))
    for line in (run.folder / "distill/two_stages/losses.jsonl").read_text().splitlines():
        step = json.loads(line)
        print(f"stage {step['stage']} step {step['step']}: {step['label']:.2f} + {step['rationale']:.2f}")
    print(f"the student is in {run.student('two_stages')}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "runs/two_stages")
