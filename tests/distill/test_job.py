"""The verb distill: what each arm is given, that it can learn, be killed, and says what is wrong."""

from __future__ import annotations

import gc
import json
import shutil
import weakref
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

import aotd.distill.train as training
from aotd.config.tree import Config
from aotd.distill import ArmConfig, MixturePart, StageConfig
from aotd.distill.arms import TrainingSetup, arms_of
from aotd.distill.batch import TokenizedExample, make_batch, tokenize_example
from aotd.distill.plan import BatchPlan, make_plan
from aotd.distill.train_arm import new_student_of
from aotd.distill.training_data import MixtureData, TrainingData, read_training_data
from aotd.errors import QuestionError, UserError
from aotd.prompts.student import prompt, suffix, target
from aotd.records import Example, Mode, Outcome, Question
from aotd.store.run import Run
from aotd.store.stage import Stage
from aotd.students import ChoiceReply, StudentConfig, StudentName
from aotd.students.features import run_features
from aotd.students.registry import load_student
from aotd.students.valley.model import VIDEO
from aotd.tracking import Cell, NullTracker, Picture, TrackerName, TrackingConfig
from aotd.video_llms.base import PromptInput, VideoLLM
from tests.corners import Corners, corner_config, write_run
from tests.jobs import do
from tests.students.tiny import write_checkpoint


def only(run: Path, arm: str, **settings: Any) -> Config:
    config = corner_config(run)
    return replace(config, distill=replace(config.distill, arms={arm: config.distill.arms[arm]}, **settings))


def examples(run: Path, arm: str) -> list[Example]:
    return Stage(run, f"distill/{arm}", Example).records()


def test_arms_that_are_not_wanted_are_neither_checked_nor_written(run: Path) -> None:
    config = corner_config(run)
    arms = {**config.distill.arms, "strict": ArmConfig(rationales=True, require=["answer", "coherent"])}
    (run / "verify" / "records.jsonl").write_text("")
    config = replace(config, distill=replace(config.distill, arms=arms, only=["instruct"], max_steps=1))
    do("distill", config)
    assert [path.name for path in (run / "distill").iterdir() if (path / "records.jsonl").is_file()] == ["instruct"]
    changed = replace(config, distill=replace(config.distill, only=["aotd"], max_steps=2))
    with pytest.raises(UserError, match=r"distill.arms.aotd wants chains of thought"):
        do("distill", changed)


def test_arm_gets_its_thoughts_and_all_labels(run: Path) -> None:
    do("distill", corner_config(run))
    kept = {arm: [e.question_id for e in examples(run, arm) if e.rationale] for arm in ("instruct", "aotd")}
    assert kept["instruct"] == []
    assert set(kept["aotd"]) == {f"{video}{kind}" for video in range(2, 7) for kind in "ab"}
    assert sum(e.rationale is not None for e in examples(run, "aotd_unfiltered")) == 14
    for arm in ("instruct", "aotd", "aotd_unfiltered"):
        assert len(examples(run, arm)) == 14
        assert [d.outcome.value for d in Stage(run, f"distill/{arm}", Example).dropped()] == ["video_unreadable"] * 2
        lines = [json.loads(line) for line in (run / "distill" / arm / "losses.jsonl").read_text().splitlines()]
        assert lines[-1]["step"] == 8
        assert (lines[-1]["rationale"] == 0) is (arm == "instruct")
    assert examples(run, "aotd")[0].answer == "A"
    assert examples(run, "aotd")[1].answer == "left"


def test_student_learns_answers_and_rationales(run: Path) -> None:
    config = only(run, "aotd", epochs=40, learning_rate=5e-3)
    do("distill", config)
    student = load_student(run / "distill" / "aotd" / "student", config.student)
    views = run_features(Run(run), config.specialists, config.dataset.root, student)
    asked = [question for question in Stage(run, "load", Question).records() if question.video_id != "7"]
    rows = [PromptInput(prompt(question), bool(question.options), views.features(question)) for question in asked]
    assert student.reply(rows, Mode.answer, 8) == [target(question) for question in asked]
    ends = [f"So the answer is {question.answer}." for question in asked]
    said = student.reply(rows, Mode.rationale, 40)
    assert all(text.endswith(end) for text, end in zip(said, ends, strict=True))


