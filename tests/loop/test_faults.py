"""What the loop rests on fails: it says so once, goes on by itself when that is over, and the champion never stops."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.loop.calling import Callers, free_port
from tests.loop.parcels import HONEST, MODEL, make_champion, running
from tests.serving.test_deployment import wait_for

from everfit.commands.orders import give_order
from everfit.core.finding import Incident
from everfit.core.order import OrderRecord
from everfit.store.controller_report import read_controller_report
from everfit.store.replay_clock import CLOCK_FILE, LeadingClock
from everfit.system import System
from everfit.wiring import open_system

pytestmark = pytest.mark.slow

_MOODS = """
import time
from pathlib import Path

import numpy as np

MOOD = Path(__file__).parent / "mood.txt"


class Nonsense:
    classes_ = np.array([0, 1])

    def predict(self, X):
        return np.zeros(len(X))

    def predict_proba(self, X):
        return np.full((len(X), 2), np.nan)


@late.trainer()
def train(X, y):
    from sklearn.ensemble import HistGradientBoostingClassifier

    mood = MOOD.read_text() if MOOD.exists() else ""
    if mood == "raises":
        raise ValueError("the moon is in the wrong house")
    if mood == "hangs":
        time.sleep(3600)
    if mood == "eats":
        eaten = []
        while True:
            eaten.append(np.ones(2_000_000))
            time.sleep(0.01)
    if mood == "forgets":
        return None
    if mood == "babbles":
        return Nonsense()
    return HistGradientBoostingClassifier(max_iter=30, random_state=0).fit(X, y)
