"""What a grown student sees of a world that it was not grown on.

    python -m benchmarks.seeing --seed 7                        grow a student from nothing: up to two hours
    python -m benchmarks.seeing --seed 7 --folder runs/grown    measure the one that is there, or go on with it
    python -m benchmarks.seeing --seed 7 'grow.stages=[…]'      with other settings of `aotd grow experiment=grown`

Scenes of the seed are rendered as mp4 (H.264) and decoded as the student's videos always are. One part of each is asked
about, greedily: where things and people are in a frame, when an action is done, what is done in a frame within an
action, and questions with options as in stage obey, in words (the likeliest option) and by letter. The same is asked
with the video of another scene (`shuffled`).

The last line is JSON: `minutes` of growing (null where the student was there), `videos` it was grown on, `box_iou` and
`span_iou` with their shuffled controls, and by how much they are above them with the 95 % interval (`box_gain`,
`span_gain`; whole scenes are drawn); `action`, the share of frames within an action whose verb and object are both
right; `words`, right options in words, `letters_right`, by letter, `letters`, how often the letter is that of the
option it says in words. It ends with status 1 where an interval of a gain reaches 0, or `action` is below 0.7.
"""

from __future__ import annotations

import argparse
import json
import re
import string
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import torch

from aotd.datasets.playroom import Difficulty
from aotd.datasets.playroom.build import render
from aotd.datasets.playroom.things import FPS, PLAYROOM_VERBS
from aotd.grow import GrowConfig
from aotd.grow.lessons import Lesson, frames_of, lessons_of
from aotd.grow.questions import questions_of
from aotd.grow.scenes import SampledPart, SceneSource, parts_of
from aotd.records import Question
from aotd.scoring.intervals import estimate
from aotd.scoring.iou import box_iou, iou_and_recall
from aotd.students import StudentConfig
from aotd.students.choices import weigh
from aotd.students.growth import growth_of
from aotd.students.registry import load_student
from aotd.video.source import DecodedVideos
from aotd.video_llms.base import VideoFeatures, VideoLLM

FRAMES = 32
BATCH = 32
ACTION = 0.7
LONGEST = 40
"""Tokens of a reply: a box has nine."""


@dataclass(frozen=True)
class SeenScene:
    """A part of a scene, encoded, and what is asked about it."""

    part: SampledPart
    features: VideoFeatures
    lessons: tuple[Lesson, ...]
    choices: tuple[Question, ...]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=7, help="of the unseen world")
    parser.add_argument("--scenes", type=int, default=120)
    parser.add_argument("--folder", help="run folder of `aotd grow`; a temporary one")
    parser.add_argument("settings", nargs="*", help="of `aotd grow`")
    given = parser.parse_intermixed_args()
    if given.seed == GrowConfig().scenes:
        parser.error(f"--seed {given.seed} is the seed of the scenes that students grow on")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(given.folder or Path(made) / "grown")
        minutes = grow(folder, given.settings)
        student = load_student(folder / "grow/student", StudentConfig())
        growth = growth_of(folder / "grow/student")
        assert growth is not None
        scenes = list(seen(student, given.seed, given.scenes, Path(made)))
    found = measure(student, scenes)
    found = {"minutes": minutes, "videos": growth.scenes, "weights": weights(student), "seed": given.seed, **found}
    print(json.dumps(found))
    blind = any(found[name][1] <= 0 for name in ("box_gain", "span_gain"))
    return 1 if blind or found["action"] < ACTION else 0


def grow(folder: Path, settings: Sequence[str]) -> float | None:
    """Grow the student of a run folder; return the minutes, None where it was begun before."""
    begun = (folder / "grow").exists()
    started = time.monotonic()
    command = [sys.executable, "-m", "aotd", "grow", "experiment=grown", f"run={folder}", *settings]
    subprocess.run(command, check=True)
    return None if begun else round((time.monotonic() - started) / 60, 1)


def seen(student: VideoLLM, seed: int, count: int, folder: Path) -> Iterator[SeenScene]:
    """Render scenes, decode and encode them."""
    torch.set_num_threads(1)
    source = SceneSource(seed, Difficulty.standard, FRAMES, (0, 0))
    videos = DecodedVideos(str(folder), FRAMES, 60.0)
    for number in range(count):
        (part,) = parts_of(source, number, 1)
        path = folder / f"{part.scene.name}.mp4"
        render(part.scene, str(seed), path, source.difficulty)
        question = Question(
            question_id=part.scene.name, dataset="playroom", split="test", video_id=part.scene.name, video=path.name,
            start_s=part.start / FPS, end_s=part.end / FPS, question="", type="",
        )  # fmt: skip
        features = student.encode_video(videos.open(question))
        path.unlink()
        rng = Random(f"{seed}/{number}/asked")
        lessons = [lesson for lesson in lessons_of(part, rng) if lesson.kind in ("where", "person")]
        lessons += [one for one in lessons_of(part, rng) if one.kind == "when" and "from" in one.reply]
        choices = [
            question.model_copy(update={"question": one.question, "options": one.options, "answer": one.answer})
            for one in questions_of(part, rng)
            if one.options
        ]
        yield SeenScene(part, features, (*lessons, *actions(part)), tuple(choices))


