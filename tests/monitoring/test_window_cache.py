"""However the log was split, shipped and counted, and whoever was killed: the counts are those of the rows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from tests.journal.records import Service
from tests.monitoring.counted import FEATURES, SCHEMA, UNTIL, answer, count, count_windows, version

from everfit.journal.label_join import first_predictions
from everfit.journal.prediction_history import PredictionHistory
from everfit.journal.ship import ship
from everfit.journal.tables import scan_predictions
from everfit.monitoring.drift_windows import Counted
from everfit.monitoring.prediction_frame import standard_rows
from everfit.monitoring.windows import Length

KILLED = """
import os, runpy, signal, sys
left, rename = int(sys.argv.pop(1)), os.replace
def replace(*paths):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    rename(*paths)
os.replace = replace
runpy.run_module("tests.monitoring.counted", run_name="__main__")
"""


def directly(lake: Path, journal: Path, window: Length) -> tuple[Counted, ...]:
    """Count all rows at once."""
    reference = version(window).reference
    assert reference is not None
    answers = first_predictions(scan_predictions(lake, journal, "late"), UNTIL + timedelta(days=1)).collect()
    rows = standard_rows(answers.with_columns(label=None, label_known_at=None), SCHEMA, slices=FEATURES)
    return count_windows(rows, reference, until=UNTIL)


def same(one: tuple[Counted, ...], other: tuple[Counted, ...]) -> bool:
    return [(each.start, each.end, each.inputs.to_bytes(), each.answers.to_bytes()) for each in one] == [
        (each.start, each.end, each.inputs.to_bytes(), each.answers.to_bytes()) for each in other
    ]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("window", [timedelta(days=1), 70])
@pytest.mark.parametrize("seed", [0, 1])
def test_counts_are_those_of_the_rows(tmp_path: Path, window: Length, workers: int, seed: int) -> None:
    dice = np.random.default_rng(seed)
    journal, lake, folder = tmp_path / "journal", tmp_path / "lake", tmp_path / "counts"
    services = [Service(journal, seal_bytes=int(dice.integers(3_000, 30_000))) for _ in range(workers)]
    held, answers = version(window), PredictionHistory(lake, journal, "late")
    for number in range(600):
        answer(services[dice.integers(workers)], dice, number)
        if dice.random() < 0.015:
            ship(journal, lake)
        if dice.random() < 0.015:
            count(held, answers, folder)
        if dice.random() < 0.005:  # a process is started again, and finds a file torn and another gone
            held, answers = version(window), PredictionHistory(lake, journal, "late")
            for path in sorted(folder.glob("*.counts"))[:1]:
                path.write_bytes(path.read_bytes()[:100])
            for path in sorted(folder.glob("*.counts"))[1:2]:
                path.unlink()
    for service in services:
        service.stop()
    ship(journal, lake)
    expected = directly(lake, journal, window)
    assert len(expected) >= 5
    assert same(count(held, answers, folder), expected)
    assert same(count(version(window), PredictionHistory(lake, journal, "late"), folder), expected)


@pytest.mark.parametrize("window", [timedelta(days=1), 70])
def test_whoever_is_killed_while_counting_leaves_nothing_wrong(tmp_path: Path, window: Length) -> None:
    journal, lake, folder = tmp_path / "journal", tmp_path / "lake", tmp_path / "counts"
    service, dice = Service(journal, seal_bytes=5_000), np.random.default_rng(2)
    for number in range(600):
        answer(service, dice, number)
    service.stop()
    ship(journal, lake)
    word = str(window) if isinstance(window, int) else "day"
    for left in (0, 3):
        command = [sys.executable, "-c", KILLED, str(left), str(lake), str(journal), str(folder), word]
        died = subprocess.run(command, cwd=Path(__file__).parents[2], env=os.environ, check=False, timeout=60)
        assert died.returncode == -signal.SIGKILL
        assert len(list(folder.glob("*.counts"))) == left
    assert same(
        count(version(window), PredictionHistory(lake, journal, "late"), folder), directly(lake, journal, window)
    )


def test_what_is_counted_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, lake, folder = tmp_path / "journal", tmp_path / "lake", tmp_path / "counts"
    service, dice = Service(journal), np.random.default_rng(3)
    for number in range(600):
        answer(service, dice, number)
    service.stop()
    ship(journal, lake)
    once = count(version(timedelta(days=1)), PredictionHistory(lake, journal, "late"), folder)

    def read(*_: object) -> None:
        pytest.fail("rows were read with their features")

    monkeypatch.setattr(PredictionHistory, "between", read)
    assert same(count(version(timedelta(days=1)), PredictionHistory(lake, journal, "late"), folder), once)
