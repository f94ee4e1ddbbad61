"""Workflows of ``everfit init --ci``: they are YAML, and their commands do in a clone what a release does here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.acceptance.shop import everfit
from tests.releases.local_index import LocalIndex
from tests.releases.origin import git

import everfit as ef

FILES = {"github": ".github/workflows/release.yml", "gitlab": ".gitlab-ci.yml"}
DRY_RUN = "everfit release HEAD --dry-run"
DESIGN = ("--owner", "Ada", "--approver", "Charles", "--contact", "ada@example.org", "--yes")


def workflow(folder: Path, ci: str) -> Any:
    """Make a project in a folder; return its workflow."""
    made = everfit(folder, "init", "bakery", "--ci", ci, *DESIGN)
    assert made.code == 0, made.err
    return yaml.safe_load((folder / "bakery" / FILES[ci]).read_text())


def github_commands(parsed: Any) -> tuple[list[str], str]:
    """The commands of a job's steps, and what is installed where no variable says otherwise."""
    (job,) = parsed["jobs"].values()
    default = re.fullmatch(r"\$\{\{ vars\.EVERFIT \|\| '(.*)' \}\}", job["env"]["EVERFIT"])
    assert default is not None
    return [step["run"] for step in job["steps"] if "run" in step], default[1]


def test_both_workflows_run_the_same_commands(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "gitlab").mkdir()
    github, (job,) = workflow(tmp_path, "github"), workflow(tmp_path / "gitlab", "gitlab").values()
    commands, installed = github_commands(github)
    assert commands == job["script"]
    assert commands[-1] == DRY_RUN
    assert installed == job["variables"]["EVERFIT"] == f"everfit=={ef.__version__}"
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert job["image"] == f"python:{python}"
    shown = (repository / "docs" / "snippets" / "ci.yml").read_text().replace('"3.11"', f'"{python}"')
    assert shown == (tmp_path / "bakery" / FILES["github"]).read_text()
    assert github["permissions"] == {"contents": "read"}


def test_a_dry_run_needs_a_repository_and_nothing_else(tmp_path: Path) -> None:
    workflow(tmp_path, "github")
    refused = everfit(tmp_path / "bakery", "release", "--dry-run")
    assert refused.code == 1
    assert "there must be a git repository" in refused.err
    assert "git init" in refused.err
    assert everfit(tmp_path / "bakery", "release", "--dry-run", "--again").code == 2
    assert not (tmp_path / "bakery" / ".everfit").exists()


@pytest.mark.slow
def test_its_commands_pass_and_a_failing_test_fails_them(tmp_path: Path) -> None:
    commands, installed = github_commands(workflow(tmp_path, "github"))
    project, clone, temporary = tmp_path / "bakery", tmp_path / "clone", tmp_path / "temporary"
    temporary.mkdir()
    git(project, "init", "--quiet", "--initial-branch=main")
    commit(project, "first")
    # As the checkout of a CI system: one commit, and no branch.
    git(tmp_path, "clone", "--quiet", "--depth=1", project.as_uri(), "clone")
    git(clone, "checkout", "--quiet", "--detach")
    variables = machine(tmp_path) | {"EVERFIT": installed, "TMPDIR": str(temporary)}
    for command in commands:
        done = run(command, clone, variables)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "first passed: All steps passed." in done.stdout
    steps = re.findall(r"^  ✓ (\w+) ", done.stdout, re.MULTILINE)
    assert steps == ["tree", "environment", "check", "tests", "data", "training", "features"]

    (clone / "tests" / "test_more.py").write_text("def test_more():\n    assert 1 + 1 == 3\n")
    commit(clone, "failing test")
    done = run(commands[-1], clone, variables | {"EVERFIT_LOOP_LEVEL": "manual"})
    assert done.returncode == 1, done.stdout + done.stderr
    assert "✗ tests  1 of 5 tests failed: tests/test_more.py::test_more" in done.stdout
    assert "Log of tests\n" in done.stdout
    assert "FAILED tests/test_more.py::test_more" in done.stdout
    assert not (clone / ".everfit").exists()
    assert not list(temporary.iterdir()), "nothing is left"


def commit(folder: Path, subject: str) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", subject)


def run(command: str, folder: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a step of a workflow."""
    shell = ["bash", "-e", "-c", command]
    return subprocess.run(
        shell, cwd=folder, env=os.environ | variables, capture_output=True, text=True, timeout=600, check=False
    )


def machine(folder: Path) -> dict[str, str]:
    """Variables of a machine with a Python of its own and an index in a folder; Everfit's commands are those tested."""
    index = LocalIndex(folder / "index")
    wheels = [
        index.add_wheel(name, version, {f"{name}_installed.py": ""}).parent
        for name, version in (("uv", "1.0"), ("pytest", "1.0"), ("everfit", ef.__version__))
    ]
    subprocess.run([sys.executable, "-m", "venv", str(folder / "python")], check=True)
    path = os.pathsep.join([str(folder / "python" / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    return {
        "PATH": path,
        "COLUMNS": "200",
        "PIP_NO_INDEX": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_FIND_LINKS": " ".join(map(str, wheels)),
    }
