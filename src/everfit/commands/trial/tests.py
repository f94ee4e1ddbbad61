"""Step ``tests``: the project's own tests, run by pytest in a process of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

from everfit.commands.trial.release_trial import ReleaseTrial
from everfit.core.release_trial import FailedTest, TrialResult, log_file

_REPORT = "tests.xml"
_SHOWN = 5
_LONGEST = 200
_NOT_IMPORTED = "collection failure"
"""Message of a test module that could not be imported; the reason is in the text."""
_NOT_COLLECTED = 5
"""Exit code of pytest if there is no test."""
_FROM_OUTSIDE = frozenset({signal.SIGKILL, signal.SIGTERM})
_CONFIGURATIONS = {"pytest.ini": "", ".pytest.ini": "", "pyproject.toml": "[tool.pytest", "tox.ini": "[pytest]"}
"""Files that configure pytest, first one first, with a text that is in them if they do."""


def run(trial: ReleaseTrial) -> TrialResult:
    """Run the tests; without any, the step is skipped."""
    tree = trial.tree
    if not _has_tests(tree):
        return _skipped("The project has no tests: there is no file test_*.py.")
    if find_spec("pytest") is None:
        remedy = (
            "Add it with 'uv add --dev pytest' and commit pyproject.toml and uv.lock, or install it where Everfit is."
        )
        sentence = f"The project has tests, but pytest is not installed in the release's environment. {remedy}"
        return TrialResult(step="tests", outcome="refused", sentence=sentence)
    code, tail = _run_pytest(tree, trial.folder)
    if code == _NOT_COLLECTED:
        return _skipped("The project has no tests: pytest collected none.")
    cases = _cases(trial.folder / _REPORT)
    failed = tuple(test for case in cases if (test := _failure(case)) is not None)
    if code == 0 and not failed:
        skipped = sum(case.find("skipped") is not None for case in cases)
        sentence = f"{_count(len(cases) - skipped)} passed" + (f", {skipped} were skipped." if skipped else ".")
        return TrialResult(step="tests", outcome="passed", sentence=sentence)
    if not failed:
        sentence = f"pytest ended with exit code {code} before it had run the tests: {tail}"
        return TrialResult(step="tests", outcome="refused", sentence=sentence)
    shown = "; ".join(f"{test.test} ({test.reason})" for test in failed[:_SHOWN])
    more = f"; and {len(failed) - _SHOWN} more" if len(failed) > _SHOWN else ""
    sentence = f"{len(failed)} of {_count(len(cases))} failed: {shown}{more}."
    return TrialResult(step="tests", outcome="refused", sentence=sentence, failed_tests=failed)


def _has_tests(tree: Path) -> bool:
    return (tree / "tests").is_dir() or any(True for pattern in ("test_*.py", "*_test.py") for _ in tree.rglob(pattern))


def _skipped(sentence: str) -> TrialResult:
    return TrialResult(step="tests", outcome="skipped", sentence=sentence)


def _count(number: int) -> str:
    return f"{number} test" + ("" if number == 1 else "s")


def _configuration(tree: Path) -> str:
    """Return the file that configures pytest, or an empty one."""
    for name, text in _CONFIGURATIONS.items():
        file = tree / name
        if file.is_file() and text in file.read_text(encoding="utf-8", errors="replace"):
            return str(file)
    return os.devnull


def _cases(report: Path) -> list[ElementTree.Element]:
    """Return the tests of a report in JUnit's format; none if pytest wrote none."""
    try:
        # The tests' own process wrote it, whose code this process runs as well.
        return list(ElementTree.parse(report).iter("testcase"))  # noqa: S314
    except (OSError, ElementTree.ParseError):
        return []


def _failure(case: ElementTree.Element) -> FailedTest | None:
    """Return a failed test; ``None`` if it passed or was skipped."""
    found = case.find("failure")
    if found is None:
        found = case.find("error")
    if found is None:
        return None
    reason = (found.get("message") or "").strip().partition("\n")[0]
    file, name = case.get("file") or "", case.get("name") or ""
    if reason == _NOT_IMPORTED:
        lines = [line for line in (found.text or "").splitlines() if line.startswith("E ")]
        return FailedTest(test=file or name, reason=lines[-1][1:].strip() if lines else reason)
    module = file.removesuffix(".py").replace("/", ".")
    within = (case.get("classname") or "").removeprefix(module).strip(".")
    return FailedTest(test="::".join(filter(None, (file, within, name))), reason=reason[:_LONGEST])


def _run_pytest(tree: Path, folder: Path) -> tuple[int, str]:
    """Run the tests in the tree; return the exit code and the last lines that it printed.

    Neither configuration nor conftest.py of a folder above is used: the release's tree may be inside the project.
    """
    report, log = folder / _REPORT, folder / log_file("tests")
    # An earlier attempt may have left one.
    report.unlink(missing_ok=True)
    options = ["-q", "-p", "no:cacheprovider", f"--basetemp={folder / 'pytest'}"]
    options += ["-c", _configuration(tree), f"--rootdir={tree}", f"--confcutdir={tree}"]
    options += [f"--junitxml={report}", "-o", "junit_family=xunit1"]
    before = log.stat().st_size
    with subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-B", "-m", "everfit.commands.trial.pytest_process", *options],
        cwd=tree,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.PIPE,
    ) as process:
        process.wait()
    if -process.returncode in _FROM_OUTSIDE:
        # By a person, or by a machine short of memory: this process ends likewise, and is tried again.
        os.kill(os.getpid(), -process.returncode)
    printed = log.read_bytes()[before:].decode(errors="replace").splitlines()
    tail = [line.strip() for line in printed if line.strip()][-5:]
    return process.returncode, " | ".join(tail) or "it printed nothing"
