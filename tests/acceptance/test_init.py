"""A new project works at once, step by step as `everfit init` says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.acceptance.shop import everfit


@pytest.mark.slow
def test_a_new_project_checks_trains_and_passes_its_own_tests(tmp_path: Path) -> None:
    made = everfit(tmp_path, "init", "bakery")
    assert made.code == 0, made.err
    folder = tmp_path / "bakery"
    steps = [line.split()[1:] for line in made.out.splitlines() if line.startswith("  everfit")]
    assert [step[0] for step in steps] == ["check", "train", "promote", "features", "serve"]
    for step in steps[:-1]:
        answer = everfit(folder, *step)
        assert answer.code == 0, answer.out + answer.err
    own = subprocess.run(
        [sys.executable, "-m", "pytest", "-q"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert own.returncode == 0, own.stdout


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "bakery").mkdir()
    (tmp_path / "bakery" / "thesis.txt").write_text("years of work")
    answer = everfit(tmp_path, "init", "bakery")
    assert answer.code == 2
    assert "must not exist yet, or be empty" in answer.err
    assert everfit(tmp_path, "init", "My Project").code == 2
