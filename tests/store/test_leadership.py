"""One leads at a time, and another one as soon as it is gone."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from everfit.core.errors import LoopError
from everfit.store.leadership import FileLeadership


def test_one_leads_and_the_other_stands_by(tmp_path: Path) -> None:
    one, other = FileLeadership(tmp_path / "lock"), FileLeadership(tmp_path / "lock")
    assert one.win()
    assert one.win()
    assert one.holds()
    assert not other.win()
    assert not other.holds()


def test_a_process_that_is_killed_leads_no_longer(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lines = (
        "import sys, time; from pathlib import Path; from everfit.store.leadership import FileLeadership\n"
        "assert FileLeadership(Path(sys.argv[1])).win(); print('leads', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", lines, str(lock)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "leads\n"
        other = FileLeadership(lock)
        assert not other.win()
        assert int(lock.read_text()) == process.pid
        process.kill()
    until_s = time.monotonic() + 10
    while not other.win():
        assert time.monotonic() < until_s
        time.sleep(0.01)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.joinpath("file").write_text("")
    with pytest.raises(LoopError, match="file"):
        FileLeadership(tmp_path / "file" / "lock").win()
