"""wandb itself, offline: what its directories hold after a small run of every verb, and when its service is killed.

`make test-slow` has the environment for it.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import psutil
import pytest

from aotd.cli.main import main
from aotd.store.ledger import ledger
from aotd.store.run import Run
from aotd.tracking import Artifact, TrackerName, TrackingConfig, process
from aotd.tracking.process import open_tracker
from aotd.verbs import FLOW

pytestmark = pytest.mark.slow
pytest.importorskip("wandb")

WORDS = [
    *(f"dataset.playroom.{split}_videos={count}" for split, count in (("train", 4), ("val", 0), ("test", 4))),
    *("dataset.playroom.difficulty=easy", "specialists.frames=8", "execute.workers=1", "distill.only=[aotd]"),
    *("distill.epochs=1", "distill.workers=1", "student.frames=4", "evaluate.max_rationale_tokens=8"),
    *("evaluate.arms=[blind,agent,aotd]", "tracking.tracker=wandb"),
]
BLOCK = 1 << 15


@dataclass
class Kept:
    """What one offline directory holds."""

    name: str
    job_type: str
    group: str
    last: dict[str, Any]
    """The last value under each name."""
    logs: int
    config: dict[str, Any]
    status: int | None
    """None: it was not finished."""
    used: dict[str, str] = field(default_factory=dict)
    """Name of an artifact -> digest."""
    made: dict[str, str] = field(default_factory=dict)


def records(path: Path) -> Iterator[Any]:
    """The records of a `.wandb` file: LevelDB's log format behind seven bytes of header."""
    from wandb.proto import wandb_internal_pb2

    data, at, whole = path.read_bytes(), 7, b""
    assert data[:4] == b":W&B"
    while at + 7 <= len(data):
        room = BLOCK - at % BLOCK
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        if room < 7 or kind == 0:  # the rest of the block is padding
            at += room
            continue
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            yield record
            whole = b""


def kept(run: Path) -> list[Kept]:
    return [_kept(path) for path in sorted((run / "wandb").glob("offline-run-*/*.wandb"))]


def _kept(path: Path) -> Kept:
    found: Kept | None = None
    for record in records(path):
        kind = record.WhichOneof("record_type")
        told = getattr(record, kind)
        if kind == "run":
            found = Kept(told.display_name, told.job_type, told.run_group, {}, 0, {}, None)
            continue
        if found is None:
            continue
        if kind == "history":
            found.logs += 1
            found.last |= {".".join(item.nested_key): json.loads(item.value_json) for item in told.item}
        elif kind == "config":
            found.config |= {item.key: json.loads(item.value_json) for item in told.update}
        elif kind == "artifact" and told.type != "run_table":
            (found.used if told.use_after_commit else found.made)[told.name] = told.digest
        elif kind == "exit":
            found.status = told.exit_code
    assert found is not None
    return found


