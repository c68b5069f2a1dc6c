"""What it saves that questions about one video share its tokens, and that nothing else changes.

    python benchmarks/prefix_sharing.py

One video of 32 frames and eight questions, each with an answer and a rationale of ordinary lengths, through a
LLaVA-NeXT-Video of random weights: forward and backward of the same sixteen replies, tokenized out three ways in turn:
each in a sequence of its own; each question's two replies behind one video; all behind one video. The separate
sequences are tried in three ways of batching, and the fastest counts. The vision tower's features are computed
before, for all alike. Then the gradients of the first and the last layout are compared in float64, for this model
and for `valley`. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
import transformers

from aotd.distill.batch import TokenizedExample, make_batch
from aotd.distill.loss import distillation_loss
from aotd.students import StudentConfig, ValleySettings
from aotd.students.valley.student import new_valley
from aotd.video_llms.base import VideoFeatures, VideoLLM, VideoPrefix
from aotd.video_llms.llava_next_video import LlavaNextVideoForConditionalGeneration
from aotd.video_llms.pretrained import sequential_prefix

VOCABULARY, VIDEO = 4096, 3
QUESTION, ANSWER, RATIONALE = 70, 2, 130
"""Tokens of a question with its options and suffix, of a letter and its end, of a chain of thought."""


class Bare(VideoLLM):
    """A model without a tokenizer."""

    feature_key = None  # type: ignore[assignment]

    def __init__(self, model: Any, tokens: int) -> None:
        self.model, self._tokens = model, tokens

    @property
    def pad_token(self) -> int:
        return 0

    def encode_video(self, video: Any) -> VideoFeatures:
        raise NotImplementedError

    def video_prefix(self, features: VideoFeatures) -> VideoPrefix:
        return sequential_prefix([1, *[VIDEO] * self._tokens])

    encode_prompt = encode_reply = decode = encode_video


def llava(frames: int, side: int, layers: int, width: int) -> tuple[VideoLLM, VideoFeatures]:
    """A LLaVA-NeXT-Video with random weights and the features of one video."""
    heads = width // 32
    config = transformers.LlavaNextVideoConfig(
        vision_config={"model_type": "clip_vision_model", "hidden_size": 64, "intermediate_size": 64,
                       "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 16 * side, "patch_size": 8},
        text_config={"model_type": "llama", "hidden_size": width, "intermediate_size": 3 * width,
                     "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": heads,
                     "vocab_size": VOCABULARY, "max_position_embeddings": 8192},
        image_token_index=4, video_token_index=VIDEO, image_grid_pinpoints=[[16, 16]],
    )  # fmt: skip
    model = LlavaNextVideoForConditionalGeneration(config)
    for frozen in (*model.model.vision_tower.parameters(), model.model.image_newline):
        frozen.requires_grad_(False)
    view = {"features": torch.randn(frames, side * side, 64)}
    return Bare(model, frames * side * side), view


def questions(count: int, vocabulary: int) -> list[TokenizedExample]:
    """Questions in random tokens; a question's two prompts differ in their last ten."""
    tokenized = []
    for _ in range(count):
        prompt = torch.randint(5, vocabulary, (QUESTION - 10,)).tolist()
        asked = tuple(prompt + torch.randint(5, vocabulary, (10,)).tolist() for _ in range(2))
        said = tuple(torch.randint(5, vocabulary, (length,)).tolist() for length in (ANSWER, RATIONALE))
        tokenized.append(TokenizedExample(asked, said))
    return tokenized


def replies(tokenized: list[TokenizedExample], kinds: tuple[int, ...]) -> list[TokenizedExample]:
    """The same replies, each as a question of its own."""
    return [
        TokenizedExample((example.prompts[kind],), (example.replies[kind],)) for example in tokenized for kind in kinds
    ]