def test_choice_reply_words_trains_on_options_and_is_in_the_manifest(
    run: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters = tmp_path_factory.mktemp("letters")
    write_run(letters)
    prompts: list[str] = []

    def tokenize(student: VideoLLM, example: Example, *more: bool) -> TokenizedExample:
        made = tokenize_example(student, example, *more)
        prompts.append(student.decode(made.prompts[0]).removeprefix(example.prompt))
        return made

    monkeypatch.setattr("aotd.distill.train_arm.tokenize_example", tokenize)
    config = only(run, "instruct", max_steps=1)
    words = replace(config, student=replace(config.student, choice_reply=ChoiceReply.words))
    do("distill", words)
    assert [one.answer for one in examples(run, "instruct")[:4]] == ["left", "left", "right", "right"]
    assert set(prompts) == {suffix(False, Mode.answer)}
    do("distill", replace(config, run=str(letters)))
    assert set(prompts[14:]) == {suffix(True, Mode.answer), suffix(False, Mode.answer)}
    assert [one.answer for one in examples(letters, "instruct")[:4]] == ["A", "left", "B", "right"]
    assert [one.prompt for one in examples(run, "instruct")] == [one.prompt for one in examples(letters, "instruct")]
    made = [Run(folder).examples("instruct").manifest()["settings"]["student"] for folder in (run, letters)]
    assert made[0].pop("choice_reply") == "words"
    assert made[0] == made[1]
    with pytest.raises(UserError, match="was made otherwise"):
        do("distill", config)


def without_video(run: Path, **settings: Any) -> Config:
    """Two arms that differ in nothing but the video."""
    config = corner_config(run)
    arms = {name: ArmConfig(video=name == "sighted") for name in ("sighted", "unsighted")}
    return replace(config, distill=replace(config.distill, arms=arms, **settings))


def test_arm_without_video_has_no_video_in_its_batches(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plans: list[BatchPlan] = []
    batches: list[tuple[list[str], int, int]] = []

    def plan(*given: Any, **named: Any) -> BatchPlan:
        plans.append(make_plan(*given, **named))
        return plans[-1]

    def batch(student: VideoLLM, groups: Sequence[Any], questions: int) -> dict[str, Any]:
        made = make_batch(student, groups, questions)
        batches.append((sorted(made["videos"]), int((made["input_ids"] == VIDEO).sum()), made["input_ids"].numel()))
        return made

    monkeypatch.setattr("aotd.distill.train_arm.make_plan", plan)
    monkeypatch.setattr(training, "make_batch", batch)
    config = without_video(run, questions_per_video=2)
    do("distill", config)
    sighted, unsighted = batches[:8], batches[8:]
    assert [len(one) for one in (sighted, unsighted)] == [8, 8], "the steps of both"
    assert all(videos and places for videos, places, _ in sighted)
    assert all((videos, places) == ([], 0) for videos, places, _ in unsighted)
    assert [one.batches for one in plans[:1]] == [one.batches for one in plans[1:]], "the same questions at each step"
    manifests = [Run(run).examples(arm).manifest()["settings"] for arm in config.distill.arms]
    assert [one["arm"].pop("video", None) for one in manifests] == [None, False]
    assert manifests[0] == manifests[1]
    assert examples(run, "sighted") == examples(run, "unsighted")


def test_arm_without_video_counts_tokens_without_one(run: Path) -> None:
    # In each step the sighted arm has three more tokens a row: of a place and two frames.
    do("distill", without_video(run, questions_per_step=14, max_tokens_per_batch=4096))
    tokens = [
        json.loads((run / "distill" / arm / "losses.jsonl").read_text().splitlines()[0])["tokens"]
        for arm in ("sighted", "unsighted")
    ]
    assert tokens[0] - tokens[1] == 14 * (3 - 1), "without a video there is one token before the question"


def test_arm_without_video_trains_the_language_model_alone(run: Path) -> None:
    config = without_video(run)
    begun = replace(config.distill.arms["unsighted"], train=False)
    do("distill", replace(config, distill=replace(config.distill, arms={**config.distill.arms, "begun": begun})))
    weights = [load_file(run / f"distill/{arm}/student/model.safetensors") for arm in ("begun", "unsighted")]
    changed = {name.partition(".")[0] for name in weights[0] if (weights[0][name] != weights[1][name]).any()}
    assert changed == {"lm"}
    only_lm = replace(config.distill.arms["unsighted"], trainable=["projector"])
    stages = replace(only_lm, trainable=None, stages=[StageConfig(), StageConfig(trainable=["temporal"])])
    for arm, says in (
        (only_lm, r"arms\.a: an arm without a video trains lm alone, and trainable is projector: set .*=\[lm\]"),
        (stages, r"arms\.a\.stages\[1\]: an arm without a video .* is temporal"),
    ):
        with pytest.raises(UserError, match=says):
            do("distill", replace(config, distill=replace(config.distill, arms={"a": arm})))


def test_arm_without_video_is_refused_for_families_that_need_one(run: Path) -> None:
    config = without_video(run)
    with pytest.raises(UserError, match=r"arms\.unsighted\.video=false: onevision_small is always given a video"):
        do("distill", replace(config, student=replace(config.student, name=StudentName.onevision_small)))


class Killed(BaseException):
    """As if the process had been killed."""


def test_arm_killed_while_its_student_is_written_ends_the_same(
    run: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("aotd.video_llms.base.VideoLLM.save_extras", die)
        with pytest.raises(Killed):
            do("distill", only(run, "aotd"))
    assert not (run / "distill" / "aotd" / "student").exists()
    do("distill", only(run, "aotd"))
    straight = tmp_path_factory.mktemp("straight")
    write_run(straight)
    do("distill", only(straight, "aotd"))
    one, other = (load_file(folder / "distill/aotd/student/model.safetensors") for folder in (run, straight))
    assert one.keys() == other.keys()
    assert all((one[name] == other[name]).all() for name in one)


def test_finished_arm_is_not_trained_again(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    do("distill", only(run, "instruct"))
    monkeypatch.setattr(training, "Trainer", None)
    do("distill", only(run, "instruct"))
    with pytest.raises(UserError, match="was made otherwise"):
        do("distill", only(run, "instruct", epochs=3))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"rationale_weight": -1.0}, "rationale_weight"),
        ({"epochs": 0.0}, "epochs"),
        ({"split": "val"}, "no question"),
        ({"arms": {}}, "names no arm"),
        ({"only": ["best"]}, "no arm 'best'"),
        ({"deepspeed": "zero2"}, "needs a launcher: torchrun"),
        ({"arms": {"a": ArmConfig(require=["beauty"])}}, "no check 'beauty'"),
        ({"arms": {"../a": ArmConfig()}}, "names a folder"),
    ],
)
def test_wrong_settings_are_one_line(run: Path, settings: dict[str, object], says: str) -> None:
    config = corner_config(run)
    with pytest.raises(UserError, match=says):
        do("distill", replace(config, distill=replace(config.distill, **settings)))
    assert not (run / "distill").exists()