def test_wandb_offline_holds_funnel_and_lineage(tmp_path: Path) -> None:
    run = tmp_path / "mine"
    verbs = [*FLOW, "distill", "evaluate", "report"]
    before = set(Path.cwd().iterdir())
    words = [f"run={run}", f"dataset.root={tmp_path}/videos", *WORDS]
    assert main(["run", f"verbs=[{','.join(verbs)}]", *words]) == 0
    assert set(Path.cwd().iterdir()) == before
    found = kept(run)
    assert not list((run / "wandb").glob("*.jsonl"))
    assert {(one.job_type, one.name) for one in found} == {
        *((verb, verb) for verb in verbs),
        ("distill", "distill/aotd"),
    }
    assert {one.group for one in found} == {"mine"}
    assert {one.status for one in found} == {0}
    by = {one.name: one for one in found}

    # The funnel, as scalars and as a table.
    for name, count in ledger(Run(run)).counts().items():
        assert by["verify"].last[f"ledger/{name}"] == count
    last = by["verify"].last
    for verb in FLOW:
        places = {key: value for key, value in last.items() if key.startswith(f"funnel/{verb}/")}
        assert places.pop(f"funnel/{verb}/reached") == sum(places.values())
    table = next((run / "wandb").glob(f"offline-run-*/files/{last['funnel.path']}"))
    assert json.loads(table.read_text())["columns"] == ["verb", "place", "questions"]
    for name in ("execute", "verify"):
        assert by[name].last["frames.nrows"] > 0
    assert by["execute"].last["handled"] == last["funnel/execute/reached"]

    # The lineage: what is used is what was made, to the digest.
    made = {name: digest for one in found for name, digest in one.made.items()}
    types = ("questions", "programs", "traces", "thoughts", "verdicts", "student-aotd", "scores")
    assert set(made) == {f"mine-{name}" for name in types}
    for one in found:
        assert one.used.items() <= made.items()
        assert one.config["lineage"] == {"used": one.used, "made": one.made}
    uses = {name: sorted(used.removeprefix("mine-") for used in one.used) for name, one in by.items() if one.used}
    assert uses == {
        "decompose": ["questions"],
        "execute": ["programs", "questions"],
        "convert": ["traces"],
        "verify": ["thoughts"],
        "distill": ["questions", "thoughts", "verdicts"],
        "evaluate": ["questions", "student-aotd", "thoughts", "traces"],
    }

    # Losses and scores.
    arm = by["distill/aotd"]
    steps = (run / "distill/aotd/losses.jsonl").read_text().splitlines()
    assert arm.last["label"] == pytest.approx(json.loads(steps[-1])["label"])
    assert arm.last["samples.nrows"] > 0
    scores = json.loads((run / "evaluate/agent/scores.json").read_text())
    assert by["evaluate"].last["agent/multiple_choice"] == pytest.approx(scores["multiple_choice"]["mean"])

    # Neither weights nor videos nor the records were copied.
    size = sum(path.stat().st_size for path in (run / "wandb").rglob("*") if path.is_file() and not path.is_symlink())
    assert size < 4 << 20
    assert not list((run / "wandb").rglob("*.mp4"))


