"""A run's questions as tasks of lmms-eval, and what those tasks call: `shown` and `scored`.

    test.yaml    the task `aotd_test`
    test.jsonl   {"question_id": …, "video": …, "asked": "Question: … Options: …", "options": […], "answer": …}

A task names its functions by their place in this package (`!function`), so nothing is generated beside it that
would have to be run. Replies are read and scored as `aotd evaluate` reads and scores them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aotd.datasets.base import locate
from aotd.errors import UserError
from aotd.export.conversations import plain
from aotd.prompts.student import prompt, suffix
from aotd.records import Mode, Question
from aotd.scoring.answers import parse, read_answer, same_answer
from aotd.store.files import write_atomically

_TASK = """\
task: {task}
dataset_path: json
dataset_kwargs:
  data_files:
    test: {rows}
test_split: test
output_type: generate_until
doc_to_visual: !function aotd.export.lmms_eval.shown
doc_to_text: asked
doc_to_target: answer
process_results: !function aotd.export.lmms_eval.scored
generation_kwargs:
  max_new_tokens: {longest}
  do_sample: false
  until: []
metric_list:
  - {{metric: multiple_choice, aggregation: mean, higher_is_better: true}}
  - {{metric: open_ended, aggregation: mean, higher_is_better: true}}
  - {{metric: choice_lenient, aggregation: mean, higher_is_better: true}}
metadata:
  version: 1
"""


def write_tasks(folder: Path, root: str, splits: Mapping[str, Sequence[Question]]) -> None:
    """`<split>.yaml` and `<split>.jsonl`; the videos are named by their absolute paths.

    Raises:
        UserError: a question names no video file or one outside `root`, or none of the files is there.
    """
    from aotd.video_llms.base import ANSWER_TOKENS

    known: list[Path] = []
    for split, questions in splits.items():
        rows = []
        for question in questions:
            if question.video is None:
                raise UserError(
                    f"export.format=lmms_eval: question {question.question_id} names no video file to show to a model"
                )
            known.append(locate(root, question.video))
            rows.append(_row(question, known[-1]))
        write_atomically(folder / f"{split}.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        task = _TASK.format(task=f"aotd_{split}", rows=f"{split}.jsonl", longest=ANSWER_TOKENS)
        write_atomically(folder / f"{split}.yaml", task)
    if not any(path.is_file() for path in known):
        raise UserError(f"none of the questions' videos is there (first: {known[0]}): set dataset.root")


def _row(question: Question, video: Path) -> dict[str, Any]:
    text = prompt(question) + suffix(bool(question.options), Mode.answer)
    return {
        "question_id": question.question_id,
        "type": question.type,
        "video": str(video),
        "start_s": question.start_s,
        "end_s": question.end_s,
        # A student is given the line break that ends it (`aotd.students.lmms_eval`).
        "asked": plain(text).rstrip("\n"),
        "options": list(question.options),
        "answer": question.answer,
    }


def shown(row: Mapping[str, Any]) -> list[Any]:
    """What a row is about: the path of a video, or, for a part of one, the mapping that lmms-eval has for it."""
    start_s, end_s = row["start_s"], row["end_s"]
    if start_s is None and end_s is None:
        return [row["video"]]
    return [{"type": "video", "path": row["video"], "video_start": start_s, "video_end": end_s}]


def scored(row: Mapping[str, Any], replies: Sequence[str]) -> dict[str, float]:
    """What one reply adds to the accuracies, which have the names they have in `Scores`."""
    reply, options, answer = replies[0], row["options"], row["answer"]
    right = float(same_answer(read_answer(reply, options), answer, options))
    if not options:
        return {"open_ended": right}
    return {"multiple_choice": right, "choice_lenient": float(parse(reply, options).option == answer)}
