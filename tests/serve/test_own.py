"""Specialists on another node: a worker hears what it would have found itself, and no file is taken for another."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from aotd.cli.main import main
from aotd.commands.run import run_verb
from aotd.config.command_line import read_settings
from aotd.config.tree import Config
from aotd.errors import QuestionError, UserError
from aotd.llm.served import Served, served_at
from aotd.records import Outcome, Question
from aotd.serve import own as serving
from aotd.serve.own import SpecialistServer
from aotd.specialists import remote as remotely
from aotd.specialists.calls import Findings
from aotd.specialists.load import load_specialist, load_specialists
from aotd.specialists.protocols import Specialists
from aotd.specialists.remote import Remote
from aotd.specialists.subtasks import SUBTASKS, Builder
from aotd.video.clip import Clip
from aotd.video.source import DecodedVideos
from tests.serve.own_server import Told
from tests.serve.test_serve import SECONDS, until
from tests.specialists.tiny import write_checkpoint, write_univtg
from tests.students.tiny import write_checkpoint as write_llm
from tests.video.clips import write_video

KEY = "k" * 32
PROGRAM = Path(__file__).with_name("own_server.py")
NAMES = ["specialists/detection=owlv2", "specialists/answering=qwen_vl"]
SIZES = ["dataset.playroom.train_videos=4", "dataset.playroom.val_videos=0", "dataset.playroom.test_videos=4"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with videos; `owlv2` and `qwen_vl` are mocks that need no weights."""
    told = Told()
    monkeypatch.setattr(remotely, "RETRIES", 0)
    monkeypatch.setitem(SUBTASKS["detection"].builders, "owlv2", Builder(lambda: told))
    monkeypatch.setitem(SUBTASKS["answering"].builders, "qwen_vl", Builder(lambda: told))
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos" / "a.mp4")
    return tmp_path


def settings(folder: Path, *more: str) -> Config:
    return read_settings("execute", [f"run={folder}/run", f"dataset.root={folder}/videos", *NAMES, *more])


@contextmanager
def served(folder: Path, *more: str) -> Iterator[SpecialistServer]:
    """A server in this process, and the file that names it."""
    own = SpecialistServer(settings(folder, *more))
    handler = type("Handler", (serving._Handler,), {"own": own, "key": KEY.encode()})
    httpd = serving._Server(("127.0.0.1", 0), handler)
    threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    said = Served(url=f"http://127.0.0.1:{httpd.server_port}/v1", key=KEY, model=own.name, host="here", pid=1)
    (folder / "own.json").write_text(said.model_dump_json())
    try:
        yield own
    finally:
        httpd.shutdown()
        httpd.server_close()


def remote(folder: Path, subtask: str = "detection", *more: str, root: str = "videos") -> Any:
    config = settings(folder, f"specialists.{subtask}.url={folder}/own.json", *more).specialists
    return load_specialist(subtask, config, str(folder / root))


def clip(folder: Path, name: str = "a.mp4", root: str = "videos", frames: int = 6) -> Clip:
    asked = Question(
        question_id="q", dataset="", split="", video_id="a", video=name, question="?", type="", start_s=0.5, end_s=1.7
    )
    return Clip.whole(DecodedVideos(str(folder / root), frames, 60.0).open(asked))


def test_what_is_found_is_what_the_specialist_finds(folder: Path) -> None:
    seen = clip(folder)
    part = seen.span(1, 5).crop({2: (1.5, 2.0, 30.25, 40.0), 3: (0.0, 0.0, 9.0, 9.0)})
    with served(folder) as own:
        detector, answerer = remote(folder), remote(folder, "answering")
        here = own._findings.specialists
        assert (detector.model, answerer.model) == ("told-1", "told-1")
        assert [detector.detect(one, "door") for one in (seen, part)] == [
            here.detection.detect(one, "door") for one in (seen, part)
        ]
        questions = [(seen, f"what {number}?") for number in range(7)]
        here.answering.together.clear()
        assert answerer.answer_all(questions) == [here.answering.answer(*one) for one in questions]
        assert here.answering.together == [3, 3], "and one by itself"
        assert answerer.answer_all(questions[:2]) == [here.answering.answer(*one) for one in questions[:2]]
        assert here.answering.together == [3, 3], "the server remembers"
        assert answerer.summarise(part, "") == here.answering.summarise(part, "")
        info, options = {"seen": "a cup – or so"}, ("cup", "bag")
        assert answerer.choose("which?", info, options) == here.answering.choose("which?", info, options)
        assert answerer.choose("which?", {}, ()) is None
        parts = {name: getattr(here, name) for name in SUBTASKS}
        findings = Findings(Specialists(here.source, **{**parts, "detection": detector}), remote=["detection"])
        assert not findings.looks(findings.call("detection", "detect", seen, "door"))
        assert findings.looks(findings.call("grounding", "ground", seen, "door"))
        assert findings.at_once(findings.call("detection", "detect", seen, "door")) == 1


