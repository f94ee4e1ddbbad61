"""The tutorial's project, made and walked as the tutorial says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FILES = ("make_data.py", "project.py", "everfit.toml")


@pytest.fixture
def folder(tmp_path: Path, repository: Path) -> Path:
    for name in FILES:
        shutil.copy(repository / "docs" / "snippets" / "tutorial" / name, tmp_path)
    subprocess.run([sys.executable, "make_data.py"], cwd=tmp_path, check=True)
    return tmp_path


def everfit(folder: Path, *words: str, code: int = 0) -> dict[str, object]:
    """Run the command and read its JSON."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EVERFIT_")}
    command = [sys.executable, "-m", "everfit", *words, "--json"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def test_the_check_finds_the_leak_that_the_tutorial_asks_to_make(folder: Path) -> None:
    everfit(folder, "check")
    module = folder / "project.py"
    text = module.read_text()
    leaking = text.replace('timestamp="delivered_at", ttl=', 'timestamp="ordered_at", ttl=')
    leaking = leaking.replace('.sort("delivered_at")', '.sort("ordered_at")').replace(
        '.rolling("delivered_at"', '.rolling("ordered_at"'
    )
    assert leaking != text
    module.write_text(leaking)
    report = everfit(folder, "check", code=1)
    assert "record" in json.dumps(report["problems"])


@pytest.mark.slow
def test_the_tutorial_ends_in_a_reproducible_champion(folder: Path) -> None:
    trained = everfit(folder, "train")
    assert trained["version"] is not None, trained
    everfit(folder, "promote")
    everfit(folder, "features", "materialize")
    assert everfit(folder, "reproduce")["identical"] is True
