"""vLLM's server kept up by `aotd serve`, on a tiny model with random weights: `make test-vllm`."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from aotd.cli.main import main
from aotd.llm import LLMConfig
from aotd.llm.openai import OpenAIEngine
from tests.llm.test_vllm import make_model

pytestmark = pytest.mark.vllm
SETTINGS = [
    *(f"dataset.playroom.{split}_videos={count}" for split, count in (("train", 4), ("val", 0), ("test", 0))),
    *("experiment=demo", "dataset.playroom.difficulty=easy", "cache.gb=0"),
]
LLM = ["decompose.author=llm", "decompose.retries=1", "decompose.max_tokens=64", "llm=openai", "llm.model=tiny"]


def until(true: Callable[[], object], seconds: float = 600.0) -> None:
    give_up = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < give_up, "it takes too long"
        time.sleep(0.1)


def family(pid: int) -> dict[int, str]:
    """The processes under one, by the names that they have taken."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        if text.rpartition(")")[2].split()[1] == str(pid):
            child = int(stat.parent.name)
            found |= {child: text.partition("(")[2].rpartition(")")[0], **family(child)}
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_verb_gets_its_replies_though_the_engine_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed: make test-vllm")
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    monkeypatch.setenv("VLLM_NO_USAGE_STATS", "1")
    run, model = tmp_path / "run", make_model(tmp_path / "tiny", context=16384)
    file, log = run / "servers" / "llm.json", run / "servers" / "llm.log"
    words = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model), "--dtype", "float32"]
    words += ["--served-model-name", "tiny", "--enforce-eager", "--generation-config", "vllm"]
    words += ["--host", "127.0.0.1", "--port", "{port}"]
    serve = subprocess.Popen([sys.executable, "-m", "aotd", "serve", str(run), "llm", "--", *words])
    try:
        data = [*SETTINGS, f"dataset.root={tmp_path / 'data'}"]
        for name in ("quiet", "killed"):
            assert main(["load", f"run={tmp_path / name}", *data]) == 0
        until(file.exists)

        asking = OpenAIEngine(LLMConfig(url=str(file), model="tiny"))
        long, short = asking.generate(["q" * 20_000, "Why?"], max_tokens=8)
        assert long.refused
        assert short.text
        assert asking.choose(["Why?"], [("Yes", "No")])[0].constrained

        def decompose(name: str) -> list[str]:
            return ["decompose", f"run={tmp_path / name}", *data, *LLM, f"llm.url={file}", f"llm.record={said(name)}"]

        def said(name: str) -> Path:
            return tmp_path / f"{name}.jsonl"

        assert main(decompose("quiet")) == 0
        (engine,) = (pid for pid, name in family(serve.pid).items() if name.startswith("VLLM::EngineCor"))
        asker = subprocess.Popen([sys.executable, "-m", "aotd", *decompose("killed")])
        until(lambda: said("killed").exists() and said("killed").read_text())
        os.kill(engine, signal.SIGKILL)
        until(lambda: asker.poll() is not None)
        assert asker.returncode == 0
        assert '"POST /v1/chat/completions HTTP/1.1" 500' in log.read_text(), (
            "none was in the engine when it was killed"
        )
        assert sorted(said("killed").read_text().splitlines()) == sorted(said("quiet").read_text().splitlines())
        for name in ("records.jsonl", "dropped.jsonl"):
            killed, quiet = (tmp_path / run / "decompose" / name for run in ("killed", "quiet"))
            assert killed.read_bytes() == quiet.read_bytes()

        left = family(serve.pid)
        assert any(name.startswith("VLLM::EngineCor") for name in left.values())
        serve.kill()
        until(lambda: not any(alive(pid) for pid in left), 30)
    finally:
        serve.terminate()
        serve.wait(60)
