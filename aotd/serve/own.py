"""The process behind `aotd serve RUN NAME SETTINGS`: the run's specialists with weights, for those who have no GPU.

    python -m aotd.serve.own PORT run=RUN SETTINGS

It listens on this machine alone, to who knows the key in `AOTD_API_KEY`; other nodes come through the gate
(`aotd.serve.gate`). What is said is in `aotd.specialists.wire`. A request names a video, its frames and what is asked;
the video is opened here, below `dataset.root`, and must be the file that the worker has seen. A specialist is asked by
one thread, with those that share its weights (`SpecialistsConfig.lanes`), while other threads decode what comes next.
What is found stays in memory, so that a request that came twice, or from two workers, is computed once.
"""

from __future__ import annotations

import hmac
import json
import os
import sys
import threading
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from aotd.config.command_line import read_settings
from aotd.config.tree import Config
from aotd.datasets.base import locate
from aotd.errors import QuestionError, UserError
from aotd.records import Outcome, Question
from aotd.serve.backend import KEYS
from aotd.serve.gate import answer, send
from aotd.specialists import SourceName, SpecialistsConfig
from aotd.specialists.calls import CachedFinding, Call, Findings, made_by
from aotd.specialists.load import load_specialists
from aotd.specialists.subtasks import SUBTASKS
from aotd.specialists.wire import (
    LONGEST,
    CallMessage,
    FailureMessage,
    FindingsRequest,
    FindingsResponse,
    SpecialistOffer,
    SpecialistRequest,
    differences,
    wire_settings,
)
from aotd.video.clip import Clip
from aotd.video.source import CACHED_BYTES, DecodedVideo, DecodedVideos

_IN_HAND = 4
"""Requests of one lane whose frames are held: of the one that is computed, and of those that come next."""


def served(config: Config) -> list[str]:
    """Sub-tasks whose specialists settings have served.

    Raises:
        UserError: there are none, or what they look at is no video file, or the folder of the videos is not there.
    """
    found = config.specialists.weighted()
    if not found:
        raise UserError("serve: these settings name no specialist with weights; e.g. specialists/detection=owlv2")
    if config.specialists.source is not SourceName.video:
        raise UserError(f"serve: specialists.source is {config.specialists.source.value}, and video is what is served")
    if not Path(config.dataset.root).is_dir():
        raise UserError(f"serve: {config.dataset.root} is not a folder: set dataset.root to the folder of the videos")
    return found


class SpecialistServer:
    """Specialists that are asked by requests."""

    def __init__(self, config: Config) -> None:
        """Reads the checkpoints' configurations; weights are loaded when they are first asked for.

        Raises:
            UserError: as `served`, or a checkpoint is not there.
        """
        self.subtasks = served(config)
        self._root = config.dataset.root
        self._settings = {name: wire_settings(getattr(config.specialists, name)) for name in self.subtasks}
        settings = _alone(config.specialists, self.subtasks)
        specialists = load_specialists(settings, self._root)
        assert isinstance(specialists.source, DecodedVideos)
        self._videos, self._findings = specialists.source, Findings(specialists)
        made = made_by()  # by the code that was loaded, whatever becomes of the files
        self._offered = {
            name: SpecialistOffer(model=model, made_by=made, batch=self._batch(name))
            for name, model in specialists.models().items()
            if name in self.subtasks
        }
        lanes = settings.lanes()
        made_lanes = {lane: _Lane() for lane in {lanes[name] for name in self.subtasks}}
        self._lanes = {name: made_lanes[lanes[name]] for name in self.subtasks}
        self.name = " ".join(f"{name}={self._settings[name]['name']}" for name in self.subtasks)

    def offer(self, wanted: SpecialistRequest) -> SpecialistOffer:
        """The specialist of a sub-task.

        Raises:
            UserError: it is not served, or is set to something else than is wanted.
        """
        offered = self._served(wanted.subtask)
        if found := differences(wanted.subtask, wanted.settings, self._settings[wanted.subtask]):
            raise UserError(f"{'; '.join(found)}: let both be alike")
        return offered

    def find(self, ask: FindingsRequest) -> FindingsResponse:
        """What calls find, or why one of them could not.

        Raises:
            UserError: another model is asked, or another file, or a specialist cannot go on at all.
        """
        offered = self._served(ask.subtask)
        if (ask.model, ask.made_by) != (offered.model, offered.made_by):
            raise UserError(
                f"{ask.subtask} has become {offered.model}, made by {', '.join(offered.made_by)}, since it was "
                "started again: begin anew those who ask"
            )
        if len(ask.calls) > offered.batch:
            raise UserError(f"{len(ask.calls)} calls at once, and {ask.subtask} takes {offered.batch}")
        lane = self._lanes[ask.subtask]
        with lane.in_hand:
            try:
                calls = [self._call(ask, one) for one in ask.calls]
                found = self._asked(lane, calls)
            except QuestionError as error:
                return FindingsResponse(failed=FailureMessage(outcome=error.outcome, reason=error.reason))
        if isinstance(found, FailureMessage):
            return FindingsResponse(failed=found)
        findings = [
            SUBTASKS[ask.subtask].methods[ask.method].finding.dump_python(one.value, mode="json") for one in found
        ]
        specialist = getattr(self._findings.specialists, ask.subtask)
        return FindingsResponse(
            findings=tuple(findings), room=specialist.room() if hasattr(specialist, "room") else None
        )

    def _asked(self, lane: _Lane, calls: Sequence[Call]) -> list[CachedFinding] | FailureMessage:
        """What calls find; or how the specialist crashed, which is one question's failure and not the run's.

        Raises:
            QuestionError: as the specialist.
            UserError: it cannot go on at all.
        """
        clips = [call.clip for call in calls if call.clip is not None and self._findings.known(call) is None]
        # Held until the findings are there, so that they are decoded once, and by this thread.
        frames = [clip.video.pixels() for clip in clips if clip.numbers]
        asked = lane.models.submit(self._found, calls)
        error = asked.exception()
        del frames
        if error is None:
            return asked.result()
        if isinstance(error, QuestionError | UserError):
            raise error
        traceback.print_exception(error)
        reason = f"{calls[0].subtask} at the server: {type(error).__name__}: {error}"
        return FailureMessage(outcome=Outcome.tool_failed, reason=reason[:500])

    def _found(self, calls: Sequence[Call]) -> list[CachedFinding]:
        known = {call.key: self._findings.known(call) for call in calls}
        new = {call.key: call for call in calls if known[call.key] is None}
        if new:
            known |= zip(new, self._findings.find(list(new.values())), strict=True)
        return [found for call in calls if (found := known[call.key]) is not None]

    def _served(self, subtask: str) -> SpecialistOffer:
        if subtask not in self._offered:
            raise UserError(f"{subtask} is not served, but {', '.join(self._offered)}: add specialists/{subtask}=…")
        return self._offered[subtask]

    def _batch(self, subtask: str) -> int:
        specialist = getattr(self._findings.specialists, subtask)
        several = any(hasattr(specialist, f"{method}_all") for method in SUBTASKS[subtask].methods)
        return max(int(specialist.batch), 1) if several else 1

    def _call(self, ask: FindingsRequest, one: CallMessage) -> Call:
        """A call of this process; its clip is of the same file that the worker has seen.

        Raises:
            QuestionError: the video cannot be read.
            UserError: there is no such file here, or it is another one.
        """
        clip = None
        if one.seen is not None:
            seen = one.seen
            question = Question(
                question_id="", dataset="", split="", video_id=seen.video_id, video=seen.video, question="", type="",
                start_s=seen.start_s, end_s=seen.end_s,
            )  # fmt: skip
            self._check_there(seen.video)
            video = self._sampled(self._videos.open(question), seen.frames)
            if video.content != seen.content:
                raise UserError(
                    f"{seen.video} below dataset.root={self._root} is another file than that of those who ask (its "
                    "SHA-256 differs): let both see the same videos; if it was changed lately, start the server again"
                )
            clip = Clip(video, seen.numbers, dict(seen.crops))
        return self._findings.call(ask.subtask, ask.method, clip, *ask.given(one))

    def _check_there(self, name: str) -> None:
        if not locate(self._root, name).is_file():
            raise UserError(f"there is no {name} below dataset.root={self._root}: let both see the same videos")

    def _sampled(self, video: DecodedVideo, frames: int) -> DecodedVideo:
        """A video with so many frames: as many as the settings say, or no more than memory is kept for."""
        if frames != video.frames and frames * video.height * video.width * 3 > CACHED_BYTES:
            raise UserError(f"{frames} frames of {video.path.name} are too many to be looked at in one go")
        return replace(video, frames=frames)


