"""What is on without being asked for (nothing), what stops a job before it begins, and where wandb's key goes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from aotd import tracking
from aotd.cli.main import main
from aotd.runtime.pools import worker_pool
from aotd.sandbox.forkserver import ForkServer
from aotd.store.run import Run
from aotd.tracking import KEY, NullTracker, TrackerName, TrackingConfig, run_name, take_key
from aotd.tracking.process import open_tracker


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "_key", None)
    monkeypatch.delenv(KEY, raising=False)


def test_tracking_names_missing_extra(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    assert main(["load", "tracking.tracker=wandb", f"run={tmp_path}/run", f"dataset.root={tmp_path}/world"]) == 2
    assert "pip install 'aotd[wandb]'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["wandb/settings", ".wandb"])
def test_tracking_refuses_wandb_settings_in_run(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tracking, "find_spec", lambda name: object())
    path = tmp_path / "run" / name
    path.parent.mkdir(parents=True)
    path.write_text("[default]\nbase_url = http://127.0.0.1:9\n")
    assert main(["load", "tracking.tracker=wandb", f"run={tmp_path}/run", f"dataset.root={tmp_path}/world"]) == 2
    assert str(path) in capsys.readouterr().err


def test_tracking_is_off_by_default_and_on_one_rank(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with open_tracker(TrackingConfig(), Run(tmp_path), "distill", "distill/aotd") as tracker:
        assert isinstance(tracker, NullTracker)
    monkeypatch.setenv("RANK", "1")
    with open_tracker(TrackingConfig(TrackerName.wandb), Run(tmp_path), "distill", "distill/aotd") as tracker:
        assert isinstance(tracker, NullTracker)
    assert not list(tmp_path.iterdir())


def test_run_name_is_valid_for_wandb(tmp_path: Path) -> None:
    assert run_name(Run(tmp_path / "mine")) == "mine"
    assert run_name(Run(tmp_path / "où/a b:c")) == "a-b-c"


# ── the key ───────────────────────────────────────────────────────────────────────────────────────


def of_environment(name: str) -> str | None:
    return os.environ.get(name)


def test_take_key_hides_key_from_children(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(KEY, "k" * 40)
    assert main(["load", f"run={tmp_path}/run", "dataset=files", f"dataset.root={tmp_path}"]) == 2  # it needs more
    assert KEY not in os.environ
    assert take_key() == "k" * 40
    with worker_pool(1) as pool:
        assert pool.submit(of_environment, KEY).result() is None
        assert pool.submit(of_environment, "PATH").result()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_sandbox_has_no_wandb_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "k" * 40)
    server = ForkServer((), 1 << 29, 10)
    try:
        seen = Path(f"/proc/{server._process.pid}/environ").read_bytes()
    finally:
        server.close()
    assert b"PYTHONHASHSEED" in seen
    assert KEY.encode() not in seen
