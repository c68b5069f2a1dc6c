from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import asdict, fields
from pathlib import Path

import pytest
import yaml

from aotd import __version__
from aotd.cli.main import main
from aotd.config.command_line import read_settings
from aotd.config.tree import Config
from aotd.distill import ArmConfig
from aotd.records import Program
from aotd.store.stage import Stage
from aotd.verbs import VERBS

ROOT = Path(__file__).resolve().parents[2]


def fails(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What a failing command says: one line on standard error, status 2, no traceback."""
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith("aotd: ")
    assert said.count("\n") == 1
    assert "Traceback" not in said
    return said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["fly"], "there is no verb 'fly': one of load"),
        (["distil"], "did you mean distill?"),
        (["decompose", "--fast"], "'--fast' is not a setting"),
        (["decompose", "fast"], "'fast' is not a setting"),
        (["decompose", "decompose.authr=llm"], "no setting decompose.authr: did you mean decompose.author?"),
        (["decompose", "decompose.author=bob"], "decompose.author: 'bob' is none of annotated, fixed, llm"),
        (["decompose", "decompose.retries=many"], "decompose.retries: 'many' is no whole number"),
        (["run", "experiment=none_such"], "there is no experiment=none_such: it can be demo, "),
        (["load", "--cfg", "all"], "--cfg: write --cfg job"),
        (["load", "--cfg"], "--cfg: write --cfg job"),
        (["load", "--package", "dataset"], "--package dataset goes with --cfg job"),
        (["load", "--cfg", "job", "--package", "dataset.rot"], "there is no rot: did you mean root?"),
        (["load", "--cfg", "job", "-m"], "-m and --cfg do not go together"),
        (["load", "-m=1"], "'-m=1' is not a setting"),
        (["load", "hydra/launcher=basic"], "go with -m"),
        (["run", "verbs=[load,fly]"], "'fly' is not a step of the flow"),
    ],
)
def test_main_wrong_words_are_one_line(capsys: pytest.CaptureFixture[str], words: list[str], says: str) -> None:
    assert says in fails(capsys, *words)


@pytest.mark.parametrize(
    "verb", ["decompose", "execute", "convert", "verify", "distill", "evaluate", "report", "export"]
)
def test_main_missing_input_names_verb_to_run(capsys: pytest.CaptureFixture[str], tmp_path: Path, verb: str) -> None:
    said = fails(capsys, verb, f"run={tmp_path}/new", f"dataset.root={tmp_path}")
    assert "first" in said or "is not there" in said
    assert not (tmp_path / "new").exists(), "a failed verb left something behind"


def test_execute_without_a_run_says_where_to_begin(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    new = tmp_path / "new"
    said = fails(capsys, "execute", f"run={new}", "dataset.root=nowhere")
    assert f"run={new} is not there: begin with `aotd load run={new} …`" in said
    new.mkdir()
    assert f"{new}/load is not there: run `aotd load` first" in fails(capsys, "execute", f"run={new}")


@pytest.mark.parametrize("dataset", ["clips", "files", "playroom"])
def test_load_into_an_impossible_folder_does_nothing(
    dataset: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = [f"dataset={dataset}", f"dataset.root={tmp_path}/root", f"dataset.questions={tmp_path}/none.jsonl"]
    for run in ("/proc/x", "/dev/null/x", f"{tmp_path}/{'x' * 300}"):
        assert "cannot be made" in fails(capsys, "load", f"run={run}", *words)
    assert not list(tmp_path.iterdir())


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"aotd {__version__}\n"


def test_main_author_llm_without_engine_says_what_to_add(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with Stage(tmp_path, "load", Program).open({}):
        pass
    assert "add llm=transformers or llm=vllm or llm=openai" in fails(
        capsys, "decompose", f"run={tmp_path}", "decompose.author=llm"
    )


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_every_verb(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    assert main([verb, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"{verb}: ")


def test_overview_lists_verbs_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    said = capsys.readouterr().out
    listed = [line.split()[0] for line in said.splitlines() if line.startswith("  ")]
    assert listed == list(VERBS)


def test_cfg_job_prints_settings_only(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["distill", "experiment=replication", "run=runs/ä, b", "--cfg", "job"]) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["run"] == "runs/ä, b"
    assert shown["distill"]["arms"]["base"] == asdict(ArmConfig(rationales=False, require=[], train=False))
    assert shown["student"]["name"] == "valley"
    assert set(shown) == {item.name for item in fields(Config)}
    assert main(["-c", "job"]) == 2
    assert main(["distill", "-c", "job", "-p", "distill.arms", "experiment=replication"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == shown["distill"]["arms"]
    assert not list(tmp_path.iterdir())


def test_cfg_job_output_reads_back(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["experiment=paper", "seed=3", "student.lora_rank=8", "distill.learning_rate=4e-5"]
    assert main(["distill", *words, "--cfg", "job"]) == 0
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(f"# @package _global_\n{capsys.readouterr().out}")
    assert read_settings("distill", [f"configs={tmp_path}", "experiment=mine"]) == read_settings("distill", words)


HEAVY = ("torch", "transformers", "av", "sklearn", "accelerate", "PIL")
TYPOS = [
    ["distill", "distill.rationale_wieght=1"],
    ["distill", "studnt=valley"],
    ["execute", "specialists/detection=owl"],
    ["distill", "distill.questions_per_step=big"],
    ["distill", "-m", "distill.rationale_weight=1,x"],
    ["run", "experiment=repliction"],
]


def test_main_typo_is_found_before_loading(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom aotd.cli.main import main\n"
        f"for words in {TYPOS!r}:\n"
        f"    print(main(words), sorted(set({HEAVY!r}) & set(sys.modules)))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["2 []"] * len(TYPOS), done.stderr
    assert done.stderr.count("\n") == len(TYPOS)
    assert not list(tmp_path.iterdir())


def test_read_settings_takes_paths_and_questions_as_typed() -> None:
    text = "What's next, (if) [any] {thing} is=open, $HOME or ${oc.env:HOME}? \\ 100%"
    config = read_settings("ask", [f"question={text}", "run=runs/a, b", "options=[a b,c]"])
    assert config.ask.question == text
    assert config.run == "runs/a, b"
    assert config.ask.options == ["a b", "c"]


def test_read_settings_external_arms_by_name() -> None:
    words = [
        "evaluate.external.gpt=a, {b}.jsonl",
        "evaluate.external.theirs=runs/x/distill/aotd",
        "evaluate.baseline_run=runs/[y]",
    ]
    settings = read_settings("evaluate", words).evaluate
    assert settings.external == {"gpt": "a, {b}.jsonl", "theirs": "runs/x/distill/aotd"}
    assert settings.baseline_run == "runs/[y]"
