"""``monitor --as-of``: roles, alarms and incidents as they were then."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from tests.acceptance.test_estimated_drop import FIRST, NOW, serve

from everfit.core.errors import EmptyWindowError
from everfit.core.finding import Finding
from everfit.core.records import AliasChange
from everfit.loop.monitoring_run import monitor
from everfit.registry.history import AliasHistory
from everfit.wiring import open_system


def test_roles_and_incidents_are_shown_as_they_were(own: Path) -> None:
    system = open_system(own)
    serve(system, distance=6.0, chance=0.5)
    found = Finding(kind="drift", model="late", subject="distance_km", severity="warning", sentence="It moved.")
    for at, findings in ((NOW - timedelta(hours=2), [found]), (NOW + timedelta(hours=3), [])):
        system.incidents.record("late", findings, now=at)
    history = AliasHistory(system.ledger)
    for version, at in ((1, FIRST), (2, NOW + timedelta(hours=1))):
        history.append(
            AliasChange(model="late", alias="champion", version=version, changed_at=at, actor="ada", reason="better")
        )
    report = monitor(system, "late", as_of=NOW)
    assert report.champion == 1
    assert [(incident.number, incident.resolved_at) for incident in report.incidents] == [(1, None)]
    assert any("newest finding" in note for note in report.notes)
    assert "drift" in {finding.kind for finding in report.findings}
    later = monitor(system, "late", as_of=NOW + timedelta(hours=4))
    assert later.champion == 2
    assert [incident.resolved_at for incident in later.incidents] == [NOW + timedelta(hours=3)]
    # Nothing was recorded by showing the past.
    assert [incident.number for incident in system.incidents.of("late")] == [1]


def test_before_the_first_prediction_one_sentence_says_when_that_was(own: Path) -> None:
    system = open_system(own)
    serve(system, distance=0.0, chance=0.5)
    with pytest.raises(EmptyWindowError) as caught:
        monitor(system, "late", as_of=FIRST - timedelta(days=1))
    assert "there must be predictions before the instant of --as-of, but got '2026-01-24 00:00:00 UTC'" in str(
        caught.value
    )
    assert "The first was recorded at 2026-01-25 00:00:00 UTC." in str(caught.value)
