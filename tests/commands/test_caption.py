"""Captions of videos: what each second is told, going on where it stopped, and reading them back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from aotd.cli.main import main
from aotd.commands import caption as module
from aotd.commands.run import run_verb
from aotd.config.command_line import read_settings as read
from aotd.config.tree import Config
from aotd.errors import UserError
from aotd.llm.base import Reply
from aotd.records import Outcome
from aotd.specialists.captions import read_captions
from aotd.specialists.prompted import Asked, Prompted
from aotd.specialists.subtasks import SUBTASKS, Builder
from aotd.store.stage import Stage
from tests.corners import one_thread
from tests.students.tiny import write_checkpoint
from tests.video.clips import write_video

__all__ = ["one_thread"]


class Brightness(Prompted):
    """Says how bright each frame is at its lower right corner."""

    model = "brightness"

    def __init__(self) -> None:
        self.batches: list[int] = []

    def say(self, asked: Sequence[Asked], longest: int) -> list[Reply]:
        self.batches.append(len(asked))
        clips = [clip for clip, _ in asked if clip]
        shades = [[round(int(clip.pixels(n)[-1, -1, 0]), -1) for n in clip.numbers] for clip in clips]
        return [Reply(f"{shade}\n", True, 0, 0) for shade in shades]

    def ranks(self, asked):  # type: ignore[no-untyped-def]
        raise NotImplementedError

    def picks(self, asked):  # type: ignore[no-untyped-def]
        raise NotImplementedError


@pytest.fixture
def captioner(monkeypatch: pytest.MonkeyPatch) -> Brightness:
    made = Brightness()
    monkeypatch.setitem(SUBTASKS["answering"].builders, "mock", Builder(lambda: made))
    return made


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Frame `i` of a video has brightness `10 * i + 20`, four frames a second: second `s` is shown by frame 4s + 2."""
    folder = tmp_path / "videos"
    folder.mkdir()
    write_video(folder / "a.mp4", frames=14, fps=4)  # 3.5 s
    write_video(folder / "b.mp4", frames=3, fps=4)
    (folder / "c.mp4").write_text("no video")
    return folder


def settings(videos: Path, *more: str) -> Config:
    run = f"run={videos.parent}/run"
    clips = ["dataset=clips", f"dataset.root={videos}", "specialists/answering=mock"]
    return read("caption", [run, *clips, *more])


def written(videos: Path) -> Path:
    return videos.parent / "run/caption/captions.json"


def test_caption_describes_each_whole_second(videos: Path, captioner: Brightness) -> None:
    run_verb("caption", settings(videos))
    found = read_captions(str(written(videos)))
    assert found == {"a.mp4": ["[40]", "[80]", "[120]"], "b.mp4": ["[30]"]}
    assert captioner.batches == [3, 1], "the seconds of a video are described together"
    (dropped,) = Stage(videos.parent / "run", "caption", module.Captioned).dropped()
    assert dropped.outcome is Outcome.video_unreadable
    assert dropped.question_id == "c.mp4"


def test_caption_every_s_covers_several_seconds(videos: Path, captioner: Brightness) -> None:
    run_verb("caption", settings(videos, "caption.every_s=2"))
    assert read_captions(str(written(videos)))["a.mp4"] == ["[40, 80]", "[40, 80]", "[120]"]


def test_caption_splits_long_video(videos: Path, captioner: Brightness, monkeypatch: pytest.MonkeyPatch) -> None:
    run_verb("caption", settings(videos))
    whole = written(videos).read_text()
    monkeypatch.setattr(module, "_AT_ONCE_BYTES", 2 * 64 * 48 * 3)
    captioner.batches.clear()
    run_verb("caption", settings(videos, f"run={videos.parent}/other"))
    assert (videos.parent / "other/caption/captions.json").read_text() == whole
    assert captioner.batches == [2, 1, 1]


def test_caption_resumes_with_next_video(videos: Path, captioner: Brightness) -> None:
    run_verb("caption", settings(videos))
    whole = written(videos).read_text()
    records = written(videos).with_name("records.jsonl")
    first = records.read_text().splitlines()[0]
    records.write_text(f"{first}\n" + '{"question_id": "b')
    captioner.batches.clear()
    run_verb("caption", settings(videos))
    assert captioner.batches == [1], "only b.mp4"
    assert written(videos).read_text() == whole
    with pytest.raises(UserError, match=r"every_s: 1 -> 2"):
        run_verb("caption", settings(videos, "caption.every_s=2"))


def test_caption_describes_each_video_once(videos: Path, captioner: Brightness) -> None:
    questions = videos.parent / "mine.jsonl"
    lines = [{"video": "b.mp4", "question": words, "end_s": 0.5} for words in ("what?", "who?")]
    questions.write_text("\n".join(map(json.dumps, lines)) + "\n")
    run_verb("caption", settings(videos, "dataset=files", f"dataset.questions={questions}"))
    assert read_captions(str(written(videos))) == {"b.mp4": ["[30]"]}, "the whole video, whatever the question's part"


def test_caption_by_video_llm(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aotd.specialists.prompted._SENTENCES_TOKENS", 12)
    path = write_checkpoint("llava_next_video", tmp_path / "model")
    words = [f"run={tmp_path}/run", "dataset=clips", f"dataset.root={videos}", "specialists/answering=llava_next_video"]
    assert main(["caption", *words, f"specialists.answering.model={path}", "specialists.answering.batch=2"]) == 0
    assert "captions.json: 2 videos, 4 seconds; 1 videos cannot be read" in capsys.readouterr().out
    found = read_captions(str(written(videos)))
    assert {name: len(texts) for name, texts in found.items()} == {"a.mp4": 3, "b.mp4": 1}
    assert all(text for texts in found.values() for text in texts)
    manifest = json.loads(written(videos).with_name("manifest.json").read_text())
    assert manifest["models"]["answering"].startswith("llava_next_video model (")


def test_caption_mistakes_are_one_line(videos: Path) -> None:
    with pytest.raises(UserError, match=r"caption\.every_s=0"):
        run_verb("caption", settings(videos, "caption.every_s=0"))
    with pytest.raises(UserError, match=r"specialists\.source=video"):
        run_verb("caption", settings(videos, "specialists.source=mock"))
    assert not (videos.parent / "run").exists()
