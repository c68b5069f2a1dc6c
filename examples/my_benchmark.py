"""Add a benchmark of your own: a reader for its files, and a row in the table of benchmarks.

    python examples/my_benchmark.py load run=runs/films dataset.name=films \\
        dataset.questions=films.json dataset.root=videos dataset.split=test

The script takes every verb of `aotd`: `python examples/my_benchmark.py run …` works on from there. Its file is

    [{"film": "metropolis", "ask": "Who enters the hall?", "choices": ["a robot", "a dog"], "right": "a robot"}]
"""

from __future__ import annotations

from aotd.cli.main import main
from aotd.datasets.base import Benchmark, DatasetConfig, LoadedQuestions, collection
from aotd.datasets.benchmarks import BENCHMARKS
from aotd.datasets.reader import (
    AnnotationEntry,
    ReadEntry,
    collect,
    list_entries,
    question_of,
    questions_file,
)
from aotd.datasets.video_files import VideoIndex


class FilmEntry(AnnotationEntry):
    """One entry of the file: what is read of it, and checked."""

    film: str
    ask: str
    choices: tuple[str, ...] = ()
    right: str | None = None


def read_films(config: DatasetConfig) -> LoadedQuestions:
    """Read the questions. A malformed entry is named with its place; the ids must stay the same in every run."""
    videos, found = VideoIndex(config.root), []
    path = questions_file(config, "a JSON list of questions about films")
    for number, (where, entry) in enumerate(list_entries(path, FilmEntry, "a file of films"), start=1):
        question = question_of(
            config,
            question_id=f"films_{number}",
            video_id=entry.film,
            video=videos.stem(where, entry.film),
            question=entry.ask,
            type="film",
            options=entry.choices,
            answer=entry.right,
        )
        found.append(ReadEntry(where, entry.film, question))
    return collect(found, config.limit, videos.notes)


BENCHMARKS["films"] = Benchmark(read=read_films, origin=collection("films"))

if __name__ == "__main__":
    raise SystemExit(main())
