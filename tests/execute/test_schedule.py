"""Programs side by side come to what each comes to alone, and ask the models for less."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from aotd.agents.base import Turn
from aotd.agents.program.attempts import Attempt, first
from aotd.cli.main import main
from aotd.config.command_line import read_settings
from aotd.errors import QuestionError, UserError
from aotd.execute.schedule import Scheduler
from aotd.execute.worker import default_concurrency
from aotd.records import Detection, Dropped, Outcome, Program, Question
from aotd.runtime.meter import carried
from aotd.specialists.calls import Call, CallResult, CountingSpecialists, Findings
from aotd.specialists.mock import Mock, MockVideo
from aotd.specialists.protocols import Specialists
from aotd.video.clip import Clip, Pixels
from tests.execute.test_job import SIZES, prepared, world
from tests.specialists.tiny import write_checkpoint, write_univtg

__all__ = ["world"]


ONE_LANE = dict.fromkeys(("detection", "grounding", "action", "answering"), "all")


@pytest.fixture(autouse=True)
def _many_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs here wait for each other before they ask."""
    monkeypatch.setattr("aotd.execute.schedule.cores", lambda: 64)


class Model(Mock):
    """Answers with what it was asked; notes how many prompts it saw together, and in which thread."""

    def __init__(self, batch: int) -> None:
        super().__init__(4)
        self.batch = batch
        self.together: list[list[str]] = []
        self.threads: set[int] = set()
        self.at_once = threading.Semaphore(1)

    def answer(self, clip: Clip, question: str) -> str:
        return self.answer_all([(clip, question)])[0]

    def answer_all(self, asked: Sequence[tuple[Clip, str]]) -> list[str]:
        assert self.at_once.acquire(blocking=False), "one thread asks the models"
        self.threads.add(threading.get_ident())
        self.together.append([question for _, question in asked])
        self.at_once.release()
        if any("unreachable" in question for _, question in asked):
            raise UserError("the server cannot be reached")
        if any("bad" in question for _, question in asked):
            raise QuestionError(Outcome.tool_failed, "a bad question")
        return [f"{clip.video.video_id}: {question}" for clip, question in asked]


def attempts(count: int, videos: int = 1) -> list[Attempt]:
    found = []
    for number in range(count):
        video = f"v{number * videos // count}"
        question = Question(
            question_id=f"q{number}", dataset="d", split="val", video_id=video, video=None, question="?", type="t",
            options=(), answer="a",
        )  # fmt: skip
        found.append(first(question, Program(question_id=question.question_id, code="", author="t", attempts=1)))
    return found


def scheduled(
    model: Model,
    program: Callable[[Attempt, CountingSpecialists, Clip], Any],
    programs: int,
    given: list[Attempt],
    specialists: Specialists | None = None,
    lanes: Mapping[str, str] = ONE_LANE,
) -> dict[str, str]:
    """Question -> what its program came to."""
    findings = Findings(specialists or Specialists.from_one(model))

    def run(attempt: Attempt, answer: Callable[[Call], CallResult]) -> Turn[Attempt]:
        asking, key = CountingSpecialists(findings, answer), attempt.question.question_id
        try:
            said = str(program(attempt, asking, Clip.whole(model.open(attempt.question))))
        except QuestionError as error:
            said = f"failed: {error.reason}"
        record = Dropped(question_id=key, outcome=Outcome.no_answer, reason=said)
        return Turn(attempt, record, (), (carried(key),))

    turns = Scheduler(run, findings, programs, lanes).turns(iter(given))
    return {turn.task.question.question_id: turn.record.reason for turn in turns}


@pytest.mark.parametrize("programs", [2, 5, 16])
def test_schedule_fills_batches_and_asks_equal_calls_once(programs: int) -> None:
    model = Model(batch=4)

    def program(attempt: Attempt, asking: CountingSpecialists, clip: Clip) -> list[str]:
        number = int(attempt.question.question_id[1:])
        return [asking.answering.answer(clip, "what is it?"), asking.answering.answer(clip, f"and {number}?")]

    found = scheduled(model, program, programs, attempts(12))
    assert found == {f"q{n}": str(["v0: what is it?", f"v0: and {n}?"]) for n in range(12)}
    asked = [question for batch in model.together for question in batch]
    assert len(asked) == len(set(asked)) == 13
    assert max(map(len, model.together)) == min(4, programs)
    assert len(model.threads) == 1
    assert threading.get_ident() not in model.threads


def test_failed_call_leaves_its_batch_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def program(attempt: Attempt, asking: CountingSpecialists, clip: Clip) -> str:
        return asking.answering.answer(
            clip, "bad" if attempt.question.question_id == "q3" else attempt.question.question_id
        )

    model = Model(batch=8)
    found = scheduled(model, program, 8, attempts(8))
    assert found == {f"q{n}": f"v0: q{n}" for n in range(8)} | {"q3": "failed: a bad question"}
    assert len(model.together[0]) > 1


