"""A run and a question on the terminal."""

import re
import unicodedata
from pathlib import Path

import pytest

from aotd.cli.main import main
from aotd.evaluate import EvaluateConfig
from aotd.evaluate.contamination import write_contamination
from aotd.records import Dropped, Example, Outcome, Prediction, Program, Question, Trace
from aotd.runtime.output import wide_console
from aotd.store.run import Run
from aotd.store.stage import Stage
from aotd.view.tables import Sheet, drawn, printable
from tests.sample_run import evaluated, program, question, sample_run, trace, write


def shown(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert main(["show", *map(str, words)]) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert main(["show", *map(str, words)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err


def test_show_funnel_adds_up_with_examples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, sample_run(tmp_path))
    assert "b: line 3: unknown name Fnd" in text
    assert "unfaithful 1" in text
    ends = next(line for line in text.splitlines() if line.startswith("kept 2 + "))
    counts, total = ends.split(" = ")
    assert sum(int(part.split()[-1]) for part in counts.split(" + ")) == int(total) == 8
    assert "No arm has been evaluated" in text
    assert "\x1b" not in text


def test_show_lists_arms_below_funnel(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, evaluated(sample_run(tmp_path)))
    assert text.index("blind") < text.index("instruct") < text.index("aotd: of 1 rationales")
    assert "100.0 (20–100)" in text
    rows = text[text.index("multiple choice by how replies are read") :].splitlines()
    row = next(line for line in rows if "instruct" in line)
    assert row.replace("│", " ").split() == ["instruct", "100.0", "(20–100)", "3", "100.0", "(20–100)", "1", "–"]


def test_show_repeats_contamination(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = evaluated(sample_run(tmp_path))
    with Stage(run, "distill/aotd", Example).open(
        {"arm": {}, "student": {}}, inputs={"load": Stage(run, "load", Question).manifest_digest()}
    ) as out:
        out.write(Example(question_id="a", prompt="Which was opened?", answer="A", rationale=None))
    asked = [one for one in Stage(run, "load", Question).records() if one.split == "test"]
    write_contamination(Run(run), {"aotd": run / "distill" / "aotd"}, asked, EvaluateConfig(), "data/playroom", seed=0)
    text = shown(capsys, run)
    assert "aotd: trained on 1 question about 1 video; none of the 1 question" in text
    (run / "evaluate" / "aotd" / "seen.json").write_text("{}")
    assert main(["show", str(run)]) == 2
    assert "does not hold seen: run `aotd evaluate` again" in capsys.readouterr().err


def test_show_costs_with_dash_for_unmeasured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, evaluated(sample_run(tmp_path)))
    rows = text[text.index("cost per question") :].splitlines()
    (row,) = [line.split() for line in rows if re.match(" *(aotd|instruct|blind) .* 0 %", line)]
    assert row == ["aotd", "answer", "1", "0.0210", "1.0", "1,187", "–", "0.0", "0", "%", "–"]
    assert (
        "aotd answers in 0.0210 s, the agent in 0.350 s: 16.7 times faster (15.1–18.4); mean over 1 question, "
        "the student was asked 64 at a time, both on one machine, "
        "for 25 % of them the agent's time lacks what it reused\n"
    ) in text


def test_show_unparsed_reply_with_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = evaluated(sample_run(tmp_path))
    path = run / "evaluate" / "blind" / "answer" / "records.jsonl"
    said = Prediction.model_validate_json(path.read_text())
    unread = said.model_copy(update={"text": "A or B", "parsed": None, "rule": "several"})
    path.write_text(unread.model_dump_json() + "\n")
    text = shown(capsys, run, "t")
    assert "blind, answer: no answer can be read (several) (wrong)\n      A or B\n" in text


def test_show_question_from_program_to_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, evaluated(sample_run(tmp_path)), "t")
    parts = (
        "(A) The door.   <- true",
        "kept",
        "def execute_command",
        "→ frames 8–15 (1.0–2.0 s, score 0.80)",
        "Query_Objs 'door' on frames 8–15",
        "3 boxes: door [10, 10, 50, 90] in frame 8 (0.90)",
        "from frame 8 to frame 15",
        "pass  coherent",
        "blind, answer: The book. (wrong)",
        "instruct, rationale: The door. (right)",
        "aotd, rationale",
        "time IoU 0.80",
    )
    places = [text.find(part) for part in parts]
    assert -1 not in places
    assert places == sorted(places)
    assert "\x1b" not in text


@pytest.mark.parametrize(("key", "says"), [("b", "program_invalid: line 3"), ("g", "pending at convert")])
def test_show_question_that_ended_says_why(
    key: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = shown(capsys, sample_run(tmp_path), key)
    assert says in text
    assert "verdict" not in text


def test_show_cuts_long_list_of_boxes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, "load", Question, [question("a")])
    write(tmp_path, "decompose", Program, [program("a")])
    write(tmp_path, "execute", Trace, [trace("a", boxes=50)])
    text = shown(capsys, tmp_path, "a")
    assert "50 boxes: " in text
    assert "and 46 more" in text
    assert text.count("door [") == 4


def test_show_escapes_control_characters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "Which \x1b[2J\x1b]0;pwned\x07 was \u202eopened [bold red]?[/]"
    write(tmp_path, "load", Question, [question("a", words=hostile)])
    text = shown(capsys, tmp_path, "a")
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[bold red]?[/]" in text
    assert printable("a\tb\nc\u202e") == "a\tb\nc\N{REPLACEMENT CHARACTER}"


def test_show_keeps_ids_and_reasons_on_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = "a\u2028b\nkept 99\x1b[31m[bold]"
    run = tmp_path / "demo"
    write(run, "load", Question, [question(key), question("c")])
    reason = "ValueError: \x1b]0;x\x07\r\nkept 99 = 99"
    write(run, "decompose", Program, [Dropped(question_id=key, outcome=Outcome.program_invalid, reason=reason)])
    text = shown(capsys, run)
    assert not [line for line in text.splitlines() if line.strip().startswith("kept 99")]
    assert "[bold]: ValueError: " in " ".join(text.split())
    assert not {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp")} - {"\n"}
    console = wide_console()
    with console.capture() as caught:
        console.print(drawn(Sheet("\x1b[7mtitle [b]", ("type",), (("[red]x[/] \x1b[31m\u202e",),))))
    text = caught.get()
    assert "[red]x[/] \N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}" in text
    assert "\N{REPLACEMENT CHARACTER}[7mtitle [b]" in " ".join(text.split())


def test_show_mistakes_suggest_what_was_meant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = sample_run(tmp_path / "demo", [question("kitchen_1"), *(question(k) for k in "abcdefgt")])
    assert "did you mean demo?" in refused(capsys, tmp_path / "demmo")
    assert "did you mean kitchen_1?" in refused(capsys, run, "kitchen_2")
    assert "usage: aotd show RUN [QUESTION_ID]" in refused(capsys)
    assert "usage" in refused(capsys, run, "a", "b")


def test_show_names_unreadable_stage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = sample_run(tmp_path)
    with (Stage(run, "verify", Question).folder / "records.jsonl").open("a") as out:
        out.write("{}\n")
    assert "records.jsonl:5" in refused(capsys, run)
