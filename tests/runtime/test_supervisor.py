"""Whoever dies is started again; whoever cannot start says so once."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from tests.programs import write_program

from everfit.runtime.launcher import Launcher
from everfit.runtime.supervisor import ProcessSpec, Supervisor

_ON_POST = """#!/bin/bash
# Started as: interpreter -m everfit keep --ready FD --project FOLDER
echo life >> "$7/lives"
[ "$(wc -l < "$7/lives")" -gt "$DEATHS" ] || $DIES
printf + >&"$5"
exec sleep 60
"""


@pytest.fixture
def announced() -> list[int]:
    return []


def keep(folder: Path, announced: list[int], *, deaths: int, dies: str) -> int:
    """Supervise a process that dies in a given way when it is started the first times, until it is of use."""
    program = write_program(folder / "interpreter", _ON_POST)
    launcher = Launcher(root=folder, interpreter=str(program), environment={"DEATHS": str(deaths), "DIES": dies})

    def stop() -> None:
        announced.append(len(folder.joinpath("lives").read_text().split()))
        os.kill(os.getpid(), signal.SIGTERM)

    return Supervisor(launcher, [ProcessSpec(name="the only one", words=("keep",))]).run(stop)


def test_one_that_is_killed_while_it_starts_is_started_again(tmp_path: Path, announced: list[int]) -> None:
    assert keep(tmp_path, announced, deaths=2, dies="eval kill -9 $$") == 0
    assert announced == [3]


def test_one_that_cannot_start_ends_all(tmp_path: Path, announced: list[int]) -> None:
    assert keep(tmp_path, announced, deaths=1, dies="exit 2") == 2
    assert announced == []
