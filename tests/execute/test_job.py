from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from aotd.agents.base import Turn
from aotd.agents.program.agent import ProgramAgent
from aotd.agents.program.assignment import ProgramAssignment
from aotd.agents.program.attempts import Attempt
from aotd.cli.main import main
from aotd.commands.run import run_verb
from aotd.config.command_line import read_settings
from aotd.errors import UserError
from aotd.execute import job
from aotd.execute.worker import settled
from aotd.llm.base import Reply
from aotd.records import Cost, Dropped, Outcome, Program, Question, Trace
from aotd.sandbox.process import Limits
from aotd.store.run import Run
from aotd.store.stage import Stage, StageEntry
from tests.agents.program.test_attempts import attempt, failed
from tests.video.test_launch import break_av

SIZES = [f"dataset.playroom.{split}_videos={count}" for split, count in (("train", 4), ("val", 0), ("test", 0))]


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


def test_records_do_not_depend_on_worker_count(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, workers, together in (("one", 1, 256), ("two", 2, 256), ("parts", 2, 2)):
        monkeypatch.setattr(job, "BATCH", together)  # the last hands out a video's questions in parts
        prepared(world, tmp_path / name)
        run_verb("execute", settings(world, tmp_path / name, f"execute.workers={workers}"))
    one, *others = (tmp_path / name / "execute" for name in ("one", "two", "parts"))
    assert (one / "records.jsonl").stat().st_size > 0
    for name in ("records.jsonl", "dropped.jsonl", "manifest.json"):
        assert {(other / name).read_bytes() for other in others} == {(one / name).read_bytes()}


def test_candidates_end_alike_with_any_number_of_workers(world: Path, tmp_path: Path) -> None:
    head = "def execute_command(video_clip, query, possible_answers):\n"
    for workers in (1, 2):
        run = tmp_path / str(workers)
        questions = prepared(world, run)
        path = run / "decompose" / "records.jsonl"
        programs = Stage(run, "decompose", Program).records()
        lines = [
            program.model_copy(
                update={
                    "code": head + "    return 1 / 0\n",
                    "others": (head + "    return 'none of them'\n", f"{head}    return {question.answer!r}\n"),
                }
            ).model_dump_json()
            for question, program in zip(questions, programs, strict=True)
        ]
        path.write_text("\n".join(lines) + "\n")
        run_verb("execute", settings(world, run, f"execute.workers={workers}"))
        traces = Stage(run, "execute", Trace).records()
        assert [(trace.question_id, trace.tries) for trace in traces] == [(one.question_id, 3) for one in questions]
        assert set(Stage(run, "execute", Trace).costs()) == {one.question_id for one in questions}
    one, two = (tmp_path / str(workers) / "execute" / "records.jsonl" for workers in (1, 2))
    assert one.read_bytes() == two.read_bytes()


def test_questions_stream_without_repairs(tmp_path: Path) -> None:
    read: list[str] = []

    def attempts() -> Iterator[Attempt]:
        for number in range(3):
            read.append(f"q{number}")
            yield attempt()

    def execute(todo: Iterable[Attempt]) -> Iterator[StageEntry | Turn[Attempt]]:
        cost = Cost(question_id="q", seconds=1.0)
        agent = ProgramAgent(Limits(), frozenset())
        return (settled(agent, replace(failed(one), costs=(cost,))) for one in todo)

    ends = job._ends(attempts(), execute, ProgramAssignment(Run(tmp_path), None))
    assert next(ends).dropped
    assert read == ["q0"]
    assert len(list(ends)) == 2


def test_worker_imports_neither_settings_nor_language_models() -> None:
    says = "import sys, aotd.__main__, aotd.execute.worker; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", says], capture_output=True, text=True, check=True)
    heavy = {"aotd.config.compose", "aotd.cli.main", "hydra", "omegaconf", "rich", "torch", "transformers", "aotd.llm"}
    assert not heavy & set(ran.stdout.split())


def test_failure_ends_only_its_own_question(world: Path, tmp_path: Path) -> None:
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
    assert set(stage.costs()) == {question.question_id for question in questions}


def test_changed_limits_are_refused_and_changed_workers_are_not(world: Path, tmp_path: Path) -> None:
    prepared(world, tmp_path, count=2)
    run_verb("execute", settings(world, tmp_path, "execute.workers=1"))
    run_verb("execute", settings(world, tmp_path, "execute.workers=2"))
    with pytest.raises(UserError, match=r"limits\.calls: 64 -> 3"):
        run_verb("execute", settings(world, tmp_path, "execute.limits.calls=3"))


