"""Report of the controller: who leads, and whether another one is on its way."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from everfit.store.controller_report import ControllerReport


@pytest.fixture
def ended() -> int:
    """The id of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        return process.pid


def report(pid: int, supervisor: int) -> ControllerReport:
    return ControllerReport(watched_until_us=0, busy=False, pid=pid, supervisor=supervisor)


def test_another_controller_is_expected_while_its_supervisor_lives(ended: int) -> None:
    assert report(ended, os.getpid()).is_expected
    assert not report(ended, ended).is_expected
    assert not report(ended, 0).is_expected
    assert not report(os.getpid(), os.getpid()).is_expected, "the one that is alive leads"
