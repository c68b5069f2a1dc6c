"""The small valley that begins from nothing: save and load, batches, trees, and that the video reaches it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aotd.distill.batch import make_batch, tokenize_example
from aotd.distill.loss import distillation_loss
from aotd.errors import UserError
from aotd.records import Example, Mode
from aotd.students import SmallLM, StudentConfig, TemporalKind, ValleySettings
from aotd.students.registry import load_student, new_student
from aotd.students.tokens import SPACE, decode, encode
from aotd.students.valley.student import ValleyStudent, check_agrees, new_valley
from aotd.video.clip import Pixels, frame_numbers
from aotd.video_llms.base import PromptInput, VideoFeatures
from tests.conftest import BlankVideo

SIZES = ValleySettings(image=16, channels=16, patches=4, hidden=32, layers=2, heads=2)
SMALL = StudentConfig(frames=4, valley=SIZES)
TEXTS = ["What did the person take?", "I see the book at [10, 20, 30, 40] in frame 3. So the answer is the book."]


class Noise(BlankVideo):
    """Eight frames of noise."""

    def pixels(self) -> Pixels:
        rng = np.random.default_rng(int(self.video_id))
        return rng.integers(0, 256, (self.frames, self.height, self.width, 3), dtype=np.uint8)


def view(student: ValleyStudent, seed: int) -> VideoFeatures:
    return student.encode_video(Noise(video_id=str(seed)))


@pytest.fixture(scope="module", params=SmallLM)
def student(request: pytest.FixtureRequest) -> ValleyStudent:
    made = new_valley(replace(SMALL, valley=replace(SIZES, small_lm=request.param)), 8, TEXTS, seed=1)
    made.model.train(False)
    return made


def test_embeddings_of_numbers_begin_as_waves_of_their_value() -> None:
    texts = ["I see [10, 11, 30, 40] from frame 10 to frame 11: " + " ".join(map(str, range(41)))]
    made = new_valley(replace(SMALL, valley=replace(SIZES, vocabulary=900)), 8, texts, seed=1)
    table = made.model.lm.get_input_embeddings().weight[:, :16].detach()
    vocabulary = made.tokenizer.get_vocab()
    ten, eleven, thirty = (table[vocabulary[f"{number}"]] for number in (10, 11, 30))
    assert torch.equal(ten, table[vocabulary[f"{SPACE}10"]]), "the same behind a bracket and behind a space"
    assert (ten - eleven).norm() < (ten - thirty).norm()


def examples() -> list[Example]:
    return [
        Example(
            question_id=str(i), prompt=f"What is thing {i}?" * (i + 1), answer="ABCD"[i],
            rationale=None if i == 1 else TEXTS[1][i:],
        )
        for i in range(4)
    ]  # fmt: skip


def arguments(batch: dict[str, Any]) -> dict[str, Any]:
    return {name: batch[name] for name in ("videos", "input_ids", "end", "positions", "at")}


def test_frame_numbers_spread_over_the_specialists_frames() -> None:
    assert frame_numbers(32, 4) == [4, 12, 20, 28]
    assert frame_numbers(4, 4) == [0, 1, 2, 3]
    assert frame_numbers(2, 4) == [0, 0, 1, 1]


@pytest.mark.parametrize("text", ["", "Ünïcode 🙂\n\ttabs", "in frame 7, [10, 200]", "<end> and <pad>", "a  b "])
def test_tokenizer_round_trips_any_text(student: ValleyStudent, text: str) -> None:
    assert decode(student.tokenizer, encode(student.tokenizer, text)) == text


def test_tokenizer_makes_numbers_single_tokens(student: ValleyStudent) -> None:
    for number in range(41):
        assert len(encode(student.tokenizer, f" {number}")) == 1


def test_saved_valley_loads_with_equal_logits(student: ValleyStudent, tmp_path: Path) -> None:
    student.save(tmp_path / "student")
    again = load_student(tmp_path / "student", SMALL)
    tokenized = [tokenize_example(student, example, True) for example in examples()]
    batch = make_batch(student, [(view(student, number), [one]) for number, one in enumerate(tokenized)], 4)
    with torch.no_grad():
        assert torch.equal(student.model(**arguments(batch)), again.model(**arguments(batch)))
    assert again.feature_key == student.feature_key
    assert again.encode_prompt(TEXTS[1]) == student.encode_prompt(TEXTS[1])


def test_folder_without_student_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no student"):
        load_student(tmp_path, SMALL)


def test_reply_in_a_batch_equals_reply_alone(student: ValleyStudent) -> None:
    asked = [PromptInput("What did the person take?" * (i + 1), i == 1, view(student, i)) for i in range(3)]
    together = student.reply(asked, Mode.rationale, 12)
    assert together == [student.reply([one], Mode.rationale, 12)[0] for one in asked]
    assert all(together)


def gradients(student: ValleyStudent, shared: bool) -> tuple[float, list[torch.Tensor]]:
    """Loss and gradients of a step about two videos: three questions about the one, one about the other."""
    tokenized = [tokenize_example(student, example, True) for example in examples()]
    batch = make_batch(student, [(view(student, 0), tokenized[:3]), (view(student, 1), tokenized[3:])], 4, shared)
    student.model.zero_grad()
    loss = distillation_loss(
        student.model(**arguments(batch)), batch["labels"], batch["kinds"], batch["shares"], weight=0.7
    ).total
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.item(), [one.grad.clone() for one in student.model.parameters() if one.grad is not None]


def test_tree_has_loss_and_gradients_of_separate_sequences(student: ValleyStudent) -> None:
    student.model.double()
    try:
        (loss, together), (alone, apart) = gradients(student, shared=True), gradients(student, shared=False)
        assert abs(loss - alone) <= 1e-12 * abs(alone)
        trained = [weight for part in student.parts for weight in student.part_weights(part)]
        assert len(together) == len(trained) == len([one for one in student.model.parameters() if one.requires_grad])
        scale = torch.cat([one.flatten() for one in apart]).norm()
        differ = torch.cat([(one - other).flatten() for one, other in zip(together, apart, strict=True)])
        assert differ.norm() <= 1e-12 * scale
    finally:
        student.model.zero_grad()
        student.model.float()


def test_logits_depend_on_video_and_frame_order(student: ValleyStudent) -> None:
    tokenized = [tokenize_example(student, examples()[0], True)]
    seen = view(student, 0)
    backwards = {**seen, "places": seen["places"].flip(0), "whole": seen["whole"].flip(0)}
    batch = make_batch(student, [(seen, tokenized), (backwards, tokenized), (view(student, 1), tokenized)], 3)
    with torch.no_grad():
        first, second, third = student.model(**arguments(batch)).chunk(3)
    assert not torch.allclose(first, second)
    assert not torch.allclose(first, third)


@pytest.mark.parametrize("wrong", [{"image": 20}, {"patches": 5}, {"hidden": 31}, {"vocabulary": 10}, {"layers": 0}])
def test_sizes_that_do_not_fit_are_one_line(wrong: dict[str, int]) -> None:
    sizes = ValleySettings(**{**vars(SIZES), **wrong})
    with pytest.raises(UserError, match=f"student.valley.{next(iter(wrong))}"):
        new_student(replace(SMALL, valley=sizes), 8, TEXTS, seed=1)


def test_video_is_encoded_once_for_all_seeds(student: ValleyStudent) -> None:
    other = new_valley(SMALL, 8, TEXTS, seed=2)
    assert other.feature_key == student.feature_key
    one, two = view(student, 0), view(other, 0)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(student.model.projector.weight, other.model.projector.weight)


def test_features_are_the_encoders_outputs_in_half_precision(student: ValleyStudent) -> None:
    video = Noise(video_id="3")
    features = student.encode_video(video)
    assert features["numbers"].tolist() == frame_numbers(8, 4)
    assert features["frames"].tolist() == [4]
    with torch.no_grad():
        encoded = student.model.encoder(video.pixels()[frame_numbers(8, 4)])
    for kept, whole in ((features["places"], encoded.places), (features["whole"], encoded.whole)):
        assert kept.dtype == torch.float16
        assert (kept.float() - whole).abs().max() <= 2.0**-10 * whole.abs().max()


def test_logits_from_half_precision_features_are_nearly_the_same(student: ValleyStudent) -> None:
    tokenized = [tokenize_example(student, examples()[0], True)]
    features = view(student, 0)
    video = Noise(video_id="0")
    with torch.no_grad():
        encoded = student.model.encoder(video.pixels()[frame_numbers(8, 4)])
        whole = {**features, "places": encoded.places, "whole": encoded.whole}
        batch = make_batch(student, [(features, tokenized)], 1)
        half, full = (student.model(**{**arguments(batch), "videos": videos}) for videos in (features, whole))
    assert (half - full).abs().max() <= 1e-3 * full.abs().max()


@pytest.mark.parametrize(
    ("duration_s", "per_second", "numbers"),
    [
        (8.0, 0.0, [1, 3, 5, 7]),
        (8.0, 0.5, [1, 3, 5, 7]),
        (4.0, 0.5, [2, 6]),
        (0.04, 0.5, [4]),
        (1000.0, 0.5, [1, 3, 5, 7]),
    ],
)
def test_frames_are_so_many_a_second_up_to_a_cap(duration_s: float, per_second: float, numbers: list[int]) -> None:
    sizes = replace(SIZES, frames_per_second=per_second)
    student = new_valley(replace(SMALL, valley=sizes), 8, TEXTS, seed=0)
    features = student.encode_video(Noise(video_id="1", end_s=duration_s))
    assert features["numbers"].tolist() == numbers
    assert len(student.video_prefix(features).tokens) == 4 + len(numbers)


def test_picture_is_a_video_of_one_frame() -> None:
    student = new_valley(replace(SMALL, valley=replace(SIZES, frames_per_second=0.5)), 8, TEXTS, seed=0)
    picture = student.encode_video(Noise(video_id="1", frames=1, end_s=0.0))
    assert picture["numbers"].tolist() == [0]
    assert student.reply([PromptInput("What?", True, picture)], Mode.answer, 4)


def test_videos_of_unequal_length_in_a_batch_are_as_alone() -> None:
    student = new_valley(replace(SMALL, valley=replace(SIZES, frames_per_second=0.5)), 8, TEXTS, seed=0)
    student.model.train(False)
    views = [student.encode_video(Noise(video_id="1", end_s=seconds)) for seconds in (8.0, 2.0, 4.0)]
    tokenized = [tokenize_example(student, example, True) for example in examples()[:3]]
    pairs = list(zip(views, ([one] for one in tokenized), strict=True))
    with torch.no_grad():
        together = student.model(**arguments(make_batch(student, pairs, 3)))
        alone = [student.model(**arguments(make_batch(student, [pair], 3))) for pair in pairs]
    assert torch.allclose(together, torch.cat(alone), atol=1e-5)


@pytest.mark.parametrize("frame_tokens", [True, False])
@pytest.mark.parametrize("temporal", list(TemporalKind))
def test_every_temporal_module_and_frame_tokens_save_and_load(
    temporal: TemporalKind, frame_tokens: bool, tmp_path: Path
) -> None:
    config = replace(SMALL, valley=replace(SIZES, temporal=temporal, frame_tokens=frame_tokens))
    student = new_valley(config, 8, TEXTS, seed=0)
    features = view(student, 0)
    assert len(student.video_prefix(features).tokens) == 4 + 4 * frame_tokens
    student.save(tmp_path)
    again = load_student(tmp_path, config)
    assert isinstance(again, ValleyStudent)
    check_agrees(config, again)
    asked = [PromptInput("What did the person take?", False, features)]
    assert again.reply(asked, Mode.rationale, 8) == student.reply(asked, Mode.rationale, 8)


def test_frames_are_told_by_their_numbers(student: ValleyStudent) -> None:
    """The LM's own number embeddings are added to the tokens of frames, and to nothing else."""
    features = view(student, 0)
    numbers = (0, 2, 4, 7)
    tokens = torch.tensor([encode(student.tokenizer, f" {number}")[-1] for number in numbers])
    with torch.no_grad():
        plain = student.model.video({**features, "numbers": torch.zeros(4, dtype=torch.long)})
        later = student.model.video({**features, "numbers": torch.tensor(numbers)})
        words = student.model.get_input_embeddings()(tokens)
    assert torch.equal(plain[:4], later[:4])
    assert torch.allclose(later[4:] - plain[4:], words - words[0], atol=1e-6)