def test_a_failure_of_the_specialist_is_the_questions_and_not_the_runs(folder: Path) -> None:
    seen = clip(folder)
    with served(folder):
        detector = remote(folder)
        with pytest.raises(QuestionError, match=r"^this is odd$") as odd:
            detector.detect(seen, "odd")
        with pytest.raises(QuestionError, match="detection at the server: RuntimeError: out of order") as crashed:
            detector.detect(seen, "crash")
        assert {odd.value.outcome, crashed.value.outcome} == {Outcome.tool_failed}
        with pytest.raises(UserError, match=r"own\.json: at the server, specialists\.memory_gb is too small"):
            detector.detect(seen, "stuck")


def test_every_kind_of_specialist_finds_there_what_it_finds_here(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos" / "a.mp4")
    seen, llm = clip(tmp_path), write_llm("video_llava", tmp_path / "llm")
    feature = 16 + 2  # CLIP's, and the edges of a clip
    write_univtg(tmp_path / "univtg", video=feature, text=16)
    models = {
        "detection=grounding_dino": write_checkpoint("grounding_dino", tmp_path / "dino"),
        "grounding=univtg": tmp_path / "univtg",
        "action=video_llava": llm,
        "answering=video_llava": llm,
    }
    words = [
        f"dataset.root={tmp_path}/videos",
        f"specialists.grounding.clip={write_checkpoint('clip', tmp_path / 'c')}",
    ]
    for choice, folder in models.items():
        words += [f"specialists/{choice}", f"specialists.{choice.partition('=')[0]}.model={folder}"]
    config = read_settings("execute", words).specialists
    here = load_specialists(config, f"{tmp_path}/videos")
    with served(tmp_path, *words):
        there = load_specialists(
            read_settings(
                "execute", [*words, *(f"specialists.{name}.url={tmp_path}/own.json" for name in SUBTASKS)]
            ).specialists,
            f"{tmp_path}/videos",
        )
        assert there.models() == here.models()
        asked = [(seen, f"what is on frame {number}?") for number in range(3)]
        verbs, info, options = ("opening", "closing"), {"seen": "cup"}, ("cup", "bag")
        boxes = there.detection.detect(seen, "cup/door")
        assert boxes
        assert boxes == here.detection.detect(seen, "cup/door")
        assert there.grounding.ground(seen, "opening") == here.grounding.ground(seen, "opening")
        assert there.action.actions(seen, "door", verbs) == here.action.actions(seen, "door", verbs)
        answering: Any = there.answering
        assert answering.answer_all(asked) == [here.answering.answer(*one) for one in asked]
        assert answering.choose("which?", info, options) == here.answering.choose("which?", info, options)


def test_only_weights_in_this_process_keep_it_from_having_others_beside_it(folder: Path) -> None:
    words = ["specialists/action=video_llava", "specialists.action.model=a", "specialists.detection.url=x.json"]
    one = settings(folder, *words, "specialists.answering.url=x.json").specialists
    assert one.remote() == ["detection", "answering"]
    assert one.weighty()
    assert len(set(one.lanes().values())) == 4
    assert not settings(
        folder, *words, "specialists.action.url=x.json", "specialists.answering.url=x"
    ).specialists.weighty()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("specialists.detection.threshold=0.3", "detection.threshold is 0.1, and those who ask have 0.3"),
        ("specialists.detection.precision=bfloat16", "precision is auto, and those who ask have bfloat16"),
        ("specialists.detection.model=/node/owlv2-large", "model is google/owlv2-base-patch16-ensemble, and"),
        ("specialists/detection=owlvit", "detection.name is owlv2, and those who ask have owlvit"),
    ],
)
def test_other_settings_are_refused_by_name(setting: str, said: str, folder: Path) -> None:
    with served(folder), pytest.raises(UserError, match=said):
        remote(folder, "detection", setting)