def test_user_error_ends_all_waiting_tasks() -> None:
    def program(attempt: Attempt, asking: CountingSpecialists, clip: Clip) -> str:
        return asking.answering.answer(clip, "unreachable" if attempt.question.question_id == "q3" else "x")

    before = threading.active_count()
    with pytest.raises(UserError, match="cannot be reached"):
        scheduled(Model(batch=1), program, 8, attempts(8))
    assert threading.active_count() == before


def test_waiting_tasks_are_abandoned_with_the_iterator() -> None:
    model = Model(batch=1)
    findings = Findings(Specialists.from_one(model))

    def run(attempt: Attempt, answer: Callable[[Call], CallResult]) -> Turn[Attempt]:
        asking, key = CountingSpecialists(findings, answer), attempt.question.question_id
        said = asking.answering.answer(Clip.whole(model.open(attempt.question)), key)
        return Turn(attempt, Dropped(question_id=key, outcome=Outcome.no_answer, reason=said), ())

    before = threading.active_count()
    coming = Scheduler(run, findings, 4, ONE_LANE).turns(iter(attempts(40)))
    next(coming)
    coming.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_videos_in_work_stay_within_room() -> None:
    class Roomy(Model):
        open_now: list[str]

        def room(self) -> int:
            return 2

    model = Roomy(batch=1)
    lock, here, most = threading.Lock(), [], []  # type: ignore[var-annotated]

    def program(attempt: Attempt, asking: CountingSpecialists, clip: Clip) -> str:
        with lock:
            here.append(clip.video.video_id)
            most.append(len(set(here)))
        said = asking.answering.answer(clip, attempt.question.question_id)
        with lock:
            here.remove(clip.video.video_id)
        return said

    assert len(scheduled(model, program, 8, attempts(24, videos=8))) == 24
    assert max(most) == 2


def test_tasks_begin_only_on_free_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aotd.execute.schedule.cores", lambda: 2)
    beginning, most, lock = 0, 0, threading.Lock()

    def program(attempt: Attempt, asking: CountingSpecialists, clip: Clip) -> str:
        nonlocal beginning, most
        with lock:
            beginning += 1
            most = max(most, beginning)
        time.sleep(0.02)
        with lock:
            beginning -= 1
        return asking.answering.answer(clip, attempt.question.question_id)

    model = Model(8)
    assert len(scheduled(model, program, 8, attempts(8))) == 8
    assert most == 2
    assert [len(asked) for asked in model.together] == [8], "who waits for a model keeps nobody from beginning"


@pytest.mark.parametrize(("asked_first", "order"), [("q0", ["q0", "q1", "q2"]), ("q2", ["q2", "q1"])])
def test_first_task_goes_first(asked_first: str, order: list[str]) -> None:
    """Also where it asks for what another one waits for already."""
    came = [threading.Event() for _ in range(4)]

    class Busy(Model):
        def answer_all(self, asked: Sequence[tuple[Clip, str]]) -> list[str]:
            if asked[0][1] == "q3":  # with this the model is busy until the others have come
                came[3].set()
                assert came[0].wait(10)
                time.sleep(0.05)
            return super().answer_all(asked)

    def program(attempt: Attempt, asking: CountingSpecialists, clip: Clip) -> str:
        number = int(attempt.question.question_id[1:])
        if number < 3:  # the last one comes first
            assert came[number + 1].wait(10)
            time.sleep(0.05)
            came[number].set()
        return asking.answering.answer(clip, attempt.question.question_id if number else asked_first)

    model = Busy(batch=1)
    scheduled(model, program, 4, attempts(4))
    assert model.together == [["q3"], *([name] for name in order)]


def test_slow_lane_blocks_no_other() -> None:
    """A detection that ends when an answer was given, as where a server is slow."""
    model, answered = Model(batch=1), threading.Event()

    class Waiting(Mock):
        def detect(self, clip: Clip, query: str) -> list[Detection]:
            assert answered.wait(20), "the answer waits for the detection"
            return super().detect(clip, query)

    def program(attempt: Attempt, asking: CountingSpecialists, clip: Clip) -> str:
        if attempt.question.question_id == "q0":
            return str(len(asking.detection.detect(clip, "door")))
        said = asking.answering.answer(clip, "x")
        answered.set()
        return said

    detector = Waiting(4)
    specialists = Specialists(model, detection=detector, grounding=model, action=model, answering=model)
    found = scheduled(model, program, 2, attempts(2), specialists, ONE_LANE | {"detection": "another"})
    assert found == {
        "q0": str(len(Mock(4).detect(Clip.whole(model.open(attempts(1)[0].question)), "door"))),
        "q1": "v0: x",
    }


