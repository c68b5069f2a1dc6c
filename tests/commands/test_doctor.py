"""What a config needs and what is missing: said in full, without loading anything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from aotd.cli.main import main
from aotd.commands import doctor
from aotd.commands.doctor import GIB
from aotd.llm.served import Served
from aotd.models.checkpoints import find_checkpoint, looks_local
from aotd.records import Question
from aotd.sandbox.layers import Layer
from aotd.store.stage import Stage
from tests.sample_run import question
from tests.students.tiny import write_checkpoint


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A folder with one video and a question about it."""
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/a.mp4").write_text("stands for a video")
    (tmp_path / "mine.jsonl").write_text('{"video": "a.mp4", "question": "what?"}\n')
    return tmp_path


def examine(capsys: pytest.CaptureFixture[str], world: Path, *more: str) -> tuple[int, str, list[str]]:
    """Status, everything it printed, and the lines under `missing`."""
    capsys.readouterr()  # what writing a checkpoint printed
    words = [f"run={world}/run", "dataset=files", f"dataset.questions={world}/mine.jsonl"]
    status = main(["doctor", *words, f"dataset.root={world}/videos", *more])
    said = capsys.readouterr()
    before, _, missing = said.out.partition("\nmissing\n")
    assert (status == 2) == bool(missing)
    assert said.err.count("\n") == (1 if missing else 0)
    return status, before, [line.strip() for line in missing.splitlines()]


