"""A process that follows the active release: started in it, handed over, and the way back from one in which it dies."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from tests.programs import write_program

from everfit.runtime.active_launcher import ActiveLauncher
from everfit.runtime.launcher import RELEASE_VARIABLE, Launcher
from everfit.runtime.supervisor import ProcessSpec, Supervisor
from everfit.store.active_release import (
    INTERPRETER_VARIABLE,
    ActiveRelease,
    ReleaseFolder,
    change_active,
    python_of,
    read_active,
    write_release,
)

_PROGRAM = """#!/bin/bash
# Started as: interpreter -m everfit keep --ready FD --project FOLDER
echo "{name} ${release}" >> "$7/lives"
{action}
"""
STAYS = 'printf + >&"$5"; exec sleep 60'
MAKES_WAY = """printf + >&"$5"; cd $7/.everfit/releases; flock active.lock cp next.json active.json; exit 0"""


@pytest.fixture(autouse=True)
def _own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everfit's own interpreter is a program of the test."""
    monkeypatch.setenv(INTERPRETER_VARIABLE, str(program(tmp_path / "own", "own", STAYS)))


def program(path: Path, name: str, action: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_program(path, _PROGRAM.format(name=name, action=action, release="{" + RELEASE_VARIABLE + "}"))


def release(folder: Path, number: int, action: str) -> None:
    """Write a release whose interpreter is a program."""
    state = folder / ".everfit"
    environment = f"releases/environments/{number}"
    program(python_of(state / environment), f"release {number}", action)
    commit = f"{number:040}"
    write_release(state, ReleaseFolder(number=number, commit=commit, code="sha256:", tree="t", environment=environment))


def activate(folder: Path, number: int, **more: object) -> None:
    wanted = ActiveRelease(number=number, **more)  # type: ignore[arg-type]
    change_active(folder / ".everfit", lambda present: wanted)


def supervise(folder: Path, *, until: str) -> int:
    """Supervise a process that follows the active release, until a line is in its file of lives."""
    follows = ActiveLauncher(folder, folder / ".everfit")
    spec = ProcessSpec(name="the controller", words=("keep",), follows=follows)
    lives = folder / "lives"

    class Stopping(Supervisor):
        def _run(self, announce: object) -> int:
            signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
            return super()._run(lambda: None)

    def stop(*_: object) -> None:
        if lives.is_file() and until in lives.read_text().splitlines():
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGALRM, stop)
    try:
        return Stopping(Launcher(root=folder), [spec]).run(lambda: None)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def lives(folder: Path) -> list[str]:
    return folder.joinpath("lives").read_text().splitlines()


def test_without_a_release_it_runs_in_the_folder_s_code(tmp_path: Path) -> None:
    assert supervise(tmp_path, until="own 0") == 0
    assert lives(tmp_path) == ["own 0"]


def test_it_is_started_in_the_active_release_which_is_proven_then(tmp_path: Path) -> None:
    release(tmp_path, 1, STAYS)
    activate(tmp_path, 1)
    assert supervise(tmp_path, until="release 1 1") == 0
    assert read_active(tmp_path / ".everfit").is_proven


def test_one_that_makes_way_is_started_in_the_release_that_is_active_then(tmp_path: Path) -> None:
    release(tmp_path, 1, MAKES_WAY)
    release(tmp_path, 2, STAYS)
    tmp_path.joinpath(".everfit/releases/next.json").write_text('{"number": 2}')
    activate(tmp_path, 1)
    assert supervise(tmp_path, until="release 2 2") == 0
    assert lives(tmp_path) == ["release 1 1", "release 2 2"]


def test_a_new_release_in_which_it_cannot_start_is_given_back(tmp_path: Path) -> None:
    release(tmp_path, 1, MAKES_WAY)
    release(tmp_path, 2, "exit 3")
    activate(tmp_path, 2, previous=0)
    assert supervise(tmp_path, until="own 0") == 0
    assert lives(tmp_path) == ["release 2 2"] * 3 + ["own 0"]
    active = read_active(tmp_path / ".everfit")
    assert (active.number, active.given_back) == (0, 2)
    assert active.reason == "The controller could not start in its code: it ended with 3, 3 times."


def test_a_crash_of_native_code_is_a_reason_but_a_kill_from_outside_is_not(tmp_path: Path) -> None:
    release(tmp_path, 1, "[ $(wc -l < $7/lives) -gt 4 ] && kill -SEGV $$; kill -9 $$")
    activate(tmp_path, 1)
    assert supervise(tmp_path, until="own 0") == 0
    assert lives(tmp_path) == ["release 1 1"] * 7 + ["own 0"]


def test_a_release_that_was_proven_is_not_given_back(tmp_path: Path) -> None:
    release(tmp_path, 1, "exit 3")
    activate(tmp_path, 1, is_proven=True)
    assert supervise(tmp_path, until="own 0") == 3
    assert lives(tmp_path) == ["release 1 1"]
    assert read_active(tmp_path / ".everfit").number == 1
