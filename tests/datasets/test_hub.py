"""Parquet as the hub serves it: each reader on rows of the columns there, shards, splits, and how columns are stored.

Columns are those of the dataset cards (lmms-lab/Video-MME, VideoChatGPT, PerceptionTest_Val) and those that lmms-eval
reads (lmms-lab/NExTQA, ActivityNetQA, egoschema).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow.parquet import write_table

from aotd.datasets.base import DatasetConfig, LoadedQuestions
from aotd.datasets.benchmarks import read
from aotd.datasets.parquet_files import parquet_rows
from aotd.errors import UserError

NEXTQA = {
    "video": 4010069381, "frame_count": 369, "width": 640, "height": 480, "question": "how do they play",
    "answer": 3, "qid": 6, "type": "CH",
}  # fmt: skip
VIDEOMME = {
    "video_id": "001", "duration": "short", "domain": "Sports", "sub_category": "Chess", "url": "https://x",
    "videoID": "-abc_1", "question_id": "001-1", "task_type": "Counting Problem", "question": "How many?",
    "options": ["A. One.", "B. Two.", "C. Three.", "D. Four."], "answer": "C",
}  # fmt: skip
EGOSCHEMA = {
    "question_idx": "7", "question": "What is C doing?", "video_idx": "00aa-bb",
    "option": ["A. C cooks.", "B. C eats.", "C. C. sleeps.", "D. D.", "E. C walks"], "answer": "2",
}  # fmt: skip
PERCEPTION = {
    "video_name": "video_8", "question": "Where is it?", "question_id": "3", "options": ["left", "right", "gone"],
    "answer_id": "1", "area": "Physics", "reasoning": "Predictive", "tag": ["motion"],
}  # fmt: skip
ACTIVITYNET = {
    "video_name": "1QIUV7WYKXg", "question": "is he running", "question_id": "v_1QIUV7WYKXg_3", "answer": "no",
    "type": "3",
}  # fmt: skip
CHAT = {"video_name": "v_p1QGn0IzfW0", "question": "What is he doing?", "answer": "He swims."}
PAIR = {"video_name": "v_p1QGn0IzfW0", "question_1": "What is he doing?", "question_2": "None", "answer": "He swims."}
MVBENCH = {
    "video": "A.mp4", "question": "What then?", "candidates": ["a nap", "a walk"], "answer": "a walk",
    "start": 1.5, "end": 4.0,
}  # fmt: skip

HUB: dict[str, tuple[str, str, dict[str, Any], tuple[object, ...]]] = {
    # id: reader, where the file lies in the hub's repository, a row; the question's id, type, options, answer, video
    "nextqa": (
        "nextqa", "MC/test-00000-of-00001.parquet", {**NEXTQA, **{f"a{n}": f"so {n}" for n in range(5)}},
        ("4010069381_6", "CH", ("so 0", "so 1", "so 2", "so 3", "so 4"), "so 3", "4010069381.mp4"),
    ),
    "nextqa_oe": (
        "nextqa_oe", "OE/test-00000-of-00001.parquet",
        {**NEXTQA, "answer": "by hand", "additional_ref_answer": "with hands"},
        ("nextqa_oe_4010069381_6", "CH", (), "by hand", "4010069381.mp4"),
    ),
    "videomme": (
        "videomme", "videomme/test-00000-of-00001.parquet", VIDEOMME,
        ("videomme_001-1", "Counting Problem", ("One.", "Two.", "Three.", "Four."), "Three.", "-abc_1.mp4"),
    ),
    "egoschema": (
        "egoschema", "Subset/test-00000-of-00001.parquet", EGOSCHEMA,
        ("egoschema_00aa-bb", "choice", ("C cooks.", "C eats.", "C. sleeps.", "D.", "C walks"), "C. sleeps.",
         "00aa-bb.mp4"),
    ),
    "egoschema without answers": (
        "egoschema", "MC/test-00000-of-00001.parquet", {**EGOSCHEMA, "answer": None},
        ("egoschema_00aa-bb", "choice", ("C cooks.", "C eats.", "C. sleeps.", "D.", "C walks"), None, "00aa-bb.mp4"),
    ),
    "perceptiontest": (
        "perceptiontest", "mc_question_val/validation-00000-of-00001.parquet", PERCEPTION,
        ("perceptiontest_video_8_3", "Physics", ("left", "right", "gone"), "right", "video_8.mp4"),
    ),
    "activitynetqa": (
        "activitynetqa", "data/test-00000-of-00001.parquet", ACTIVITYNET,
        ("activitynetqa_v_1QIUV7WYKXg_3", "Yes/No", (), "no", "v_1QIUV7WYKXg.mp4"),
    ),
    "videochatgpt": (
        "videochatgpt", "Generic/test-00000-of-00001.parquet", CHAT,
        ("videochatgpt_generic_1", "generic", (), "He swims.", "v_p1QGn0IzfW0.mp4"),
    ),
    "videochatgpt's first wording": (
        "videochatgpt", "Consistency/test-00000-of-00001.parquet", PAIR,
        ("videochatgpt_consistency_1_1", "consistency", (), "He swims.", "v_p1QGn0IzfW0.mp4"),
    ),
    "videochatgpt's second wording": (
        "videochatgpt", "Consistency/test-00000-of-00001.parquet",
        {**PAIR, "question_1": "None", "question_2": "What is he doing?"},
        ("videochatgpt_consistency_1_2", "consistency", (), "He swims.", "v_p1QGn0IzfW0.mp4"),
    ),
    "mvbench": (
        "mvbench", "action_sequence/train/0000.parquet", MVBENCH,
        ("mvbench_action_sequence_1", "action_sequence", ("a nap", "a walk"), "a walk",
         "star/Charades_v1_480/A.mp4"),
    ),
    "files": (
        "files", "data/q.parquet",
        {"video": "b.mp4", "question": "Who?", "options": ["a", "b"], "answer": "a", "id": "own", "type": "who",
         "start_s": 1.0, "end_s": None},
        ("own", "who", ("a", "b"), "a", "b.mp4"),
    ),
}  # fmt: skip


def plain(table: pa.Table) -> pa.Table:
    return table


def large(table: pa.Table) -> pa.Table:
    """As newer writers store texts and lists."""
    kinds = {pa.string(): pa.large_string(), pa.list_(pa.string()): pa.large_list(pa.large_string())}
    fields = [pa.field(field.name, kinds.get(field.type, field.type)) for field in table.schema]
    return table.cast(pa.schema(fields))


def dictionaries(table: pa.Table) -> pa.Table:
    """As pandas stores categories."""
    for at, field in enumerate(table.schema):
        if field.type == pa.string():
            table = table.set_column(at, field.name, table[field.name].dictionary_encode())
    return table


def with_video(table: pa.Table) -> pa.Table:
    """With the bytes of the video in the table."""
    held = pa.array([{"bytes": b"\0" * 100, "path": None}] * len(table))
    return table.append_column("video_bytes", pa.array([b"\xff"] * len(table))).append_column("media", held)


def hub(folder: Path, case: str, stored: Callable[[pa.Table], pa.Table] = plain, **fields: Any) -> tuple[str, Path]:
    name, place, row, _ = HUB[case]
    path = folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(stored(pa.Table.from_pylist([{**row, **fields}])), path)
    return name, path


def load(name: str, path: Path, **settings: Any) -> LoadedQuestions:
    loaded = read(DatasetConfig(name=name, root=str(path.parent), questions=str(path), split="test", **settings))
    return LoadedQuestions(list(loaded.questions), loaded.skipped, loaded.notes)


@pytest.mark.parametrize("stored", [plain, large, dictionaries, with_video])
@pytest.mark.parametrize("case", HUB)
def test_row_of_the_hub_becomes_a_question(case: str, stored: Callable[[pa.Table], pa.Table], tmp_path: Path) -> None:
    name, path = hub(tmp_path, case, stored)
    for given in (path, path.parent) if name != "files" else (path,):
        (question,) = load(name, given).questions
        found = (question.question_id, question.type, question.options, question.answer, question.video)
        assert found == HUB[case][3]


def test_shards_are_read_in_order_and_none_may_be_missing(tmp_path: Path) -> None:
    for number in (2, 0, 1):
        rows = [{**VIDEOMME, "question_id": f"{number}-{n}"} for n in range(2)]
        write_table(pa.Table.from_pylist(rows), tmp_path / f"test-{number:05}-of-00003.parquet")
    ids = [question.question_id for question in load("videomme", tmp_path).questions]
    assert ids == [f"videomme_{number}-{n}" for number in range(3) for n in range(2)]
    (tmp_path / "test-00001-of-00003.parquet").unlink()
    with pytest.raises(UserError, match=r"the shard test-00001-of-00003 is missing: fetch it too"):
        load("videomme", tmp_path)


@pytest.mark.parametrize(
    ("splits", "wanted", "found"),
    [
        (["train", "validation", "test"], "test", ["test"]),
        (["train", "validation", "test"], "val", ["validation"]),
        (["train", "validation", "test"], "train", ["train"]),
        (["validation"], "test", ["validation"]),  # there is no other
        (["train", "dev"], "test", None),
    ],
)
def test_split_is_chosen_among_several(splits: list[str], wanted: str, found: list[str] | None, tmp_path: Path) -> None:
    for number, split in enumerate(splits):
        row = {**NEXTQA, "answer": split, "video": number}
        write_table(pa.Table.from_pylist([row]), tmp_path / f"{split}-00000-of-00001.parquet")
    config = DatasetConfig(name="nextqa_oe", root=str(tmp_path), questions=str(tmp_path), split=wanted)
    if found is None:
        with pytest.raises(UserError, match=r"holds several sets .*train-00000.*set dataset\.split") as caught:
            read(config)
        assert "\n" not in str(caught.value)
        return
    assert [question.answer for question in read(config).questions] == found


def test_repository_of_one_table_may_be_named_and_of_several_not(tmp_path: Path) -> None:
    hub(tmp_path / "mme", "videomme")
    assert len(load("videomme", tmp_path / "mme").questions) == 1  # type: ignore[arg-type]
    hub(tmp_path / "nextqa", "nextqa")
    hub(tmp_path / "nextqa", "nextqa_oe")
    with pytest.raises(UserError, match=r"several sets of questions \(MC/test-00000.*, OE/test-00000.*: name one"):
        load("nextqa", tmp_path / "nextqa")


def test_kinds_of_a_repository_are_read_together(tmp_path: Path) -> None:
    for case in ("videochatgpt", "videochatgpt's second wording"):
        hub(tmp_path, case)
    (tmp_path / "Temporal" / "test").mkdir(parents=True)
    write_table(pa.Table.from_pylist([CHAT, CHAT]), tmp_path / "Temporal" / "test" / "0000.parquet")
    ids = [question.question_id for question in load("videochatgpt", tmp_path).questions]
    assert ids == [
        *("videochatgpt_generic_1", "videochatgpt_temporal_1", "videochatgpt_temporal_2"),
        "videochatgpt_consistency_1_2",
    ]
    (tmp_path / "generic_qa.json").write_text("[]")
    with pytest.raises(UserError, match=r"ask the same: delete one"):
        load("videochatgpt", tmp_path)


@pytest.mark.parametrize(
    ("case", "fields", "says"),
    [
        ("nextqa", {"type": "XX"}, r"parquet: row 1: type 'XX' is not one of CH, CW"),
        ("nextqa", {"answer": 9}, r"parquet: row 1: the answer must be the number of an option, 0 to 4, not '9'"),
        ("videomme", {"options": None}, r"parquet: row 1: options: "),
        ("egoschema", {"option": None}, r"parquet: row 1: has no options: .*MC or Subset, not GENERATION"),
        ("egoschema", {"option": ["A. One."]}, r"parquet: row 1: option: List should have at least 5"),
        ("egoschema", {"answer": "9"}, r"parquet: row 1: the answer is option 9, and the options are 0 to 4"),
        ("perceptiontest", {"answer_id": "7"}, r"parquet: row 1, question 3: the answer is option 7"),
        ("activitynetqa", {"answer": None}, r"parquet: row 1: answer: Input should be a valid string"),
        ("activitynetqa", {"type": "12"}, r"parquet: row 1: type: "),
        ("videochatgpt", {"question": None}, r"parquet: row 1: question: .*what is read of an entry: Q or question"),
        ("files", {"question": None}, r"parquet: row 1: 'question' is missing or empty"),
    ],
)
def test_malformed_row_is_named(case: str, fields: dict[str, Any], says: str, tmp_path: Path) -> None:
    name, path = hub(tmp_path, case, **fields)
    with pytest.raises(UserError, match=says) as caught:
        load(name, path)
    assert "\n" not in str(caught.value)


def test_number_that_pandas_made_a_fraction_is_whole_again_and_its_index_left_out(tmp_path: Path) -> None:
    rows = [
        {"qid": 6.0, "start": 1.5, "gap": float("nan"), "__index_level_0__": 4},
        {"qid": 7.0, "start": 2.0, "gap": 3.0, "__index_level_0__": 9},
    ]
    write_table(pa.Table.from_pylist(rows), tmp_path / "q.parquet")
    assert [row for _, row in parquet_rows(tmp_path / "q.parquet")] == [
        {"qid": 6, "start": 1.5, "gap": None},
        {"qid": 7, "start": 2, "gap": 3},
    ]


def test_cuts_need_frame_rates_that_the_hub_has_not(tmp_path: Path) -> None:
    name, path = hub(tmp_path, "perceptiontest")
    (tmp_path / "cuts.json").write_text('{"video_8": 30}')
    with pytest.raises(UserError, match=r"row 1: has no metadata\.frame_rate, without which dataset\.cuts is no time"):
        load(name, path, cuts=str(tmp_path / "cuts.json"))


def test_folder_without_parquet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"dataset\.questions: .* is a folder: give Video-MME's parquet file, or JSON"):
        load("videomme", tmp_path)