def test_frames_are_decoded_while_models_work(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = set()

    def pixels(self: MockVideo) -> Pixels:
        threads.add(threading.get_ident())
        raise QuestionError(Outcome.video_unreadable, "cannot be read")

    monkeypatch.setattr(MockVideo, "pixels", pixels)
    model = Model(batch=2)
    found = scheduled(model, lambda _, asking, clip: asking.answering.answer(clip, "x"), 2, attempts(2, videos=2))
    assert set(found.values()) == {"v0: x", "v1: x"}, "who does not look at frames does not mind"
    assert len(threads) == 2
    assert not threads & model.threads


@pytest.mark.parametrize(
    ("words", "cores", "wanted"),
    [
        ([], 2, 1),
        (["specialists/detection=owlv2", "specialists.detection.model=there"], 1, 4),
        (["specialists/detection=owlv2", "specialists.detection.model=there"], 2, 8),
        (["specialists/detection=owlv2", "specialists.detection.model=there"], 64, 16),
        (["specialists/detection=owlv2", "specialists.detection.url=http://elsewhere:80"], 2, 16),
    ],
)
def test_default_concurrency_follows_specialists_and_cores(
    words: list[str], cores: int, wanted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aotd.execute.worker.cores", lambda: cores)
    settings = read_settings("execute", ["run=runs/mine", *words])
    assert default_concurrency(settings.specialists) == wanted


@pytest.mark.slow
def test_records_do_not_depend_on_concurrency(world: Path, tmp_path: Path) -> None:
    for name, more in {
        "one": ["execute.concurrency=1", "execute.workers=1"],
        "both": ["execute.concurrency=3", "execute.workers=2"],
    }.items():
        prepared(world, tmp_path / name / "run")
        words = [f"run={tmp_path / name / 'run'}", f"dataset.root={world}/videos", *SIZES, *more]
        assert main(["execute", *words]) == 0
    for name in ("records.jsonl", "dropped.jsonl", "manifest.json"):
        written = {(tmp_path / run / "run" / "execute" / name).read_bytes() for run in ("one", "both")}
        assert len(written) == 1


def test_lanes_find_what_sequential_networks_find(world: Path, tmp_path: Path) -> None:
    clip = write_checkpoint("clip", tmp_path / "clip")
    models = {
        "detection": ("owlv2", write_checkpoint("owlv2", tmp_path / "owlv2")),
        "grounding": ("univtg", write_univtg(tmp_path / "univtg", video=16 + 2, text=16)),
        "action": ("xclip", write_checkpoint("xclip", tmp_path / "xclip")),
    }
    chosen = [f"specialists/{part}={name}" for part, (name, _) in models.items()]
    chosen += [f"specialists.{part}.model={path}" for part, (_, path) in models.items()]
    chosen += [f"specialists.grounding.clip={clip}", "specialists/answering=mock", "specialists.frames=6", "cache.gb=0"]
    written = set()
    for programs in (1, 6):
        run = tmp_path / str(programs)
        prepared(world, run, count=5)
        words = [f"run={run}", f"dataset.root={world}/videos", *SIZES, *chosen, f"execute.concurrency={programs}"]
        assert main(["execute", *words]) == 0
        written.add((run / "execute" / "records.jsonl").read_bytes())
    assert len(written) == 1
    assert b'"tool_failed"' not in (run / "execute" / "dropped.jsonl").read_bytes()


def test_second_run_asks_no_specialist(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [f"dataset.root={world}/videos", *SIZES, "execute.workers=1"]
    for run in ("first", "second", "other"):
        prepared(world, tmp_path / run)
    assert main(["execute", f"run={tmp_path / 'first'}", *words]) == 0
    found: list[str] = []
    find = Findings.find

    def counted(self: Findings, calls: Sequence[Call]) -> Any:
        found.extend(call.subtask for call in calls)
        return find(self, calls)

    monkeypatch.setattr(Findings, "find", counted)
    assert main(["execute", f"run={tmp_path / 'second'}", *words]) == 0
    assert not found
    assert main(["execute", f"run={tmp_path / 'other'}", *words, "specialists/action=mock"]) == 0
    assert "action" in found
    first, second = (tmp_path / run / "execute" / "records.jsonl" for run in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    "setting", ["execute.concurrency=-1", "execute.workers=-1", "cache.gb=-1", "cache.folder=/proc/none"]
)
def test_impossible_settings_are_refused_in_one_line(
    setting: str, world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepared(world, tmp_path / "run")
    capsys.readouterr()
    assert main(["execute", f"run={tmp_path}/run", f"dataset.root={world}/videos", *SIZES, setting]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert setting.split("=")[0] in line
    assert not (tmp_path / "run" / "execute").exists()
