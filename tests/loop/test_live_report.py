"""A report by the controller's state shows what a pass finds, and what a report on all rows shows."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from msgspec.structs import replace
from tests.loop.town import DAY, HOUR, MODEL, Town, found, rides, town

from everfit.core.finding import Finding
from everfit.loop import live_monitoring
from everfit.loop.deep_checks import DEEP_KINDS
from everfit.loop.monitoring_cache import MonitoringCache
from everfit.loop.monitoring_run import monitor, watch
from everfit.monitoring.performance_alarm import Alarm


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project whose monitoring settles all but the last 150 labelled predictions."""
    monkeypatch.setattr(live_monitoring, "MOST_KEPT", 150)
    monkeypatch.setattr(live_monitoring, "_LATE", timedelta(0))
    return found(tmp_path / "town")


def saved(living: Town, cache: MonitoringCache) -> Path:
    """Let a controller make passes until it has settled rows, and save its state; return the file."""
    for _ in range(2):
        watch(living.system, MODEL, cache, as_of=living.clock.instant)
    cache.save(living.system, living.system.project.model(MODEL), now=True)
    return living.system.state / "monitoring" / f"{MODEL}.snapshot"


def assert_alike(found: Sequence[Finding], expected: Sequence[Finding]) -> None:
    """Require equal findings, but for numbers that are summed in another order."""
    assert [replace(one, numbers={}) for one in found] == [replace(one, numbers={}) for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.numbers == pytest.approx(other.numbers, rel=1e-12)


def assert_alike_alarms(found: Alarm | None, expected: Alarm | None) -> None:
    """Require the same alarm, but for numbers that are summed in another order."""
    assert found is not None
    assert expected is not None
    assert replace(found, episodes=(), evidence=0.0) == replace(expected, episodes=(), evidence=0.0)
    assert math.isclose(found.evidence, expected.evidence, rel_tol=1e-12)
    for one, other in zip(found.episodes, expected.episodes, strict=True):
        assert replace(one, loss=0.0, surprise=0.0) == replace(other, loss=0.0, surprise=0.0)
        assert math.isclose(one.loss, other.loss, rel_tol=1e-12)
        assert math.isclose(one.surprise, other.surprise, rel_tol=1e-12)


@pytest.mark.slow
def test_a_report_goes_on_from_the_state_and_leaves_it_as_it_is(folder: Path) -> None:
    with town(folder, "late.retrain_when()", data=rides(60).with_columns(pl.col("x").round(1))) as living:
        living.system.project.model(MODEL).slices = ("x",)
        living.live(3 * DAY, step=6 * HOUR)
        shutil.rmtree(living.system.state / "monitoring")
        whole = monitor(living.system, MODEL)
        assert whole.notes == ()
        cache = MonitoringCache()
        snapshot = saved(living, cache)
        before = snapshot.read_bytes()
        report = monitor(living.system, MODEL)
        assert snapshot.read_bytes() == before
        assert "all of version 1's 432 predictions" in report.notes[0]
        (version,), (expected,) = report.versions, whole.versions
        assert replace(version, alarm=None, slices=()) == replace(expected, alarm=None, slices=())
        assert_alike_alarms(version.alarm, expected.alarm)
        # Slices are of labelled rows that are not settled.
        sliced = sum(part.figure.labelled for part in version.slices)
        assert f"of the newest {sliced} outcomes" in report.notes[1]
        assert {part.value for part in version.slices} == {part.value for part in expected.slices}
        assert (report.together, report.served) == (whole.together, whole.served)
        assert_alike(report.findings, whole.findings)
        # What is new since the state was saved is read.
        living.live(6 * HOUR, step=6 * HOUR)
        snapshot.write_bytes(before)
        passed = watch(living.system, MODEL, cache, as_of=living.clock.instant).findings
        report = monitor(living.system, MODEL)
        assert_alike([finding for finding in report.findings if finding.kind not in DEEP_KINDS], passed)
        assert "performance_drop" in {finding.kind for finding in passed}
        assert "all of version 1's 468 predictions" in report.notes[0]
