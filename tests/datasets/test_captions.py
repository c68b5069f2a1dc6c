"""Files of titles and captions in the forms that people have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aotd.datasets.captions import VideoCaption, read_captions
from aotd.errors import UserError

ROWS = [
    {"video": "a/1.mp4", "title": "Dog Barks", "caption": "A dog barks, twice."},
    {"video": "2.mp4", "title": None, "caption": "A cat sleeps."},
]
EXPECTED = [
    VideoCaption("a/1.mp4", "a/1.mp4", "Dog Barks", "A dog barks, twice.", "told"),
    VideoCaption("2.mp4", "2.mp4", "", "A cat sleeps.", "told"),
]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("told.json", json.dumps(ROWS)),
        ("told.jsonl", "".join(json.dumps({**row, "more": 1}) + "\n" for row in ROWS)),
        ("told.csv", 'video,title,caption\na/1.mp4,Dog Barks,"A dog barks, twice."\n2.mp4,,A cat sleeps.\n'),
        ("told.tsv", "caption\tvideo\ttitle\nA dog barks, twice.\ta/1.mp4\tDog Barks\nA cat sleeps.\t2.mp4\t\n"),
    ],
)
def test_read_captions_takes_json_lines_and_tables(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    assert read_captions(tmp_path / name) == EXPECTED
    assert [caption.video_id for caption in EXPECTED] == ["1", "2"]


def test_table_of_captions_needs_no_titles(tmp_path: Path) -> None:
    (tmp_path / "told.csv").write_text("video,caption\n1.mp4,A dog.\n")
    assert read_captions(tmp_path / "told.csv") == [VideoCaption("1.mp4", "1.mp4", "", "A dog.", "told")]


def test_second_caption_of_a_video_has_a_key_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "told.json"
    path.write_text(json.dumps([{"video": video, "caption": "x"} for video in ("1", "2", "1", "3")]))
    assert [caption.key for caption in read_captions(path)] == ["1", "2", "1#2", "3"]
    assert [caption.key for caption in read_captions(path, limit=2)] == ["1", "2", "1#2"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('[{"video": "1"}]', r"told\.json: entry 1: caption: Field required; what is read of an entry: video, title"),
        ('[{"caption": "x"}]', r"entry 1: video: Field required"),
        ('{"video": ["1"]}', r"told\.json: a file of captions is a list"),
        ("[", r"told\.json:1: not JSON"),
    ],
)
def test_malformed_captions_are_named(content: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "told.json").write_text(content)
    with pytest.raises(UserError, match=says):
        read_captions(tmp_path / "told.json")
