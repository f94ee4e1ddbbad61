"""Work in a process of its own: bounded, told why it ended, and gone with whoever asked for it."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from everfit.core.errors import ProcessError, ProcessKilledError, ProcessStoppedError
from everfit.runtime.subprocess_runner import ProcessLimits, run_child


def limited(time_s: float, memory_mib: float) -> ProcessLimits:
    """Limits that come from the settings of a training."""
    return ProcessLimits(
        time_s=time_s,
        memory_mib=memory_mib,
        time_setting="[loop] train_seconds",
        memory_setting="[loop] train_memory_mib",
    )


ROOMY = limited(60, 2_000)


def run(folder: Path, lines: str, limits: ProcessLimits = ROOMY, *, reason: str = "") -> None:
    began_s = time.monotonic()
    run_child(
        [sys.executable, "-c", lines], folder=folder, variables=os.environ, log=folder / "log", limits=limits,
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
    with pytest.raises(ProcessError, match=r"the moon.*exit code 3"):
        run(tmp_path, "print('the moon'); raise SystemExit(3)")


def test_a_failure_tells_nothing_of_another_file(tmp_path: Path) -> None:
    """A child that may write beside its log could put a link to a secret there."""
    tmp_path.joinpath("secret").write_text("the key")
    lines = "import os; print('the moon', flush=True); os.unlink('log'); os.symlink('secret', 'log'); os._exit(3)"
    with pytest.raises(ProcessError, match="the moon") as caught:
        run(tmp_path, lines)
    assert "the key" not in str(caught.value)


def test_a_program_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match=r"must be able to start.*gone/python"):
        run_child(["/gone/python"], folder=tmp_path, variables=os.environ, log=tmp_path / "log", limits=ROOMY)


def test_a_signal_from_outside_is_no_failure_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(ProcessKilledError, match="signal 9"):
        run(tmp_path, f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})")


def test_time_is_bounded_for_whatever_it_started_too(tmp_path: Path) -> None:
    lines = (
        "import subprocess, sys, time\n"
        "one = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "open('number', 'w').write(str(one.pid)); time.sleep(600)"
    )
    with pytest.raises(ProcessStoppedError, match="train_seconds"):
        run(tmp_path, lines, limited(3, 2_000))
    wait_until_gone(int(tmp_path.joinpath("number").read_text()))


def test_what_a_killed_process_has_started_is_ended(tmp_path: Path) -> None:
    """It is nobody's descendant any more, but still of the session."""
    lines = (
        "import os, subprocess, sys\n"
        "one = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], process_group=0)\n"
        f"open('number', 'w').write(str(one.pid)); os.kill(os.getpid(), {int(signal.SIGKILL)})"
    )
    with pytest.raises(ProcessKilledError, match="signal 9"):
        run(tmp_path, lines)
    wait_until_gone(int(tmp_path.joinpath("number").read_text()))


def test_a_lock_is_held_as_long_as_it_runs(tmp_path: Path) -> None:
    with tmp_path.joinpath("lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lines = f"import fcntl; fcntl.flock({lock.fileno()}, fcntl.LOCK_EX | fcntl.LOCK_NB); open('done', 'w')"
        command = [sys.executable, "-c", lines]
        run_child(
            command, folder=tmp_path, variables=os.environ, log=tmp_path / "log", limits=ROOMY, held=[lock.fileno()]
        )
    assert tmp_path.joinpath("done").exists()


def test_memory_is_bounded(tmp_path: Path) -> None:
    with pytest.raises(ProcessStoppedError, match="train_memory_mib"):
        run(tmp_path, "x = bytearray(400 << 20); import time; time.sleep(600)", limited(60, 200))


def test_it_is_cancelled_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(ProcessStoppedError, match="a person had second thoughts"):
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