class Server(ThreadingHTTPServer):
    """As much of wandb's server as `wandb sync` needs: it takes artifacts, and knows one again by its digest."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.ids: dict[tuple[str, str], str] = {}
        """Name and digest of an artifact -> its id."""
        self.runs: dict[str, str] = {}
        """Id of a run -> its name."""
        self.committed: set[str] = set()
        self.used: set[tuple[str, str]] = set()
        """Run and id of an artifact."""


class Answers(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        return

    def do_PUT(self) -> None:
        self._take()
        self._say({})

    def do_GET(self) -> None:
        self._say({})

    def do_POST(self) -> None:
        asked = self._take()
        if not self.path.endswith("graphql"):
            self._say({})
            return
        question = json.loads(asked)
        values = question.get("variables") or {}
        told = getattr(self, f"_{question['operationName']}", self._nothing)(values.get("input", values))
        self._say({"data": told})

    def _take(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _say(self, told: dict[str, Any]) -> None:
        text = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _nothing(self, values: dict[str, Any]) -> dict[str, Any]:
        return {}

    def _file(self, name: str) -> dict[str, Any]:
        where = {"uploadUrl": f"{self.server.url}/{name}", "uploadHeaders": []}
        return {"id": "f", "name": name, "displayName": name, "storagePath": "f", "uploadMultipartUrls": None, **where}

    def _UpsertBucket(self, values: dict[str, Any]) -> dict[str, Any]:
        self.server.runs[values["name"]] = values.get("displayName") or self.server.runs[values["name"]]
        project = {"id": "p", "name": values["project"], "entity": {"id": "e", "name": "us"}}
        run = {"id": "r", "name": values["name"], "config": "{}", "historyLineCount": 0, "project": project}
        return {"upsertBucket": {"bucket": run, "inserted": True}}

    def _CreateRunFiles(self, values: dict[str, Any]) -> dict[str, Any]:
        files = [self._file(name) for name in values["files"]]
        return {"createRunFiles": {"runID": "r", "uploadHeaders": [], "files": files}}

    def _CreateArtifact(self, values: dict[str, Any]) -> dict[str, Any]:
        known = (values["artifactCollectionName"], values["digest"])
        key = self.server.ids.setdefault(known, f"a{len(self.server.ids)}")
        state = "COMMITTED" if key in self.server.committed else "PENDING"
        sequence = {"id": "s", "latestArtifact": None}
        return {"createArtifact": {"artifact": {"id": key, "state": state, "artifactSequence": sequence}}}

    def _CreateArtifactManifest(self, values: dict[str, Any]) -> dict[str, Any]:
        return {"createArtifactManifest": {"artifactManifest": {"id": "m", "file": self._file("manifest")}}}

    def _CreateArtifactFiles(self, values: dict[str, Any]) -> dict[str, Any]:
        of = values["artifactFiles"]
        nodes = [{"node": {**self._file(one["name"]), "artifact": {"id": one["artifactID"]}}} for one in of]
        return {"createArtifactFiles": {"files": {"edges": nodes}}}

    def _CommitArtifact(self, values: dict[str, Any]) -> dict[str, Any]:
        self.server.committed.add(values["artifactID"])
        return {"commitArtifact": {"artifact": {"id": values["artifactID"], "digest": ""}}}

    def _UseArtifact(self, values: dict[str, Any]) -> dict[str, Any]:
        self.server.used.add((self.server.runs[values["runName"]], values["artifactID"]))
        return {"useArtifact": {"artifact": {"id": values["artifactID"], "digest": "", "state": "COMMITTED"}}}


def test_wandb_sync_declares_artifacts(tmp_path: Path) -> None:
    config, run, artifacts = TrackingConfig(TrackerName.wandb), tmp_path / "mine", []
    for verb, kind in (("load", "questions"), ("decompose", "programs")):
        (run / verb).mkdir(parents=True)
        (run / verb / "records.jsonl").write_text(f"{verb}\n")
        artifacts.append(Artifact(f"mine-{kind}", kind, {"records.jsonl": run / verb / "records.jsonl"}))
        with open_tracker(config, Run(run), verb, verb) as tracker:
            for artifact in artifacts:
                tracker.artifact(artifact, used=artifact is not artifacts[-1])
        time.sleep(1.1)  # directories are in the order of their seconds
    folders = {name: str(tmp_path / name) for name in ("WANDB_CONFIG_DIR", "WANDB_DATA_DIR", "WANDB_CACHE_DIR")}
    with Server() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        known = {"WANDB_API_KEY": "k" * 40, "WANDB_BASE_URL": server.url, "WANDB_ERROR_REPORTING": "false"}
        for folder in sorted((run / "wandb").glob("offline-run-*")):
            command = [sys.executable, "-m", "wandb", "sync", "--yes", str(folder)]
            done = subprocess.run(command, env={**os.environ, **folders, **known}, capture_output=True, timeout=120)
            assert done.returncode == 0, done.stderr.decode()
        server.shutdown()
    ids = {name: key for (name, _), key in server.ids.items()}
    assert set(ids) == {"mine-questions", "mine-programs"}
    assert len(server.ids) == 2  # one version of each: what is used is what was made
    assert server.committed == set(ids.values())
    assert server.used == {("decompose", ids["mine-questions"])}


def service() -> psutil.Process:
    """wandb's service, once it runs."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for child in psutil.Process().children(recursive=True):
            if child.name() == "wandb-core":
                time.sleep(1.0)  # until it has begun
                return child
        time.sleep(0.1)
    raise AssertionError("wandb has not started")


def test_wandb_killed_service_is_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_tracker(TrackingConfig(TrackerName.wandb), Run(tmp_path), "distill", "distill/aotd") as tracker:
        for step in range(100):
            tracker.log({"step": step})
        service().terminate()
        time.sleep(1.0)
        started = time.monotonic()
        for step in range(100, 1000):
            tracker.log({"step": step})
        assert time.monotonic() - started < 1.0
    (one,) = kept(tmp_path)
    assert (one.logs, one.last["step"], one.status) == (1000, 999, 0)
    assert not capsys.readouterr().err


def test_wandb_hanging_service_keeps_messages(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "FINISH_S", 3.0)
    with open_tracker(TrackingConfig(TrackerName.wandb), Run(tmp_path), "distill", "distill/aotd") as tracker:
        core = service()
        core.suspend()
        started = time.monotonic()
        for step in range(5000):
            tracker.log({"step": step})
        assert time.monotonic() - started < 3.0
    assert time.monotonic() - started < 8.0
    core.kill()
    assert "wandb was not done 3 s after the job" in capsys.readouterr().err
    (left,) = (tmp_path / "wandb").glob("*.jsonl")
    assert len(left.read_text().splitlines()) == 5002
    assert os.access(left, os.R_OK)