def test_candidates_and_repairs_count_tries(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = "def execute_command(video_clip, query, possible_answers):\n"
    questions = prepared(world, tmp_path, {1: head + "    return possible_answers[99]\n"}, count=3)
    path = tmp_path / "decompose" / "records.jsonl"
    first, broken, third = Stage(tmp_path, "decompose", Program).records()
    right = [f"{head}    return {question.answer!r}\n" for question in questions]
    wrong = head + "    return 'none of them'\n"
    lines = [first.model_copy(update={"code": wrong, "others": (wrong, right[0])}), broken, third]
    path.write_text("\n".join(line.model_dump_json() for line in lines) + "\n")
    engine = Mended(right[1])
    monkeypatch.setattr("aotd.agents.program.assignment.load_engine", lambda *_: engine)
    run_verb("execute", settings(world, tmp_path, "execute.workers=2", "execute.repairs=1"))
    by_id = {trace.question_id: trace for trace in Stage(tmp_path, "execute", Trace).records()}
    assert (by_id[first.question_id].tries, by_id[first.question_id].code) == (3, right[0])
    assert (by_id[broken.question_id].tries, by_id[broken.question_id].code) == (2, right[1])
    assert (by_id[third.question_id].tries, by_id[third.question_id].code) == (1, None)
    costs = Stage(tmp_path, "execute", Trace).costs()
    # The first question's three programs make no call; the second one's was mended once; the third is as it was.
    assert [costs[one.question_id].llm_calls for one in (first, broken, third)] == [0, 1, 0]
    assert (costs[broken.question_id].prompt_tokens, costs[broken.question_id].reply_tokens) == (1, 1)
    assert costs[first.question_id].tool_calls == 0
    asking = [event.tool not in ("trim", "Compare") for event in by_id[third.question_id].events]
    assert (costs[third.question_id].tool_calls, costs[third.question_id].specialist_calls) == (
        len(asking),
        sum(asking),
    )
    assert all(cost.seconds > 0 for cost in costs.values())
    assert len(engine.asked) == 1
    assert "program_error: line 2: IndexError" in engine.asked[0]


def test_repairs_without_llm_are_refused(world: Path, tmp_path: Path) -> None:
    prepared(world, tmp_path, count=1)
    with pytest.raises(UserError, match=r"execute\.repairs=1 needs a language model: add llm="):
        run_verb("execute", settings(world, tmp_path, "execute.repairs=1"))


class Mended:
    """Answers every prompt with one program."""

    model = "mended"

    def __init__(self, code: str) -> None:
        self._code = code
        self.asked: list[str] = []

    def generate(self, prompts: Sequence[str], *, max_tokens: int, temperature: float = 0.0) -> list[Reply]:
        self.asked += prompts
        return [Reply(self._code, True, 1, 1) for _ in prompts]


def test_missing_layer_stops_run_before_start(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared(world, tmp_path, count=1)
    monkeypatch.setattr("aotd.sandbox.layers.missing", lambda layer: "the pail is empty")
    for verb in ("execute", "run"):
        with pytest.raises(UserError, match=r"execute\.layers asks for landlock, which is not here: the pail is empty"):
            run_verb(verb, settings(world, tmp_path, "execute.layers=[landlock]"))
    assert not (tmp_path / "execute").exists()


def test_missing_layers_are_reported_once_programs_can_run(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lacks = "the pail is empty: fill it at the well behind the house, or have somebody fill it"
    monkeypatch.setattr("aotd.sandbox.layers.missing", lambda layer: lacks)
    monkeypatch.setattr("aotd.execute.job.missing", lambda layer: lacks)
    config = settings(world, tmp_path / "run", "execute.run_without_kernel_layers=true", "execute.workers=1")
    with pytest.raises(UserError, match="begin with `aotd load"):
        run_verb("execute", config)
    assert not capsys.readouterr().err
    prepared(world, tmp_path / "run", count=1)
    run_verb("execute", config)
    assert f"programs run without seccomp: {lacks}" in capsys.readouterr().err.splitlines()


@pytest.mark.parametrize("how", ["concurrency=1", "concurrency=4", "workers=2"])
def test_broken_decoder_ends_run_in_one_line_and_run_resumes(
    how: str, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    prepared(world, run, count=4)
    words = ["execute", f"run={run}", f"dataset.root={world}/videos", *SIZES, "execute.workers=1", f"execute.{how}"]
    with monkeypatch.context() as patched:
        break_av(tmp_path / "broken", patched)
        assert main(words) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("aotd: frames cannot be decoded on this machine: ")
    assert "its last line: ImportError: libavcodec" in said
    assert not Stage(run, "execute", Trace).dropped(), "no question is at fault"
    assert main(words) == 0
    assert len(Stage(run, "execute", Trace).records()) + len(Stage(run, "execute", Trace).dropped()) == 4
    assert Outcome.video_unreadable not in {end.outcome for end in Stage(run, "execute", Trace).dropped()}