@contextmanager
def serving(status: int, body: Any) -> Iterator[str]:
    """A server that answers every request so. Yields its url."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            raw = json.dumps(body).encode()
            self.send_response(status if self.path == "/v1/models" else 404)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}/v1"
    finally:
        httpd.shutdown()
        httpd.server_close()


def test_doctor_accepts_complete_config(capsys: pytest.CaptureFixture[str], world: Path) -> None:
    status, said, _ = examine(capsys, world)
    assert status == 0
    assert "files: 1 questions about 1 videos" in said
    assert "1 of 1 videos are in" in said
    assert "nothing is done yet" in said
    assert not (world / "run").exists(), "it writes nothing"


def test_doctor_shows_sandbox_layers(
    capsys: pytest.CaptureFixture[str], world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "lacks", lambda layer: "the pail is empty" if layer is Layer.landlock else "")
    monkeypatch.setattr(
        "aotd.sandbox.layers.missing", lambda layer: "the pail is empty" if layer is not Layer.rlimits else ""
    )
    status, said, missing = examine(capsys, world, "execute.layers=[landlock]")
    assert status == 2
    assert "a program runs behind the syntax check, in a process of its own, under rlimits, seccomp, namespaces" in said
    assert "landlock is not here: the pail is empty" in said
    assert missing == ["execute.layers asks for landlock, which is not here: the pail is empty"]
    status, _, missing = examine(capsys, world)
    assert missing[0].endswith("execute.run_without_kernel_layers=true runs them nevertheless")
    assert examine(capsys, world, "execute.run_without_kernel_layers=true")[0] == 0


def test_doctor_names_everything_missing(
    capsys: pytest.CaptureFixture[str], world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(world / "cache"))
    (world / "videos/a.mp4").unlink()
    words = ["specialists/answering=llava_next_video", "specialists/action=qwen_vl", "specialists.action.model=/no"]
    words += [
        "llm=openai",
        "llm.url=http://127.0.0.1:9/v1",
        "student=llava_onevision",
        "specialists.grounding.name=captions",
    ]
    status, _, missing = examine(capsys, world, *words)
    assert status == 2
    begins = [
        "specialists.action.model=/no is not on this machine: give a folder that is",
        "specialists.answering.model=llava-hf/LLaVA-NeXT-Video-7B-DPO-hf is not on this machine: run `hf download",
        "specialists.captions: not set",
        "llm.model is not set",
        "llm.url=http://127.0.0.1:9/v1 cannot be reached",
        f"dataset.root={world}/videos holds none of the videos: a.mp4",
        "student.path is not set",
    ]
    missing = [line for line in missing if "sentence-embedding" not in line]
    assert len(missing) == len(begins)
    for line, begin in zip(missing, begins, strict=True):
        assert line.startswith(begin)


def test_doctor_counts_shared_model_once(
    capsys: pytest.CaptureFixture[str], world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "GIB", 2**10)  # tiny checkpoints are thousands of bytes
    monkeypatch.setattr(doctor, "_room", lambda: (10**9, "this machine"))
    path = write_checkpoint("video_llava", world / "model")
    parts = [f"specialists/{part}=video_llava" for part in ("action", "answering")]
    parts += [f"specialists.{part}.model={path}" for part in ("action", "answering")]
    parts += ["specialists.action.precision=bfloat16", "specialists.answering.precision=bfloat16"]
    status, said, _ = examine(capsys, world, *parts)
    assert status == 0
    stored = find_checkpoint(str(path))
    assert stored is not None
    size = f"{2 * stored.weights / 2**10:.1f} GiB"
    assert said.count(f"{size} in bfloat16") == 2
    assert f"weights together: {size}" in said
    status, _, missing = examine(capsys, world, *parts, "specialists.memory_gb=1")
    assert status == 2
    assert missing == [
        f"specialists.memory_gb=1: one model takes {size}: raise it, or set a lower precision for that model"
    ]


def test_doctor_reports_weights_beyond_memory() -> None:
    room, where = doctor._room()
    half = room // 2
    assert doctor._memory([half, half // 2], 0).missing == []
    (line,) = doctor._memory([half, half, half], 0).missing
    assert line.endswith(f"do not fit into {where}: set specialists.memory_gb lower, so that they take turns")
    found = doctor._memory([half, half, half], room * 0.9 / GIB)
    assert found.missing == []
    assert found.lines[-1].endswith("they take turns")
    (line,) = doctor._memory([2 * room], 0).missing
    assert line.endswith("set a lower precision")


def test_doctor_names_incomplete_checkpoint(capsys: pytest.CaptureFixture[str], world: Path) -> None:
    path = write_checkpoint("qwen_vl", world / "model")
    index = path / "model.safetensors.index.json"
    words = ["specialists/answering=qwen_vl", f"specialists.answering.model={path}"]
    index.write_text(json.dumps({"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}))
    assert "lacks 1 files of weights" in examine(capsys, world, *words)[2][0]
    index.unlink()
    (path / "model.safetensors").write_bytes(b"short")
    assert "is no safetensors file" in examine(capsys, world, *words)[2][0]
    (path / "model.safetensors").unlink()
    assert "holds no safetensors" in examine(capsys, world, *words)[2][0]
    other = write_checkpoint("video_llava", world / "other")
    words[1] = f"specialists.answering.model={other}"
    assert (
        "holds a video_llava model, and specialists.answering.name wants qwen3_vl"
        in examine(capsys, world, *words)[2][0]
    )


def test_doctor_looks_for_hub_id_in_local_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.file_download.constants.HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--some--model"
    assert find_checkpoint("some/model") is None
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text("abc")
    write_checkpoint("qwen_vl", repository / "snapshots/abc")
    found = find_checkpoint("some/model")
    assert found is not None
    assert found.folder == repository / "snapshots/abc"
    assert found.weights > 0
    assert [looks_local(name) for name in ("some/model", "/some/model", "./model", "model", "a/b/c")] == [
        False, True, True, True, True,
    ]  # fmt: skip


def test_doctor_asks_server_for_models(capsys: pytest.CaptureFixture[str], world: Path) -> None:
    for part in (["llm=openai"], ["specialists/answering=server"]):
        prefix = "llm" if part == ["llm=openai"] else "specialists.answering"
        with serving(200, {"data": [{"id": "coder"}, {"id": "seer"}]}) as url:
            status, said, _ = examine(capsys, world, *part, f"{prefix}.url={url}", f"{prefix}.model=coder")
            assert status == 0
            assert "the server is there" in said
            missing = examine(capsys, world, *part, f"{prefix}.url={url}", f"{prefix}.model=poet")[2]
            assert missing == [f"{prefix}.model=poet: {url} has coder, seer"]
        with serving(401, {}) as url:
            missing = examine(capsys, world, *part, f"{prefix}.url={url}", f"{prefix}.model=coder")[2]
            assert missing == [f"{prefix}.url={url} answers 401: put a valid key into $OPENAI_API_KEY"]
        with serving(200, ["coder"]) as url:
            assert "lists no models" in examine(capsys, world, *part, f"{prefix}.url={url}", f"{prefix}.model=m")[2][0]


def test_doctor_finds_server_by_its_file(capsys: pytest.CaptureFixture[str], world: Path, tmp_path: Path) -> None:
    file = tmp_path / "llm.json"
    words = ["llm=openai", f"llm.url={file}", "llm.model=coder"]
    assert examine(capsys, world, *words)[2] == [f"llm.url={file} is not there: start `aotd serve` for it"]
    with serving(200, {"data": [{"id": "coder"}]}) as url:
        served = Served(url=url, key="k" * 16, model="coder", host="here", pid=1)
        file.write_text(served.model_dump_json())
        status, said, _ = examine(capsys, world, *words)
        assert status == 0
        assert "the server is there" in said


def test_doctor_reports_missing_engine(capsys: pytest.CaptureFixture[str], world: Path) -> None:
    assert examine(capsys, world, "decompose.author=llm")[2] == [
        "decompose.author=llm needs a language model: add llm=openai or llm=transformers"
    ]


def test_doctor_checks_local_engine_checkpoint(capsys: pytest.CaptureFixture[str], world: Path) -> None:
    path = write_checkpoint("qwen_vl", world / "model")
    assert examine(capsys, world, "llm=transformers", f"llm.model={path}")[0] == 0
    (line,) = examine(capsys, world, "llm=transformers", f"llm.model={path}", "llm.dtype=float33")[2]
    assert line.startswith("llm.dtype=float33 is not a torch dtype")
    assert "is not there" in examine(capsys, world, "llm=transformers", "llm.model=/no.gguf")[2][0]


def test_doctor_reports_progress_of_run(capsys: pytest.CaptureFixture[str], world: Path) -> None:
    with Stage(world / "run", "load", Question).open({}) as out:
        out.write(question("a"))
        out.write(question("b"))
    _, said, _ = examine(capsys, world)
    assert "load: 2 records, 0 dropped" in said
    assert "next: aotd decompose" in said


def test_doctor_names_missing_extras(
    capsys: pytest.CaptureFixture[str], world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    monkeypatch.setattr("aotd.tracking.find_spec", lambda name: None)
    words = ["student.lora_rank=8", "distill.deepspeed=zero2", "tracking.tracker=wandb"]
    for line, extra in zip(examine(capsys, world, *words)[2], ("lora", "deepspeed", "wandb"), strict=True):
        assert line.endswith(f"pip install 'aotd[{extra}]'")


def test_doctor_checks_the_language_model_of_each_role(
    capsys: pytest.CaptureFixture[str], world: Path, tmp_path: Path
) -> None:
    words = ["decompose.author=llm", "decompose.llm.engine=transformers", "decompose.llm.model=/no.gguf"]
    words += ["convert.writer=llm", "llm@verify.llm=openai"]
    words += [f"verify.llm.url={tmp_path}/no.json", "verify.llm.model=judge", "evaluate.judge.name=judge"]
    missing = examine(capsys, world, *words)[2]
    assert any(line.startswith("decompose.llm.model=/no.gguf is not there") for line in missing)
    assert any(line.startswith(f"verify.llm.url={tmp_path}/no.json is not there") for line in missing)
    assert "convert.writer=llm needs a language model: add llm=openai or llm=transformers" in missing
