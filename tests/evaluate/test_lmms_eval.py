"""The real lmms-eval asks our students: its replies and its accuracies are those of `aotd evaluate`.

Nothing is patched: its command line, its registry and its scoring run in a process of their own, offline. `make
test-lmms` has the environment for it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aotd.commands.run import run_verb
from aotd.config.compose import compose
from aotd.config.tree import Config
from aotd.datasets.base import locate
from aotd.distill import ArmConfig
from aotd.errors import QuestionError, UserError
from aotd.export.lmms_eval import shown
from aotd.records import Dropped, Prediction, Question
from aotd.scoring.tables import Scores
from aotd.store.run import Run
from aotd.store.stage import Stage
from aotd.students import StudentName
from aotd.students.features import run_features
from aotd.students.registry import load_student
from tests.jobs import do
from tests.students.tiny import MODELS, write_checkpoint

pytestmark = pytest.mark.lmms

SPLIT, ARM = "train", "instruct"
WORLD = [f"dataset.playroom.{split}_videos=4" for split in ("train", "val", "test")]
SIZES = {"image": 32, "channels": 16, "patches": 1, "hidden": 48, "layers": 2, "heads": 2, "vocabulary": 600}
UNREAD = "-"
METRICS = ("multiple_choice", "open_ended", "choice_lenient")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`run` and `data`: questions on parts of videos and on whole ones, one without an answer, a damaged video."""
    if importlib.util.find_spec("lmms_eval") is None:
        pytest.skip("lmms-eval is not installed: make test-lmms")
    folder = tmp_path_factory.mktemp("world")
    run_verb("load", config(folder, "run", "dataset.playroom.difficulty=easy", *WORLD))
    questions = Stage(folder / "run", "load", Question).records()
    damaged = folder / "data" / str([question for question in questions if question.split == SPLIT][-1].video)
    damaged.write_bytes(damaged.read_bytes()[:2000])
    parts = ({"start_s": 2.5, "end_s": 3.5}, {"start_s": 0.0, "end_s": None}, {"start_s": None, "end_s": None})
    whole = [one.model_copy(update=parts[at % 3]) for at, one in enumerate(questions)]
    first = next(at for at, one in enumerate(whole) if one.split == SPLIT)
    whole[first] = whole[first].model_copy(update={"answer": None})
    (folder / "run" / "load" / "records.jsonl").write_text("".join(one.model_dump_json() + "\n" for one in whole))
    return folder


def config(folder: Path, run: str, *settings: str) -> Config:
    places = [f"run='{folder / run}'", f"dataset.root='{folder / 'data'}'"]
    made = compose([*places, "specialists.frames=8", "student.frames=4", *settings])
    arm = ArmConfig(rationales=False, train=made.student.name is StudentName.valley)
    return replace(made, distill=replace(made.distill, arms={ARM: arm}, epochs=25, learning_rate=5e-3))


def evaluated(world: Path, name: str) -> Config:
    """A copy of the run with a student of that family, and what `evaluate` says of it.

    valley has learned its questions, so that some of its answers are right. The others are as their random weights
    are, and write 24 tokens of noise that hang on every pixel and every word.
    """
    if name == "valley":
        student = [f"student.valley.{key}={value}" for key, value in SIZES.items()]
    else:
        student = [f"student={name}", f"student.path='{write_checkpoint(name, world / f'{name}-checkpoint')}'"]
    asked = [f"evaluate.arms=[{ARM}]", f"evaluate.split={SPLIT}", "evaluate.max_rationale_tokens=4"]
    settings = config(world, name, *student, *asked, f"export.split={SPLIT}", "export.format=lmms_eval")
    if not (world / name).exists():
        shutil.copytree(world / "run", world / name)
        do("distill", settings)
        do("evaluate", settings)
    return settings