def test_question_too_long_for_a_batch_is_one_line(run: Path) -> None:
    with pytest.raises(UserError, match="max_tokens_per_batch=20 is too small for 14 questions of arm instruct"):
        do("distill", only(run, "instruct", max_tokens_per_batch=20))


def test_arm_without_readable_questions_is_one_line_and_resumes_once_mended(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Corners, question: Question) -> None:
        known = {"3": Outcome.unlabelled}  # a rare one
        raise QuestionError(known.get(question.video_id, Outcome.video_unreadable), f"{question.video}: is broken")

    config = corner_config(run)
    base = ArmConfig(rationales=False, require=[], train=False)
    arms = {"base": base, **{arm: config.distill.arms[arm] for arm in ("instruct", "aotd")}}
    config = replace(config, distill=replace(config.distill, arms=arms))
    for _ in range(2):
        with monkeypatch.context() as patched:
            patched.setattr(Corners, "open", refuse)
            with pytest.raises(UserError) as caught:
                do("distill", config)
        assert str(caught.value) == (
            "distill: all 16 questions of arms instruct, aotd were dropped, 14 of them as video_unreadable, such as 0a "
            f"(0.mp4: is broken): mend that, remove {run / 'distill' / 'instruct'} {run / 'distill' / 'aotd'}, where "
            "they are written down, and run the verb again"
        )
        assert not (run / "distill" / "instruct" / "student").exists()
    for arm in ("instruct", "aotd"):
        shutil.rmtree(run / "distill" / arm)
    do("distill", config)
    assert len(examples(run, "aotd")) == 14
    assert (run / "distill" / "aotd" / "student").is_dir()
    assert (run / "distill" / "base" / "student").is_dir(), "what is not trained needs no question"


