"""Whole lives of versions that are never replaced: what is harmful is said soon, what is harmless is not said."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.monitoring.counted import count_windows, counted_before
from tests.monitoring.lives import DAY, Life, live

import everfit as ef
from everfit.core.columns import ID, LABEL, TIME
from everfit.core.finding import Finding
from everfit.monitoring.drift_windows import drift_windows
from everfit.monitoring.evaluation import EvaluationScope, build_report
from everfit.monitoring.performance_alarm import performance_alarm
from everfit.monitoring.report.report import MonitorReport
from everfit.store.reader import Reader

EXAMPLES = Path(__file__).parents[2] / "examples"
SHIPPED, DAYS = 55, 180
ALPHA = 0.05
YEARS = int(os.environ.get("EVERFIT_TEST_YEARS", "2"))
"""A year takes half a minute; 20 are the whole proof."""


def seen(life: Life, as_of: datetime, **more: Any) -> MonitorReport:
    """A look at a life at an instant."""
    rows, references = life.known(as_of), {1: life.reference}
    scope = EvaluationScope(
        model="late",
        champion=1,
        references=references,
        counted=counted_before(rows, references, until=as_of),
        scale=life.reference.scale,
        watches=(ef.PerformanceDrop(alpha=ALPHA), ef.Drift()),
        **more,
    )
    return build_report(rows, scope, since=as_of - 7 * DAY, as_of=as_of)


def found(report: MonitorReport, kind: str) -> list[Finding]:
    return [each for each in report.findings if each.kind == kind]


def deliver(seed: int, days: int, *, scripted: bool, monkeypatch: pytest.MonkeyPatch) -> tuple[Life, datetime]:
    """A simulated company's life, and when it began."""
    project = ef.load_project(EXAMPLES / "deliveries")
    simulator, incidents = sys.modules["simulator"], sys.modules["incidents"]
    script = incidents.script(simulator.START) if scripted else ()
    monkeypatch.setattr(
        sys.modules["deliveries"], "simulate", partial(simulator.simulate, seed, simulator.START, days, script)
    )
    start: datetime = simulator.START
    reader = Reader(project.root, {})
    end = start + timedelta(days=days)
    return live(project.model(), reader, start=None, shipped=start + SHIPPED * DAY, end=end), start


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_harm_is_said_within_four_days_and_a_harmless_shift_is_not(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    life, start = deliver(seed, DAYS, scripted=True, monkeypatch=monkeypatch)

    def day(number: float) -> datetime:
        return start + timedelta(days=number)

    alarm = performance_alarm(life.rows, life.reference, ef.PerformanceDrop(alpha=ALPHA))
    assert alarm is not None
    alarms = [(each.alarmed_at - start) / DAY for each in alarm.episodes]
    sys.stdout.write(f"seed {seed}: performance alarms from day {alarms[:1]}\n")
    # From day 60 one chain's campaign changes who orders what; until day 90 nothing does harm.
    assert not [each for each in alarms if each < 90]
    # From 6:00 of day 110, road works: what is asked is alike, what becomes of it is not.
    assert 110.25 < next(each for each in alarms if each > 110) < 114.25
    # From 11:00 of day 90 to day 94 the weather feed gives no rain.
    broken = seen(life, day(92))
    rain = [each for each in broken.findings if each.subject.startswith("weather.")]
    assert any(each.kind == "missing_values" and each.subject == "weather.rain_mm" for each in rain)


@pytest.mark.slow
def test_stationary_years_are_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    performance, drift = 0, 0
    for seed in range(100, 100 + YEARS):
        life, start = deliver(seed, SHIPPED + 365, scripted=False, monkeypatch=monkeypatch)
        alarm = performance_alarm(life.rows, life.reference, ef.PerformanceDrop(alpha=ALPHA))
        assert alarm is not None
        performance += bool(alarm.episodes)
        windows = count_windows(life.rows, life.reference, until=start + timedelta(days=SHIPPED + 365))
        judged = drift_windows(windows, life.reference, ef.Drift(), judged={})
        moved = {name for window in judged for name in window.drifted}
        # The company hires, and its couriers grow older: that is no false alarm.
        assert "courier_profile.experience_days" in moved
        drift += bool({name for name in moved if not name.startswith("courier_profile.")})
        sys.stdout.write(f"seed {seed}: {len(alarm.episodes)} performance alarms, drifted {sorted(moved)}\n")
    sys.stdout.write(f"of {YEARS} stationary years, {performance} with a performance alarm, {drift} with drift\n")
    assert performance <= ALPHA * YEARS
    assert drift <= 0.05 * YEARS


@pytest.mark.slow
@pytest.mark.data
def test_flights_have_no_alarm_until_they_are_worse(data_folder: Path) -> None:
    project = ef.load_project(EXAMPLES / "flights", {"paths.data": str(data_folder)})
    reader = Reader(project.root, project.settings.paths)
    shipped, end = datetime(2013, 3, 1, tzinfo=UTC), datetime(2014, 1, 3, tzinfo=UTC)
    life = live(project.model("late_arrival"), reader, start=None, shipped=shipped, end=end)
    alarm = performance_alarm(life.rows, life.reference, ef.PerformanceDrop(alpha=ALPHA))
    assert alarm is not None
    # Summers are later, but this the version's chances know: it ends no worse than its hold-out, storms or not.
    assert not alarm.episodes
    broken = datetime(2013, 7, 1, tzinfo=UTC)
    flipped = (pl.col(TIME) >= broken) & (pl.col(ID).hash(seed=1) % 2 == 0)
    worse = life.rows.with_columns(pl.when(flipped).then(1.0 - pl.col(LABEL)).otherwise(LABEL).alias(LABEL))
    alarm = performance_alarm(worse, life.reference, ef.PerformanceDrop(alpha=ALPHA))
    assert alarm is not None
    first = alarm.episodes[0].alarmed_at
    sys.stdout.write(f"first alarm {first:%Y-%m-%d %H:%M}, {len(alarm.episodes)} in all\n")
    assert broken < first < broken + 10 * DAY
    # What is seen on the evening of that day, with what was known then.
    life = replace(life, rows=worse)
    report = seen(life, first + timedelta(hours=1), slices=("carrier",))
    assert found(report, "performance_drop")
    assert not found(seen(life, datetime(2013, 3, 8, tzinfo=UTC)), "performance_drop")
    [version] = report.versions
    figures = [(each.low, each.value, each.high) for each in version.over_time]
    assert any(None not in each for each in figures)
    assert all(low <= value <= high for low, value, high in figures if low and value and high)
    assert 0.5 < version.coverage[-1].share < 1.0