def batches(
    student: VideoLLM, view: VideoFeatures, tokenized: list[TokenizedExample], layout: str
) -> list[dict[str, Any]]:
    """The sixteen replies as batches."""

    def batch(groups: list[list[TokenizedExample]]) -> dict[str, Any]:
        return make_batch(student, [(view, group) for group in groups], len(tokenized))

    if layout == "eight":
        return [batch([tokenized])]
    if layout == "pair":
        return [batch([[one]]) for one in tokenized]
    if layout == "separate, one by one":
        return [batch([[one]]) for one in replies(tokenized, (0, 1))]
    if layout == "separate, by length":
        return [batch([[one] for one in replies(tokenized, (kind,))]) for kind in (0, 1)]
    assert layout == "separate, four at once"
    by_length = [*replies(tokenized, (0,)), *replies(tokenized, (1,))]
    return [batch([[one] for one in by_length[first : first + 4]]) for first in range(0, len(by_length), 4)]


def step(student: VideoLLM, made: list[dict[str, Any]]) -> None:
    """Forward and backward of all batches."""
    for parameter in student.model.parameters():
        parameter.grad = None
    for batch in made:
        given = {name: batch[name] for name in ("videos", "input_ids", "end", "positions", "at")}
        loss = distillation_loss(student.model(**given), batch["labels"], batch["kinds"], batch["shares"], 1.0)
        loss.total.backward()


def seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def gradient(student: VideoLLM, made: list[dict[str, Any]]) -> torch.Tensor:
    step(student, made)
    return torch.cat([one.grad.flatten() for one in student.model.parameters() if one.grad is not None])


def gradient_error(student: VideoLLM, view: VideoFeatures, tokenized: list[TokenizedExample]) -> float:
    """Relative difference of the gradients of one tree and of separate sequences, in float64."""
    student.model.double()
    shared = gradient(student, batches(student, view, tokenized, "eight"))
    alone = gradient(student, batches(student, view, tokenized, "separate, by length"))
    return float((shared - alone).norm() / alone.norm())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--side", type=int, default=6, help="side of a frame's square of tokens (the real one has 12)")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    settings = parser.parse_args()
    torch.manual_seed(0)
    student, view = llava(settings.frames, settings.side, settings.layers, settings.width)
    tokenized = questions(8, VOCABULARY)
    separate = ["separate, one by one", "separate, by length", "separate, four at once"]
    made = {layout: batches(student, view, tokenized, layout) for layout in [*separate, "pair", "eight"]}
    times: dict[str, list[float]] = {layout: [] for layout in made}
    for number in range(settings.rounds + 1):
        for layout, batch in made.items():
            took = seconds(lambda batch=batch: step(student, batch))
            if number:  # the first round warms up
                times[layout].append(took)
    medians = {layout: statistics.median(took) for layout, took in times.items()}
    for layout, took in medians.items():
        print(f"{layout:<24} {took:7.2f} s")
    alone = min(medians[layout] for layout in separate)
    small, seen = llava(4, 2, 2, 64)
    sizes = ValleySettings(image=16, channels=16, hidden=48, layers=2, heads=2, vocabulary=300)
    valley = new_valley(StudentConfig(frames=4, valley=sizes), 8, ["What is it?"], seed=0)
    features = {"places": torch.randn(4, 4, 16), "whole": torch.randn(4, 16)}
    features |= {"numbers": torch.arange(4), "frames": torch.tensor([4])}
    print(
        json.dumps(
            {
                "pair_ratio": round(alone / medians["pair"], 2),
                "eight_ratio": round(alone / medians["eight"], 2),
                "grad_rel_error": gradient_error(small, seen, questions(3, VOCABULARY)),
                "grad_rel_error_valley": gradient_error(valley, features, questions(3, len(valley.tokenizer))),
                "video_tokens": settings.frames * settings.side**2,
                "cores": torch.get_num_threads(),
                "seconds": {layout: round(took, 3) for layout, took in medians.items()},
            }
        )
    )


if __name__ == "__main__":
    main()