def test_mixture_draws_questions_from_runs(run: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    config = only(run, "aotd")
    into = str(tmp_path_factory.mktemp("mixed"))
    part = MixturePart(run=str(run), root="", questions=9)
    mixed = replace(config, run=into, distill=replace(config.distill, mixture=[part], seeds=[5]))  # not the run's seed
    do("distill", mixed)
    assert len(examples(Path(into), "aotd.5")) + len(Stage(Path(into), "distill/aotd.5", Example).dropped()) == 9
    for name, mixture, says in (
        ("nowhere", [MixturePart(run="nowhere")], "there is no run at 'nowhere'"),
        ("twice", [part, replace(part, questions=0)], "is in two runs"),
    ):
        with pytest.raises(UserError, match=says):
            do("distill", replace(mixed, run=str(run / name), distill=replace(config.distill, mixture=mixture)))


def gather(config: Config) -> MixtureData:
    setup = TrainingSetup(
        Run(Path(config.run)), config.distill, config.student, config.specialists, "", 0, config.tracking, 8
    )
    (found,) = read_training_data(setup, arms_of(config.distill, 0, 0).values()).mixtures.values()
    return found


def test_mixture_part_without_thoughts_needs_only_load(run: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    for verb in ("convert", "verify"):
        shutil.rmtree(run / verb)
    config, part = only(run, "aotd"), MixturePart(run=str(run), root="", questions=4, thoughts=False)
    mixed = replace(config, run=str(tmp_path_factory.mktemp("labels")))
    found = gather(replace(mixed, distill=replace(config.distill, mixture=[part])))
    assert len(found.questions) == 4
    assert found.known.thoughts == found.known.verdicts == {}
    with pytest.raises(UserError, match="run `aotd convert` first"):
        gather(replace(mixed, distill=replace(config.distill, mixture=[replace(part, thoughts=True)])))


def test_each_seed_makes_a_student_and_train_false_is_not_trained(run: Path) -> None:
    config = corner_config(run)
    arms = {"base": ArmConfig(rationales=False, require=[], train=False), "aotd": ArmConfig(epochs=0.5)}
    do("distill", replace(config, distill=replace(config.distill, arms=arms, seeds=[1, 2])))
    students = sorted(path.parent.name for path in (run / "distill").glob("*/student"))
    assert students == ["aotd.1", "aotd.2", "base.1", "base.2"]
    assert not (run / "distill/base.1/losses.jsonl").exists()
    assert len((run / "distill/aotd.1/losses.jsonl").read_text().splitlines()) == 2
    one, two = (load_file(run / f"distill/aotd.{seed}/student/model.safetensors") for seed in (1, 2))
    assert any((one[name] != two[name]).any() for name in one)


def test_missing_deepspeed_file_is_one_line(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "1")
    with pytest.raises(UserError, match="deepspeed=zero9: there is no such file; name one, or one of zero2, zero3"):
        do("distill", only(run, "instruct", deepspeed="zero9"))


def test_student_is_freed_before_the_next_is_loaded(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models: list[weakref.ref[Any]] = []

    def begun(setup: TrainingSetup, data: TrainingData, seed: int) -> VideoLLM:
        assert not any(model() is not None for model in models), "two students at once"
        student = new_student_of(setup, data, seed)
        models.append(weakref.ref(student.model))
        return student

    monkeypatch.setattr("aotd.distill.train_arm.new_student_of", begun)
    config = corner_config(run)
    gc.disable()
    try:
        do("distill", replace(config, distill=replace(config.distill, workers=1)))
    finally:
        gc.enable()
    assert len(models) == 1 + len(config.distill.arms)


def test_run_without_kept_thoughts_is_one_line(run: Path) -> None:
    (run / "verify" / "records.jsonl").write_text("")
    with pytest.raises(UserError, match="aotd wants chains of thought"):
        do("distill", corner_config(run))


@pytest.mark.slow
def test_arms_trained_side_by_side_equal_arms_trained_in_turn(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arms = {name: ArmConfig(rationales=False, require=[]) for name in ("one", "two")}
    config = corner_config(run)
    config = replace(config, distill=replace(config.distill, arms=arms))
    do("distill", config)
    alone = {arm: load_file(run / f"distill/{arm}/student/model.safetensors") for arm in arms}
    for arm in arms:
        shutil.rmtree(run / f"distill/{arm}/student")
    # Workers start anew and do not know this test's source of videos, but they find its frames under their names.
    monkeypatch.setattr(Corners, "model", f"pyav {version('av')}")
    shutil.rmtree(run / "distill" / "views")
    root = replace(config.dataset, root=str(run))
    do("distill", replace(config, dataset=root, distill=replace(config.distill, workers=2)))
    for arm in arms:
        again = load_file(run / f"distill/{arm}/student/model.safetensors")
        assert all((again[name] == alone[arm][name]).all() for name in again)


@pytest.mark.parametrize("name", ["llava_next_video", "qwen_vl"])
def test_adapters_are_merged_into_a_plain_checkpoint(name: str, run: Path, tmp_path: Path) -> None:
    checkpoint = write_checkpoint(name, tmp_path / "checkpoint")
    config = only(run, "aotd")
    student = StudentConfig(name=StudentName(name), path=str(checkpoint), frames=4, lora_rank=2)
    do("distill", replace(config, student=student))
    before, after = (load_file(folder / "model.safetensors") for folder in (checkpoint, run / "distill/aotd/student"))
    assert before.keys() == after.keys()
    changed = {key for key in after if (before[key] != after[key]).any()}
    assert any("q_proj" in key for key in changed)
    assert any("merger" in key or "projector" in key for key in changed)
    assert not any("embed" in key or "blocks" in key or "vision_tower" in key for key in changed)
    files = {path.name for path in (run / "distill/aotd/student").iterdir()}
    assert not any("adapter" in one or one.endswith((".bin", ".pt")) for one in files)


def test_tracker_gets_losses_and_samples(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, float]] = []
    shown: list[Sequence[Cell]] = []

    class Listening(NullTracker):
        def log(self, values: Mapping[str, float | int]) -> None:
            told.append(dict(values))

        def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
            assert name == "samples"
            shown.extend(rows)

    monkeypatch.setattr("aotd.distill.train_arm.open_tracker", lambda *_: nullcontext(Listening()))
    config = only(run, "aotd", learning_rate=1e-2)  # so that eight steps teach it to say something
    do("distill", replace(config, tracking=TrackingConfig(TrackerName.wandb)))
    assert [line["step"] for line in told] == list(range(1, 9))
    assert set(told[0]) == {"step", "label", "rationale", "learning_rate", "tokens", "tokens_per_second"}
    assert len(shown) == 7
    assert shown[0][1] == "left"
    for question, _, reply, rationale, frames in shown:
        assert question
        assert reply
        assert rationale
        assert isinstance(frames, Picture)
