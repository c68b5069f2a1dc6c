"""Our students as the model `aotd` of lmms-eval.

    lmms-eval --model aotd --model_args student=runs/demo/distill/aotd/student --tasks aotd_test …

lmms-eval finds `manifest` by the entry point `lmms_eval.models` in pyproject.toml. A student sees what `aotd evaluate`
would show it of a video, or of a part of one, and is asked in its own form: video, text, line break. The text is the
task's.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aotd.errors import QuestionError, UserError
from aotd.records import Question
from aotd.runtime.progress import progress
from aotd.specialists import SpecialistsConfig
from aotd.students import Attention, Dtype, StudentConfig
from aotd.students.features import sees_video
from aotd.video.source import DecodedVideos

try:
    from lmms_eval.api.model import lmms
    from loguru import logger
except ImportError:
    raise UserError(
        "aotd.students.lmms_eval needs lmms-eval: pip install 'aotd[lmms]', then pip install --no-deps lmms-eval"
    ) from None

if TYPE_CHECKING:
    from aotd.video_llms.base import VideoFeatures

UNREAD = "-"
"""Stands for the reply where a video cannot be read, or a model thought and said nothing. No option is read in it;
and it is not empty, because some tasks (MVBench) leave empty replies out of the count instead of counting them as
wrong."""

VIEWS_KEPT = 4
"""Questions about one video come one after the other."""


def manifest() -> Any:
    """What lmms-eval is told: the model's name, and where its class is."""
    from lmms_eval.models.registry_v2 import ModelManifest  # that package loads this module while it is loaded itself

    return ModelManifest(model_id="aotd", simple_class_path=f"{__name__}.{LmmsStudent.__name__}")


class LmmsStudent(lmms):  # type: ignore[misc]
    """A student that was saved. Tasks of `output_type: generate_until` about one video a question.

    Args:
        student: its folder, `<run>/distill/<arm>/student`.
        dtype, attention: as `student.dtype` and `student.attention`.
        batch_size: questions it is asked at once; does not change its replies but for rounding.
        others: what else lmms-eval may pass on (`--device`); refused.

    Raises:
        UserError: no student there, values that make no sense, or several processes.
    """

    is_simple = True

    def __init__(
        self,
        student: str,
        dtype: str = "float32",
        attention: str = "sdpa",
        batch_size: int | str = 1,
        **others: Any,
    ) -> None:
        from aotd.students.registry import load_student

        super().__init__()
        if others:
            raise UserError(
                f"the model aotd has no setting {', '.join(others)}: it takes student, dtype, attention and "
                "batch_size; CUDA_VISIBLE_DEVICES chooses the GPU"
            )
        for name, value, known in (("dtype", dtype, Dtype), ("attention", attention, Attention)):
            if value not in [one.value for one in known]:
                raise UserError(f"{name}={value}: one of {', '.join(one.value for one in known)}")
        if not str(batch_size).isdecimal() or int(batch_size) < 1:
            raise UserError(f"batch_size={batch_size} must be a number, 1 or more")
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise UserError("the model aotd runs in one process: start lmms-eval without accelerate or torchrun")
        self._batch = int(batch_size)
        config = StudentConfig(dtype=Dtype(dtype), attention=Attention(attention))
        self._student = load_student(Path(str(student)), config)
        self._sees_video = sees_video(Path(str(student)))
        # A task is code that its user chose to run: it may name any file.
        self._videos = DecodedVideos("/", self._student.specialist_frames, SpecialistsConfig().decode_deadline_s)
        self._view = lru_cache(VIEWS_KEPT)(self._look)

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """The replies, greedily, in the order of the requests.

        Raises:
            UserError: a question is not about one video, asks for sampling, or no video could be read.
        """
        batches = []
        for how, some in groupby(requests, key=_how):
            same = list(some)
            batches += [(how, same[first : first + self._batch]) for first in range(0, len(same), self._batch)]
        replies = []
        for how, batch in progress("asking the student", batches):
            replies += self._replies(batch, *how)
        if replies and set(replies) == {UNREAD}:
            raise UserError("no question's video can be read: the warnings above say why")
        return replies

    def _replies(self, batch: Sequence[Any], longest: int, until: Sequence[str]) -> list[str]:
        rows = []
        unread = []
        for place, request in enumerate(batch):
            text, _, shown, number, task, split = request.args
            where = f"{task}, question {number}"
            try:
                view = self.seen_of(shown(self.task_dict[task][split][number]), where)
            except QuestionError as error:
                logger.warning(f"{where} counts as wrong, its video cannot be read: {error}")
                unread.append(place)
                continue
            rows.append(self._student.prompt_row(view, text.rstrip("\n") + "\n"))
        replies = iter(self._student.generate(rows, longest) if rows else [])
        said = [None if place in unread else next(replies) for place in range(len(batch))]
        return [UNREAD if reply is None or reply.silent else _cut(reply.text, until) for reply in said]

    def seen_of(self, visuals: Any, where: str) -> VideoFeatures:
        """What the student sees of the video that a task shows.

        Raises:
            QuestionError: `video_unreadable`.
            UserError: it shows something else than one video file.
        """
        return self._view(*_part(visuals, where))

    def _look(self, path: str, start_s: float | None, end_s: float | None) -> VideoFeatures:
        question = Question(
            question_id=path,
            dataset="lmms-eval",
            split="test",
            video_id=path,
            video=path,
            start_s=start_s,
            end_s=end_s,
            question="",
            type="",
        )
        video = self._videos.open(question)
        return self._student.encode_video(video) if self._sees_video else {}

    def loglikelihood(self, requests: Sequence[Any]) -> Any:
        raise UserError("a student replies in words: take tasks of output_type generate_until")

    def generate_until_multi_round(self, requests: Sequence[Any]) -> Any:
        raise UserError("a student is asked once about a video: take tasks of output_type generate_until")


def _how(request: Any) -> tuple[int, tuple[str, ...]]:
    """Most tokens of a request's reply, and what ends it beside the student's own end."""
    from aotd.video_llms.base import ANSWER_TOKENS

    settings = request.args[1]
    if settings.get("do_sample") and settings.get("temperature") != 0:
        raise UserError(f"{request.task_name} draws its replies (do_sample), and students reply greedily")
    until = settings.get("until") or ()
    return int(settings.get("max_new_tokens", ANSWER_TOKENS)), (until,) if isinstance(until, str) else tuple(until)


def _part(visuals: Any, where: str) -> tuple[str, float | None, float | None]:
    """The video file that a question is about, by its absolute path, with start and end in seconds."""
    one = visuals[0] if isinstance(visuals, list) and len(visuals) == 1 else None
    named: dict[str, Any] = {"path": one} if isinstance(one, str) else one if isinstance(one, dict) else {}
    path = named.get("path") or named.get("url")
    if not isinstance(path, str):
        raise UserError(f"{where}: the model aotd is asked about one video file, and the task shows something else")
    return str(Path(path).resolve()), named.get("video_start"), named.get("video_end")


def _cut(reply: str, until: Sequence[str]) -> str:
    return min((reply.partition(end)[0] for end in until if end), key=len, default=reply)
