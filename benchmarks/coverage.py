"""How often 95 % intervals hold the true accuracy, and how often the paired test cries out over equal arms.

    python benchmarks/coverage.py [--trials 1000]

Predictions are simulated with a known accuracy: 1 to 9 questions of each video, whose answers are alike to a
known degree (the correlation of answers to one video). `by video` is what `aotd evaluate` prints;
`by question` draws single questions, as if no two were about the same video. For the false alarms two arms
that are equally good are compared; `McNemar` is the test by single questions, mid-p. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json

import numpy as np
from numpy.typing import NDArray

from aotd.scoring.intervals import estimate, flip_test

CASES = [(25, 0.6, 0.4), (80, 0.4, 0.4), (80, 0.9, 0.2), (150, 0.7, 0.1), (150, 0.27, 0.0)]
"""Videos, true accuracy, and how alike the answers to a video are."""
RESAMPLES = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    trials = parser.parse_args().trials
    rows = []
    for number, (videos, accuracy, alike) in enumerate(CASES):
        rng = np.random.default_rng(number)
        held = {"by video": 0, "by question": 0}
        alarms = {"by video": 0, "McNemar": 0}
        for trial in range(trials):
            about = np.repeat(np.arange(videos), rng.integers(1, 10, videos))
            ours, theirs = (rng.random(len(about)) < _chances(rng, videos, accuracy, alike)[about] for _ in "ab")
            for name, groups in (("by video", list(about)), ("by question", None)):
                found = estimate(ours, RESAMPLES, trial, groups)
                assert found is not None
                held[name] += found.low <= accuracy <= found.high
            signs = [int(a) - int(b) for a, b in zip(ours, theirs, strict=True)]
            alarms["by video"] += flip_test(signs, list(about)) < 0.05
            alarms["McNemar"] += flip_test(signs, range(len(signs))) < 0.05
        rows.append(
            {
                "videos": videos,
                "accuracy": accuracy,
                "alike": alike,
                "held": {name: count / trials for name, count in held.items()},
                "alarms": {name: count / trials for name, count in alarms.items()},
            }
        )
        print(
            f"{videos:4} videos, accuracy {accuracy:.2f}, alike {alike:.1f}: interval holds it "
            + ", ".join(f"{name} {100 * share:.1f} %" for name, share in rows[-1]["held"].items())
            + "; false alarms "
            + ", ".join(f"{name} {100 * share:.1f} %" for name, share in rows[-1]["alarms"].items()),
            flush=True,
        )
    print(json.dumps(rows))


def _chances(rng: np.random.Generator, videos: int, accuracy: float, alike: float) -> NDArray[np.float64]:
    """How likely an answer about each video is right."""
    if not alike:
        return np.full(videos, accuracy)
    spread = (1 - alike) / alike
    return rng.beta(accuracy * spread, (1 - accuracy) * spread, videos)


if __name__ == "__main__":
    main()
