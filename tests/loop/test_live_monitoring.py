"""What is settled is not read again, and nothing of what is found changes by that."""

from __future__ import annotations

import math
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.journal.records import Service, hour
from tests.monitoring.counted import SCHEMA, count_windows, version

from everfit.core.columns import ROUTE, VERSION
from everfit.core.finding import Finding
from everfit.definitions.watch import Drift, PerformanceDrop, Watch
from everfit.journal import live_predictions
from everfit.journal.label_join import first_predictions, join_labels, known_labels, repeated_reports
from everfit.journal.live_predictions import LivePredictions
from everfit.journal.logs import LABEL
from everfit.journal.ship import ship
from everfit.journal.tables import scan_outcomes, scan_predictions
from everfit.loop import live_monitoring
from everfit.loop.live_monitoring import LiveMonitoring, MonitoringState
from everfit.monitoring.evaluation import ANSWERS, CountedBefore, EvaluationScope, present_findings
from everfit.monitoring.labels import count_reports
from everfit.monitoring.performance_alarm import PerformanceTest, performance_alarm
from everfit.monitoring.prediction_frame import standard_rows
from everfit.monitoring.windows import Length
from everfit.store.deployment import Deployed
from everfit.store.snapshot import read_snapshot, write_snapshot

DROP = PerformanceDrop(alpha=0.5)
"""In nine days there must be an alarm, with or without a cause."""
WATCHES: tuple[Watch, ...] = (DROP, Drift())
CHAMPION = Deployed(version=3, digest="sha256:1", folder="")


def begun(lake: Path, journal: Path, folder: Path, window: Length) -> LiveMonitoring:
    learnt = version(window)
    assert learnt.reference is not None
    test = PerformanceTest(learnt.reference, DROP, kept=160)
    live = LivePredictions(lake, journal, "late", labels="", version=3)
    return LiveMonitoring(CHAMPION, live, folder, version=learnt, test=test)


def caught_up(monitoring: LiveMonitoring, now: float) -> None:
    while True:
        monitoring.live.catch_up()
        monitoring.advance(hour(now))
        if not monitoring.live.is_behind:
            break


def findings(monitoring: LiveMonitoring, now: float) -> tuple[Finding, ...]:
    """Findings of a round."""
    assert monitoring.version is not None
    assert monitoring.version.reference is not None
    assert monitoring.counted is not None
    assert monitoring.test is not None
    scope = EvaluationScope(
        model="late",
        champion=3,
        references={3: monitoring.version.reference},
        scale=monitoring.version.reference.scale,
        watches=WATCHES,
        reports=monitoring.settled.reports + monitoring.reports(hour(now)),
        expected_delay=timedelta(hours=1),
        counted={(3, ANSWERS): monitoring.counted},
        tests={(3, ANSWERS): monitoring.test},
        settled=monitoring.settled,
    )
    moments, rows = monitoring.live.moments, monitoring.rows
    return present_findings(moments, rows, scope, since=hour(0), as_of=hour(now))


def rows_of(lake: Path, journal: Path, now: float) -> pl.DataFrame:
    made = first_predictions(scan_predictions(lake, journal, "late"), hour(now)).collect()
    labels = known_labels(scan_outcomes(lake, journal, "late").collect(), pl.DataFrame(schema=LABEL), hour(now))
    return standard_rows(join_labels(made, labels), SCHEMA)


def at_once(lake: Path, journal: Path, window: Length, now: float) -> tuple[Finding, ...]:
    """Findings of one evaluation of all rows."""
    reference = version(window).reference
    assert reference is not None
    rows = rows_of(lake, journal, now)
    own = rows.filter(pl.col(VERSION) == 3, pl.col(ROUTE) != "shadow")
    made = first_predictions(scan_predictions(lake, journal, "late"), hour(now)).collect()
    whole = standard_rows(made.with_columns(label=None, label_known_at=None), SCHEMA, slices=SCHEMA.names)
    windows = count_windows(whole.filter(pl.col(ROUTE) != "shadow"), reference, until=hour(now))
    outcomes = scan_outcomes(lake, journal, "late").collect()
    reports = repeated_reports(outcomes, pl.DataFrame(schema=LABEL), own, hour(now))
    scope = EvaluationScope(
        model="late",
        champion=3,
        references={3: reference},
        scale=reference.scale,
        watches=WATCHES,
        reports=count_reports(reports),
        expected_delay=timedelta(hours=1),
        counted={(3, ANSWERS): CountedBefore(windows=windows, judged={})},
    )
    return present_findings(rows, own, scope, since=hour(0), as_of=hour(now))