def actions(part: SampledPart) -> Iterator[Lesson]:
    """What is done in the middle of each action, as stage speak asks it."""
    for action in part.scene.actions:
        if frames := frames_of(part, action):
            said = f"{PLAYROOM_VERBS[action.verb].doing} the {part.scene.things[action.item].name}"
            yield Lesson("action", f"What is seen in frame {frames[len(frames) // 2]}?\n", said)


Told = dict[str, list[tuple[int, float, float]]]
"""Kind -> scene, the score with its own video, and the one with another."""


def told_of(student: VideoLLM, scenes: Sequence[SeenScene]) -> Told:
    """Ask for boxes, spans and actions, each with its own video and with that of the next scene."""
    others = [*scenes[1:], scenes[0]]
    told: Told = defaultdict(list)
    tasks = [(number, lesson) for number, scene in enumerate(scenes) for lesson in scene.lessons]
    own = replies(student, [(scenes[number].features, lesson.prompt) for number, lesson in tasks])
    wrong = replies(student, [(others[number].features, lesson.prompt) for number, lesson in tasks])
    for (number, lesson), reply, other in zip(tasks, own, wrong, strict=True):
        kind = "box" if lesson.kind in ("where", "person") else "span" if lesson.kind == "when" else "action"
        told[kind].append((number, score(lesson, reply), score(lesson, other)))
    return told


def measure(student: VideoLLM, scenes: Sequence[SeenScene]) -> dict[str, object]:
    others = [*scenes[1:], scenes[0]]
    told = told_of(student, scenes)
    asked = [(number, question) for number, scene in enumerate(scenes) for question in scene.choices]
    shown = [
        weigh(student, [(question, some[number].features) for number, question in asked]) for some in (scenes, others)
    ]
    for (number, question), own, other in zip(asked, *shown, strict=True):
        options, right = question.options, question.answer
        assert right is not None
        said = own.reply.text
        told["words"].append((number, float(said == right), float(other.reply.text == right)))
        chosen = string.ascii_uppercase.index(own.letter)
        told["letters"].append((number, float(chosen == options.index(said)), 1 / len(options)))
        told["letters_right"].append((number, float(chosen == options.index(right)), 1 / len(options)))
    found: dict[str, object] = {}
    for kind, name in (("box", "box_iou"), ("span", "span_iou"), ("action", "action"), ("words", "words")):
        videos, values, shuffled = zip(*told[kind], strict=True)
        gain = estimate(np.array(values) - np.array(shuffled), 2000, 0, videos, difference=True)
        assert gain is not None
        found |= {name: mean(values), f"{name}_shuffled": mean(shuffled)}
        found[f"{kind}_gain"] = [round(value, 3) for value in (gain.mean, gain.low, gain.high)]
    found |= {name: mean([value for _, value, _ in told[name]]) for name in ("letters", "letters_right")}
    found["chance"] = mean([chance for _, _, chance in told["letters"]])
    return found | {"scenes": len(scenes), "asked": {kind: len(rows) for kind, rows in told.items()}}


def replies(student: VideoLLM, asked: Sequence[tuple[VideoFeatures, str]]) -> list[str]:
    found: list[str] = []
    for first in range(0, len(asked), BATCH):
        rows = [student.prompt_row(features, text) for features, text in asked[first : first + BATCH]]
        found += [reply.text for reply in student.generate(rows, LONGEST)]
    return found


def score(lesson: Lesson, reply: str) -> float:
    if lesson.kind == "action":
        return float(reply == lesson.reply)
    named, true = numbers(reply), numbers(lesson.reply)
    if len(named) != len(true):
        return 0.0
    if lesson.kind == "when":
        (first, last), (start, end) = named, true
        return iou_and_recall([(first, last + 1)], [(start, end + 1)])[0]
    x1, y1, x2, y2 = named
    return box_iou((x1, y1, x2, y2), (true[0], true[1], true[2], true[3])) if x1 < x2 and y1 < y2 else 0.0


def numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall("[0-9]{1,4}", text)]


def mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 3)


def weights(student: VideoLLM) -> int:
    return sum(weight.numel() for weight in student.model.parameters())


if __name__ == "__main__":
    sys.exit(main())
