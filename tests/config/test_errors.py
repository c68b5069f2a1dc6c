"""A typo in a key, a group, a choice or a type is named, with what was probably meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from aotd.config.compose import compose
from aotd.config.errors import RENAMED, setting_names
from aotd.config.tree import Config
from aotd.errors import UserError


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("dataset.rot=x", "there is no setting dataset.rot: did you mean dataset.root?"),
        ("datset.root=x", "there is no setting datset.root: did you mean dataset.root?"),
        ("sed=1", "there is no setting sed: did you mean seed?"),
        ("rationale_weight=1", "there is no setting rationale_weight: did you mean distill.rationale_weight?"),
        ("evaluate.judge.nam=x", "there is no setting evaluate.judge.nam: did you mean evaluate.judge.name?"),
        (
            "distill.arms.aotd.rationale=true",
            "there is no setting distill.arms.aotd.rationale: did you mean distill.arms.aotd.rationales?",
        ),
        (
            "distill.mixture=[{run: a, rot: b}]",
            "there is no setting distill.mixture.rot: did you mean distill.mixture.root?",
        ),
        ("execute.programs=4", "there is no setting execute.programs any more: it is execute.concurrency"),
        ("llm.context=4096", "there is no setting llm.context any more: it is llm.max_model_len"),
        ("zzz=1", "there is no setting zzz"),
        ("datset=star", "there is no setting datset: did you mean dataset?"),
        ("specialists/acton=mock", "there is no setting specialists/acton: did you mean specialists/action?"),
        (
            "student=valey",
            "there is no student=valey: did you mean student=valley? it can be llava_next_video, llava_onevision, "
            "onevision_small, qwen_vl, valley, valley_grown, valley_vicuna, video_llava",
        ),
        ("llm=a/b", "there is no llm=a/b: it can be none, openai, replay, transformers, vllm"),
        ("decompose.author=lm", "decompose.author: 'lm' is none of annotated, fixed, llm: did you mean llm?"),
        ("distill.questions_per_step=big", "distill.questions_per_step: 'big' is no whole number"),
        ("distill.epochs=big", "distill.epochs: 'big' is no number"),
        ("distill.bf16=yess", "distill.bf16: 'yess' is neither true nor false"),
        ("evaluate.arms=aotd", "evaluate.arms: it is a list: write [value, …]"),
        (
            "distill.arms.mine={rationales: true}",
            "there is no setting distill.arms.mine, and a new name goes into an experiment file",
        ),
        (
            "+distill.arms.mine.rationales=true",
            "distill.arms.mine.rationales cannot be added here: a new name goes into an experiment file",
        ),
        ("seed=1,2", "seed=1,2: write seed=[1,2] for a list, or add -m to sweep over these values"),
        ("llm=none,vllm", "llm=none,vllm: add -m to sweep over these values"),
        ("cache=x", "cache: it holds settings, and no value: set cache.folder, cache.gb"),
        (
            "dataset.playroom=3",
            "dataset.playroom: it holds settings, and no value: set dataset.playroom.seed, "
            "dataset.playroom.difficulty, dataset.playroom.train_videos, dataset.playroom.val_videos, "
            "dataset.playroom.test_videos",
        ),
        (
            "evaluate=5",
            "evaluate: it holds settings, and no value: set evaluate.arms, evaluate.external, evaluate.reference, "
            "evaluate.baseline_run, evaluate.reading, …",
        ),
        ("cache=[a]", "cache: it holds settings by their names, and is no list"),
        ("seed=null", "seed: null is no value of it"),
        ("llm.batch=null", "llm.batch: null is no value of it"),
        ("dataset=null", "null is no choice of a group: `aotd VERB --help` lists the choices"),
    ],
)
def test_plainly_on_command_line(word: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        compose([word])
    assert str(caught.value) == f"settings: {says}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("decompose: {authr: llm}", "there is no setting decompose.authr: did you mean decompose.author?"),
        ("datset: {root: x}", "there is no setting datset: did you mean dataset?"),
        ("decompose: {author: lm}", "decompose.author: 'lm' is none of annotated, fixed, llm: did you mean llm?"),
        ("distill: {questions_per_step: big}", "distill.questions_per_step: 'big' is no whole number"),
        ("distill: {mixture: [{rot: a}]}", "there is no setting rot: did you mean root?"),
        (
            "distill: {arms: {a: {epoch: 1}}}",
            "there is no setting distill.arms.a.epoch: did you mean distill.arms.a.epochs?",
        ),
        ("defaults:\n  - override /studnt: valley", "there is no group studnt: did you mean student?"),
    ],
)
def test_plainly_names_the_file(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "theirs.yaml").write_text(f"# @package _global_\n{text}\n")
    with pytest.raises(UserError) as caught:
        compose(["experiment=theirs"], str(tmp_path))
    assert str(caught.value) == f"settings: experiment/theirs: {says}"


def test_renamed_settings_are_gone_and_their_new_names_are_there() -> None:
    names = set(setting_names(Config))
    assert not names & set(RENAMED)
    assert {name for name in RENAMED.values() if "=" not in name} <= names
