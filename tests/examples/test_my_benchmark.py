"""`examples/my_benchmark.py` adds a benchmark that `aotd load` reads, without an edit elsewhere."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from aotd.store.run import Run

EXAMPLE = Path(__file__).parents[2] / "examples" / "my_benchmark.py"


def load(folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    words = [f"run={folder / 'run'}", f"dataset.name={name}", f"dataset.questions={folder / 'films.json'}"]
    command = [sys.executable, str(EXAMPLE), "load", *words, f"dataset.root={folder}", "dataset.split=test"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_load_reads_a_benchmark_of_a_users_own(tmp_path: Path) -> None:
    entry = {"film": "metropolis", "ask": "Who enters?", "choices": ["a robot", "a dog"], "right": "a robot"}
    (tmp_path / "films.json").write_text(json.dumps([entry, entry | {"right": "a cat"}]))
    (tmp_path / "metropolis.mp4").touch()
    done = load(tmp_path, "films")
    assert done.returncode == 0, done.stderr
    (question,) = Run(tmp_path / "run").questions.records()
    assert (question.question_id, question.dataset, question.answer) == ("films_1", "films", "a robot")
    assert "the answer 'a cat' is none of the options" in done.stdout


def test_unknown_name_is_refused_with_near_miss(tmp_path: Path) -> None:
    done = load(tmp_path, "flims")
    assert done.returncode == 2
    assert "dataset.name: 'flims' is none of playroom, star, " in done.stderr
    assert "did you mean films?" in done.stderr
