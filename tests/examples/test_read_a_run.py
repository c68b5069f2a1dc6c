"""`examples/read_a_run.py` reads a run into tables."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from aotd.records import Cost
from aotd.store.run import Run
from tests.sample_run import question, sample_run, trace

EXAMPLE = Path(__file__).parents[2] / "examples" / "read_a_run.py"

pytest.importorskip("pandas")


def test_run_is_read_into_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = runpy.run_path(str(EXAMPLE))
    run = Run(sample_run(tmp_path))
    with run.traces.open({"settings": "of a test"}) as out:
        out.write(trace("new"), Cost(question_id="new", seconds=1.5))
    with run.questions.open({"settings": "of a test"}) as out:
        out.write(question("new"))
    with run.programs.open({"settings": "of a test"}) as out:
        out.write(run.programs.records()[0].model_copy(update={"question_id": "new"}))
    table = example["questions"](run)
    assert dict(table["place"].value_counts())["kept"] == 2
    assert table.loc["b", "reason"] == "line 3: unknown name Fnd"
    calls = example["tool_calls"](run)
    assert len(calls) == sum(len(one.events) for one in run.traces.stream())
    assert list(example["costs"](run)["seconds"]) == [1.5]
    example["main"](str(tmp_path), "a")
    printed = capsys.readouterr().out
    thought = run.thoughts.find("a")
    assert thought is not None
    assert thought.text in printed
    assert "kept" in printed


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "usage: python examples/read_a_run.py RUN"),
        (["a", "b", "c"], "usage: python examples/read_a_run.py RUN"),
        (["nowhere"], "run=nowhere is not there: begin with `aotd load run=nowhere …`"),
        (["RUN", "none"], "has no question 'none'"),
    ],
)
def test_wrong_arguments_are_one_line(
    words: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample_run(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE), *(str(tmp_path) if word == "RUN" else word for word in words)])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(EXAMPLE), run_name="__main__")
    assert says in str(caught.value.code)
    assert "\n" not in str(caught.value.code)
