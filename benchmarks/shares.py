"""Where the time of a run goes: models, decoding, and everything around them.

    python -m benchmarks.shares                                    the demo
    python -m benchmarks.shares --small --why                      a tenth of it; what the time outside is spent on
    python -m benchmarks.shares --folder DIR dataset=star llm=vllm …    a run of your own, told as `aotd run` is told

A run is done in this process, one verb after the other and one thing at a time: one worker, one program, nothing kept
by a cache. So clocks tell who works. Each moment belongs to one kind alone, the innermost: frames that are decoded
while a specialist looks at them are decoding.

- models: specialists (`Findings.find`, without keeping what was found), language models (`Engine.stream`), embedders;
  of students the steps of training (forward, backward, clipping, optimizer), writing replies, and looking at videos.
- decoding: waiting for the process that decodes (`Decoder.frames`, `Decoder.facts`), its start included.
- rendering: making the built-in world. It stands in for recording videos and asking about them; with a dataset of your
  own there is none of it.
- outside: all the rest, which is ours: the sandbox and its process, records and their syncing, prompts, tokenizers,
  batches, checkpoints, loading weights, scores, pages. Of it, `imports` is loading modules, once for each process.

The row `start` is this process from its beginning until the first verb could begin. Shares within one run can be read
on a busy machine, seconds cannot; `CPU %` is the share outside of what this process computed, without the processes
that decode and run programs. With `--small` the imports weigh ten times as much as in the demo. `--why` profiles what
is outside, but for imports, which makes it slower: read its list, not its shares.

The last line is JSON: `outside_share`, outside over the whole; `outside_share_without_rendering`, over the whole but
for rendering, as for users' data; `outside_cpu_share`; `seconds` and `cpu_s`, each verb's by kind, where what is called
outside here is without imports; `questions`, how many were loaded. Linux.
"""

from __future__ import annotations

import argparse
import cProfile
import functools
import importlib._bootstrap as bootstrap
import json
import os
import pstats
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MODELS, DECODING, RENDERING, OUTSIDE, IMPORTS = "models", "decoding", "rendering", "outside", "imports"
ALONE = ["execute.workers=1", "execute.concurrency=1", "distill.workers=1", "cache.gb=0"]
SMALL = ["dataset.playroom.train_videos=24", "dataset.playroom.val_videos=4", "dataset.playroom.test_videos=8"]
ENTRIES = {
    "accelerate.accelerator": [("Accelerator", "clip_grad_norm_", MODELS)],
    "accelerate.optimizer": [("AcceleratedOptimizer", "step", MODELS)],
    "aotd.store.cache": [("Cache", "put", OUTSIDE)],
    "aotd.datasets.playroom.build": [("", "_build", RENDERING)],
    "aotd.distill.train": [("_Trainer", "training_step", MODELS)],
    "aotd.llm.openai": [("OpenAIEngine", "stream", MODELS)],
    "aotd.llm.transformers": [("TransformersEngine", "stream", MODELS)],
    "aotd.llm.vllm": [("VLLMEngine", "stream", MODELS)],
    "aotd.specialists.embedder": [("SentenceEmbedder", "embed", MODELS)],
    "aotd.specialists.calls": [("Findings", "find", MODELS)],
    "aotd.video_llms.base": [("TreeCausalLM", "greedy_decode", MODELS), ("VideoLLM", "_logits", MODELS)],
    "aotd.video_llms.pretrained": [("PretrainedVideoLLM", "encode_video", MODELS)],
    "aotd.students.valley.student": [("ValleyStudent", "encode_video", MODELS)],
    "aotd.video.decode": [("Decoder", "frames", DECODING), ("Decoder", "facts", DECODING)],
}
"""Module -> (class, or nothing; function; the kind its time is of). They are timed from when the module is loaded."""
SHOWN = 40
"""Functions that `--why` names, by what they take themselves, and by what they take with all they call.
A function in which a model is asked counts until then."""


# ── clocks ────────────────────────────────────────────────────────────────────────────────────────


class Clock:
    """Seconds by verb and kind, on the wall and of this process. They belong to the kind that was begun last and has
    not ended."""

    def __init__(self, profiler: cProfile.Profile | None) -> None:
        self.seconds: dict[str, Counter[str]] = {}
        self.cpu_s: dict[str, Counter[str]] = {}
        self._verb, self._kinds = "start", [OUTSIDE]
        self._since, self._cpu_since = time.perf_counter() - _age_s(), 0.0
        self._profiler, self._thread = profiler, threading.get_ident()

    def verb(self, name: str) -> None:
        """From here on time is this verb's."""
        self._charge()
        self._verb = name

    def end(self) -> None:
        """Time is nobody's any more."""
        self._charge()
        if self._profiler:
            self._profiler.disable()

    @contextmanager
    def on(self, kind: str) -> Iterator[None]:
        """What is done in here is of this kind. Of other threads nothing is counted: the first waits for what they do,
        or for the decoder while one writes a view."""
        if threading.get_ident() != self._thread:
            yield
            return
        self._begin(kind)
        try:
            yield
        finally:
            self._charge()
            self._kinds.pop()
            self._profile()

    def _begin(self, kind: str) -> None:
        self._charge()
        self._kinds.append(kind)
        self._profile()

    def _charge(self) -> None:
        now, cpu_now = time.perf_counter(), time.process_time()
        kind = self._kinds[-1]
        self.seconds.setdefault(self._verb, Counter())[kind] += now - self._since
        self.cpu_s.setdefault(self._verb, Counter())[kind] += cpu_now - self._cpu_since
        self._since, self._cpu_since = now, cpu_now

    def _profile(self) -> None:
        if self._profiler:
            (self._profiler.enable if self._kinds[-1] == OUTSIDE else self._profiler.disable)()


