"""The training process of an order: attempts are counted in its folder, and outcomes of earlier versions are read."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.programs import write_program

from everfit.core.clock import FixedClock
from everfit.core.event_log import event_fields
from everfit.core.settings import LoopSettings
from everfit.loop.retrain_job import RESULT, delete_packages, read_attempts, read_outcome, train
from everfit.loop.training_record import TrainingOutcome, TrainingRequest
from everfit.runtime.launcher import Launcher

NOW = datetime(2026, 1, 21, 20, tzinfo=UTC)
REQUEST = TrainingRequest(model="late", order=7, as_of=NOW)

_TRAINING = """#!/bin/bash
# Started as: interpreter -m everfit make-candidate --folder FOLDER --project PROJECT
echo life >> "$5/lives"
[ "$(wc -l < "$5/lives")" -gt "$DEATHS" ] || kill -9 $$
echo '{"made": null, "trouble": "no luck"}' > "$5/made.json"
"""


def trained(folder: Path, *, deaths: int) -> TrainingOutcome:
    """Run a training whose process is killed the first times."""
    program = write_program(folder / "interpreter", _TRAINING)
    launcher = Launcher(root=folder, interpreter=str(program), environment={"DEATHS": str(deaths)})
    system: Any = SimpleNamespace(
        clock=FixedClock(NOW), project=SimpleNamespace(settings=SimpleNamespace(loop=LoopSettings()))
    )
    return train(system, launcher, REQUEST, folder=folder / "7", cancelled=lambda: "")


def test_attempts_are_counted_in_the_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert trained(tmp_path, deaths=1) == TrainingOutcome(problem="no luck")
    assert [attempt.started_at for attempt in read_attempts(tmp_path / "7")] == [NOW, NOW]
    lines = [event_fields(record) for record in caplog.records]
    assert [(fields["event"], fields["attempt"]) for fields in lines] == [
        ("training_started", 1),
        ("training_killed", 1),
        ("training_started", 2),
    ]
    assert {fields["order"] for fields in lines} == {7}


def test_what_a_killed_training_was_writing_is_deleted(tmp_path: Path) -> None:
    draft = tmp_path / "7" / ".candidate-x1y2" / "package"
    draft.mkdir(parents=True)
    (tmp_path / "7" / "temporary" / "pool").mkdir(parents=True)
    trained(tmp_path, deaths=1)
    delete_packages(tmp_path / "7")
    assert {path.name for path in (tmp_path / "7").iterdir() if path.is_dir()} == set()


def test_a_training_that_is_always_killed_fails(tmp_path: Path) -> None:
    assert "signal 9" in trained(tmp_path, deaths=9).problem
    assert len(read_attempts(tmp_path / "7")) == 3


def test_an_outcome_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    trained(tmp_path, deaths=0)
    assert trained(tmp_path, deaths=9) == TrainingOutcome(problem="no luck")
    assert len(read_attempts(tmp_path / "7")) == 1


def test_a_folder_without_a_training_has_no_attempts(tmp_path: Path) -> None:
    assert read_attempts(tmp_path) == ()
    assert read_outcome(tmp_path) is None
    tmp_path.joinpath(RESULT).write_text('{"made": null, "trouble": "of an earlier version"}')
    assert read_outcome(tmp_path) == TrainingOutcome(problem="of an earlier version")
