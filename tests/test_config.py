"""Every experiment that ships is a whole set of settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from aotd.config import compose, shipped
from aotd.datasets.base import READERS
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


def test_the_papers_mixture() -> None:
    config = compose(["experiment=paper_mixture"])
    assert config.distill.learning_rate == compose(["experiment=paper"]).distill.learning_rate
    parts = {Path(part.run).name: part for part in config.distill.mixture}
    assert set(parts) <= {name.value for name in READERS}
    assert sum(part.questions for part in parts.values()) == 158_600
    assert [name for name, part in parts.items() if not part.thoughts] == ["clevrer", "egoqa"]


def test_replication_compares_what_it_trains() -> None:
    config = compose(["experiment=replication"])
    assert len(config.distill.seeds) >= 3
    assert set(config.distill.arms) < set(config.evaluate.arms)
    assert config.evaluate.reference in config.distill.arms
