"""`examples/my_tool.py` adds a tool that stands in the prompt, the trace, the thought, the verdict and the report."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from aotd.agents.program.prompting import program_prompt
from aotd.cli.main import main
from aotd.records import Outcome, TextFinding
from aotd.store.run import Run
from aotd.tools.toolbox import Toolbox
from aotd.tools.video import VIDEO_TOOLS
from tests.video.clips import write_video

EXAMPLE = Path(__file__).parents[2] / "examples" / "my_tool.py"
HEAD = "def execute_command(video_clip, query, possible_answers):\n"
READS = (
    HEAD + '    words = Read_text(trim(video_clip, 0, 4), "sign")\n'
    '    return select_answer(query, {"the words on the sign": words}, possible_answers)\n'
)
READS_NOTHING = (
    HEAD + "    clip = trim(video_clip, 0, 4)\n"
    '    nothing = Read_text(trim(clip, 4, None), "door")\n'
    '    return Read_text(clip, "door") + nothing\n'
)
FLOW = "verbs=[load,decompose,execute,convert,verify,report]"


def toolbox() -> Toolbox:
    spec = importlib.util.spec_from_file_location("my_tool", EXAMPLE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    tools: Toolbox = module.TOOLS
    return tools


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """The settings of a run over two questions, one of whose programs reads a clip without frames."""
    write_video(tmp_path / "street.mp4")
    asked = [
        {"id": name, "video": "street.mp4", "question": f"What stands on the {name}?"} for name in ("sign", "door")
    ]
    (tmp_path / "signs.jsonl").write_text("".join(json.dumps(entry | {"answer": "EXIT"}) + "\n" for entry in asked))
    data = ["dataset=files", f"dataset.questions={tmp_path}/signs.jsonl", f"dataset.root={tmp_path}"]
    specialists = ["specialists=mock", "specialists.source=video", "specialists.frames=8", "cache.gb=0"]
    llm = ["decompose.author=llm", "decompose.num_examples=0", "llm=replay", f"llm.record={tmp_path}/replies.jsonl"]
    return [f"run={tmp_path}/run", *data, *specialists, *llm, FLOW]


def record_replies(folder: Path, words: list[str]) -> None:
    """What a model replies to the prompts that hold the tool, and to no others."""
    assert main(["load", *[word for word in words if not word.startswith("verbs")]]) == 0
    lines = []
    for question in Run(folder / "run").questions.records():
        code = READS if question.question_id == "sign" else READS_NOTHING
        digest = hashlib.sha256(program_prompt(question, [], toolbox()).encode()).hexdigest()
        reply = {"prompt": digest, "ends_in": "", "max_tokens": 512, "model": "test", "text": code, "finished": True}
        lines.append(json.dumps(reply | {"prompt_tokens": 1, "reply_tokens": 1}))
    (folder / "replies.jsonl").write_text("\n".join(lines) + "\n")


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(EXAMPLE), *words], capture_output=True, text=True, check=False)


def test_tool_of_a_script_goes_all_the_way(tmp_path: Path, words: list[str]) -> None:
    record_replies(tmp_path, words)
    done = run("run", *words)
    assert done.returncode == 0, done.stderr
    made = Run(tmp_path / "run")

    assert "def Read_text(clip: Clip, thing: str) -> str:" in toolbox().prompt_text()
    assert [program.code for program in made.programs.records()] == [READS, READS_NOTHING]

    traces = {trace.question_id: trace for trace in made.traces.records()}
    event = traces["sign"].events[1]
    assert (event.tool, event.query, event.finding) == ("Read_text", "sign", TextFinding(text="EXIT"))
    assert event.frames == (0, 1, 2, 3)
    assert event.arguments == {"clip": {"frames": [0, 4]}, "thing": "sign"}
    assert event.observation == "The words on the sign: EXIT."

    thoughts = {thought.question_id: thought.text for thought in made.thoughts.records()}
    assert "The words on the sign: EXIT." in thoughts["sign"]
    assert "I can read nothing on the door." in thoughts["door"]

    verdicts = {verdict.question_id: verdict for verdict in made.verdicts.records()}
    assert verdicts["sign"].outcome is Outcome.kept
    assert verdicts["sign"].coherent.reason == "3 steps, each of which found something"
    assert verdicts["door"].outcome is Outcome.incoherent

    page = (tmp_path / "run" / "report.html").read_text()
    assert "<code>Read_text</code>" in page
    assert "The words on the sign: EXIT." in page


def test_several_workers_are_refused(tmp_path: Path, words: list[str]) -> None:
    record_replies(tmp_path, words)
    done = run("run", *words, "execute.workers=2")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "aotd: execute.workers=2: other processes cannot import the tool Read_text from a script: "
        "put it into a module, or set execute.workers=1"
    )


def test_aotd_alone_does_not_know_the_tool(tmp_path: Path, words: list[str]) -> None:
    record_replies(tmp_path, words)
    assert "Read_text" not in VIDEO_TOOLS.names
    assert main(["decompose", *[word for word in words if not word.startswith("verbs")]]) == 2
