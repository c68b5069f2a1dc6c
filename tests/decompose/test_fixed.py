from __future__ import annotations

from pathlib import Path

import pytest

from aotd.agents.program.examples import kinds_of, programs_digest, read_programs
from aotd.decompose.fixed import write
from aotd.errors import QuestionError, UserError
from aotd.records import Outcome, Question

CODE = "def execute_command(video_clip, query, possible_answers):\n    return Video_query(video_clip, '{name}')\n"


def question(dataset: str, kind: str) -> Question:
    return Question(question_id="q", dataset=dataset, split="val", video_id="v", question="why?", type=kind)


def programs(folder: Path, **serves: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, kinds in serves.items():
        text = f"# About it.\n# question: why?\n# serves: {kinds}\n{CODE.format(name=name)}"
        (folder / f"{name}.py").write_text(text)
    return folder


def test_fixed_prefers_most_exact_type(tmp_path: Path) -> None:
    found = read_programs(
        str(programs(tmp_path, a="*", b="star/*", c="star/Sequence, nextqa/TN", d="star/Sequence_T1"))
    )
    picked = {
        kind: write(question(*kind.split("/")), found)
        for kind in ("star/Sequence_T1", "star/Sequence_T2", "star/Prediction_T1", "nextqa/TN", "nextqa/CW")
    }
    assert [code.split("'")[1] for code in picked.values()] == ["d", "c", "b", "c", "a"]


def test_fixed_unserved_type_is_program_invalid(tmp_path: Path) -> None:
    found = read_programs(str(programs(tmp_path, c="star/Sequence")))
    with pytest.raises(QuestionError, match="star/Prediction_T1") as caught:
        write(question("star", "Prediction_T1"), found)
    assert caught.value.outcome is Outcome.program_invalid


def test_shipped_programs_serve_any_question() -> None:
    assert "def execute_command" in write(question("mine", "anything"), read_programs())


def test_type_without_underscore_is_its_own_family() -> None:
    assert kinds_of(question("nextqa", "TN")) == ("nextqa/TN", "nextqa/*", "*")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("# serves: *\n" + CODE, "needs the lines"),
        ("# question: why?\n" + CODE, "needs the lines"),
        ("# question: why?\n# serves: *\n", "no `def`"),
        ("# question: why?\n# serves: *\n" + CODE.replace("Video_query", "open"), "open is not a tool"),
    ],
)
def test_malformed_program_file_is_named(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises(UserError, match=says) as caught:
        read_programs(str(tmp_path))
    assert "bad.py" in str(caught.value)


def test_second_program_for_one_type_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.py and b\.py both serve star/Sequence"):
        read_programs(str(programs(tmp_path, a="star/Sequence", b="star/Sequence")))


def test_empty_program_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no example program"):
        read_programs(str(tmp_path))


def test_programs_digest_changes_with_programs(tmp_path: Path) -> None:
    before = programs_digest(read_programs(str(programs(tmp_path, a="*"))))
    assert before == programs_digest(read_programs(str(tmp_path)))
    assert before != programs_digest(read_programs(str(programs(tmp_path, a="star/*"))))
