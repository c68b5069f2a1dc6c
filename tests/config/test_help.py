"""Every config file says what it is, and help passes it on."""

from __future__ import annotations

from pathlib import Path

import pytest

from aotd.cli.main import main
from aotd.config.help import groups, sentence
from aotd.store.shipped import group_names, shipped

CONFIGS = shipped("configs")
FILES = sorted(path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob("*.yaml"))


@pytest.mark.parametrize("name", FILES)
def test_config_file_begins_with_sentence(name: str) -> None:
    said = sentence((CONFIGS / name).read_text(encoding="utf-8"))
    assert said.endswith(".")
    assert len(said.split()) > 1
    assert len(said) <= 118


def test_sentence_skips_hydra_header() -> None:
    assert sentence("# @package _global_\n# This one.\n# Not this.\nrun: x\n") == "This one."
    assert sentence("run: x\n# Not this.\n") == ""


def test_groups_are_config_folders() -> None:
    assert list(groups()) == group_names()
    assert group_names() == [
        *("dataset", "experiment", "llm", "specialists", "specialists/action", "specialists/answering"),
        *("specialists/detection", "specialists/grounding", "student"),
    ]
    assert groups()["llm"]["none"] == "No language model."


@pytest.mark.parametrize(
    ("verb", "named", "not_named"),
    [
        ("load", {"dataset", "experiment"}, {"student", "llm"}),
        ("execute", {"specialists", "specialists/detection", "experiment"}, {"student", "dataset"}),
        ("convert", {"llm"}, {"student"}),
        ("distill", {"student"}, {"llm"}),
        ("run", set(group_names()), set[str]()),
        ("report", {"experiment"}, {"llm"}),
    ],
)
def test_help_lists_groups_and_choices(
    capsys: pytest.CaptureFixture[str], verb: str, named: set[str], not_named: set[str]
) -> None:
    assert main([verb, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {f"  {group}" for group in named} <= set(lines)
    assert not {f"  {group}" for group in not_named} & set(lines)
    known = groups()
    for group in named:
        for choice, said in known[group].items():
            assert any(line.split() == [choice, *said.split()] for line in lines)
    assert len(lines) <= 135, "help is longer than two screens"


def test_sentence_may_be_missing(tmp_path: Path) -> None:
    (tmp_path / "llm").mkdir()
    (tmp_path / "llm" / "mine.yaml").write_text("engine: openai\n")
    assert main(["decompose", f"configs={tmp_path}", "llm=mine", "--cfg", "job"]) == 0


def test_help_shows_composed_defaults_and_inherited_meanings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--help"]) == 0
    assert "evaluate.arms=['blind', 'agent', 'instruct'" in capsys.readouterr().out
    assert main(["execute", "--help"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if "specialists.detection.model=" in line)
    assert len(line.split()) > 3


def test_help_shows_lists_of_settings_as_they_can_be_typed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grow", "--help"]) == 0
    assert "grow.stages=[{name: eyes, steps: 2400, batch: 96, learning_rate: 0.002}, {" in capsys.readouterr().out


def test_every_verbs_config_file_is_among_the_defaults() -> None:
    text = (shipped("configs") / "run.yaml").read_text(encoding="utf-8")
    files = [path.stem for path in shipped("configs").glob("*.yaml") if path.stem != "run"]
    assert files
    assert all(f"  - {name}@{name}\n" in text for name in files)


@pytest.mark.parametrize(
    ("verb", "named", "not_named"),
    [
        ("load", ["run=", "seed=", "tracking.tracker=", "load.", "dataset."], ["cache.", "llm."]),
        ("execute", ["cache.folder=", "cache.gb=", "tracking.mode=", "execute.limits.seconds="], ["seed="]),
        ("distill", ["seed=", "tracking.project="], ["cache."]),
        ("evaluate", ["seed=", "cache.folder=", "tracking.tracker="], []),
        ("run", ["seed=", "cache.gb=", "tracking.tracker="], []),
        ("ask", ["ask.question=", "cache.folder="], []),
        ("export", ["export."], ["cache.", "tracking.", "seed="]),
    ],
)
def test_help_lists_what_the_verb_heeds(
    verb: str, named: list[str], not_named: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, "--help"]) == 0
    words = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert all(any(word.startswith(name) for word in words) for name in named)
    assert not any(word.startswith(name) for word in words for name in not_named)
