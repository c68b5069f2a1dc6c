"""What `pip install .` brings along (the build fetches hatchling, hence `slow`)."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_configs_programs_prompts_and_pages_travel_in_the_wheel(tmp_path: Path) -> None:
    build = ["pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run([sys.executable, "-m", *build], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("configs", "programs"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".yaml", ".py", ".json"):
                assert f"aotd/{path.relative_to(ROOT)}" in held
    for path in (ROOT / "aotd").rglob("*"):
        if path.suffix in (".py", ".txt", ".html", ".css", ".j2"):
            assert str(path.relative_to(ROOT)) in held
