"""Every question that was loaded has one place, and the counts add up."""

from pathlib import Path

import pytest

from aotd.errors import UserError
from aotd.records import Outcome, Program, Question, Trace, Verdict
from aotd.store.ledger import ledger, place_of, tries_words
from aotd.store.run import Run
from aotd.store.stage import Stage
from tests.sample_run import drop, program, question, sample_run, trace, verdict, write


def test_ledger_gives_every_question_verb_and_reason(tmp_path: Path) -> None:
    places = ledger(Run(sample_run(tmp_path))).places
    assert {key: (place.verb, place.name) for key, place in places.items()} == {
        "a": ("verify", "kept"),
        "b": ("decompose", "program_invalid"),
        "c": ("execute", "program_timeout"),
        "d": ("convert", "thought_cut"),
        "e": ("verify", "wrong_answer"),
        "f": ("verify", "unfaithful"),
        "g": ("convert", "pending at convert"),
        "t": ("verify", "kept"),
    }
    assert places["b"].reason == "line 3: unknown name Fnd"
    assert places["f"].reason == "not so: unfaithful"
    assert places["a"].reason == ""


def test_ledger_counts_add_up(tmp_path: Path) -> None:
    book = ledger(Run(sample_run(tmp_path)))
    assert sum(book.counts().values()) == 8
    assert next(iter(book.counts())) == "kept"
    assert book.only(split="test").counts() == {"kept": 1}
    assert book.only(type="Interaction_T1").counts()["kept"] == 1
    assert sum(book.only(split="train").counts().values()) == 7


def test_passages_chain_between_verbs(tmp_path: Path) -> None:
    passages = ledger(Run(sample_run(tmp_path))).passages()
    assert [(p.verb, p.reached, p.passed, p.pending) for p in passages] == [
        ("load", 8, 8, 0),
        ("decompose", 8, 7, 0),
        ("execute", 7, 6, 0),
        ("convert", 6, 4, 1),
        ("verify", 4, 2, 0),
    ]
    assert [list(p.ended) for p in passages][-1] == [Outcome.unfaithful, Outcome.wrong_answer]


def test_ledger_pending_at_verb_not_run(tmp_path: Path) -> None:
    write(tmp_path, "load", Question, [question("a"), question("b")])
    assert ledger(Run(tmp_path)).counts() == {"pending at decompose": 2}
    write(tmp_path, "decompose", Program, [program("a")])
    assert ledger(Run(tmp_path)).counts() == {"pending at decompose": 1, "pending at execute": 1}


def test_ledger_ends_question_dropped_by_load(tmp_path: Path) -> None:
    write(tmp_path, "load", Question, [question("a"), drop("b", Outcome.video_unreadable, "no such file")])
    book = ledger(Run(tmp_path))
    assert book.counts() == {"video_unreadable": 1, "pending at decompose": 1}
    assert [(p.reached, p.passed) for p in book.passages()][:2] == [(2, 1), (1, 0)]


def test_ledger_refuses_two_ends(tmp_path: Path) -> None:
    sample_run(tmp_path)
    write(tmp_path, "execute", Trace, [trace("b")])
    with pytest.raises(UserError, match=r"execute: question 'b' is program_invalid at decompose and has a line"):
        ledger(Run(tmp_path))


def test_ledger_refuses_verdict_on_dropped_question(tmp_path: Path) -> None:
    sample_run(tmp_path)
    write(tmp_path, "verify", Verdict, [verdict("d")])
    with pytest.raises(UserError, match="'d' is thought_cut at convert"):
        ledger(Run(tmp_path))


def test_ledger_refuses_record_without_question(tmp_path: Path) -> None:
    write(tmp_path, "load", Question, [question("a")])
    write(tmp_path, "decompose", Program, [program("stranger")])
    with pytest.raises(UserError, match="'stranger' was never loaded"):
        ledger(Run(tmp_path))


def test_ledger_refuses_duplicate_line(tmp_path: Path) -> None:
    write(tmp_path, "load", Question, [question("a")])
    write(tmp_path, "decompose", Program, [program("a")])
    file = tmp_path / "decompose/records.jsonl"
    file.write_bytes(file.read_bytes() * 2)
    with pytest.raises(UserError, match="'a' has two lines"):
        ledger(Run(tmp_path))


def test_ledger_of_empty_folder_names_load(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="aotd load"):
        ledger(Run(tmp_path / "nothing"))


def test_trace_round_trip(tmp_path: Path) -> None:
    write(tmp_path, "execute", Trace, [trace("a")])
    assert Stage(tmp_path, "execute", Trace).records() == [trace("a")]


def test_tries_words_of_further_programs() -> None:
    assert tries_words({}) == tries_words({1: 7}) == ""
    assert tries_words({1: 7, 2: 3, 4: 1}).startswith(
        "kept with the first program: 7; after rejecting or mending programs: 3 with number 2, 1 with number 4"
    )


def test_place_of_equals_ledger(tmp_path: Path) -> None:
    run = Run(sample_run(tmp_path))
    write(tmp_path, "load", Question, [drop("gone", Outcome.video_unreadable, "no such file")])
    places = ledger(run).places
    assert len(places) == 9
    assert {key: place_of(run, key) for key in places} == places
    assert place_of(run, "never loaded") is None


def test_place_of_reads_no_other_line(tmp_path: Path) -> None:
    run = Run(sample_run(tmp_path))
    with run.traces.records_path.open("ab") as lines:
        lines.write(b'{"question_id":"later","damaged":1}\n')
    place = place_of(run, "a")
    assert place is not None
    assert place.outcome is Outcome.kept
