"""Perfect perception has the form of the grown encoder's outputs, and says what is true of the scene."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aotd.datasets.playroom import Difficulty
from aotd.datasets.playroom.things import FPS
from aotd.grow import EncoderSizes
from aotd.grow.eyes import new_encoder
from aotd.grow.scenes import SceneSource, draw_parts, parts_of
from aotd.records import Question
from aotd.students.valley.grown_encoder import GrownEncoder
from benchmarks.sight import labels_of, perfect

SOURCE = SceneSource(seed=3, difficulty=Difficulty.easy, frames=32, size=(128, 96))


@pytest.fixture(scope="module")
def encoder() -> GrownEncoder:
    return new_encoder(EncoderSizes(cells=16, blocks=1), seed=0)


def test_perfect_features_have_the_shapes_of_the_encoders(encoder: GrownEncoder) -> None:
    (part,) = parts_of(SOURCE, 0, 1)
    with torch.no_grad():
        encoded = encoder.encode_shrunk(draw_parts(SOURCE, [part])[0])
    features = perfect(part.labels, encoder)
    assert features["whole"].shape == encoded.whole.shape
    assert features["places"].shape == encoded.places.shape


def test_perfect_features_say_what_is_true(encoder: GrownEncoder) -> None:
    settings, labels = encoder.settings, parts_of(SOURCE, 1, 1)[0].labels
    features = perfect(labels, encoder)
    whole, things = features["whole"].float().numpy(), len(settings.things)
    assert (whole[:, : 1 + len(settings.verbs)].argmax(1) == labels.verb).all()
    queries = features["places"].float().numpy()[0]
    seen = ~np.isnan(labels.things[0]).any(1)
    assert sorted(np.flatnonzero(queries[:things, 0])) == sorted(set(labels.kinds[seen]))
    assert queries[:things, 1].sum() == seen.sum()
    assert queries[things, 1] == (~np.isnan(labels.people[0]).any(1)).sum()
    boxes = queries[:things, 4:]
    for box in boxes[boxes.any(1)]:
        assert np.abs(labels.things[0, seen] - box).max(1).min() < 0.5
    held = whole[:, 1 + len(settings.verbs) + len(settings.phases) + things :][:, :things]
    assert (held.sum(1) == [len({kind for kind, one in zip(labels.kinds, row, strict=True) if one})
                            for row in labels.is_held]).all()  # fmt: skip


def test_question_is_about_the_frames_that_are_sampled() -> None:
    (part,) = parts_of(SOURCE, 2, 1)
    question = Question(
        question_id="q", dataset="playroom", split="test", video_id="v", question="?", type="t",
        start_s=part.start / FPS, end_s=part.end / FPS,
    )  # fmt: skip
    labels = labels_of(question, {"v": part.scene}, 32)
    for one, other in zip(vars(labels).values(), vars(part.labels).values(), strict=True):
        np.testing.assert_array_equal(one, other)
    whole = labels_of(question.model_copy(update={"start_s": None, "end_s": None}), {"v": part.scene}, 32)
    assert len(whole.verb) == 32
