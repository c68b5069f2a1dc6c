"""What a question's video becomes in an export: the path of its file, or the frames that the specialists saw.

The trainers' formats name a file, and have no field for the part of it that a question is about. Frames can show
that part, and keep the numbers that a chain of thought gives them: `frames/<part>/007.jpg` is frame 7.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from aotd.datasets.base import locate
from aotd.records import Question
from aotd.store.files import digest
from aotd.video.source import DecodedVideos

QUALITY = 95
Media = str | list[str]
"""The absolute path of a video file, or those of its frames in order."""


class VideoFiles:
    """Names the video files."""

    def __init__(self, root: str, source: DecodedVideos) -> None:
        self._root, self._source = root, source
        self.parts: list[str] = []
        """The questions that were about a part of their file, which the file's name does not say."""

    def of(self, question: Question) -> Media:
        """
        Raises:
            QuestionError: the video cannot be read.
        """
        if not self._source.is_whole(question):
            self.parts.append(question.question_id)
        assert question.video is not None
        return str(locate(self._root, question.video))


class Pictures:
    """Writes the frames of each part of a video once."""

    def __init__(self, folder: Path, final: Path, source: DecodedVideos) -> None:
        """Write into `folder`; the paths are those it has once it is moved to `final`."""
        self._folder, self._final, self._source = folder, final, source
        self._written: dict[str, list[str]] = {}

    def of(self, question: Question) -> Media:
        """
        Raises:
            QuestionError: the video cannot be read.
        """
        video = self._source.open(question)
        part = digest([str(video.path), video.start_s, video.end_s])
        if part not in self._written:
            frames = video.pixels()
            place = Path("frames") / part
            (self._folder / place).mkdir(parents=True)
            names = [place / f"{number:03}.jpg" for number in range(len(frames))]
            for name, frame in zip(names, frames, strict=True):
                Image.fromarray(frame).save(self._folder / name, quality=QUALITY)
            self._written[part] = [str(self._final / name) for name in names]
        return self._written[part]
