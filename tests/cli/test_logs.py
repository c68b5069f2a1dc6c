"""What is said while a verb works goes to standard error: more of it with -v, only what goes wrong with -q."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from aotd.cli.logs import configure, take_level
from aotd.cli.main import main
from aotd.errors import UserError
from aotd.runtime.progress import bars_are_shown, progress
from tests.sample_run import sample_run

LOG = logging.getLogger("aotd.anywhere")


def said(level: int, capsys: pytest.CaptureFixture[str]) -> list[str]:
    configure(level)
    LOG.debug("why")
    LOG.info("[bold]how far[/bold] %s", "x" * 300)
    LOG.warning("what is wrong\nwith \x1b[31mit")
    captured = capsys.readouterr()
    assert not captured.out
    return captured.err.splitlines()


def test_logs_levels(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = "aotd: what is wrong\\nwith \\x1b[31mit"
    far = f"[bold]how far[/bold] {'x' * 300}"
    assert said(logging.DEBUG, capsys) == ["aotd.anywhere: why", far, wrong]
    assert said(logging.INFO, capsys) == [far, wrong]
    assert said(logging.WARNING, capsys) == [wrong]


def test_progress_is_hidden_when_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    for level, shown in ((logging.INFO, True), (logging.WARNING, False)):
        configure(level)
        assert list(progress("count", [1, 2])) == [1, 2]
        assert bars_are_shown() is shown
        assert ("count" in capsys.readouterr().err) is shown


@pytest.mark.parametrize(
    ("words", "level", "left"),
    [
        (["run=a", "-v"], logging.DEBUG, ["run=a"]),
        (["-q", "run=a"], logging.WARNING, ["run=a"]),
        (["--quiet", "-q"], logging.WARNING, []),
        (["--verbose"], logging.DEBUG, []),
        (["run=-v", "-m"], logging.INFO, ["run=-v", "-m"]),
    ],
)
def test_take_level_reads_flags_anywhere(words: list[str], level: int, left: list[str]) -> None:
    assert take_level(words) == (level, left)


def test_take_level_refuses_contradiction() -> None:
    with pytest.raises(UserError, match="do not go together"):
        take_level(["-v", "run=a", "-q"])


def test_main_takes_verbosity_flags(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = sample_run(tmp_path / "run")
    for flags, message in ((["-v"], "aotd.commands.run: report: done in"), ([], "report"), (["-q"], "")):
        capsys.readouterr()
        assert main(["report", f"run={run}", *flags]) == 0
        error = capsys.readouterr().err
        assert message in error
        assert bool(error) is bool(message)
        assert main(["show", str(run), *flags]) == 0
