"""The dialogues of `instruct` go out in LLaVA's form and come back as they were."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from aotd.config.compose import compose
from aotd.datasets.llava import read_dialogues
from aotd.errors import UserError
from aotd.export.llava import write_llava
from aotd.prompts import inert
from aotd.records import DialogueTurn, Dropped, Instruction, InstructionKind, Outcome
from aotd.store.run import Run
from tests.hostile_texts import HOSTILE
from tests.jobs import do

TURNS = (
    DialogueTurn(question="What does the dog do?", answer="It barks: 1 < 2."),
    DialogueTurn(question="Why?", answer="Because a bird\nis there & sings."),
)


def dialogue(key: str, *turns: DialogueTurn) -> Instruction:
    return Instruction(
        question_id=key,
        kind=InstructionKind.conversation,
        source="mine",
        video_id="7",
        video="clips/7.mp4",
        turns=turns,
        author="llm",
    )


def back(path: Path) -> list[Instruction]:
    found = [read.instruction for read in read_dialogues(path)]
    return [one for one in found if isinstance(one, Instruction)]


def test_dialogue_out_and_in_and_out_is_equal(tmp_path: Path) -> None:
    first = [dialogue("a", *TURNS), dialogue("b", TURNS[1])]
    assert write_llava(tmp_path, first) == 2
    text = (tmp_path / "conversations.json").read_text()
    read = back(tmp_path / "conversations.json")
    assert read == [one.model_copy(update={"author": ""}) for one in first]
    write_llava(tmp_path, read)
    assert (tmp_path / "conversations.json").read_text() == text
    (entry, _) = json.loads(text)
    assert entry["conversations"][0] == {"from": "human", "value": "<video>\nWhat does the dog do?"}
    assert entry["conversations"][2] == {"from": "human", "value": "Why?"}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_dialogue_out_and_in_is_inert(name: str, tmp_path: Path) -> None:
    text = HOSTILE[name][:5000] + "?"
    write_llava(tmp_path, [dialogue("a", DialogueTurn(question=text, answer=text))])
    (read,) = back(tmp_path / "conversations.json")
    assert read.turns[0].question == inert(text).strip()
    assert read.turns[0].answer == inert(text).strip()


def instructed(run: Path, instructions: Sequence[Instruction | Dropped]) -> Run:
    with Run(run).instructions.open({"settings": "of a test"}) as out:
        for one in instructions:
            out.write(one)
    return Run(run)


def test_export_llava_writes_what_instruct_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lost = Dropped(question_id="b", outcome=Outcome.instruction_copied, reason="x")
    run = instructed(tmp_path / "run", [dialogue("a", *TURNS), lost])
    do("export", compose([f"run='{run}'", "export.format=llava"]))
    folder = tmp_path / "run" / "export" / "llava"
    assert [one.question_id for one in back(folder / "conversations.json")] == ["a"]
    assert json.loads((folder / "export.json").read_text())["rows"] == {"dialogues": 1}
    assert "dialogues 1" in capsys.readouterr().out


def test_export_llava_refuses_what_it_cannot_write(tmp_path: Path) -> None:
    run = instructed(tmp_path / "run", [Dropped(question_id="b", outcome=Outcome.instruction_copied, reason="x")])
    with pytest.raises(UserError, match="no instruction was kept: see"):
        do("export", compose([f"run='{run}'", "export.format=llava"]))
    for setting in ("frames=true", "split=train", "labels=false"):
        with pytest.raises(UserError, match=f"leave out export.{setting.partition('=')[0]}"):
            do("export", compose([f"run='{run}'", "export.format=llava", f"export.{setting}"]))
    (tmp_path / "other").mkdir()
    with pytest.raises(UserError, match="run `aotd instruct` first"):
        do("export", compose([f"run='{tmp_path}/other'", "export.format=llava"]))