def assert_alike(found: tuple[Finding, ...], expected: tuple[Finding, ...]) -> None:
    assert [(one.kind, one.subject, one.severity) for one in found] == [
        (one.kind, one.subject, one.severity) for one in expected
    ]
    for one, other in zip(found, expected, strict=True):
        assert one.numbers.keys() == other.numbers.keys()
        for name, value in one.numbers.items():
            assert math.isclose(value, other.numbers[name], rel_tol=1e-12), (one, other)


@pytest.mark.parametrize(
    ("seed", "window"),
    [(0, timedelta(days=1)), (1, 70), (2, 70)],
)
@pytest.mark.slow
def test_a_life_in_rounds_is_the_life_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, window: Length
) -> None:
    monkeypatch.setattr(live_monitoring, "_LATE", timedelta(0))
    monkeypatch.setattr(live_predictions, "_PORTION_ROWS", 100)
    dice = np.random.default_rng(seed)
    journal, lake, folder = tmp_path / "journal", tmp_path / "lake", tmp_path / "counts"
    services = [Service(journal, seal_bytes=int(dice.integers(3_000, 30_000))) for _ in range(2)]
    monitoring, now, waiting, reported, resumed = begun(lake, journal, folder, window), 0.0, [], [], 0
    for number in range(900):
        now += float(dice.exponential(0.25))
        service, name = services[dice.integers(2)], f"order-{number}"
        value, fall = float(dice.random()), 1.0 if number > 150 else 0.0
        row = (7, hour(now), hour(now).date(), "ok")
        load = dice.normal() + (2 if number > 600 else 0)
        features = load, int(dice.integers(0, 50)), str(dice.choice(["new", "old"]))
        for route in ("champion", "shadow") if dice.random() < 0.2 else ("champion",):
            service.predict(name, at=now, row=row, features=features, value=value, route=route)
        if dice.random() < 0.05:
            service.predict(name, at=now, row=row, features=features, value=1 - value)
        is_late = dice.random() < (1 - value if dice.random() < fall else value)
        waiting.append((now + float(dice.exponential(3.0)), name, str(bool(is_late)).lower()))
        due = [one for one in waiting if one[0] <= now]
        for _, asked, label in due:
            waiting.remove((_, asked, label))
            if dice.random() < 0.9:
                services[dice.integers(2)].report({asked: "maybe" if dice.random() < 0.03 else label}, at=now)
                reported.append(asked)
        if reported and dice.random() < 0.1:
            again = str(dice.choice(reported[-10:]))
            services[dice.integers(2)].report({again: str(dice.choice(["true", "false"]))}, at=now)
        if dice.random() < 0.03:
            services[dice.integers(2)].stop()
            ship(journal, lake)
        if dice.random() < 0.03:
            caught_up(monitoring, now)
            if monitoring.counted is not None:
                assert_alike(findings(monitoring, now), at_once(lake, journal, window, now))
            monitoring.settle(hour(now))
        fate = dice.random()
        if fate < 0.02 and monitoring.test is not None and not monitoring.live.is_behind:
            # Another process goes on from the snapshot, or from one that is older than what was read since.
            state = read_snapshot(tmp_path / "snapshot", "key", MonitoringState)
            if state is None or fate < 0.01:
                write_snapshot(tmp_path / "snapshot", "key", monitoring.state())
                state = read_snapshot(tmp_path / "snapshot", "key", MonitoringState)
            assert state is not None
            monitoring = begun(lake, journal, folder, window)
            monitoring.resume(state)
            resumed += 1
        elif fate < 0.023:
            monitoring = begun(lake, journal, folder, window)
    caught_up(monitoring, now)
    found = findings(monitoring, now)
    assert_alike(found, at_once(lake, journal, window, now))
    assert {"performance_drop", "new_class"} <= {finding.kind for finding in found}
    assert monitoring.settled.rows > 300
    assert resumed > 5
    assert monitoring.live.rows.height < 700
    rows = rows_of(lake, journal, now).filter(pl.col(ROUTE) != "shadow")
    assert monitoring.test is not None
    assert monitoring.rows is not None
    reference = version(window).reference
    assert reference is not None
    alarm, whole = monitoring.test.of(monitoring.rows), performance_alarm(rows, reference, DROP)
    assert whole is not None
    assert alarm.outcomes == whole.outcomes
    assert [(one.since, one.alarmed_at, one.recovered_at) for one in alarm.episodes] == [
        (one.since, one.alarmed_at, one.recovered_at) for one in whole.episodes
    ]
    for service in services:
        service.stop()
