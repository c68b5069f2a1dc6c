"""Numbers that no setting can have are refused before anything is done."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import pytest

from aotd.cli.main import main
from aotd.config.compose import compose
from aotd.config.errors import setting_names
from aotd.config.ranges import ABOVE_ZERO, ONE_OR_MORE, UP_TO_ONE, out_of_range
from aotd.config.tree import Config
from aotd.errors import UserError


def numbers(part: Any, at: str = "") -> list[str]:
    """Names of the settings below a part whose default is a number."""
    found = []
    for item in fields(part):
        value, name = getattr(part, item.name), f"{at}{item.name}"
        if is_dataclass(value):
            found += numbers(value, f"{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found.append(name)
    return found


NUMBERS = numbers(Config())


def test_no_number_is_below_zero_and_every_default_is_in_range() -> None:
    assert len(NUMBERS) > 60
    assert all(out_of_range(name, -1) for name in NUMBERS)
    assert all(out_of_range(name, -1e-9) for name in NUMBERS)
    compose([])


@pytest.mark.parametrize("name", sorted({*ONE_OR_MORE, *ABOVE_ZERO, *UP_TO_ONE}))
def test_names_are_those_of_settings(name: str) -> None:
    assert [one for one in setting_names(Config) if f".{one}".endswith(f".{name}")]


@pytest.mark.parametrize(
    ("setting", "number", "must"),
    [
        ("execute.limits.seconds", -1, "must be more than 0"),
        ("execute.limits.seconds", 0, "must be more than 0"),
        ("execute.limits.seconds", 0.01, ""),
        ("execute.limits.memory_mb", 0, "must be 1 or more"),
        ("execute.limits.calls", -1, "must be 0 or more"),
        ("execute.limits.calls", 0, ""),
        ("decompose.llm.batch", 0, "must be 1 or more"),
        ("evaluate.judge.llm.timeout_s", 0, "must be more than 0"),
        ("convert.llm.gpu_memory_utilization", 1.5, "must be 1 or less"),
        ("distill.warmup_ratio", 1.01, "must be 1 or less"),
        ("distill.max_tokens", 0, ""),
        ("report.frames", 0, ""),
        ("distill.arms.a.stages.epochs", -1, "must be 0 or more"),
        ("distill.seeds", -1, "must be 0 or more"),
    ],
)
def test_out_of_range(setting: str, number: float, must: str) -> None:
    assert out_of_range(setting, number) == must


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("execute.limits.seconds=-3", "execute.limits.seconds=-3.0 must be more than 0"),
        ("distill.seeds=[0,-2]", "distill.seeds=-2 must be 0 or more"),
        ("select.detection=[{name: owlv2, batch: 0}]", "select.detection.batch=0 must be 1 or more"),
        ("llm.thinking_tokens=-1", "llm.thinking_tokens=-1 must be 0 or more"),
        (
            "specialists.answering.thinking_tokens=-1",
            "specialists.answering.thinking_tokens=-1 must be 0 or more",
        ),
        ("decompose.llm.retries=-1", "decompose.llm.retries=-1 must be 0 or more"),
    ],
)
def test_number_out_of_range_is_one_line(word: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        compose([word])
    assert str(caught.value) == f"settings: {says}"


def test_number_out_of_range_ends_a_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["execute", "execute.limits.calls=-1"]) == 2
    assert capsys.readouterr().err == "aotd: settings: execute.limits.calls=-1 must be 0 or more\n"