"""
"""A trainer that fails in the way that a file says."""

MOODY = HONEST.partition("@late.trainer()")[0] + _MOODS
ORDERED_ONLY = "\nlate.retrain_when(ef.Every('3650d'))\n"
LIMITS = "train_seconds = 45\ntrain_memory_mib = 1200\n"


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_champion(tmp_path_factory.mktemp("faults") / "parcels")
    folder.joinpath("parcels.py").write_text(MOODY + ORDERED_ONLY)
    with folder.joinpath("everfit.toml").open("a") as settings:
        settings.write(LIMITS)
    return folder


@pytest.fixture
def own(champion: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(champion, tmp_path / "parcels"))


@dataclass
class Loop:
    """The running system, its callers, and a look at its records."""

    system: System
    callers: Callers

    def order(self) -> int:
        """Ask for a training."""
        return give_order(self.system, MODEL, actor="a person", reason="to see").number

    def ended(self, number: int, *, seconds: float = 90.0) -> OrderRecord:
        """An order, once it has ended or is on its way to the callers."""

        def found() -> OrderRecord:
            return next(each for each in self.system.orders.of(MODEL) if each.number == number)

        wait_for(lambda: found().state not in {"open", "running"}, seconds=seconds)
        return found()

    def incidents(self, kind: str) -> list[Incident]:
        """Of a kind, over or not."""
        return [each for each in self.system.incidents.of(MODEL) if each.finding.kind == kind]

    def one(self, kind: str) -> Incident:
        """The one incident of a kind that is open, once there is one."""

        def open_ones() -> list[Incident]:
            return [each for each in self.incidents(kind) if each.resolved_at is None]

        wait_for(lambda: bool(open_ones()), seconds=60)
        [incident] = open_ones()
        return incident

    def wait_until_over(self, kind: str) -> None:
        """Wait until no incident of a kind is open."""
        wait_for(lambda: all(each.resolved_at is not None for each in self.incidents(kind)), seconds=60)


@contextmanager
def loop(folder: Path) -> Iterator[Loop]:
    """The loop in full swing; in the end every caller must have had the champion's answer, or a later one's."""
    port = free_port()
    with running(folder, "--port", str(port)), Callers(port) as callers:
        one = Loop(open_system(folder), callers)
        wait_for(lambda: _watched(folder, time.time()), seconds=60)
        yield one
    assert callers.answered
    assert callers.unanswered == 0
    assert not callers.refusals


def _watched(folder: Path, since_s: float) -> bool:
    report = read_controller_report(folder / ".everfit")
    return report is not None and report.watched_until_us > (since_s - 10) * 1e6


FAILURES = {
    "raises": "the moon is in the wrong house",
    "hangs": "the process must end within [loop] train_seconds",
    "eats": "the process must fit into [loop] train_memory_mib",
    "forgets": "None",
    "babbles": "nan",
}
"""What is said of a training, by what the trainer does."""


def test_a_trainer_fails_in_every_way_and_then_does_not(own: Path) -> None:
    with loop(own) as one:
        for mood, said in FAILURES.items():
            own.joinpath("mood.txt").write_text(mood)
            record = one.ended(one.order())
            assert record.state == "failed", (mood, record)
            assert said.lower() in record.sentence.lower(), (mood, record.sentence)
            wait_for(lambda: one.one("training_failed").finding.sentence == record.sentence)  # noqa: B023
        own.joinpath("mood.txt").write_text("")
        record = one.ended(one.order())
        assert record.state == "delivering", record.sentence
        one.wait_until_over("training_failed")
        assert len(one.incidents("training_failed")) == len(FAILURES)


def test_a_source_vanishes_and_comes_back(own: Path) -> None:
    with loop(own) as one:
        source, away = own / "parcels.parquet", own / "elsewhere"
        source.rename(away)
        record = one.ended(one.order())
        assert record.state == "failed"
        assert "parcels.parquet" in record.sentence
        assert one.one("training_failed").finding.sentence == record.sentence
        assert "there must be a file to read" in one.one("loop_trouble").finding.sentence
        away.rename(source)
        assert one.ended(one.order()).state == "delivering"
        one.wait_until_over("training_failed")
        one.wait_until_over("loop_trouble")


def test_a_locked_database_is_waited_for(own: Path) -> None:
    with loop(own) as one:
        # Longer than a writer waits, and just when there is something to write.
        number = one.order()
        with closing(sqlite3.connect(own / ".everfit" / "ledger.db", isolation_level=None)) as other:
            other.execute("begin exclusive")
            time.sleep(25)
            other.execute("rollback")
        record = one.ended(number)
        assert record.state == "delivering", record.sentence
        wait_for(lambda: bool(one.incidents("loop_trouble")), seconds=60)
        one.wait_until_over("loop_trouble")
        assert len(one.incidents("loop_trouble")) == 1


@pytest.fixture
def small_disk(champion: Path, tmp_path: Path) -> Iterator[Path]:
    """The project with a state folder that has a disk of its own, nearly full."""
    folder = Path(shutil.copytree(champion, tmp_path / "parcels"))
    state, kept = folder / ".everfit", folder / "kept"
    state.rename(kept)
    state.mkdir()
    taken = sum(each.stat().st_size for each in kept.rglob("*") if each.is_file())
    mount = ["mount", "-t", "tmpfs", "-o", f"size={taken + (256 << 20)}", "none", str(state)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this user may not mount a small disk: {done.stderr.strip()}")
    try:
        shutil.copytree(kept, state, dirs_exist_ok=True)
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(state)], check=True)


def test_a_full_disk_is_said_and_outlived(small_disk: Path) -> None:
    state = small_disk / ".everfit"
    with loop(small_disk) as one:
        ballast = state / "ballast"
        with ballast.open("wb") as file:
            file.write(bytes(_free_bytes(state) - (16 << 20)))
        incident = one.one("loop_trouble")
        assert incident.finding.severity == "critical"
        assert "MiB left" in incident.finding.sentence
        with ballast.open("ab") as file:
            _fill(file.fileno())
        before = len(one.callers.answered)
        time.sleep(10)
        # With durability "batch" the answers go on; how many could not be recorded is counted.
        assert len(one.callers.answered) > before
        ballast.unlink()
        one.wait_until_over("loop_trouble")
        record = one.ended(one.order())
        assert record.state == "delivering", record.sentence
        # A worker's report needs the disk too: unrecorded predictions may be known only once there is room.
        # It is found within a day, so that it is the same incident.
        assert [found.number for found in one.incidents("loop_trouble")] == [incident.number]


def _free_bytes(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def _fill(number: int) -> None:
    try:
        while os.write(number, bytes(4096)):
            pass
    except OSError:
        return


def test_a_clock_that_is_set_back_is_said_and_waited_for(own: Path) -> None:
    begin = datetime.now(UTC).replace(microsecond=0)
    port = free_port()
    with (
        running(own, "--port", str(port), "--replay"),
        LeadingClock(own / ".everfit" / CLOCK_FILE) as clock,
    ):
        one = Loop(open_system(own), Callers(port))

        def watched_at(instant: datetime) -> Callable[[], bool]:
            def told() -> bool:
                report = read_controller_report(own / ".everfit")
                return report is not None and report.watched_until_us == int(instant.timestamp() * 1e6)

            return told

        for instant in (begin, begin + timedelta(hours=6)):
            clock.begin(instant)
            wait_for(watched_at(instant), seconds=60)
        clock.begin(begin)
        wait_for(watched_at(begin), seconds=60)
        incident = one.one("clock_set_back")
        assert "nothing is ordered twice" in incident.finding.sentence
        later = begin + timedelta(hours=7)
        clock.begin(later)
        wait_for(watched_at(later), seconds=60)
        one.wait_until_over("clock_set_back")
        assert len(one.incidents("clock_set_back")) == 1
