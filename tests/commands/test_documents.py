"""`--json`: one document, under keys that stay, and nothing else on standard output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aotd.cli.main import main
from aotd.records import Dropped, Outcome, Question
from aotd.store.stage import Stage
from tests.sample_run import evaluated, question, sample_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return evaluated(sample_run(tmp_path_factory.mktemp("documents") / "run"))


def document(capsys: pytest.CaptureFixture[str], *words: object, status: int = 0) -> dict[str, Any]:
    assert main([*map(str, words), "--json"]) == status
    printed = capsys.readouterr().out
    assert printed.isascii()
    found = json.loads(printed)
    assert isinstance(found, dict)
    return found


EVALUATION = ["arms", "contamination", "agreements", "comparisons"]


def test_show_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "show", run)
    assert list(found) == ["run", "questions", "outcomes", "verbs", "kept_by_tries", *EVALUATION]
    assert found["run"] == str(run)
    assert sum(found["outcomes"].values()) == found["questions"] == 8
    assert [verb["verb"] for verb in found["verbs"]] == ["load", "decompose", "execute", "convert", "verify"]
    for verb in found["verbs"]:
        ended = sum(one["count"] for one in verb["ended"])
        assert verb["in"] == verb["out"] + verb["pending"] + ended
    assert {"outcome", "count", "examples"} == set(found["verbs"][1]["ended"][0])
    assert {one["arm"] for one in found["arms"]} == {"blind", "instruct", "aotd"}
    choice = next(one["multiple_choice"] for one in found["arms"] if one["arm"] == "instruct")
    assert list(choice) == ["mean", "low", "high", "n"]
    assert document(capsys, "show", f"run={run}") == found


def test_show_question(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "show", run, "t")
    made = ["program", "code", "trace", "thought", "verdict"]
    assert list(found) == ["run", "place", "question", *made, "arms"]
    assert found["place"] == {"name": "kept", "verb": "verify", "outcome": "kept", "reason": ""}
    assert found["code"].startswith("def execute_command")
    assert all(found[name] for name in made)
    assert {arm["arm"]: set(arm["replies"]) for arm in found["arms"]}["aotd"] == {"answer", "rationale"}
    ended = document(capsys, "show", run, "b")
    assert ended["place"]["outcome"] == "program_invalid"
    assert [ended[name] for name in made] == [None] * 5


def test_status(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "status", run)
    assert list(found) == ["run", "shards", "verbs"]
    assert found["shards"] == 0
    assert found["verbs"][0] | {"heard_s": 0} == {
        **{"verb": "load", "shard": None, "state": "stopped", "lines": 8, "of": None, "per_second": 0.0, "heard_s": 0},
        **dict.fromkeys(("started_s", "ended_s", "host", "job", "log", "error")),
    }
    assert {verb["shard"] for verb in document(capsys, "status", run, "2")["verbs"]} == {None, 1, 2}


def test_doctor_says_what_is_missing_with_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["doctor", f"run={tmp_path}", "decompose.author=llm", f"dataset.root={tmp_path}/none", "--json"]
    assert main(words) == 2
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert list(found) == ["parts", "missing"]
    assert list(found["parts"]) == ["machine", "sandbox", "specialists", "language model", "dataset", "student", "run"]
    assert any("needs a language model" in line for line in found["missing"])
    assert said.err.count("\n") == 1
    assert f"{len(found['missing'])} of the things" in said.err


def test_evaluate_prints_what_it_evaluated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    held_out = [question(key, "test" if key in "efgt" else "train") for key in "abcdefgt"]
    run = sample_run(tmp_path / "run", held_out)
    words = ["evaluate", f"run={run}", "evaluate.resamples=10"]
    found = document(capsys, *words, "evaluate.arms=[blind]")
    assert list(found) == ["run", *EVALUATION]
    assert [one["arm"] for one in found["arms"]] == ["blind"]
    assert main([*words, "evaluate.arms=[agent]", "--json"]) == 0
    said = capsys.readouterr()
    assert [one["arm"] for one in json.loads(said.out)["arms"]] == ["agent"]
    assert "accuracy" in said.err, "the tables went nowhere"
    assert [one["arm"] for one in document(capsys, "show", run)["arms"]] == ["blind", "agent"]


def test_text_that_no_terminal_takes_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\x1b[2J 世 \u202e </script> \"'\\"
    with Stage(tmp_path, "load", Question).open({}) as out:
        out.write(question("a\n", words=hostile))
        out.write(Dropped(question_id="b", outcome=Outcome.video_unreadable, reason="世"))
    assert document(capsys, "show", tmp_path, "a\n")["question"]["question"] == hostile
    load = document(capsys, "show", tmp_path)["verbs"][0]
    assert load["ended"] == [
        {"outcome": "video_unreadable", "count": 1, "examples": [{"question_id": "b", "reason": "世"}]}
    ]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["load", "--json"], "'--json' is not a setting"),
        (["run", "--json"], "'--json' is not a setting"),
        (["evaluate", "-m", "evaluate.batch=1,2", "--json"], "--json goes with a job of `aotd evaluate`"),
        (["doctor", "--cfg", "job", "--json"], "--json goes with a job of `aotd doctor`"),
        (["show", "nowhere", "--json"], "nowhere is not a run"),
        (["show", "--json"], "show takes a run's folder"),
        (["status", ".", "--json", "--tsv"], "--tsv and --json do not go together"),
        (["evaluate", "run=nowhere", "--json"], "nowhere"),
    ],
)
def test_mistake_is_one_line_and_no_document(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    said = capsys.readouterr()
    assert says in said.err
    assert said.err.count("\n") == 1
    assert not said.out
