"""What `benchmarks/honest.py` calls honest, and what it compares with."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("forks", allow_module_level=True)

from aotd.specialists.mock import Mock
from benchmarks import honest
from benchmarks.honest import STAND_IN, End, Job, different, of_record, plain

HEAD = "def execute_command(video_clip, query, possible_answers):\n"


def run(body: str) -> End:
    return plain(Job("a test", HEAD + "".join(f"    {line}\n" for line in body.splitlines()), STAND_IN), Mock(8))


def test_plain_run_has_all_of_python_and_the_promised_fields() -> None:
    done = run(
        "import math\n"
        "try:\n    boxes = Query_Objs(video_clip, 'book')\nexcept Exception:\n    boxes = []\n"
        "part = trim(video_clip, video_clip.start + 1, video_clip.end)\n"
        "told = [box.x1 <= box.x2 and box.y1 <= box.y2 and box.score >= 0 for box in boxes]\n"
        "return [f'{math.pi:.2f} {len(part)} {part.frames[0]} {all(told)}']"
    )
    assert (done.answer, done.outcome) == ("3.14 7 1 True", "answered")
    assert [event.tool for event in done.events] == ["Query_Objs", "trim"]
    assert run("return exist(video_clip, 'book')").answer in ("yes", "no")
    assert run("return 3").answer == "3"


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ("return 1 / 0", "ZeroDivisionError"),
        ("return nothing_of_that_name", "NameError"),
        ("return Find(3, 'cup')", "ToolError"),
        ("return str('label' in Query_Objs(video_clip, 'book')[0])", "TypeError"),
        ("return None", "no_answer"),
        ("import os\nos._exit(3)", "its process died"),
        ("while True:\n    pass", "ran out of time"),
    ],
)
def test_program_without_answer_counts_as_broken(body: str, outcome: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(honest, "SECONDS", 1.0)
    done = run(body)
    assert (done.answer, done.outcome) == (None, outcome)


def test_programs_are_read_from_replies_with_refused_ones(tmp_path: Path) -> None:
    line = {"prompt": "5e", "ends_in": "?", "max_tokens": 9, "model": "m", "prompt_tokens": 1, "reply_tokens": 1}
    replies = [("```python\n" + HEAD + "    import os\n```", True), ("def execute_command", False), ("no", True)]
    path = tmp_path / "replies.jsonl"
    path.write_text("".join(json.dumps({**line, "text": text, "finished": whole}) + "\n" for text, whole in replies))
    jobs = list(of_record(path))
    assert [job.code for job in jobs] == [HEAD + "    import os\n", "no\n"]
    assert plain(Job("a test", "no", STAND_IN, HEAD + "    return 'x'\n"), Mock(8)).answer == "x"
    assert different([*jobs, *jobs]) == jobs
