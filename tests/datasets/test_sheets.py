"""Tables as spreadsheets and scripts save them: what is read, and what is named with its line."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from aotd.cli.main import main
from aotd.datasets.base import DatasetConfig
from aotd.datasets.files import read
from aotd.datasets.sheets import sheet_rows
from aotd.errors import UserError
from aotd.records import Question

KNOWN = ("video", "question", "options", "answer", "start_s")
PLAIN = "video,question,options,answer\nb.mp4,What?,red | blue,red\n"


def loaded(path: Path, content: bytes | str) -> list[Question]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read(DatasetConfig(name="files", root=str(path.parent), questions=str(path), split="test")).questions)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (PLAIN, "utf-8"),
        (PLAIN, "utf-8-sig"),
        (PLAIN, "utf-16"),
        (PLAIN, "utf-16-le"),
        (PLAIN, "utf-16-be"),
        (PLAIN.replace("\n", "\r\n"), "utf-8"),
        (PLAIN.replace("\n", "\r"), "utf-8"),
        (PLAIN.replace(",", ";"), "utf-8"),
        (PLAIN.replace(",", ";").replace("\n", "\r\n"), "utf-8-sig"),
        (PLAIN.replace(",", "\t"), "utf-8"),
        (PLAIN.replace(",", "\t").replace("\n", "\r\n"), "utf-16"),
        ("sep=,\r\n" + PLAIN, "utf-8"),
        ("sep=;\r\n" + PLAIN.replace(",", ";"), "utf-8-sig"),
        ('"sep=;"\n' + PLAIN.replace(",", ";"), "utf-8"),
        ("SEP=\t\n" + PLAIN.replace(",", "\t"), "utf-8"),
        ("sep=^\n" + PLAIN.replace(",", "^"), "utf-8"),
        (PLAIN + ",,,\n,,,\n", "utf-8"),
        (PLAIN + "\n\n  \n", "utf-8"),
        (PLAIN + " , ,,\t\n", "utf-8"),
        ("\n,,,\n" + PLAIN, "utf-8"),
        (PLAIN.replace("\n", "\n,,,\n", 1), "utf-8"),
        ("video, question, options, answer\n" + PLAIN.split("\n")[1], "utf-8"),
        (" video ,question\t,options,answer \n" + PLAIN.split("\n")[1], "utf-8"),
        ("Video,QUESTION,Options,Answer\n" + PLAIN.split("\n")[1], "utf-8"),
        ('"video","question","options","answer"\n"b.mp4","What?","red | blue","red"\n', "utf-8"),
        ('video, question, options, answer\nb.mp4, "What?", "red | blue", red\n', "utf-8"),
        (",video,question,options,answer\n0,b.mp4,What?,red | blue,red\n", "utf-8"),
        ("Unnamed: 0,video,question,options,answer\n0,b.mp4,What?,red | blue,red\n", "utf-8"),
        ("index;video;question;options;answer\n17;b.mp4;What?;red | blue;red\n", "utf-8"),
        ("video,question,options,answer,\nb.mp4,What?,red | blue,red,\n", "utf-8"),
        ("video,question,options,answer,,\nb.mp4,What?,red | blue,red,,\n,,,,,\n", "utf-8"),
        ("answer,options,question,video\nred,red | blue,What?,b.mp4\n", "utf-8"),
        ('video;question;options;answer\nb.mp4;What?;"[""red"", ""blue""]";red\n', "utf-8"),
    ],
)
def test_table_is_read_as_it_was_saved(text: str, encoding: str, tmp_path: Path) -> None:
    (expected,) = loaded(tmp_path / "plain.csv", PLAIN)
    assert loaded(tmp_path / "q.csv", text.encode(encoding)) == [expected]


def test_other_names_and_compression(tmp_path: Path) -> None:
    (expected,) = loaded(tmp_path / "plain.csv", PLAIN)
    assert loaded(tmp_path / "q.tsv", PLAIN.replace(",", "\t")) == [expected]
    assert loaded(tmp_path / "Q.CSV", PLAIN) == [expected]
    assert loaded(tmp_path / "q.csv.gz", gzip.compress(PLAIN.encode(), mtime=0)) == [expected]
    assert loaded(tmp_path / "q.csv.gz", PLAIN) == [expected]  # unpacked, and not renamed


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_field_in_quotes_may_hold_anything(delimiter: str, tmp_path: Path) -> None:
    asked = 'Why, or how; or\twhat?\r\nSay "yes".'
    quoted = '"' + asked.replace('"', '""') + '"'
    rows = [["video", "question", "answer"], ["b.mp4", quoted, "Größe"]]
    text = "\r\n".join(delimiter.join(row) for row in rows)
    (question,) = loaded(tmp_path / "q.csv", text)
    assert (question.question, question.answer) == (asked, "Größe")


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("video;question;start_s\nb.mp4;What?;1,5\n", 1.5),
        ("video;question;start_s\nb.mp4;What?;1.5\n", 1.5),
        ("video\tquestion\tstart_s\nb.mp4\tWhat?\t12,25\n", 12.25),
        ("video,question,start_s\nb.mp4,What?,1.5\n", 1.5),
    ],
)
def test_decimal_comma_is_read_where_commas_are_no_delimiters(text: str, start: float, tmp_path: Path) -> None:
    assert loaded(tmp_path / "q.csv", text)[0].start_s == start


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Video;Frage;Optionen\nb.mp4;Was?;rot\n", r":2: unknown field 'Frage'; known are video, question"),
        ("video,question,option\nb.mp4,What?,a | b\n", r":2: unknown field 'option'; .*: did you mean options\?"),
        ("film:frage\nb.mp4:Was?\n", r":1: not a table of questions: it has none of the columns video, .*commas"),
        ("sep=;\nvideo,question\nb.mp4,What?\n", r":2: not a table of .* with semicolons between the fields"),
        ("video,question,video\nb.mp4,What?,c.mp4\n", r":1: two columns have the heading 'video': rename or delete"),
        ("video,question,\nb.mp4,What?,remark\n", r":2: column 3 holds 'remark' and has no heading: give it one"),
        ("video,question\nb.mp4,What, then?\n", r":2: .*3, not 2, with commas between .* needs quotes around it"),
        ("video;question\nb.mp4;What?\nc.mp4\n", r":3: has not as many fields .*: 1, not 2, with semicolons"),
        ("video,question\nb.mp4,What, then?,\n", r":2: has not as many fields"),
        ('video,question,start_s\nb.mp4,What?,"1,5"\n', r":2: start_s: '1,5' is not a number of seconds: write 1\.5"),
        ("video,question,start_s\nb.mp4,What?,0:01:30\n", r":2: start_s: .*: write 90, not 0:01:30"),
        ("video,question,start_s\nb.mp4,What?,-1\n", r":2: its part of the video starts at -1 s"),
        ('video,question\nb.mp4,"What?\n', r"not CSV \(unexpected end of data\)"),
        (
            "video,question\nb.mp4,Größe?\n".encode("cp1252"),
            r":2: not in UTF-8 \(byte 0xF6, in Windows-1252 'ö'\): save",
        ),
        (
            "video,question\r\nb.mp4,Größe?\r\n".encode("mac-roman"),
            r":2: not in UTF-8 \(byte 0x9A.*: save the file as CSV",
        ),
        ("video,question\nb.mp4,What?\n".encode("utf-16")[:-1], r"damaged UTF-16"),
        (b"PK\x03\x04" + b"\0" * 60, r"is a zip archive or an Excel workbook: unpack it, or save it as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", r"is an Excel workbook: save it as CSV in UTF-8"),
        (b"PAR1" + b"\0" * 60, r"is a parquet file: its name must end in \.parquet"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", r"is a pointer of Git LFS.*git lfs pull"),
        (b"\n<!DOCTYPE html>\n<html>", r"is a web page, not the file: fetch the file itself"),
        (b"", r"q\.csv: is empty"),
        (b"\n\n,,\n", r"q\.csv: not a table of questions: it is empty"),
        (gzip.compress(PLAIN.encode(), mtime=0)[:-9], r"q\.csv: damaged gzip"),
        (gzip.compress(PLAIN.encode(), mtime=0)[:12] + b"\xff" * 40, r"q\.csv: damaged gzip"),
    ],
)
def test_what_cannot_be_told_is_named_with_its_line(text: bytes | str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"q\.csv{says}" if says.startswith(":") else says) as caught:
        loaded(tmp_path / "q.csv", text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_line_counts_every_line_before(tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.write_text('sep=;\n\nvideo;question\n;\nb.mp4;"two\nlines"\n;;;\nc.mp4\n')
    rows = sheet_rows(path, KNOWN, "a table")
    assert next(rows).line == 6
    with pytest.raises(UserError, match=r"q\.csv:8: has not"):
        next(rows)


@pytest.mark.parametrize("name", ["q.xlsx", "q.ods", "q.xls"])
def test_workbook_is_asked_for_as_csv(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"must end in \.jsonl, \.csv, .*: save the sheet as CSV in UTF-8"):
        loaded(tmp_path / name, b"PK\x03\x04")


def test_error_is_one_line_at_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "q.csv").write_text("Film;Frage\nb.mp4;Was?\n")
    words = [f"dataset.questions={tmp_path / 'q.csv'}", f"dataset.root={tmp_path}", f"run={tmp_path / 'run'}"]
    assert main(["load", "dataset=files", *words]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "q.csv:1: not a table of questions" in told
