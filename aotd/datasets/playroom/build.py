"""Build the world below a folder, and read it back through the reader of STAR's files.

    data/playroom/world.json             the settings it was built with; written last
    data/playroom/STAR_train.json        questions in STAR's shape; also _val and _test
    data/playroom/captions.jsonl         a title and a caption of each video
    data/playroom/videos/train-0000.mp4

A build that was stopped goes on where it was: a video is written under another name first, and a folder
without `world.json` is not finished.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from random import Random
from typing import Any

from aotd.datasets import star
from aotd.datasets.base import Benchmark, DatasetConfig, LoadedQuestions, locate
from aotd.datasets.playroom import Difficulty, PlayroomConfig
from aotd.datasets.playroom.annotation import entry
from aotd.datasets.playroom.balance import choose
from aotd.datasets.playroom.captions import facts_of, tell
from aotd.datasets.playroom.questions import candidates
from aotd.datasets.playroom.render import draw, encode
from aotd.datasets.playroom.scene import PlayroomScene
from aotd.datasets.playroom.staging import play
from aotd.datasets.playroom.storyboard import FAMILY, ScenePlan, family
from aotd.errors import UserError
from aotd.runtime.pools import cores, worker_pool
from aotd.runtime.progress import progress
from aotd.store.files import digest, make_folder, whole_file, write_atomically

WORLD = 1
"""Raised when the same settings give another world than before."""
SPLITS = ("train", "val", "test")
PER_SCENE = {"train": 5.0, "val": 5.0, "test": 7.0}
"""How many questions a scene has, on average."""
CAPTIONS = "captions.jsonl"
"""What is told of each video of a world."""
WORKERS = 2
CHUNK = 4


def read(config: DatasetConfig) -> LoadedQuestions:
    """The questions of the world, which is built first where it is not there yet.

    Raises:
        UserError: the folder holds a world with other settings, or settings that make no world.
    """
    root = Path(config.root)
    settings = _settings(config.playroom)
    manifest = root / "world.json"
    if manifest.is_file():
        _check_same(manifest, settings)
    else:
        _build(root, config.playroom, settings)
    questions, skipped = [], []
    for split in SPLITS:
        path = annotation_path(root, split)
        if not path.is_file():
            raise UserError(f"{path} is missing: delete {manifest} and run again to make it anew")
        loaded = star.read(replace(config, questions=str(path), split=split))
        questions += [
            question.model_copy(update={"dataset": "playroom", "question_id": f"{split}-{question.question_id}"})
            for question in loaded.questions
        ]
        skipped += loaded.skipped
    return LoadedQuestions(questions, skipped)


def situations(config: DatasetConfig) -> dict[str, tuple[star.StarSituation, ...]]:
    """Everything that is marked in the world's files; see `star.situations`. The world must have been built."""
    by_question: dict[str, tuple[star.StarSituation, ...]] = {}
    for split in SPLITS:
        of_split = replace(config, questions=str(annotation_path(Path(config.root), split)), split=split)
        by_question |= {
            f"{split}-{key}": marked for key, marked in star.situations(of_split, lambda video: None).items()
        }
    return by_question


def annotation_path(root: Path, split: str) -> Path:
    return root / f"STAR_{split}.json"


def plans(config: PlayroomConfig, split: str) -> list[ScenePlan]:
    """The plans of a split's scenes; no two splits share one."""
    many: int = getattr(config, f"{split}_videos")
    every: list[ScenePlan] = []
    for first in range(0, many, FAMILY):
        names = tuple(f"{split}-{number:04d}" for number in range(first, first + FAMILY))
        every += family(Random(f"{config.seed}/{split}/{first}"), names)  # noqa: S311
    return every


def entries(config: PlayroomConfig, split: str) -> list[dict[str, Any]]:
    """The questions of a split, as STAR writes them."""
    scenes = [play(plan, str(config.seed)) for plan in plans(config, split)]
    every = [candidate for index, scene in enumerate(scenes) for candidate in candidates(scene, index)]
    rng = Random(f"{config.seed}/{split}/questions")  # noqa: S311
    chosen = choose(every, len(scenes), PER_SCENE[split], rng)
    chosen.sort(key=lambda q: (q.candidate.scene, q.candidate.type, q.candidate.text, q.candidate.start))
    numbers: dict[str, int] = {}
    written = []
    for question in chosen:
        kind = question.candidate.type
        numbers[kind] = numbers.get(kind, 0) + 1
        written.append(entry(question, scenes[question.candidate.scene], f"{kind}_{numbers[kind]}"))
    return written


