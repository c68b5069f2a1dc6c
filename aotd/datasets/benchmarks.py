"""The table of benchmarks. A new one is one module and one row.

A program of your own adds a benchmark to the table before it calls `aotd`:

    BENCHMARKS["films"] = Benchmark(read=read_films, origin=collection("films"))
"""

from __future__ import annotations

import importlib

from aotd.datasets.base import EXTRA_FILES, Benchmark, DatasetConfig, LoadedQuestions
from aotd.errors import UserError, meant

PLAYROOM, STAR = "playroom", "star"
CLIPS = "clips"
"""The name of a folder of videos without questions, which is no benchmark."""

BENCHMARKS: dict[str, str | Benchmark] = {
    PLAYROOM: "aotd.datasets.playroom.build",
    STAR: "aotd.datasets.star",
    "nextqa": "aotd.datasets.nextqa",
    "nextqa_oe": "aotd.datasets.nextqa_oe",
    "clevrer": "aotd.datasets.clevrer",
    "agqa": "aotd.datasets.agqa",
    "anetqa": "aotd.datasets.anetqa",
    "egoqa": "aotd.datasets.egoqa",
    "mvbench": "aotd.datasets.mvbench",
    "videomme": "aotd.datasets.videomme",
    "perceptiontest": "aotd.datasets.perceptiontest",
    "activitynetqa": "aotd.datasets.activitynetqa",
    "videochatgpt": "aotd.datasets.videochatgpt",
    "egoschema": "aotd.datasets.egoschema",
    "llava": "aotd.datasets.llava",
    "msvdqa": "aotd.datasets.msvdqa",
    "msrvttqa": "aotd.datasets.msrvttqa",
    "videobench": "aotd.datasets.videobench",
    "scienceqa": "aotd.datasets.scienceqa",
    "files": "aotd.datasets.files",
}
"""Name -> benchmark, or the module that has it as `BENCHMARK` and is imported when it is needed."""


def check_name(name: str) -> None:
    """
    Raises:
        UserError: there is no dataset of this name.
    """
    names = (*BENCHMARKS, CLIPS)
    if name not in names:
        raise UserError(f"settings: dataset.name: {name!r} is none of {', '.join(names)}{meant(name, names)}")


def benchmark(name: str) -> Benchmark:
    """The benchmark with a name of the table."""
    row = BENCHMARKS[name]
    chosen: Benchmark = row if isinstance(row, Benchmark) else importlib.import_module(row).BENCHMARK
    return chosen


def read(config: DatasetConfig) -> LoadedQuestions:
    """Read the questions of a benchmark. Every entry is checked: by now, or as one goes through them.

    Raises:
        UserError: there is no such benchmark, a file is not there or malformed, or a setting is not one of this
            benchmark's.
    """
    check_name(config.name)
    chosen = benchmark(config.name)
    for setting in EXTRA_FILES:
        if getattr(config, setting) and setting not in chosen.extra_files:
            readers = " and ".join(name for name in BENCHMARKS if setting in benchmark(name).extra_files)
            raise UserError(f"dataset.{setting}: only {readers} reads it, not {config.name}: leave it empty")
    if config.type_by and config.type_by not in chosen.type_fields:
        choice = f"one of {', '.join(chosen.type_fields)}" if chosen.type_fields else "its questions have one type each"
        raise UserError(f"dataset.type_by={config.type_by}: {config.name} has no such field: {choice}")
    return chosen.read(config)
