"""How well a student's rationales would be grounded if they were another question's.

    python benchmarks/grounding_chance.py runs/replication aotd.0 aotd.1 aotd.2

Each rationale is scored against its own question's annotation, and against those of other questions of the same type
about other videos (shuffled, several times). What is left of the overlap then is the guess of where things usually
are. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from random import Random

from aotd.evaluate.grounding import spatial, temporal
from aotd.records import Prediction, Question, Trace
from aotd.store.stage import Stage

ROUNDS = 5


def scores(pairs: list[tuple[str, Question, tuple[int, float, float]]]) -> dict[str, float]:
    """Mean IoU of time and of boxes, over the pairs of a text and a question that can be scored."""
    times, boxes = [], []
    for text, question, part in pairs:
        assert question.evidence is not None
        time, box = temporal(text, question.evidence, *part), spatial(text, question.evidence, *part)
        times += [time[0]] if time else []
        boxes += [] if box is None else [box]
    return {"time_iou": statistics.mean(times), "box_iou": statistics.mean(boxes)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("arm", nargs="+")
    settings = parser.parse_args()
    questions = {one.question_id: one for one in Stage(settings.run, "load", Question).records() if one.evidence}
    parts = {
        one.question_id: (one.frames, one.start_s, one.end_s) for one in Stage(settings.run, "execute", Trace).records()
    }
    result = {}
    for arm in settings.arm:
        said = [
            one
            for one in Stage(settings.run, f"evaluate/{arm}/rationale", Prediction).records()
            if one.question_id in questions and one.question_id in parts
        ]
        rng, shuffled = Random(0), []
        by_type: dict[str, list[Question]] = {}
        for one in said:
            by_type.setdefault(questions[one.question_id].type, []).append(questions[one.question_id])
        for _ in range(ROUNDS):
            for one in said:
                own = questions[one.question_id]
                others = [other for other in by_type[own.type] if other.video_id != own.video_id]
                if others:
                    other = rng.choice(others)
                    shuffled.append((one.text, other, parts[other.question_id]))
        own_pairs = [(one.text, questions[one.question_id], parts[one.question_id]) for one in said]
        result[arm] = {"own": scores(own_pairs), "shuffled": scores(shuffled), "rationales": len(said)}
        print(arm, result[arm])
    print(json.dumps(result))


if __name__ == "__main__":
    main()
