from __future__ import annotations

from pathlib import Path

import pytest

from aotd.cli import main, read_settings, run_verb
from aotd.errors import UserError
from aotd.records import Dropped, Outcome, Program, Question, Trace
from aotd.store import Stage

SIZES = [f"dataset.playroom.{split}_videos=4" for split in ("train", "val", "test")]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    assert main(["load", f"run={folder}/run", f"dataset.root={folder}/videos", *SIZES]) == 0
    return folder


def prepared(world: Path, run: Path, codes: dict[int, str] | None = None, count: int = 12) -> list[Question]:
    """A run with the world's first questions and, by number, programs of the test's own."""
    questions = Stage(world / "run", "load", Question).records()[:count]
    with Stage(run, "load", Question).open({}) as out:
        for question in questions:
            out.write(question)
    run_verb("decompose", settings(world, run))
    if codes:
        path = run / "decompose" / "records.jsonl"
        programs = Stage(run, "decompose", Program).records()
        lines = [
            program.model_copy(update={"code": codes.get(number, program.code)}).model_dump_json()
            for number, program in enumerate(programs)
        ]
        path.write_text("\n".join(lines) + "\n")
    return questions


def settings(world: Path, run: Path, *more: str):  # type: ignore[no-untyped-def]
    return read_settings("run", [f"run={run}", f"dataset.root={world}/videos", *SIZES, *more])


def test_the_number_of_workers_changes_nothing(world: Path, tmp_path: Path) -> None:
    for workers in (1, 2):
        prepared(world, tmp_path / str(workers))
        run_verb("execute", settings(world, tmp_path / str(workers), f"execute.workers={workers}"))
    one, two = (tmp_path / str(workers) / "execute" for workers in (1, 2))
    assert (one / "records.jsonl").stat().st_size > 0
    for name in ("records.jsonl", "dropped.jsonl", "manifest.json"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


def test_a_failing_program_and_a_broken_video_end_only_their_own_question(world: Path, tmp_path: Path) -> None:
    head = "def execute_command(video_clip, query, possible_answers):\n"
    questions = prepared(world, tmp_path, {0: head + "    return 1 / 0\n", 1: head + "    return None\n"}, count=4)
    broken = questions[3].model_copy(update={"video": "videos/none.mp4"})
    path = tmp_path / "load" / "records.jsonl"
    path.write_text("\n".join(question.model_dump_json() for question in [*questions[:3], broken]) + "\n")
    run_verb("execute", settings(world, tmp_path, "execute.workers=1"))
    stage = Stage(tmp_path, "execute", Trace)
    ends: dict[str, Dropped] = {record.question_id: record for record in stage.dropped()}
    assert ends[questions[0].question_id].outcome is Outcome.program_error
    assert "ZeroDivisionError" in ends[questions[0].question_id].reason
    assert ends[questions[1].question_id].outcome is Outcome.no_answer
    assert ends[questions[3].question_id].outcome is Outcome.video_unreadable
    assert len(stage.records()) + len(ends) == 4


def test_other_limits_are_refused_and_more_workers_are_not(world: Path, tmp_path: Path) -> None:
    prepared(world, tmp_path, count=2)
    run_verb("execute", settings(world, tmp_path, "execute.workers=1"))
    run_verb("execute", settings(world, tmp_path, "execute.workers=2"))
    with pytest.raises(UserError, match=r"limits\.calls: 64 -> 3"):
        run_verb("execute", settings(world, tmp_path, "execute.limits.calls=3"))