class _Lane:
    """Specialists that are asked in turn."""

    def __init__(self) -> None:
        self.models = ThreadPoolExecutor(1, "models")
        self.in_hand = threading.Semaphore(_IN_HAND)


def _alone(config: SpecialistsConfig, subtasks: Sequence[str]) -> SpecialistsConfig:
    """Settings with these specialists in this process, and nothing to load for the others."""
    parts: dict[str, Any] = {}
    for name in SUBTASKS:
        part = getattr(config, name)
        own = {} if name in subtasks else {"name": "trivial", "model": ""}
        parts[name] = replace(part, url="", **own)
    return replace(config, **parts)


class _Handler(BaseHTTPRequestHandler):
    """Who has no key learns nothing; what a request holds is checked before anything is done."""

    own: SpecialistServer
    key: bytes

    def do_GET(self) -> None:
        if self._may():
            send(self, 200, json.dumps({"data": [{"id": self.own.name}]}).encode(), "application/json")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length") or "0"
        if not self._may():
            return
        if not length.isdigit() or int(length) > LONGEST:
            return answer(self, 413, f"{length} bytes, and {LONGEST} are the most")
        body = self.rfile.read(int(length))
        try:
            if self.path == "/v1/specialist":
                self._say(self.own.offer(SpecialistRequest.model_validate_json(body)))
            elif self.path == "/v1/findings":
                self._say(self.own.find(FindingsRequest.model_validate_json(body)))
            else:
                answer(self, 404, "no such path")
        except ValidationError as error:
            first = error.errors()[0]
            at = ".".join(map(str, first["loc"]))
            answer(self, 400, f"{at}: {first['msg']}: let both be of one version of aotd")
        except UserError as error:
            answer(self, 409, str(error))

    def _may(self) -> bool:
        key = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if hmac.compare_digest(key.encode(), self.key):
            return True
        answer(self, 401, "another key is wanted")
        return False

    def _say(self, what: BaseModel) -> None:
        send(self, 200, what.model_dump_json().encode(), "application/json")

    def log_message(self, format: str, *given: Any) -> None:
        """What comes and goes is no news."""


class _Server(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True


def main(words: Sequence[str]) -> int:
    """Serve until the process is ended. Returns the exit status.

    Args:
        words: the port, and the settings.
    """
    key = os.environ[KEYS[0]]
    for name in KEYS:  # nothing that is started from here needs it
        os.environ.pop(name, None)
    try:
        own = SpecialistServer(read_settings("execute", words[1:]))
    except UserError as error:
        print(f"aotd: {error}", file=sys.stderr)  # noqa: T201
        return 2
    handler = type("Handler", (_Handler,), {"own": own, "key": key.encode()})
    _Server(("127.0.0.1", int(words[0])), handler).serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
