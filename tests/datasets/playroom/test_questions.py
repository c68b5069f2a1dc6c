"""What is asked can be answered from the annotation, and from words alone it cannot."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from sklearn.linear_model import LogisticRegression

from aotd.datasets.playroom import PlayroomConfig
from aotd.datasets.playroom.build import SPLITS, entries, plans
from aotd.datasets.playroom.staging import play
from aotd.datasets.playroom.things import FPS, HEIGHT, WIDTH
from tests.datasets.playroom.star_programs import run, says

Entry = dict[str, Any]


@pytest.fixture(scope="module")
def world() -> dict[str, list[Entry]]:
    """The questions of the world as it comes; no video is rendered for them."""
    return {split: entries(PlayroomConfig(), split) for split in SPLITS}


def kind(entry: Entry) -> str:
    return str(entry["question_id"].rpartition("_")[0])


def test_every_type_has_enough_questions(world: dict[str, list[Entry]]) -> None:
    assert len(world["train"]) >= 1000
    assert len(world["test"]) >= 500
    kinds = Counter(kind(entry).split("_")[0] for entry in world["train"])
    assert set(kinds) == {"Interaction", "Sequence", "Prediction", "Feasibility", "Counting", "Ordering"}
    assert min(kinds.values()) >= 50
    open_ended = sum(not entry["choices"] for entry in world["train"])
    assert 0.05 < open_ended / len(world["train"]) < 0.3


def test_question_ids_are_unique(world: dict[str, list[Entry]]) -> None:
    for found in world.values():
        assert len({entry["question_id"] for entry in found}) == len(found)


def test_program_of_a_question_suffices_to_answer_it(world: dict[str, list[Entry]]) -> None:
    for entry in (*world["train"], *world["test"]):
        if entry["choices"]:
            right = [choice["choice"] for number, choice in enumerate(entry["choices"]) if says(entry, number)]
            assert right == [entry["answer"]], entry
        else:
            assert str(run(entry)) == entry["answer"], entry


def test_each_option_is_the_answer_equally_often(world: dict[str, list[Entry]]) -> None:
    for found in world.values():
        answers: dict[Any, Counter[str]] = defaultdict(Counter)
        for entry in found:
            options = frozenset(choice["choice"] for choice in entry["choices"])
            answers[kind(entry), entry["question"], options][entry["answer"]] += 1
        for (_, _, options), counts in answers.items():
            assert len(set(counts.values())) == 1
            assert len(counts) == len(options) or (not options and len(counts) >= 4)


def test_blind_guesser_is_within_three_points_of_chance(world: dict[str, list[Entry]]) -> None:
    train, test = ([entry for entry in world[split] if entry["choices"]] for split in ("train", "test"))
    model = LogisticRegression(C=10.0, max_iter=300)
    model.fit(
        scipy.sparse.vstack([features(entry) for entry in train]),
        np.concatenate([[choice["choice"] == entry["answer"] for choice in entry["choices"]] for entry in train]),
    )
    right = []
    for entry in test:
        chosen = int(model.decision_function(features(entry)).argmax())
        right.append(entry["choices"][chosen]["choice"] == entry["answer"])
    chance = float(np.mean([1 / len(entry["choices"]) for entry in test]))
    assert abs(float(np.mean(right)) - chance) <= 0.03


def features(entry: Entry, size: int = 1 << 15) -> scipy.sparse.csr_matrix:
    """Words and pairs of words of each option, of the other options, and their products with the question's."""
    question = [*_grams(entry["question"]), kind(entry)]
    options = [_grams(choice["choice"]) for choice in entry["choices"]]
    rows, columns = [], []
    for number, words in enumerate(options):
        others = {word for other in options for word in other}
        named = [*words, f"position {number}", *(f"{a}&{b}" for a in words for b in question)]
        named += [f"{a}|{b}" for a in words for b in others]
        where = {int(hashlib.md5(name.encode()).hexdigest(), 16) % size for name in named}
        rows += [number] * len(where)
        columns += sorted(where)
    return scipy.sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(options), size))


def _grams(text: str) -> list[str]:
    words = text.lower().strip("?.").split()
    return [*words, *(f"{a} {b}" for a, b in itertools.pairwise(words)), text]


def test_evidence_lies_in_the_part_and_in_the_frame(world: dict[str, list[Entry]]) -> None:
    for entry in (*world["train"], *world["test"]):
        evidence = entry["playroom"]
        for start, end in evidence["spans"]:
            assert entry["start"] <= start < end <= entry["end"]
        labels = set()
        for frame, situation in entry["situations"].items():
            assert entry["start"] <= int(frame) / FPS < entry["end"]
            labels |= set(situation["bbox_labels"])
            for x1, y1, x2, y2 in situation["bbox"]:
                assert 0 <= x1 < x2 <= WIDTH
                assert 0 <= y1 < y2 <= HEIGHT
        assert set(evidence["objects"]) <= labels


def test_prediction_ends_before_the_asked_action(world: dict[str, list[Entry]]) -> None:
    scenes = {plan.scene: play(plan, "0") for plan in plans(PlayroomConfig(), "test")}
    for entry in world["test"]:
        if kind(entry).startswith("Prediction"):
            scene, end = scenes[entry["video_id"]], round(entry["end"] * FPS)
            coming = [action for action in scene.actions if action.start >= end]
            assert coming[0].start == end
            assert coming[0].reach < end


def test_splits_share_no_scene() -> None:
    found = [plan for split in SPLITS for plan in plans(PlayroomConfig(), split)]
    assert len({plan.scene for plan in found}) == len(found)
    assert len({(plan.things, plan.script) for plan in found}) == len(found)