def test_what_does_not_decide_a_finding_may_differ(folder: Path) -> None:
    with served(folder):
        remote(
            folder,
            "detection",
            *("specialists.detection.batch=2", "specialists.memory_gb=3"),
            "specialists.detection.model=/other/place/owlv2-base-patch16-ensemble/",
        )


def test_what_cannot_be_at_a_server_is_said_before_anything_is_asked(folder: Path) -> None:
    for words, said in (
        (["specialists/detection=playroom"], r"detection\.url: playroom has no weights"),
        (["specialists.source=captions"], r"specialists\.source is captions"),
        (["specialists.detection.url=http://127.0.0.1:9/v1"], r"name the file that `aotd serve` writes"),
    ):
        config = settings(folder, f"specialists.detection.url={folder}/own.json", *words).specialists
        with pytest.raises(UserError, match=said):
            load_specialists(config, str(folder / "videos"))
    with served(folder), pytest.raises(UserError, match="action is not served, but detection, answering"):
        remote(folder, "action", "specialists/action=xclip")


def test_another_file_under_the_name_and_a_file_that_is_not_there_are_no_finding(folder: Path) -> None:
    (folder / "mine").mkdir()
    write_video(folder / "mine" / "a.mp4", frames=19)
    shutil.copy(folder / "videos" / "a.mp4", folder / "mine" / "b.mp4")
    with served(folder):
        detector = remote(folder, root="mine")
        with pytest.raises(UserError, match=r"a\.mp4 below dataset\.root=\S+ is another file"):
            detector.detect(clip(folder, root="mine"), "door")
        with pytest.raises(UserError, match=r"there is no b\.mp4 below dataset\.root="):
            detector.detect(clip(folder, "b.mp4", root="mine"), "door")


def test_a_server_that_has_become_another_one_is_not_asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(folder) as own:
        detector = remote(folder)
        own._offered["detection"] = own._offered["detection"].model_copy(update={"model": "told-2"})
        with pytest.raises(UserError, match="detection has become told-2"):
            detector.detect(clip(folder), "door")
        elsewhere = ("code 0123", "torch 9.9", *own._offered["detection"].made_by[2:])
        own._offered["detection"] = own._offered["detection"].model_copy(update={"made_by": elsewhere})
        with pytest.raises(UserError, match=r"torch 9\.9"):
            detector.detect(clip(folder), "door")
        others = [one for one in elsewhere if one not in detector._offered.made_by]
        assert remote(folder).model == f"told-2, made by {', '.join(others)}"


def request(folder: Path, body: Any, path: str = "findings", key: str = KEY) -> tuple[int, str]:
    found = served_at(folder / "own.json")
    assert found is not None
    asked = httpx.post(
        f"{found.url}/{path}",
        content=body if isinstance(body, bytes) else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {key}"},
        trust_env=False,
    )
    return asked.status_code, asked.text


def test_a_request_is_believed_in_nothing(folder: Path) -> None:
    (folder / "secret.mp4").write_bytes((folder / "videos" / "a.mp4").read_bytes())
    with served(folder) as own:
        sound = remote(folder)._asked((clip(folder), "door")).model_dump(mode="json")
        offered = own._offered["detection"]
        whole = {"subtask": "detection", "method": "detect", "model": offered.model, "made_by": offered.made_by}
        whole["calls"] = [sound]
        assert request(folder, whole)[0] == 200
        assert request(folder, whole, key="x" * 32) == (401, '{"error":{"message":"another key is wanted"}}')
        assert request(folder, whole, "../metrics")[0] == 404
        assert request(folder, b"x" * 10)[0] == 400
        for wrong in (
            {"more": 1}, {"method": "load"}, {"method": "answer"}, {"subtask": "source"}, {"calls": []},
            {"calls": [sound | {"arguments": ["door", "door"]}]}, {"calls": [sound | {"arguments": [7]}]},
            {"calls": [sound | {"seen": None}]},
        ):  # fmt: skip
            assert request(folder, whole | wrong)[0] == 400, wrong
        seen = sound["seen"]
        for odd in (
            {"numbers": [0, 0]}, {"numbers": [2, 1]}, {"numbers": [-1]}, {"numbers": [6]}, {"frames": 10**6},
            {"crops": [[7, [0, 0, 1, 1]]]}, {"content": "0" * 63}, {"video": ""}, {"start_s": "0"},
        ):  # fmt: skip
            assert request(folder, whole | {"calls": [sound | {"seen": seen | odd}]})[0] == 400, odd
        for name in ("../secret.mp4", str(folder / "secret.mp4"), "x\0y", "/etc/passwd", "."):
            status, text = request(folder, whole | {"calls": [sound | {"seen": seen | {"video": name}}]})
            assert status == 409, name
            assert "videos" in text or "name" in text
        assert request(folder, whole | {"calls": [sound, sound]})[0] == 409, "one goes through it at once"
        big = seen | {"frames": 100_000}
        write_video(folder / "videos" / "a.mp4", size=(640, 480))
        own._videos._facts.clear()
        status, text = request(folder, whole | {"calls": [sound | {"seen": big}]})
        assert (status, "too many" in text) == (409, True)


