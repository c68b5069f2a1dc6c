"""Training steps of a real-size LLaVA-NeXT-Video-7B with random weights on one GPU.

    python benchmarks/train_gpu.py

A video of 32 frames (144 tokens each) with eight questions, each with an answer and a rationale: step time, useful
FLOPs against what the GPU can do (MFU) and peak memory, with the eight questions in one tree, in pairs, and with
every reply in a sequence of its own. Useful FLOPs are those of the tree: 6 per weight and token, and attention over
what a token really sees; what is computed twice counts once. bfloat16 weights, layers recomputed on the way back,
AdamW. Without a GPU it says so and ends with status 3; `--small` runs the same code on a CPU in a size that means
nothing. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

import torch
import transformers
from prefix_sharing import VIDEO, Bare, questions, replies

from aotd.distill.batch import TokenizedExample, make_batch
from aotd.distill.loss import distillation_loss
from aotd.video_llms.llava_next_video import LlavaNextVideoForConditionalGeneration
from aotd.video_llms.tree import visibility

PEAK_TFLOPS = {"H100": 989, "H200": 989, "A100": 312, "L40S": 362, "B200": 2250}
"""Dense bfloat16, by the makers' data sheets."""


def build(small: bool, device: torch.device) -> Any:
    """The model: the real one's configuration, or a toy of the same shape."""
    text = {"model_type": "llama", "vocab_size": 32064, "max_position_embeddings": 8192}
    if small:
        text |= {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    vision = {"model_type": "clip_vision_model", "hidden_size": 64 if small else 1024, "intermediate_size": 64,
              "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 336, "patch_size": 14}  # fmt: skip
    config = transformers.LlavaNextVideoConfig(
        vision_config=vision, text_config=text, image_token_index=4, video_token_index=VIDEO
    )
    with device:
        torch.set_default_dtype(torch.bfloat16)
        model = LlavaNextVideoForConditionalGeneration(config)
        torch.set_default_dtype(torch.float32)
    # The tower is frozen and its features are given, so its size does not matter here.
    for frozen in (*model.model.vision_tower.parameters(), model.model.image_newline):
        frozen.requires_grad_(False)
    model.activation_checkpointing_enable({"use_reentrant": False})
    return model.train()


def useful_flops(model: Any, batch: dict[str, Any], targets: int) -> float:
    """Floating-point operations of forward and backward that a tree needs."""
    text = model.config.text_config
    layers = sum(one.numel() for one in model.model.language_model.layers.parameters())
    places, seen = batch["input_ids"].numel(), int(visibility(batch["end"]).sum())
    attention = 12 * text.num_hidden_layers * text.hidden_size * seen
    return float(6 * layers * places + 6 * model.lm_head.weight.numel() * targets + attention)


def batches(student: Bare, view: Any, tokenized: list[TokenizedExample], layout: str) -> list[dict[str, Any]]:
    """Eight questions as one tree, as eight, or as sixteen sequences one by one."""
    groups = {
        "eight": [tokenized],
        "pair": [[one] for one in tokenized],
        "separate": [[one] for one in replies(tokenized, (0, 1))],
    }
    return [make_batch(student, [(view, group)], len(tokenized)) for group in groups[layout]]


def moved(value: Any, device: torch.device) -> Any:
    return {k: moved(v, device) for k, v in value.items()} if isinstance(value, dict) else value.to(device)


def step(model: Any, optimizer: torch.optim.Optimizer, made: list[dict[str, Any]]) -> None:
    for batch in made:
        given = {name: batch[name] for name in ("videos", "input_ids", "end", "positions", "at")}
        loss = distillation_loss(model(**given), batch["labels"], batch["kinds"], batch["shares"], 1.0)
        loss.total.backward()
    optimizer.step()
    optimizer.zero_grad()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a toy on the CPU, to see that it runs")
    parser.add_argument("--steps", type=int, default=5)
    settings = parser.parse_args()
    if not settings.small and not torch.cuda.is_available():
        print("train_gpu.py needs a GPU with 80 GB or more; there is none here (--small tries the code on a CPU)")
        sys.exit(3)
    device = torch.device("cpu" if settings.small else "cuda")
    torch.manual_seed(0)
    model = build(settings.small, device)
    frames, side = (4, 24) if settings.small else (32, 24)
    view = {"features": torch.randn(frames, (side // 2) ** 2, model.config.vision_config.hidden_size).bfloat16()}
    student = Bare(model, frames * (side // 2) ** 2)
    tokenized = questions(8, 32000)
    optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=1e-5)
    name = "CPU" if settings.small else torch.cuda.get_device_name()
    peak = next((value for key, value in PEAK_TFLOPS.items() if key in name), None)
    tree = batches(student, view, tokenized, "eight")[0]
    useful = useful_flops(model, tree, len(tree["at"]))
    result: dict[str, Any] = {"device": name, "peak_tflops": peak, "useful_tflop_per_step": useful / 1e12}
    for layout in ("eight", "pair", "separate"):
        made = [moved(batch, device) for batch in batches(student, view, tokenized, layout)]
        step(model, optimizer, made)
        if not settings.small:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        for _ in range(settings.steps):
            step(model, optimizer, made)
        if not settings.small:
            torch.cuda.synchronize()
        seconds = (time.perf_counter() - start) / settings.steps
        result[layout] = {
            "step_s": round(seconds, 4),
            "mfu": None if peak is None else round(useful / seconds / (peak * 1e12), 4),
            "peak_gib": None if settings.small else round(torch.cuda.max_memory_allocated() / 2**30, 1),
        }
        print(layout, result[layout])
    print(json.dumps(result))


if __name__ == "__main__":
    main()
