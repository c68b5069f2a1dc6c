"""Parts that go past the end of their video: shown up to it, counted, and told of once."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from aotd.agents.base import Task
from aotd.cli.main import main
from aotd.execute.parts import PastTheEnd
from aotd.records import Dropped, Outcome, Question, Trace
from aotd.store.stage import Stage, StageEntry
from tests.video.clips import write_video


def question(key: str, end_s: float | None) -> Question:
    return Question(
        question_id=key, dataset="files", split="test", video_id="a", question="Who?", type="open", end_s=end_s
    )


def end(key: str, end_s: float) -> StageEntry:
    record = Trace(
        question_id=key, frames=4, start_s=0.0, end_s=end_s, width=64, height=48, events=(), answer="it", tries=1
    )
    return StageEntry.of(record, None)


def test_those_past_the_end_are_counted_and_some_named() -> None:
    past = PastTheEnd()
    ends = {"whole": None, "short": 2.0, "rounded": 3.05, **{f"long{n}": 4.0 + n for n in range(5)}}
    tasks = [Task(question(key, end_s)) for key, end_s in ends.items()]
    assert list(past.noting(tasks)) == tasks
    assert past.told() == ""
    for key, end_s in ends.items():
        past.compare(end(key, min(end_s or 3.0, 3.0)))
    dropped = Dropped(question_id="lost", outcome=Outcome.video_unreadable, reason="gone")
    past.compare(StageEntry.of(dropped, None))
    assert past.told() == (
        "parts that end after their video, and are shown up to its end: 5 (long0: 4 s, the video has 3.00 s; "
        "long1: 5 s, the video has 3.00 s; long2: 6 s, the video has 3.00 s; and 2 more)"
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_run_shows_parts_up_to_the_end_and_tells_once(
    workers: int, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "ab":
        write_video(tmp_path / f"{name}.mp4")  # two seconds
    parts = [("a", 1.0, 6.2), ("b", 0.0, 2.4), ("a", 0.5, 1.5), ("b", 5.0, 9.0), ("a", None, None)]
    entries = [
        {"id": str(n), "video": f"{video}.mp4", "question": f"Who {n}?", "start_s": start, "end_s": end}
        for n, (video, start, end) in enumerate(parts)
    ]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    run = [
        *("dataset=files", f"dataset.questions={tmp_path / 'q.jsonl'}", f"dataset.root={tmp_path}"),
        *(f"run={tmp_path / 'run'}", "specialists=mock", "specialists.source=video", "decompose.author=fixed"),
    ]
    with caplog.at_level(logging.INFO):
        assert main(["load", *run, "load.check_videos=true"]) == 0
        assert "parts that end after their video, and are shown up to its end: 2" in capsys.readouterr().out
        assert main(["run", *run, "verbs=[decompose,execute]", f"execute.workers={workers}"]) == 0
    said = [record.getMessage() for record in caplog.records if "shown up to its end" in record.getMessage()]
    assert len(said) == 1
    assert "end: 2 (" in said[0]
    assert "0: 6.2 s, the video has 2.00 s" in said[0]
    stage = Stage(tmp_path / "run", "execute", Trace)
    shown = {trace.question_id: (trace.start_s, trace.end_s) for trace in stage.records()}
    assert shown == {"0": (1.0, 2.0), "1": (0.0, 2.0), "2": (0.5, 1.5), "4": (0.0, 2.0)}
    (lost,) = stage.dropped()
    assert lost.question_id == "3"
    assert lost.reason == "b.mp4: the part from 5 s is not in it, it ends at 2.00 s"
