"""A server beside a run: found by those who ask, started again, and one prompt that ends it holds up no other."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from aotd.cli.main import main
from aotd.errors import QuestionError, UserError
from aotd.llm import LLMConfig, http_client
from aotd.llm.openai import OpenAIEngine
from aotd.llm.served import Served, served_at
from aotd.records import Outcome
from aotd.serve import backend
from aotd.serve.backend import Backend
from aotd.serve.gate import Gate
from aotd.specialists import AnsweringConfig
from aotd.specialists.video_server import VideoServer

PROGRAM = Path(__file__).with_name("chat_server.py")
COMMAND = [sys.executable, str(PROGRAM), "{port}"]
SECONDS = 30.0


def until(true: Callable[[], object]) -> None:
    give_up = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < give_up, "it takes too long"
        time.sleep(0.02)


def lives(run: Path) -> list[int]:
    """Process ids of a server's lives so far."""
    log = run / "servers" / "llm.log"
    return [int(line.split()[1]) for line in log.read_text().splitlines() if line.startswith("begins")]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@contextmanager
def serving(run: Path, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    words = [sys.executable, "-m", "aotd", "serve", str(run), "llm", "--", *COMMAND, *more]
    process = subprocess.Popen(words, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def engine(run: Path, batch: int = 8) -> OpenAIEngine:
    config = LLMConfig(url=str(run / "servers" / "llm.json"), model="tiny", batch=batch, retries=0)
    return OpenAIEngine(config, pause_s=0.02)


def test_a_prompt_that_ends_the_server_is_found_and_the_others_get_their_replies(tmp_path: Path) -> None:
    heard: list[list[str]] = []
    asking = engine(tmp_path)
    prompts = [f"p{number}" for number in range(12)]
    prompts[5] += " poison"

    def ask() -> None:
        replies = asking.generate(prompts, max_tokens=8)
        assert replies[5].refused
        heard.append([reply.text for reply in replies])

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()  # it waits for a server that is not there yet
    time.sleep(0.1)
    file = tmp_path / "servers" / "llm.json"
    with serving(tmp_path) as process:
        thread.join(SECONDS)
        assert heard == [["" if "poison" in prompt else f"so: {prompt}" for prompt in prompts]]
        until(lambda: len(lives(tmp_path)) == 3)  # it has ended with others, and alone
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        served = served_at(file)
        assert served is not None
        assert served.model == "tiny"
        for url, key, status in (
            ("models", served.key, 200),
            ("models", "x" * 32, 401),
            ("../metrics", served.key, 404),
        ):
            got = httpx.get(f"{served.url}/{url}", headers={"Authorization": f"Bearer {key}"}, trust_env=False)
            assert got.status_code == status
        os.kill(lives(tmp_path)[-1], signal.SIGKILL)  # as the system does, for want of memory
        assert engine(tmp_path).generate(["again"], max_tokens=8)[0].text == "so: again"
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 128 + signal.SIGTERM
    assert not file.exists()
    assert not any(alive(pid) for pid in lives(tmp_path))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the command alone is found")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_what_a_server_has_started_does_not_outlive_the_one_who_keeps_it(number: int, tmp_path: Path) -> None:
    with serving(tmp_path, "family") as process:
        until(lambda: (tmp_path / "servers" / "llm.json").exists() and len(lives(tmp_path)) == 2)
        process.send_signal(number)
        assert process.wait(SECONDS) == (128 + number if number != signal.SIGKILL else -number)
        until(lambda: not any(alive(pid) for pid in lives(tmp_path)))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the command alone is found")
def test_what_a_server_has_started_does_not_outlive_it(tmp_path: Path) -> None:
    with serving(tmp_path, "family"):
        until(lambda: (tmp_path / "servers" / "llm.json").exists() and len(lives(tmp_path)) == 2)
        before = lives(tmp_path)
        os.kill(before[0], signal.SIGKILL)
        until(lambda: len(lives(tmp_path)) == 4)
        assert not any(alive(pid) for pid in before)


def test_a_specialist_ends_one_question_for_such_a_prompt(tmp_path: Path) -> None:
    config = AnsweringConfig(url=str(tmp_path / "servers" / "llm.json"), model="tiny", retries=0)
    specialist = VideoServer(config, "specialists.answering", pause_s=0.02)
    with serving(tmp_path):
        with pytest.raises(QuestionError, match="ended twice") as ended:
            specialist.say([(None, "poison")], 8)
        assert ended.value.outcome is Outcome.model_refused
        assert specialist.say([(None, "hello")], 8)[0].text == "so: hello"


def test_a_server_that_says_nothing_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "HANGS_S", 0.5)
    monkeypatch.setattr(backend, "_ASK_S", 0.2)
    port = 20000 + os.getpid() % 20000
    log = tmp_path / "servers" / "llm.log"
    log.parent.mkdir()
    kept = Backend([word.replace("{port}", str(port)) for word in COMMAND], port, "k" * 16, log)
    try:
        life = kept.wait()
        os.kill(lives(tmp_path)[0], signal.SIGSTOP)
        until(lambda: kept.ended(life))
        assert kept.wait() != life
        assert not alive(lives(tmp_path)[0])
    finally:
        kept.close()
    assert not any(alive(pid) for pid in lives(tmp_path))


def test_a_prompt_that_leaves_the_server_dead_inside_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It lists its models still, and says 500 to all who are in it: no answer of theirs."""
    monkeypatch.setattr(backend, "HANGS_S", 0.5)
    monkeypatch.setattr(backend, "_ASK_S", 0.2)
    port, key, log = 20000 + os.getpid() % 20000, "k" * 16, tmp_path / "servers" / "llm.log"
    log.parent.mkdir()
    kept = Backend([word.replace("{port}", str(port)) for word in COMMAND], port, key, log)
    gate = Gate(kept, key)
    try:
        kept.wait()
        served = Served(url=f"http://127.0.0.1:{gate.port}/v1", key=key, model="tiny", host="here", pid=os.getpid())
        (tmp_path / "servers" / "llm.json").write_text(served.model_dump_json())
        prompts = [f"p{number}" for number in range(6)]
        prompts[3] += " stroke"
        replies = engine(tmp_path).generate(prompts, max_tokens=8)
        assert [reply.text for reply in replies] == [
            "" if "stroke" in prompt else f"so: {prompt}" for prompt in prompts
        ]
        assert replies[3].refused
        until(lambda: len(lives(tmp_path)) == 3)
    finally:
        gate.close()
        kept.close()


def test_what_does_not_start_is_one_line_that_names_its_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "STARTS", 2)
    words = [
        "serve",
        str(tmp_path),
        "llm",
        "--",
        sys.executable,
        "-c",
        "print('no weights'); raise SystemExit(1)",
        "{port}",
    ]
    assert main(words) == 2
    assert "llm.log" in capsys.readouterr().err
    assert (tmp_path / "servers" / "llm.log").read_text() == "no weights\n" * 2
    assert not (tmp_path / "servers" / "llm.json").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["run", "llm"], ["run", "llm", "--"], ["run", "--", "vllm", "{port}"], ["run", "llm", "--", "vllm", "serve"],
        ["run", "a/b", "--", sys.executable, "{port}"], ["run", "llm", "--", "no-such-command", "{port}"],
        ["/proc/run", "llm", "--", sys.executable, "{port}"], ["/dev/null/run", "llm", "--", sys.executable, "{port}"],
    ],
)  # fmt: skip
def test_a_command_that_cannot_be_is_one_line(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["serve", *words]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_file_of_another_kind_and_one_that_never_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "llm.json"
    assert served_at(file) is None
    monkeypatch.setattr(http_client, "WAIT_S", 0.05)
    config = LLMConfig(url=str(file), model="tiny")
    with pytest.raises(UserError, match=r"llm\.url: there is no .*llm\.json: start `aotd serve`"):
        OpenAIEngine(config, pause_s=0.01).generate(["p"], max_tokens=8)
    good = Served(url="http://node:8000/v1", key="k" * 16, model="tiny", host="node", pid=1)
    for wrong in ({"url": "http://a.example/other"}, {"url": "file:///etc/passwd"}, {"key": ""}, {"more": 1}):
        file.write_text(str(good.model_dump() | wrong).replace("'", '"').replace("None", "null"))
        with pytest.raises(UserError, match=r"llm\.json is not what `aotd serve` writes"):
            served_at(file)