@pytest.mark.parametrize(
    ("status", "said"), [(404, "without specialists of ours"), (200, "let both be of one version")]
)
def test_a_server_of_something_else_is_no_server_of_specialists(status: int, said: str, folder: Path) -> None:
    class Other(serving._Handler):
        def do_POST(self) -> None:
            serving.send(self, status, b'{"id": "chat-1"}', "application/json")

    httpd = serving._Server(("127.0.0.1", 0), Other)
    threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    there = Served(url=f"http://127.0.0.1:{httpd.server_port}/v1", key=KEY, model="chat", host="here", pid=1)
    (folder / "own.json").write_text(there.model_dump_json())
    with pytest.raises(UserError, match=said):
        remote(folder)
    httpd.shutdown()
    httpd.server_close()


# ── as a process ──────────────────────────────────────────────────────────────────────────────────


@contextmanager
def kept(run: Path, *words: str) -> Iterator[Path]:
    """`aotd serve`, and the file that it writes."""
    process = subprocess.Popen([sys.executable, "-m", "aotd", "serve", str(run), "gpu", *words])
    try:
        yield run / "servers" / "gpu.json"
    finally:
        process.terminate()
        process.wait(SECONDS)


@pytest.mark.slow
def test_a_call_that_ends_the_server_fails_alone(folder: Path) -> None:
    words = [sys.executable, str(PROGRAM), "{port}", f"dataset.root={folder}/videos", *NAMES]
    with kept(folder / "run", "--", *words) as file:
        config = replace(settings(folder).specialists.detection, url=str(file))
        detector = Remote("detection", config, str(folder / "videos"), 0.02)
        seen, found, failed = clip(folder), list[Any](), list[str]()

        def ask(query: str) -> None:
            try:
                found.append(Remote("detection", config, str(folder / "videos"), 0.02).detect(seen, query))
            except QuestionError as error:
                failed.append(f"{error.outcome.value} {query}: {error.reason}")

        threads = [threading.Thread(target=ask, args=(query,)) for query in ("poison", "door", "bag", "cup")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS)
        assert failed == ["tool_failed poison: the server ended twice while it had this prompt, the second time alone"]
        assert len(found) == 3
        assert detector.detect(seen, "door") in found


def without_times(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (run / "execute").iterdir() if path.name != "costs.jsonl"}


def load(folder: Path, *runs: str) -> list[str]:
    """Some runs that have been loaded and decomposed, and their settings; all but the detector looks at nothing."""
    words = [f"dataset.root={folder}/world", "dataset.playroom.difficulty=easy", *SIZES, "dataset.limit=1"]
    words += [f"specialists/{name}=trivial" for name in ("grounding", "action", "answering")]
    assert main(["run", f"run={folder}/{runs[0]}", *words, "verbs=[load,decompose]"]) == 0
    for run in runs[1:]:
        shutil.copytree(folder / runs[0], folder / run)
    return words


def execute(folder: Path, run: str, *words: str) -> dict[str, bytes]:
    """What executing a run writes, but for what it measures."""
    run_verb("execute", read_settings("execute", [f"run={folder / run}", *words]))
    return written(folder / run)


def written(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (run / "execute").iterdir() if path.name != "costs.jsonl"}


