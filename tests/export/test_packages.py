"""The trainers themselves open what was written (they are fetched from the package index, hence `slow`).

Each is installed into an environment of its own, in the release named here, and takes torch from the
environment of the tests. Only what its loader imports is installed beside it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
import venv
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.export.test_job import HOSTILE, asked, exported
from tests.sample_run import question, thought

HERE = Path(__file__).resolve().parent
LLAMAFACTORY = "llamafactory==0.9.5"
LLAMAFACTORY_NEEDS = (
    *("datasets<=4.0.0", "transformers<=5.6.0", "accelerate<=1.11.0", "peft<=0.18.1", "trl<=0.24.0", "av<=16.0.0"),
    *("einops", "omegaconf", "sentencepiece", "tiktoken", "fire", "tyro<0.9.0", "hf-transfer"),
)
SWIFT = "ms-swift==4.6.0"
SWIFT_NEEDS = (
    *("datasets<4.8.5", "transformers<5.20.0", "peft<0.21", "trl<1.0", "modelscope", "addict", "json-repair", "dacite"),
    *("einops", "matplotlib", "sentencepiece", "tiktoken", "binpacking", "oss2", "aiohttp", "importlib-metadata"),
)
TRL = "trl==1.16.0"

pytestmark = pytest.mark.slow


def room(folder: Path, package: str, needs: tuple[str, ...] = ()) -> Path:
    """An environment with a package and what it needs; its interpreter."""
    venv.create(folder, with_pip=True)
    (inside,) = folder.glob("lib/python*/site-packages")
    (inside / "of_the_tests.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    (folder / "constraints.txt").write_text(f"torch=={torch.__version__.split('+')[0]}\n")
    python = folder / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "-c", folder / "constraints.txt"]
    if needs:
        subprocess.run([*pip, *needs], check=True)
    subprocess.run([*pip, "--no-deps", package], check=True)
    return python


@pytest.fixture(scope="module")
def llamafactory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return room(tmp_path_factory.mktemp("llamafactory"), LLAMAFACTORY, LLAMAFACTORY_NEEDS)


@pytest.fixture(scope="module")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return room(tmp_path_factory.mktemp("swift"), SWIFT, SWIFT_NEEDS)


@pytest.fixture(scope="module")
def trl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return room(tmp_path_factory.mktemp("trl"), TRL)


def opened(python: Path, script: str, folder: Path) -> dict[str, Any]:
    """What a script says of a folder, run by that interpreter."""
    caches = {"HF_HOME": f"{folder}.hf", "MODELSCOPE_CACHE": f"{folder}.ms"}
    done = subprocess.run(
        [python, HERE / "packages" / script, folder],
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder.parent,
        env={**os.environ, **caches, "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stdout
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A run whose questions hold placeholders; `a` has a thought, and is about a part of its video."""
    evil = question("a", words=HOSTILE).model_copy(update={"start_s": 0.0, "end_s": 2.0})
    return asked(tmp_path / "run", evil, question("b", words=HOSTILE))


@pytest.mark.parametrize("how", ["frames=true", "whole_videos=true"])
def test_llamafactory_reads_the_export(llamafactory: Path, hostile: Path, videos: Path, how: str) -> None:
    folder = exported(hostile, videos, "format=llamafactory", how)
    seen = opened(llamafactory, "open_llamafactory.py", folder)
    assert seen["replies"][:3] == ["A", thought("a").text, "A"]
    assert all(words.startswith("<video>Question: ") for words in seen["asked"])
    assert seen["frames"] == [32, 160, 120]


@pytest.mark.parametrize("how", ["frames=true", "whole_videos=true"])
def test_swift_reads_the_export(swift: Path, hostile: Path, videos: Path, how: str) -> None:
    folder = exported(hostile, videos, "format=swift", how)
    seen = opened(swift, "open_swift.py", folder)
    assert seen["replies"][:3] == ["A", thought("a").text, "A"]
    assert seen["tags"] == [["<video>"]] * 8
    assert seen["videos"] == [1] * 8
    assert seen["missing"] == []


def test_trl_reads_the_export(trl: Path, hostile: Path, videos: Path) -> None:
    folder = exported(hostile, videos, "format=trl")
    seen = opened(trl, "open_trl.py", folder)
    assert seen["pictures"] == 64
    assert seen["placeholders"] == [128, 128]  # 32 pictures of four patches each, and none from the question
    assert seen["in_the_loss"] == ["A</s>", thought("a").text + "</s>"]
    assert seen["steps"] == 1
