"""The examples and the template keep what they promise: `everfit check` finds nothing, and their own tests pass."""

from __future__ import annotations

import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from everfit.cli.init import scaffold

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(folder: Path, *command: str) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def copied(name: str, to: Path) -> Path:
    ignored = shutil.ignore_patterns(".everfit", "__pycache__")
    return Path(shutil.copytree(EXAMPLES / name, to / name, ignore=ignored))


@pytest.mark.parametrize("template", ["forecasting", "regression", "binary", "multiclass"])
def test_a_new_project_passes_its_check_and_its_tests_at_once(tmp_path: Path, template: str) -> None:
    project = scaffold("my-project", tmp_path, template=template, today=datetime.now(UTC).date())
    assert 'name = "my-project"' in (project / "everfit.toml").read_text()
    assert "__NAME__" not in "".join(path.read_text() for path in project.rglob("*.*") if path.is_file())
    assert (project / ".gitignore").is_file()
    run(project, "pytest", "-q", "-p", "no:cacheprovider")
    run(project, "everfit", "check")


@pytest.mark.slow
def test_the_deliveries_pass_their_check_and_their_tests(tmp_path: Path) -> None:
    project = copied("deliveries", tmp_path)
    run(project, "pytest", "-q", "-p", "no:cacheprovider")
    run(project, "everfit", "check", "--as-of", "2026-03-01")


def test_the_flights_tests_need_no_data(tmp_path: Path) -> None:
    run(copied("flights", tmp_path), "pytest", "-q", "-p", "no:cacheprovider")


@pytest.mark.slow
@pytest.mark.data
def test_the_flights_pass_their_check(tmp_path: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERFIT_PATHS_DATA", str(data_folder))
    run(copied("flights", tmp_path), "everfit", "check", "--as-of", "2013-12-30")
