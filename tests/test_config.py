"""Every experiment that ships is a whole set of settings."""

from __future__ import annotations

import pytest

from aotd.config import compose, shipped
from aotd.students import StudentName

EXPERIMENTS = sorted(path.stem for path in (shipped("configs") / "experiment").glob("*.yaml"))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_each_experiment_composes(name: str) -> None:
    assert compose([f"experiment={name}"]).verbs


def test_the_papers_recipe() -> None:
    config = compose(["experiment=paper"])
    assert config.student.name is StudentName.llava_next_video
    assert config.student.frames == config.specialists.frames == 32
    recipe = config.distill
    assert (recipe.learning_rate, recipe.warmup_ratio, recipe.batch, recipe.epochs) == (4e-5, 0.03, 48, 1)
    assert recipe.rationale_weight == 1
    assert recipe.bf16


def test_replication_compares_what_it_trains() -> None:
    config = compose(["experiment=replication"])
    assert len(config.distill.seeds) >= 3
    assert set(config.distill.arms) < set(config.evaluate.arms)
    assert config.evaluate.reference in config.distill.arms
