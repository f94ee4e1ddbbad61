"""Work in a process of its own: bounded, told why it ended, and gone with whoever asked for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from everfit.core.errors import TrainingError, TrainingKilledError, TrainingStoppedError
from everfit.runtime.launcher import Launcher
from everfit.runtime.subprocess_runner import ProcessLimits, run_child

ROOMY = ProcessLimits(time_s=60, memory_mib=2_000)


@dataclass(frozen=True, kw_only=True)
class Script(Launcher):
    """Runs a few lines of Python in the place of a command of ours."""

    lines: str

    def command(self, *words: str) -> list[str]:
        """The interpreter with the lines."""
        return [self.interpreter, "-c", self.lines, *words]


def run(folder: Path, lines: str, limits: ProcessLimits = ROOMY, *, reason: str = "") -> None:
    began_s = time.monotonic()
    run_child(
        Script(root=folder, lines=lines), (), log=folder / "log", limits=limits,
        cancelled=lambda: reason if time.monotonic() - began_s > 0.2 else "",
    )  # fmt: skip


def wait_until_gone(number: int) -> None:
    """Until a process has ended; nobody may have asked yet how."""
    until_s = time.monotonic() + 10
    while psutil.pid_exists(number) and psutil.Process(number).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < until_s
        time.sleep(0.02)


def test_it_is_run_to_its_end(tmp_path: Path) -> None:
    run(tmp_path, "open('done', 'w').write('yes')")
    assert tmp_path.joinpath("done").read_text() == "yes"


def test_a_failure_tells_what_was_printed(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"the moon.*exit code 3"):
        run(tmp_path, "print('the moon'); raise SystemExit(3)")


def test_a_signal_from_outside_is_no_failure_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(TrainingKilledError, match="signal 9"):
        run(tmp_path, f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})")


def test_time_is_bounded_for_whatever_it_started_too(tmp_path: Path) -> None:
    lines = (
        "import subprocess, sys, time\n"
        "one = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "open('number', 'w').write(str(one.pid)); time.sleep(600)"
    )
    with pytest.raises(TrainingStoppedError, match="train_seconds"):
        run(tmp_path, lines, ProcessLimits(time_s=3, memory_mib=2_000))
    wait_until_gone(int(tmp_path.joinpath("number").read_text()))


def test_memory_is_bounded(tmp_path: Path) -> None:
    with pytest.raises(TrainingStoppedError, match="train_memory_mib"):
        run(
            tmp_path, "x = bytearray(400 << 20); import time; time.sleep(600)", ProcessLimits(time_s=60, memory_mib=200)
        )


def test_it_is_cancelled_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(TrainingStoppedError, match="a person had second thoughts"):
        run(tmp_path, "import time; time.sleep(600)", reason="a person had second thoughts")


def test_it_does_not_outlive_whoever_asked(tmp_path: Path) -> None:
    child = "from everfit.runtime.subprocess_runner import die_with_parent; import os, time; die_with_parent(); "
    child += "open('number', 'w').write(str(os.getpid())); time.sleep(600)"
    runner = "from pathlib import Path\nfrom tests.runtime.test_subprocess_runner import run\n"
    parent = f"{runner}run(Path({str(tmp_path)!r}), {child!r})"
    root = Path(__file__).parents[2]
    variables = os.environ | {"PYTHONPATH": str(root)}
    number = tmp_path / "number"
    with subprocess.Popen([sys.executable, "-c", parent], env=variables, cwd=root) as process:
        until_s = time.monotonic() + 30
        while not number.exists() or not number.read_text():
            assert time.monotonic() < until_s
            time.sleep(0.02)
        process.kill()
    wait_until_gone(int(number.read_text()))
