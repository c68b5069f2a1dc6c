"""Peak memory of a training step with logits at the replies' places only, and with logits at every place.

    python benchmarks/train_memory.py

Each way runs in a process of its own (forward and backward of four videos with one question each, a vocabulary of
32,000), whose peak resident memory the system reports. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from typing import Any

import torch
from prefix_sharing import Bare, questions

from aotd.distill.batch import make_batch
from aotd.distill.loss import distillation_loss

VOCABULARY = 32_000


def every_place(model: Any, videos: Any, input_ids: Any, end: Any, positions: Any, at: Any) -> torch.Tensor:
    """The same logits, chosen from those of all places."""
    everywhere = torch.arange(input_ids.numel())
    logits: torch.Tensor = model.tree_logits(videos, input_ids, end, positions, everywhere)[at]
    return logits


def measure(way: str) -> None:
    """One step; prints the peak memory before and during it, in MiB."""
    import prefix_sharing

    prefix_sharing.VOCABULARY = VOCABULARY
    torch.manual_seed(0)
    student, view = prefix_sharing.llava(frames=32, side=6, layers=2, width=128)
    assert isinstance(student, Bare)
    batch = make_batch(student, [(view, questions(1, VOCABULARY)) for _ in range(4)], 4)
    given = {name: batch[name] for name in ("videos", "input_ids", "end", "positions", "at")}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    logits = student.model(**given) if way == "targets" else every_place(student.model, **given)
    distillation_loss(logits, batch["labels"], batch["kinds"], batch["shares"], 1.0).total.backward()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"before": before // 1024, "peak": peak // 1024, "places": batch["input_ids"].numel(),
                      "targets": len(batch["at"])}))  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--way", choices=["targets", "everywhere"], help="measure one way in this process")
    way = parser.parse_args().way
    if way:
        measure(way)
        return
    peaks = {}
    for one in ("targets", "everywhere"):
        out = subprocess.run([sys.executable, __file__, "--way", one], check=True, capture_output=True, text=True)
        peaks[one] = json.loads(out.stdout.splitlines()[-1])
        print(one, peaks[one])
    steps = {one: peak["peak"] - peak["before"] for one, peak in peaks.items()}
    print(json.dumps({"peak_mib": {one: peak["peak"] for one, peak in peaks.items()}, "step_mib": steps,
                      "step_ratio": round(steps["everywhere"] / max(steps["targets"], 1), 2)}))  # fmt: skip


if __name__ == "__main__":
    main()
