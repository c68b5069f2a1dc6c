"""The whole agent on real architectures: every specialist a checkpoint on disk, from a question to its verdict.

Weights are tiny and random, formats and settings the real ones; so what is found means nothing, and that
everything is asked, written and counted does.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aotd.cli.main import main
from aotd.records import Trace
from aotd.store.ledger import ledger
from aotd.store.run import Run
from aotd.store.stage import Stage
from tests.specialists.tiny import write_checkpoint as write_specialist
from tests.specialists.tiny import write_univtg
from tests.students.tiny import write_checkpoint as write_video_llm
from tests.video.clips import write_video

PROGRAM = """# Calls every tool.
# question: What happened?
# serves: *
def execute_command(video_clip, query, possible_answers):
    moment = Filter_frames_with_act(video_clip, "person opening the door")
    later = trim(video_clip, moment.start, None)
    doors = Query_Objs(later, "door")
    shown = Filter_frames_with_obj(later, "cup/glass/bottle")
    person = Find(later, "person")
    actions = Query_Actions(person, "door", possible_answers)
    first = Compare(moment, later)
    seen, number = exist(later, "bag"), Count(later, "book")
    told = Video_query(later, "What is in the hand?")
    info = {"actions": actions, "seen": seen, "number": number, "told": told, "in short": Video_summary(later, query)}
    return select_answer(query, info, possible_answers)
"""
SETS = {
    "paper": ("owlv2", "univtg", "llava_next_video", "llava_next_video"),
    "onevision": ("owlvit", "similarity", "xclip", "llava_onevision"),
    "video_llava": ("grounding_dino", "similarity", "video_llava", "video_llava"),
    "qwen_vl": ("owlv2", "univtg", "qwen_vl", "qwen_vl"),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("agent")
    write_video(folder / "day.mp4")
    (folder / "programs").mkdir()
    (folder / "programs" / "all.py").write_text(PROGRAM)
    asked = [
        {"id": "choice", "question": "What was opened?", "options": ["The door.", "The book."], "answer": "The door."},
        {"id": "open", "question": "What was opened?", "answer": "the door"},
    ]
    lines = [json.dumps({"video": "day.mp4", **question}) for question in asked]
    (folder / "mine.jsonl").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name in ("owlv2", "owlvit", "grounding_dino", "clip", "xclip"):
        write_specialist(name, folder / name)
    write_univtg(folder / "univtg", video=16 + 2, text=16)
    for name in ("llava_next_video", "llava_onevision", "video_llava", "qwen_vl"):
        write_video_llm(name, folder / name)
    return folder


@pytest.mark.parametrize("chosen", SETS.values(), ids=SETS)
def test_agent_runs_on_real_architectures(
    root: Path, models: Path, tmp_path: Path, chosen: tuple[str, str, str, str]
) -> None:
    settings = ["specialists=paper", "specialists.frames=4", "specialists.detection.threshold=0.05"]
    for subtask, name in zip(("detection", "grounding", "action", "answering"), chosen, strict=True):
        folder = models / ("clip" if name == "similarity" else name)
        settings += [f"specialists/{subtask}={name}", f"specialists.{subtask}.model={folder}"]
    if chosen[1] == "univtg":
        settings.append(f"specialists.grounding.clip={models}/clip")
    for subtask in ("action", "answering"):
        if chosen[3 if subtask == "answering" else 2] != "xclip":
            settings.append(f"specialists.{subtask}.frames=4")
    data = ["dataset=files", f"dataset.questions={root}/mine.jsonl", f"dataset.root={root}"]
    flow = ["verbs=[load,decompose,execute,convert,verify]", "decompose.author=fixed"]
    words = ["run", f"run={tmp_path}/run", *data, *settings, *flow, f"decompose.programs={root}/programs"]
    assert main(words) == 0
    book = ledger(Run(tmp_path / "run"))
    assert len(book.places) == 2
    assert sum(book.counts().values()) == 2
    assert not any(name.startswith("pending") for name in book.counts())
    traces = {trace.question_id: trace for trace in Stage(tmp_path / "run", "execute", Trace).records()}
    assert traces["choice"].answer in ("The door.", "The book.")
    called = {event.tool for event in traces["choice"].events}
    assert called >= {"Filter_frames_with_act", "Find", "Query_Actions", "Count", "Video_query", "select_answer"}
    made_by = json.loads((tmp_path / "run/execute/manifest.json").read_text())["models"]
    for subtask, name in zip(("detection", "grounding", "action", "answering"), chosen, strict=True):
        assert name in made_by[subtask]
