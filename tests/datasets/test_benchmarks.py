"""The table of benchmarks: every row declares what contamination, scores and checks of settings go by."""

from __future__ import annotations

from pathlib import Path

import pytest

from aotd.datasets import base
from aotd.datasets.base import DatasetConfig
from aotd.datasets.benchmarks import BENCHMARKS, CLIPS, benchmark, read
from aotd.errors import UserError

ORIGINS = {
    "playroom": None,
    "files": None,
    "llava": None,
    "star": ("charades", "6H78U"),
    "agqa": ("charades", "6H78U"),
    "nextqa": ("vidor", "6H78U"),
    "nextqa_oe": ("vidor", "6H78U"),
    "anetqa": ("activitynet", "6H78U"),
    "activitynetqa": ("activitynet", "6H78U"),
    "videochatgpt": ("activitynet", "6H78U"),
    "clevrer": ("clevrer", "6H78U"),
    "egoqa": ("egoqa", "6H78U"),
    "mvbench": ("mvbench", "6H78U"),
    "videomme": ("videomme", "6H78U"),
    "perceptiontest": ("perceptiontest", "6H78U"),
    "egoschema": ("egoschema", "6H78U"),
    "msvdqa": ("msvd", "6H78U"),
    "msrvttqa": ("msrvtt", "6H78U"),
    "videobench": ("videobench", "6H78U"),
    "scienceqa": ("scienceqa", "6H78U"),
}


def test_every_benchmark_declares_where_its_videos_are_from() -> None:
    origins = {name: benchmark(name).origin for name in BENCHMARKS}
    assert {name: origin and origin("6H78U") for name, origin in origins.items()} == ORIGINS


@pytest.mark.parametrize(
    ("name", "video_id", "origin"),
    [
        ("mvbench", "star/Charades_v1_480/6H78U.mp4", ("charades", "6H78U")),
        ("mvbench", "data0613/clevrer/video_validation/video_10003.mp4", ("clevrer", "video_10003")),
        ("mvbench", "perception/videos/video_1.mp4", ("perceptiontest", "video_1")),
        ("mvbench", "ssv2_video/1.webm", ("mvbench", "ssv2_video/1.webm")),
        ("anetqa", "v_m7cHlmcFk9Y", ("activitynet", "m7cHlmcFk9Y")),
        ("activitynetqa", "m7cHlmcFk9Y", ("activitynet", "m7cHlmcFk9Y")),
        ("videochatgpt", "v_short", ("activitynet", "v_short")),
    ],
)
def test_origin_names_the_video_in_its_collection(name: str, video_id: str, origin: tuple[str, str]) -> None:
    found = benchmark(name).origin
    assert found is not None
    assert found(video_id) == origin


def test_every_benchmark_has_a_file_of_settings() -> None:
    folder = Path(base.__file__).parents[2] / "configs" / "dataset"
    assert {path.stem for path in folder.glob("*.yaml")} == {*BENCHMARKS, CLIPS}


def test_groups_follow_the_benchmarks_authors() -> None:
    assert benchmark("nextqa").groups("TN") == ("temporal", "before or after")
    assert benchmark("nextqa_oe").groups("DB") == ()
    assert benchmark("star").groups("Interaction_T1") == ("Interaction",)
    assert benchmark("star").groups("open") == benchmark("clevrer").groups("descriptive") == ()


def test_unknown_name_is_refused_with_choices_and_near_miss() -> None:
    with pytest.raises(UserError, match=r"'nextq' is none of playroom, star, .*, clips: did you mean nextqa\?"):
        read(DatasetConfig(name="nextq"))


def test_extra_file_of_another_benchmark_is_refused() -> None:
    with pytest.raises(UserError, match=r"dataset\.answers: only activitynetqa and egoschema reads it, not star"):
        read(DatasetConfig(name="star", answers="a.json"))