def _age_s() -> float:
    """Seconds since this process was started."""
    after_name = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(after_name[19]) / os.sysconf("SC_CLK_TCK")


def timed(clock: Clock, real: Callable[..., Any], kind: str) -> Callable[..., Any]:
    """A function whose time is of a kind."""

    @functools.wraps(real)
    def call(*args: Any, **more: Any) -> Any:
        with clock.on(kind):
            return real(*args, **more)

    return call


def timed_stream(clock: Clock, real: Callable[..., Iterator[Any]], kind: str) -> Callable[..., Iterator[Any]]:
    """The same of one that hands out what it has, piece by piece: what is done with a piece is not its."""

    @functools.wraps(real)
    def call(*args: Any, **more: Any) -> Iterator[Any]:
        coming, nothing = real(*args, **more), object()
        while True:
            with clock.on(kind):
                piece = next(coming, nothing)
            if piece is nothing:
                return
            yield piece

    return call


def time_imports(clock: Clock) -> None:
    """Time the loading of modules, and the entries of each from when it is there."""
    real = bootstrap._find_and_load  # Python calls it for modules that are not loaded yet
    waiting = dict(ENTRIES)

    def load(name: str, import_: Callable[..., Any]) -> Any:
        with clock.on(IMPORTS):
            module = real(name, import_)
        for within, function, kind in waiting.pop(name, ()):
            owner = getattr(module, within) if within else module
            made = timed_stream if function == "stream" else timed
            setattr(owner, function, made(clock, getattr(owner, function), kind))
        return module

    bootstrap._find_and_load = load


# ── the run ───────────────────────────────────────────────────────────────────────────────────────


def do(clock: Clock, words: Sequence[str]) -> int:
    """Do a run's verbs; returns how many questions it has."""
    from aotd.commands.run import run_verb
    from aotd.config.command_line import read_settings
    from aotd.datasets.playroom import build
    from aotd.records import Question
    from aotd.store.stage import Stage

    build.WORKERS = 1
    config = read_settings("run", words)
    for verb in config.verbs:
        clock.verb(verb)
        run_verb(verb, config)
    clock.end()
    return Stage(Path(config.run), "load", Question).count()


def settings(folder: Path, small: bool, more: Sequence[str]) -> list[str]:
    """The words of the run; later ones win."""
    demo = [] if any(word.startswith(("experiment=", "dataset=")) for word in more) else ["experiment=demo"]
    world = [f"dataset.root={folder}/videos"] if demo else []
    return [*demo, *world, f"run={folder}/run", *ALONE, *(SMALL if small else []), *more]


def show(clock: Clock) -> dict[str, float]:
    """Print the table; returns the shares."""
    from rich.console import Console
    from rich.table import Table

    whole, whole_cpu = _summed(clock.seconds), _summed(clock.cpu_s)
    table = Table(title="seconds of a run, by who works")
    heads = ("verb", "seconds", MODELS, DECODING, RENDERING, OUTSIDE, "of it imports", "outside %", "CPU %")
    for number, head in enumerate(heads):
        table.add_column(head, justify="right" if number else "left")
    rows = [(name, spent, clock.cpu_s[name]) for name, spent in clock.seconds.items()]
    for name, spent, cpu in [*rows, ("whole", whole, whole_cpu)]:
        cells = (spent.total(), spent[MODELS], spent[DECODING], spent[RENDERING], _outside(spent), spent[IMPORTS])
        shares = (_outside(one) / one.total() for one in (spent, cpu))
        table.add_row(name, *(f"{cell:.2f}" for cell in cells), *(f"{100 * share:.1f}" for share in shares))
    Console(width=120).print(table)
    return {
        "outside_share": _outside(whole) / whole.total(),
        "outside_share_without_rendering": _outside(whole) / (whole.total() - whole[RENDERING]),
        "outside_cpu_share": _outside(whole_cpu) / whole_cpu.total(),
    }


def _outside(spent: Counter[str]) -> float:
    return spent[OUTSIDE] + spent[IMPORTS]


def _summed(by_verb: dict[str, Counter[str]]) -> Counter[str]:
    whole: Counter[str] = Counter()
    for spent in by_verb.values():
        whole.update(spent)
    return whole


def main() -> None:
    profiler = cProfile.Profile()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="an empty folder for the run, which is kept")
    parser.add_argument("--small", action="store_true", help="a tenth of the demo's videos")
    parser.add_argument("--why", action="store_true", help="name the functions that the time outside is spent in")
    parser.add_argument("settings", nargs="*", help="as for `aotd run`")
    told = parser.parse_args()
    clock = Clock(profiler if told.why else None)
    time_imports(clock)
    with tempfile.TemporaryDirectory() as name:
        folder = (told.folder or Path(name)).resolve()
        if folder.is_dir() and any(folder.iterdir()):
            parser.error(f"{folder} is not empty: what is done already would take no time")
        questions = do(clock, settings(folder, told.small, told.settings))
    shares = show(clock)
    if told.why:
        stats = pstats.Stats(profiler)
        stats.sort_stats("tottime").print_stats(SHOWN)
        stats.sort_stats("cumulative").print_stats("aotd/", SHOWN)
    by_verb = {
        name: {verb: {kind: round(one, 3) for kind, one in spent.items()} for verb, spent in table.items()}
        for name, table in {"seconds": clock.seconds, "cpu_s": clock.cpu_s}.items()
    }
    print(json.dumps({**{name: round(share, 4) for name, share in shares.items()}, "questions": questions, **by_verb}))


if __name__ == "__main__":
    main()
