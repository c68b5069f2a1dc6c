from __future__ import annotations

from pathlib import Path

import pytest

from aotd.cli import JOBS, main, read_settings
from aotd.records import Program
from aotd.store import Stage


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
        (["fly"], "there is no verb 'fly'"),
        (["decompose", "--fast"], "'--fast' is not a setting"),
        (["decompose", "fast"], "'fast' is not a setting"),
        (["decompose", "decompose.authr=llm"], "Key 'authr' not in 'DecomposeConfig'"),
        (["decompose", "decompose.author=bob"], "expected one of [annotated, fixed, llm]"),
        (["decompose", "decompose.retries=many"], "could not be converted to Integer"),
        (["run", "experiment=none_such"], "Could not find 'experiment/none_such'"),
        (["run", "verbs=[load,fly]"], "'fly' is not a step of the flow"),
    ],
)
def test_wrong_words_are_one_line(capsys: pytest.CaptureFixture[str], words: list[str], says: str) -> None:
    assert says in fails(capsys, *words)


@pytest.mark.parametrize(
    "verb", ["decompose", "execute", "convert", "verify", "distill", "evaluate", "report", "export"]
)
def test_a_verb_whose_input_is_missing_names_the_verb_to_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, verb: str
) -> None:
    said = fails(capsys, verb, f"run={tmp_path}/new", f"dataset.root={tmp_path}")
    assert "first" in said or "is not there" in said
    assert not (tmp_path / "new").exists(), "a failed verb left something behind"


def test_author_llm_without_an_engine_says_what_to_add(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with Stage(tmp_path, "load", Program).open({}):
        pass
    assert "add llm=transformers or llm=vllm or llm=openai" in fails(
        capsys, "decompose", f"run={tmp_path}", "decompose.author=llm"
    )


@pytest.mark.parametrize("verb", JOBS)
def test_every_verb_explains_itself(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    assert main([verb, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"{verb}: ")


def test_the_overview_lists_the_verbs_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    said = capsys.readouterr().out
    listed = [line.split()[0] for line in said.splitlines() if line.startswith("  ")]
    assert listed == [*JOBS, "show", "status", "serve"]


def test_paths_and_questions_are_taken_as_typed() -> None:
    text = "What's next, (if) [any] {thing} is=open, $HOME or ${oc.env:HOME}? \\ 100%"
    config = read_settings("ask", [f"question={text}", "run=runs/a, b", "options=[a b,c]"])
    assert config.ask.question == text
    assert config.run == "runs/a, b"
    assert config.ask.options == ["a b", "c"]


def test_arms_from_elsewhere_are_named_one_by_one() -> None:
    words = [
        "evaluate.others.gpt=a, {b}.jsonl",
        "evaluate.others.theirs=runs/x/distill/aotd",
        "evaluate.against=runs/[y]",
    ]
    settings = read_settings("evaluate", words).evaluate
    assert settings.others == {"gpt": "a, {b}.jsonl", "theirs": "runs/x/distill/aotd"}
    assert settings.against == "runs/[y]"
