"""The grown encoder: what its features say, and a student that has one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from aotd.errors import UserError
from aotd.prompts.student import suffix
from aotd.records import Mode
from aotd.students import StudentConfig, ValleySettings
from aotd.students.registry import load_student
from aotd.students.tokens import encode
from aotd.students.valley.encoded import Encoded
from aotd.students.valley.grown_encoder import (
    BOX_SCALE,
    CELL,
    MOST_COUNTED,
    TARGET,
    GrownEncoder,
    GrownSettings,
    with_changes,
)
from aotd.students.valley.student import ValleyStudent, new_valley
from tests.conftest import BlankVideo

SETTINGS = GrownSettings(
    width=64, height=48, video_width=128, cells=16, blocks=1,
    things=("book", "cup", "door"), verbs=(("took", "taking", "take"), ("opened", "opening", "open")),
    phases=("nothing", "approach", "action"),
)  # fmt: skip
TEXTS = ["took taking take opened opening open the book the cup the door in frame 7", "[10, 20, 30, 40]"] * 9
NAMED = 1 + 2 + 3 + 3 * 3


@pytest.fixture(scope="module")
def encoder() -> GrownEncoder:
    torch.manual_seed(0)
    return GrownEncoder(SETTINGS).train(False)


@pytest.fixture(scope="module")
def student(encoder: GrownEncoder) -> ValleyStudent:
    config = StudentConfig(frames=8, valley=ValleySettings(hidden=32, layers=2, heads=2))
    made = new_valley(config, 8, TEXTS, 1, encoder)
    made.model.train(False)
    return made


def frames(count: int = 5) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 96, 128, 3), dtype=np.uint8)


@torch.no_grad()
def test_features_have_their_sizes_and_are_finite(encoder: GrownEncoder) -> None:
    kept = encoder(frames())
    assert kept.whole.shape == (5, NAMED + 2 + 8)
    assert kept.places.shape == (5, encoder.places, 8) == (5, 4, 8)
    spread = encoder.unpack(kept)
    assert spread.whole.shape == (5, encoder.channels)
    assert spread.places.shape == (5, 4, encoder.channels)
    assert all(part.isfinite().all() for part in (spread.whole, spread.places))
    for first, count in ((0, 3), (3, 3), (6, 3)):  # verbs, phases and things are probabilities
        assert torch.allclose(kept.whole[:, first : first + count].sum(1), torch.ones(5), atol=1e-5)


@torch.no_grad()
def test_frame_is_seen_beside_its_neighbours(encoder: GrownEncoder) -> None:
    shown = frames()
    before = encoder(shown).whole
    shown[3] = 0
    changed = (encoder(shown).whole - before).abs().amax(1) > 1e-6
    assert changed.tolist() == [False, False, True, True, True]


def test_changes_are_none_where_nothing_moves() -> None:
    still = torch.from_numpy(np.repeat(frames(1), 4, 0))
    seen = with_changes(still)
    assert seen.shape == (4, 9, 96, 128)
    assert not seen[:, 3:].any()


def test_query_of_a_thing_has_the_channel_of_a_thing_acted_on(encoder: GrownEncoder) -> None:
    kept = Encoded(torch.zeros(1, NAMED + 10), torch.zeros(1, 4, 8))
    kept.whole[0, 6 + 1] = 1  # the cup is acted on
    spread = encoder.unpack(kept)
    assert spread.whole[0, 6 + 1] == 1
    assert spread.places[0, :3, 6:9].equal(torch.eye(3))
    assert spread.places[0, 3, NAMED] == 1  # people have the channel of who acts


def test_boxes_are_told_alike_for_equal_boxes_and_not_without_anything_there(encoder: GrownEncoder) -> None:
    kept = Encoded(torch.zeros(2, NAMED + 10), torch.zeros(2, 4, 8))
    kept.places[:, 1, 4:] = torch.tensor([[10.0, 20, 30, 40], [10, 20, 30, 60]])
    boxes = slice(NAMED + 2 + 144, NAMED + 2 + 288)
    assert not encoder.unpack(kept).places[..., boxes].any()
    kept.places[:, 1, 0] = 1
    first, second = encoder.unpack(kept).places[:, 1, boxes]
    same = (first == second).view(4, 36).all(1)
    assert same.tolist() == [True, True, True, False]


def test_count_of_a_query_has_a_channel_for_each_number(encoder: GrownEncoder) -> None:
    kept = Encoded(torch.zeros(1, NAMED + 10), torch.zeros(1, 4, 8))
    kept.places[0, :, 1] = torch.tensor([0.0, 1, 3, 99])
    counts = encoder.unpack(kept).places[0, :, -1 - MOST_COUNTED :]
    assert counts.argmax(-1).tolist() == [0, 1, 3, MOST_COUNTED]
    assert counts.sum(-1).tolist() == [1, 1, 1, 1]


@torch.no_grad()
def test_query_counts_the_peaks_of_its_kind_and_has_the_box_of_the_likeliest(
    encoder: GrownEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, columns = 48 // CELL, 64 // CELL
    outputs = encoder.detect(with_changes(torch.from_numpy(frames(1)[:, :48, :64])))
    centers = torch.full((1, 6, rows, columns), -9.0)
    centers[0, TARGET + 1 + 1, 1, 1] = 2.0  # a cup
    centers[0, TARGET + 1 + 1, 4, 6] = 5.0  # another, seen better
    edges = torch.full((1, 8, rows, columns), 0.5)
    found = replace(outputs, centers=centers, edges=edges)
    monkeypatch.setattr(encoder, "detect", lambda pictures: found)
    book, cup, _, person = encoder(frames(1)).places[0]
    assert book[0] < 0.01
    assert book[1] == 0
    assert person[1] == 0
    assert cup[0] > 0.9
    assert cup[1] == 2
    middle_x, middle_y = (6.5 * CELL) * 2, (4.5 * CELL) * 2  # in pixels of a video twice as wide
    half = 0.5 * BOX_SCALE * 2
    assert cup[4:].tolist() == pytest.approx([middle_x - half, middle_y - half, middle_x + half, middle_y + half])


def test_projector_begins_with_the_words_of_things(student: ValleyStudent) -> None:
    table = student.model.lm.get_input_embeddings().weight
    kept = torch.zeros(1, student.model.encoder.channels)
    kept[0, 6 + 1] = 1
    told = student.model.projector(kept)[0] - student.model.projector(torch.zeros_like(kept))[0]
    likeness = torch.nn.functional.cosine_similarity(told[None], table, dim=1)
    assert int(likeness.argmax()) in encode(student.tokenizer, " cup")


def test_saved_student_says_the_same(student: ValleyStudent, tmp_path: Path) -> None:
    student.save(tmp_path)
    loaded = load_student(tmp_path, StudentConfig())
    assert isinstance(loaded, ValleyStudent)
    features = student.encode_video(BlankVideo(video_id="1"))
    assert all(
        torch.equal(values, features[name]) for name, values in loaded.encode_video(BlankVideo(video_id="1")).items()
    )
    row = student.prompt_row(features, "What is there?" + suffix(False, Mode.answer))
    assert loaded.log_probs([row], [["the cup"]]) == student.log_probs([row], [["the cup"]])


def test_encoder_that_fits_no_weights_is_one_line(student: ValleyStudent, tmp_path: Path) -> None:
    student.save(tmp_path)
    config = tmp_path / "config.json"
    config.write_text(config.read_text().replace('"cells": 16', '"cells": 24'))
    with pytest.raises(UserError):
        load_student(tmp_path, replace(StudentConfig(), frames=8))