def captions(config: PlayroomConfig) -> Iterator[str]:
    """What is told of each video, as lines of JSON; `convert.captions` and `instruct.captions` read them."""
    for plan in (plan for split in SPLITS for plan in plans(config, split)):
        rng = Random(f"{config.seed}/{plan.scene}/caption")  # noqa: S311
        title, caption = tell(facts_of(play(plan, str(config.seed))), rng)
        yield json.dumps({"video": f"videos/{plan.scene}.mp4", "title": title, "caption": caption}) + "\n"


def _settings(config: PlayroomConfig) -> dict[str, Any]:
    """What decides the world, as JSON.

    Raises:
        UserError: a number of videos that makes no families.
    """
    for split in SPLITS:
        many = getattr(config, f"{split}_videos")
        if many < 0 or many % FAMILY:
            raise UserError(
                f"dataset.playroom.{split}_videos={many}: scenes come in families of {FAMILY}, give a multiple of it"
            )
    if not any(getattr(config, f"{split}_videos") for split in SPLITS):
        raise UserError("dataset.playroom: a world without videos; set train_videos, val_videos or test_videos")
    values = asdict(config)
    return {**values, "difficulty": config.difficulty.value, "world": WORLD}


def _check_same(manifest: Path, settings: dict[str, Any]) -> None:
    try:
        before = json.loads(manifest.read_text(encoding="utf-8"))["settings"]
        changed = [f"{key}: {before.get(key)} there, {value} wanted" for key, value in settings.items()]
        changed = [line for key, line in zip(settings, changed, strict=True) if before.get(key) != settings[key]]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{manifest} is damaged: delete it and run again") from None
    if changed:
        raise UserError(
            f"{manifest.parent} holds a world with other settings ({'; '.join(changed)}): "
            "delete that folder or set dataset.root to another"
        )


def _build(root: Path, config: PlayroomConfig, settings: dict[str, Any]) -> None:
    videos = root / "videos"
    make_folder(videos)
    _claim(root, settings)
    everything = [plan for split in SPLITS for plan in plans(config, split)]
    render_plans(everything, videos, config.seed, config.difficulty)
    for split in SPLITS:
        text = json.dumps(entries(config, split), separators=(",", ":"))
        write_atomically(annotation_path(root, split), text + "\n")
    write_atomically(root / CAPTIONS, "".join(captions(config)))
    write_atomically(root / "world.json", json.dumps({"settings": settings, "hash": digest(settings)}, indent=1) + "\n")


def _claim(root: Path, settings: dict[str, Any]) -> None:
    """Say whose half-built videos these are, so that none of another world is taken over."""
    claim = root / ".building.json"
    if claim.is_file():
        _check_same(claim, settings)
    elif any((root / "videos").iterdir()):
        raise UserError(f"{root / 'videos'} already holds files of something else: set dataset.root to another folder")
    else:
        write_atomically(claim, json.dumps({"settings": settings}) + "\n")


def render_plans(scenes: Sequence[ScenePlan], videos: Path, seed: int, difficulty: Difficulty) -> None:
    """Render the scenes that have no video in a folder yet, each as `<its name>.mp4`."""
    missing = [plan for plan in scenes if not (videos / f"{plan.scene}.mp4").is_file()]
    chunks = [missing[i : i + CHUNK] for i in range(0, len(missing), CHUNK)]
    done = _render_all([(chunk, str(videos), str(seed), difficulty) for chunk in chunks])
    for _ in progress("rendering playroom", done, len(chunks)) if chunks else done:
        pass


def _render_all(jobs: Sequence[tuple[list[ScenePlan], str, str, Difficulty]]) -> Iterator[int]:
    if min(WORKERS, cores(), len(jobs) // 2) < 2:
        for job in jobs:
            yield _render(job)
        return
    with worker_pool(WORKERS) as pool:
        yield from pool.map(_render, jobs)


def _render(job: tuple[list[ScenePlan], str, str, Difficulty]) -> int:
    """Render some scenes, in this process or another; returns how many."""
    chunk, videos, seed, difficulty = job
    for plan in chunk:
        path = locate(videos, f"{plan.scene}.mp4")
        with whole_file(path) as partial:
            render(play(plan, seed), seed, partial, difficulty)
    return len(chunk)


def render(scene: PlayroomScene, seed: str, path: Path, difficulty: Difficulty) -> None:
    """Draw a scene and write it as an mp4 file."""
    encode(draw(scene, seed, difficulty), path, difficulty)


BENCHMARK = Benchmark(read=read, origin=None)
