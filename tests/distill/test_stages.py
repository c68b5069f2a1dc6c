"""Arms of several stages: what each trains, from which examples, how long, and what is said where that is wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from aotd.config.compose import compose
from aotd.config.tree import Config
from aotd.distill import ArmConfig, MixturePart, Schedule, StageConfig
from aotd.distill.batch import tokenize_example
from aotd.errors import UserError
from aotd.evaluate.training_set import loaded_in, trained_on
from aotd.prompts.student import suffix
from aotd.records import Example, Mode
from aotd.store.run import Run
from aotd.students import StudentConfig, StudentName, ValleySettings
from aotd.students.registry import load_student, new_student
from tests.corners import corner_config, write_run
from tests.jobs import do
from tests.students.tiny import MODELS, write_checkpoint

PROJECTOR = StageConfig(trainable=["projector"], rationales=False, epochs=1, learning_rate=1e-2)
WHOLE = StageConfig(trainable=["projector", "lm"], max_steps=3, lr_scheduler_type=Schedule.linear)


def staged(run: Path, *stages: StageConfig, **settings: Any) -> Config:
    config = corner_config(run)
    arms = {"aotd": ArmConfig(stages=list(stages))}
    return replace(config, distill=replace(config.distill, arms=arms, **settings))


def losses(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "distill/aotd/losses.jsonl").read_text().splitlines()]


def weights(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "model.safetensors")


def changed_parts(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    assert before.keys() == after.keys()
    return {name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])}


def test_stage_trains_its_parts_on_its_examples(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aotd.distill.train_arm.remove_leftovers", lambda *_: None)
    do("distill", staged(run, PROJECTOR, WHOLE))
    arm = run / "distill/aotd"
    first, last = weights(arm / "stages/1/student"), weights(arm / "student")
    assert changed_parts(first, last) == {"projector", "lm"}
    lines = losses(run)
    assert [(line["stage"], line["step"]) for line in lines] == [
        *((1, step) for step in range(1, 5)), *((2, step) for step in range(1, 4))
    ]  # fmt: skip
    assert all((line["rationale"] == 0) is (line["stage"] == 1) for line in lines)
    rates = [line["learning_rate"] for line in lines if line["stage"] == 2]
    assert rates == pytest.approx([3e-3, 1.5e-3, 0.0])  # linear, after a step of warm-up
    of_stages = [Run(run).examples(name).records() for name in ("aotd/stages/1", "aotd")]
    assert [sum(example.rationale is not None for example in examples) for examples in of_stages] == [0, 10]
    made = json.loads((arm / "manifest.json").read_text())["settings"]
    assert made["stage"] == {
        "number": 2, "trainable": ["projector", "lm"], "max_steps": 3, "lr_scheduler_type": "linear"
    }  # fmt: skip


def test_students_of_earlier_stages_are_removed_at_the_end(run: Path) -> None:
    do("distill", staged(run, PROJECTOR, WHOLE))
    arm = run / "distill/aotd"
    assert not (arm / "stages/1/student").exists()
    assert not list(arm.rglob("checkpoints"))
    assert {path.name for path in (arm / "stages/1").iterdir()} > {"manifest.json", "records.jsonl", "dropped.jsonl"}
    assert Run(run).students() == ["aotd"]


def test_one_stage_is_an_arm_without_stages(run: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    do("distill", staged(run, StageConfig()))
    plain = tmp_path_factory.mktemp("plain")
    write_run(plain)
    do("distill", staged(plain))
    one, other = (weights(folder / "distill/aotd/student") for folder in (run, plain))
    assert not changed_parts(one, other)
    assert [{**line, "stage": 1} for line in losses(plain)] == losses(run)


def test_manifest_without_stages_is_what_it_was(run: Path) -> None:
    do("distill", staged(run))
    made = json.loads((run / "distill/aotd/manifest.json").read_text())["settings"]
    assert made["arm"] == {
        "epochs": 0.0, "rationales": True, "require": ["answer", "faithful", "coherent"], "train": True
    }  # fmt: skip
    assert set(made) == {
        "arm", "bf16", "deepspeed", "epochs", "frames", "gradient_checkpointing", "learning_rate",
        "max_tokens_per_batch", "mixture", "questions_per_step", "questions_per_video", "rationale_weight", "seed",
        "split", "student", "threads", "warmup_ratio", "weight_decay",
    }  # fmt: skip


@pytest.mark.parametrize(("max_tokens", "steps"), [(0, 8), (1, 1), (1000, 2)])
def test_token_budget_ends_training(run: Path, max_tokens: int, steps: int) -> None:
    do("distill", staged(run, max_tokens=max_tokens))
    assert len(losses(run)) == steps


def test_mixture_of_each_stage_counts_as_training(run: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    into = tmp_path_factory.mktemp("into")
    part = MixturePart(run=str(run), root="", questions=9, thoughts=False)
    first = StageConfig(mixture=[part], rationales=False)
    write_run(into)
    do("distill", staged(into, first, StageConfig(mixture=[], max_steps=1)))
    done = [Run(into).examples(name) for name in ("aotd/stages/1", "aotd")]
    assert [examples.count() + examples.count_dropped() for examples in done] == [9, 16]
    found = trained_on(into / "distill/aotd", {}, str(tmp_path_factory.getbasetemp()), loaded_in)
    assert len(found.questions) == done[0].count() + done[1].count()
    assert found.checkpoint is None
    assert found.complete
    (into / "distill/aotd/stages/1/records.jsonl").unlink()
    assert not trained_on(into / "distill/aotd", {}, "", loaded_in).complete


def test_questions_of_all_stages_count_once(run: Path) -> None:
    do("distill", staged(run, PROJECTOR, WHOLE))
    for folder in (run / "distill/aotd", run / "distill/aotd/stages/1"):
        found = trained_on(folder, {}, "", loaded_in)
        assert len(found.questions) == 14
        assert found.untraced == ()


@pytest.mark.parametrize(
    ("arm", "says"),
    [
        (ArmConfig(stages=[StageConfig(trainable=["tower"])]),
         r"distill.arms.a.stages\[0\].trainable: valley has no part 'tower' to train; one of projector, temporal, "),
        (ArmConfig(trainable=["language"]), r"distill.arms.a.trainable: valley has no part 'language' to train"),
        (ArmConfig(stages=[StageConfig(), StageConfig(require=["beauty"])]), r"stages\[1\].require: there is no check"),
        (ArmConfig(stages=[StageConfig(epochs=0)]), r"stages\[0\].epochs=0 must be more than 0"),
        (ArmConfig(max_steps=-1), r"distill.arms.a.max_steps=-1 must be 0 \(no bound\) or more"),
        (ArmConfig(stages=[StageConfig(adam_beta1=1)]), r"stages\[0\].adam_beta1=1 must be in \[0, 1\)"),
        (ArmConfig(stages=[StageConfig(questions_per_step=0)]), r"stages\[0\].questions_per_step=0 must be more"),
        (ArmConfig(stages=[StageConfig(warmup_ratio=1)]), r"stages\[0\].warmup_ratio=1 must be in \[0, 1\)"),
        (ArmConfig(train=False, stages=[StageConfig()]), "has stages and train=false"),
        (ArmConfig(stages=[StageConfig(lora_rank=4)]), r"stages\[0\].lora_rank=4: valley has no adapters"),
        (ArmConfig(stages=[StageConfig(mixture=[MixturePart(run="nowhere")])]),
         r"distill.arms.a.stages\[0\].mixture: there is no run at 'nowhere'"),
    ],
)  # fmt: skip
def test_wrong_stage_is_one_line(run: Path, arm: ArmConfig, says: str) -> None:
    config = corner_config(run)
    with pytest.raises(UserError, match=says):
        do("distill", replace(config, distill=replace(config.distill, arms={"a": arm})))
    assert not (run / "distill").exists()


def test_question_too_long_for_a_later_stage_is_reported_before_the_first(run: Path) -> None:
    with pytest.raises(UserError, match=r"is too small for [0-9]+ questions of arm aotd, among them"):
        do("distill", staged(run, PROJECTOR, WHOLE, max_tokens_per_batch=100))
    assert not (run / "distill/aotd/losses.jsonl").exists()


def test_stage_without_answer_suffix_asks_the_question_alone(run: Path) -> None:
    student = new_student(corner_config(run).student, 8, ["Question: Which side is bright?"], 0)
    example = Example(question_id="0a", prompt="Question: Which side is bright?", answer="left", rationale="So left.")
    for asked, suffixes in ((True, [suffix(True, Mode.answer), suffix(True, Mode.rationale)]), (False, ["\n", None])):
        prompts = tokenize_example(student, example, True, asked).prompts
        for tokens, end, mode in zip(prompts, suffixes, (Mode.answer, Mode.rationale), strict=True):
            assert student.decode(tokens) == example.prompt + (end or suffix(True, mode))
    do("distill", staged(run, StageConfig(answer_suffix=False, max_steps=1), StageConfig(max_steps=1)))
    first, second = losses(run)
    assert first["tokens"] < second["tokens"], "the same questions, without the suffix"


def test_stages_are_read_from_the_command_line() -> None:
    words = ["distill.arms.aotd.stages=[{trainable:[projector],lr_scheduler_type:constant,max_steps:9},{epochs:2}]"]
    first, second = compose(words).distill.arms["aotd"].stages
    assert first == StageConfig(trainable=["projector"], lr_scheduler_type=Schedule.constant, max_steps=9)
    assert second == StageConfig(epochs=2)


@pytest.mark.parametrize("name", MODELS)
def test_only_the_projector_of_a_family_is_trained(name: str, run: Path, tmp_path: Path) -> None:
    checkpoint = write_checkpoint(name, tmp_path / "checkpoint")
    student = StudentConfig(name=StudentName(name), path=str(checkpoint), frames=4)
    only = StageConfig(trainable=["projector"], max_steps=3)
    do("distill", replace(staged(run, only), student=student))
    before, after = (weights(folder) for folder in (checkpoint, run / "distill/aotd/student"))
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert changed
    assert all("projector" in key or "merger" in key or "image_newline" in key for key in changed)


def test_adapters_stand_in_for_the_language_model_only_where_it_is_trained(run: Path, tmp_path: Path) -> None:
    checkpoint = write_checkpoint("llava_onevision", tmp_path / "checkpoint")
    student = StudentConfig(name=StudentName.llava_onevision, path=str(checkpoint), frames=4, lora_rank=2)
    alone = StageConfig(trainable=["projector"], max_steps=3)
    do("distill", replace(staged(run, alone, StageConfig(trainable=["lm"], max_steps=3)), student=student))
    before, after = (weights(folder) for folder in (checkpoint, run / "distill/aotd/student"))
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert any("q_proj" in key for key in changed)
    assert any("projector" in key for key in changed)
    assert not any("embed" in key or "vision_tower" in key for key in changed)


def test_valley_begins_from_another_runs_student(run: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    do("distill", staged(run))
    path = run / "distill/aotd/student"
    second = tmp_path_factory.mktemp("second")
    write_run(second)
    config = staged(second)
    config = replace(config, student=StudentConfig(path=str(path)))  # its sizes are the checkpoint's
    do("distill", config)
    student = load_student(second / "distill/aotd/student", config.student)
    assert student.model.config.frames == 2
    assert student.model.config.text_config.hidden_size == 32
    tokenizers = [(folder / "tokenizer.json").read_text() for folder in (path, second / "distill/aotd/student")]
    assert tokenizers[0] == tokenizers[1]
    assert losses(second)[0]["label"] < losses(run)[0]["label"]
    found = trained_on(second / "distill/aotd", {}, "", loaded_in)
    assert len(found.questions) == 28, "those of the student that it began from, and its own"


@pytest.mark.parametrize(
    ("student", "seen", "says"),
    [
        (StudentConfig(frames=4), 8, "student.frames=4, but the student in .* has 2: leave student.frames out"),
        (StudentConfig(valley=ValleySettings(hidden=48)), 8, "student.valley.hidden=48, but the student in .* has 32"),
        (StudentConfig(), 16, "rationales about 8 frames, and those of this run number 16: set specialists.frames=8"),
        (StudentConfig(name=StudentName.qwen_vl), 8, "student.name wants qwen3_vl"),
    ],
)
def test_settings_contradicting_a_saved_valley_are_one_line(
    run: Path, student: StudentConfig, seen: int, says: str
) -> None:
    config = corner_config(run)
    made = new_student(config.student, 8, ["a word"], 0)
    made.save(run / "student")
    with pytest.raises(UserError, match=says):
        new_student(replace(student, path=str(run / "student")), seen, [], 0)


def test_valley_path_without_a_valley_is_one_line(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no student: name the folder distill/ARM/student of another run"):
        new_student(StudentConfig(path=str(tmp_path / "nowhere")), 8, [], 0)
    other = write_checkpoint("qwen_vl", tmp_path / "other")
    with pytest.raises(UserError, match="holds another student than valley"):
        new_student(StudentConfig(path=str(other)), 8, [], 0)