@pytest.mark.slow
def test_records_are_the_same_bytes_and_the_cache_is_one(tmp_path: Path) -> None:
    model = write_checkpoint("owlv2", tmp_path / "models" / "owlv2")
    words = load(tmp_path, "here", "there", "again")
    words += ["specialists/detection=owlv2", f"specialists.detection.model={model}"]
    cache = f"cache.folder={tmp_path}/cache"
    with kept(tmp_path / "there", words[0], *words[-2:]) as file:
        here = execute(tmp_path, "here", *words, cache)
        assert b"owlv2 owlv2 (" in here["manifest.json"]
        assert here["records.jsonl"]
        words.append(f"specialists.detection.url={file}")
        assert execute(tmp_path, "there", *words, "cache.gb=0") == here
        assert execute(tmp_path, "again", *words, cache, "execute.workers=2") == here
    costs = [json.loads(line) for line in (tmp_path / "again" / "execute" / "costs.jsonl").read_text().splitlines()]
    assert sum(cost["specialist_calls"] for cost in costs) == sum(cost["reused"] for cost in costs) > 0


@pytest.mark.slow
def test_a_server_that_is_killed_is_waited_for_by_a_worker_without_torch(folder: Path) -> None:
    words = load(folder, "here", "there")
    words += ["specialists/detection=owlv2", "cache.gb=0", "execute.workers=1"]
    here = execute(folder, "here", *words)
    command = [sys.executable, str(PROGRAM), "{port}", words[0], NAMES[0]]
    with kept(folder / "there", "--", *command) as file:
        log, records = file.with_suffix(".log"), folder / "there" / "execute" / "records.jsonl"
        says = (
            "import sys; from aotd.cli.main import main; assert main(sys.argv[1:]) == 0; "
            "assert not {'torch', 'transformers'} & {*sys.modules}, 'a worker has no use for them'"
        )
        asking = ["execute", f"run={folder}/there", *words, f"specialists.detection.url={file}"]
        with subprocess.Popen([sys.executable, "-c", says, *asking]) as process:
            until(lambda: records.is_file() and b"\n" in records.read_bytes())
            assert process.poll() is None
            os.kill(int(log.read_text().split()[-1]), signal.SIGKILL)
            assert process.wait(SECONDS) == 0
        assert log.read_text().count("begins") == 2
        assert written(folder / "there") == here


def test_the_doctor_asks_the_server_and_looks_for_no_checkpoint(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "mine.jsonl").write_text('{"video": "a.mp4", "question": "what?"}\n')
    words = ["doctor", f"run={folder}/run", "dataset=files", f"dataset.questions={folder}/mine.jsonl"]
    words += [f"dataset.root={folder}/videos", NAMES[0], f"specialists.detection.url={folder}/own.json"]
    assert main(words) == 2
    assert f"specialists.detection.url={folder}/own.json is not there: start `aotd serve`" in capsys.readouterr().out
    with served(folder):
        assert main(words) == 0
        assert "the server is there, with told-1" in capsys.readouterr().out
        assert main([*words, "specialists.detection.threshold=0.5"]) == 2
        assert "answers 409: specialists.detection.threshold is 0.1, and those who ask have 0.5" in (
            capsys.readouterr().out
        )
    assert main([*words, "specialists/detection=playroom"]) == 2
    assert "playroom has no weights and needs no server" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gpu"], "usage: aotd serve RUN NAME SETTINGS"),
        (["gpu", "specialists=playroom"], "these settings name no specialist with weights"),
        (["gpu", "specialists/detection=owlv3"], "did you mean specialists/detection=owlv2?"),
        (["gpu", "vllm", "serve"], "'vllm' is no setting of a specialist"),
        (["gpu", "specialists/detection=owlv2", "run=other"], "'run=other' is no setting of a specialist"),
        (["specialists/detection=owlv2", "dataset.root=."], "'specialists/detection=owlv2' is no name for a server"),
        (["gpu", "specialists/detection=owlv2", "dataset.root=nowhere"], "nowhere is not a folder"),
        (["gpu", "specialists/detection=owlv2", "specialists.source=mock"], "specialists.source is mock"),
    ],
)
def test_words_that_are_no_server_are_one_line(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["serve", "run", *words]) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert said in told[0]
    assert not list(tmp_path.iterdir())