def lmms_eval(
    tasks: Path, task: str, student: Path, out: Path, batch: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What lmms-eval's command line reports of a task, and its samples."""
    command = [sys.executable, "-W", "ignore", "-m", "lmms_eval", "--model", "aotd"]
    command += ["--model_args", f"student={student}", "--include_path", str(tasks), "--tasks", task]
    command += ["--batch_size", str(batch), "--output_path", str(out), "--log_samples"]
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": f"{out}.hf"}
    done = subprocess.run(
        command, env={**os.environ, **offline}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:]
    (results,) = out.glob("*_results.json")
    (samples,) = out.glob(f"*_samples_{task}.jsonl")
    rows = lines(tasks / f"{task.removeprefix('aotd_')}.jsonl")
    said = [{**sample, "question_id": rows[sample["doc_id"]]["question_id"]} for sample in lines(samples)]
    return json.loads(results.read_text())["results"][task], said


def saved(settings: Config) -> Path:
    return Path(settings.run) / "distill" / ARM / "student"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def differences(run: Path, results: dict[str, Any], samples: list[dict[str, Any]]) -> list[str]:
    """Where lmms-eval does not say what `aotd evaluate` says of the same student, a line each."""
    stage = Stage(run, f"evaluate/{ARM}/answer", Prediction)
    said: dict[str, Prediction | Dropped] = {one.question_id: one for one in [*stage.records(), *stage.dropped()]}
    asked = [q for q in Stage(run, "load", Question).records() if q.split == SPLIT and q.answer is not None]
    theirs = {one["question_id"]: one for one in samples}
    found = []
    if [question.question_id for question in asked] != list(theirs):
        found.append("the questions")
    for key, sample in theirs.items():
        ours = said[key]
        text, correct = (ours.text, ours.correct) if isinstance(ours, Prediction) else (UNREAD, False)
        if sample["filtered_resps"] != text:
            found.append(f"{key}: {text!r} and {sample['filtered_resps']!r}")
        if bool(sample.get("multiple_choice", sample.get("open_ended"))) != correct:
            found.append(f"{key}: scored otherwise")
    scores = Scores.model_validate_json((run / "evaluate" / ARM / "scores.json").read_text())
    for name in METRICS:
        mean = getattr(scores, name)
        if results.get(f"{name},none") != (None if mean is None else pytest.approx(mean.mean, abs=1e-12)):
            found.append(f"{name}: {mean} and {results.get(f'{name},none')}")
    return found


@pytest.mark.parametrize("name", ["valley", *MODELS])
def test_lmms_eval_gives_the_scores_of_evaluate(world: Path, name: str) -> None:
    settings = evaluated(world, name)
    do("export", settings)
    run = Path(settings.run)
    results, samples = lmms_eval(run / "export" / "lmms_eval", f"aotd_{SPLIT}", saved(settings), run / "out", batch=1)
    assert differences(run, results, samples) == []
    told = [one["filtered_resps"] for one in samples]
    assert UNREAD in told
    assert len(set(told)) > 5, "replies that are all the same would prove little"
    if name == "valley":
        right = [bool(one.get("multiple_choice", one.get("open_ended"))) for one in samples]
        assert 0.3 < sum(right) / len(right) < 1
        check_that_a_changed_answer_is_noticed(run, results, samples)


def check_that_a_changed_answer_is_noticed(run: Path, results: dict[str, Any], samples: list[dict[str, Any]]) -> None:
    path = run / "evaluate" / ARM / "answer" / "records.jsonl"
    kept = path.read_text()
    said = lines(path)
    first = next(one for one in said if one["correct"])
    first["text"] += "?"
    path.write_text("".join(json.dumps(one) + "\n" for one in said))
    assert [one.partition(":")[0] for one in differences(run, results, samples)] == [first["question_id"]]
    first["correct"] = False
    path.write_text("".join(json.dumps(one) + "\n" for one in said))
    assert [one.partition(":")[0] for one in differences(run, results, samples)] == [first["question_id"]] * 2
    path.write_text(kept)
    wrong = {**results, "multiple_choice,none": results["multiple_choice,none"] + 1 / len(samples)}
    assert [one.partition(":")[0] for one in differences(run, wrong, samples)] == ["multiple_choice"]
    assert differences(run, results, samples[1:]) == ["the questions"]
    assert differences(run, results, samples) == []


MVBENCH = """\
task: aotd_mvbench
dataset_path: json
dataset_kwargs: {data_files: {test: mvbench.jsonl}}
test_split: test
output_type: generate_until
doc_to_visual: !function lmms_eval.tasks.mvbench.utils.mvbench_doc_to_visual
doc_to_text: !function lmms_eval.tasks.mvbench.utils.mvbench_doc_to_text
doc_to_target: answer
process_results: !function lmms_eval.tasks.mvbench.utils.mvbench_process_results
generation_kwargs: {max_new_tokens: 16, temperature: 0, top_p: 1.0, num_beams: 1, do_sample: false}
metric_list:
  - metric: mvbench_accuracy
    aggregation: !function lmms_eval.tasks.mvbench.utils.mvbench_aggregate_results
    higher_is_better: true
lmms_eval_specific_kwargs: {default: {sub_task: object_interaction, post_prompt: "Only give the best option.\\n"}}
"""
"""lmms-eval's own MVBench but for the hub: rows and videos are files of ours."""


def test_own_task_of_lmms_eval_keeps_its_prompt(world: Path) -> None:
    from lmms_eval.tasks.mvbench.utils import mvbench_doc_to_text

    settings = evaluated(world, "valley")
    run, tasks = Path(settings.run), world / "mvbench"
    tasks.mkdir()
    choice = [one for one in Stage(run, "load", Question).records() if one.split == SPLIT and one.options]
    whole = [one.model_copy(update={"start_s": None, "end_s": None}) for one in choice if one.answer is not None]
    rows = [
        {
            "question_id": one.question_id,
            "video": str(locate(settings.dataset.root, str(one.video))),
            "question": one.question,
            "candidates": list(one.options),
            "answer": one.answer,
        }
        for one in whole
    ]
    (tasks / "mvbench.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tasks / "mvbench.yaml").write_text(MVBENCH)
    results, samples = lmms_eval(tasks, "aotd_mvbench", saved(settings), world / "mvbench-out", batch=4)
    student = load_student(saved(settings), settings.student)
    views = run_features(Run(Path(settings.run)), settings.specialists, settings.dataset.root, student)
    for question, row, sample in zip(whole, rows, samples, strict=True):
        text = mvbench_doc_to_text(row, {"post_prompt": "Only give the best option.\n"})
        try:
            (said,) = student.generate([student.prompt_row(views.features(question), text)], 16)
            reply = said.text
        except QuestionError:
            reply = UNREAD
        assert sample["filtered_resps"] == reply
    told = [sample["filtered_resps"] for sample in samples]
    assert UNREAD in told
    assert len(set(told)) > 2
    # An unread video counts as wrong; MVBench's mean would leave an empty reply out.
    right = sum(sample["mvbench_accuracy"]["score"] for sample in samples)
    assert results["mvbench_accuracy,none"] == pytest.approx(100 * right / len(samples))


def asked(video: Any, **settings: Any) -> Any:
    """A request as lmms-eval makes it, about the only row of task `t`."""
    from lmms_eval.api.instance import Instance

    arguments = ("Question: What?", settings, lambda row: video, 0, "t", "test")
    return Instance("generate_until", arguments, 0, {"task": "t", "doc_id": 0, "repeats": 1})


@pytest.fixture(scope="module")
def model(world: Path) -> Any:
    from aotd.students.lmms_eval import LmmsStudent

    made = LmmsStudent(str(saved(evaluated(world, "llava_onevision"))), batch_size="2")
    made.task_dict = {"t": {"test": [{}]}}
    return made


def test_generation_arguments_of_a_task_are_obeyed(world: Path, model: Any) -> None:
    """Replies in the order of the requests, though only those alike are asked together; cut where a task says."""
    films = sorted((world / "data" / "videos").glob("test-*.mp4"))
    requests = [asked([str(film)], max_new_tokens=longest) for film in films for longest in (1, 12)]
    replies = model.generate_until(requests)
    assert replies == [model.generate_until([one])[0] for one in requests]
    assert replies[1].startswith(replies[0])
    assert len(replies[1]) > len(replies[0])
    (cut,) = model.generate_until([asked([str(films[0])], max_new_tokens=12, until=["", replies[1][2:4], "zzz"])])
    assert cut == replies[1].partition(replies[1][2:4])[0]


def test_student_gets_the_frames_of_evaluate(world: Path) -> None:
    """Replies hang little on a second more or less of a video; valley's views are equal."""
    from aotd.students.lmms_eval import LmmsStudent

    settings = evaluated(world, "valley")
    model = LmmsStudent(str(saved(settings)))
    views = run_features(
        Run(Path(settings.run)),
        settings.specialists,
        settings.dataset.root,
        load_student(saved(settings), settings.student),
    )
    do("export", replace(settings, export=replace(settings.export, split="test")))
    questions = {one.question_id: one for one in Stage(Path(settings.run), "load", Question).records()}
    for row in lines(Path(settings.run) / "export" / "lmms_eval" / "test.jsonl"):
        question = questions[row["question_id"]]
        places = model.seen_of(shown(row), "t")["places"]
        assert places.equal(views.features(question)["places"])
        assert places.equal(model.seen_of([row["video"]], "t")["places"]) == (question.end_s is None)


def test_unsupported_request_is_refused_in_one_line(world: Path, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from aotd.students.lmms_eval import LmmsStudent

    film = str(next((world / "data" / "videos").glob("test-*.mp4")))
    for request, says in [
        (asked([film], do_sample=True, temperature=1.0), "students reply greedily"),
        (asked([film, film]), "t, question 0: the model aotd is asked about one video file"),
        (asked(None), "asked about one video file"),
        (asked([f"{film}.none"]), "no question's video can be read"),
    ]:
        with pytest.raises(UserError, match=says):
            model.generate_until([request])
    with pytest.raises(UserError, match="generate_until"):
        model.loglikelihood([])
    folder = str(saved(evaluated(world, "valley")))
    for settings, says in [
        ({"student": f"{folder}/nowhere"}, "holds no student"),
        ({"student": folder, "dtype": "int8"}, "dtype=int8: one of float32, bfloat16"),
        ({"student": folder, "batch_size": "auto"}, "batch_size=auto must be a number"),
        ({"student": folder, "device": "cuda:1"}, "has no setting device"),
    ]:
        with pytest.raises(UserError, match=says):
            LmmsStudent(**settings)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="in one process"):
        LmmsStudent(folder)
