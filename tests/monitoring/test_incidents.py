from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from everfit.core.finding import Finding, Incident
from everfit.monitoring.incidents import Incidents, reconcile
from everfit.store.ledger import open_ledger

NOW = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def finding(subject: str = "rain_mm", **more: Any) -> Finding:
    given: dict[str, Any] = {"kind": "drift", "model": "late", "severity": "warning", "sentence": "It moved."}
    return Finding(**given | {"subject": subject} | more)


@pytest.fixture
def incidents(tmp_path: Path) -> Incidents:
    return Incidents(open_ledger(f"sqlite:///{tmp_path}/ledger.db"))


def test_the_same_trouble_is_one_incident_from_its_first_finding_to_its_end(incidents: Incidents) -> None:
    first = incidents.record("late", [finding()], now=NOW)
    again = incidents.record("late", [finding(sentence="It moved on.")], now=NOW + HOUR)
    gone = incidents.record("late", [], now=NOW + 2 * HOUR)
    back = incidents.record("late", [finding()], now=NOW + 27 * HOUR)
    assert [each.number for each in (*first.opened, *again.ongoing, *gone.resolved)] == [1, 1, 1]
    assert again.ongoing[0].looks == 2
    assert [each.number for each in back.opened] == [2]
    known = incidents.of("late")
    assert [(each.opened_at, each.resolved_at) for each in known] == [(NOW, NOW + 2 * HOUR), (NOW + 27 * HOUR, None)]
    assert known[0].finding.sentence == "It moved on."
    assert [each.number for each in incidents.of("late", since=NOW + 27 * HOUR)] == [2]


def test_an_incident_that_comes_back_within_a_day_is_the_same(incidents: Incidents) -> None:
    for hours in range(0, 72, 12):
        changes = incidents.record("late", [finding()] if hours % 24 == 0 else [], now=NOW + hours * HOUR)
        assert len(changes.opened) == (hours == 0)
        assert len(changes.reopened) == (hours in {24, 48})
    [incident] = incidents.of("late")
    assert (incident.number, incident.opened_at, incident.looks) == (1, NOW, 3)
    assert incidents.record("late", [finding()], now=NOW + 70 * HOUR).reopened[0].resolved_at is None


def test_of_several_that_ended_lately_the_newest_opens_again(incidents: Incidents) -> None:
    one = Incident(number=1, key=finding().key, finding=finding(), opened_at=NOW, updated_at=NOW, resolved_at=NOW)
    changes = reconcile([one, replace(one, number=2)], [finding()], now=NOW + HOUR)
    assert [incident.number for incident in changes.reopened] == [2]
    assert (changes.opened, changes.resolved) == ((), ())


def test_incidents_are_shown_as_they_were(incidents: Incidents) -> None:
    incidents.record("late", [finding()], now=NOW)
    incidents.record("late", [], now=NOW + 2 * HOUR)
    incidents.record("late", [finding("wind")], now=NOW + 3 * HOUR)
    assert incidents.of("late", as_of=NOW - HOUR) == ()
    assert [incident.resolved_at for incident in incidents.of("late", as_of=NOW + HOUR)] == [None]
    assert [incident.resolved_at for incident in incidents.of("late", as_of=NOW + 2 * HOUR)] == [NOW + 2 * HOUR]


def test_versions_subjects_and_models_are_troubles_of_their_own(incidents: Incidents) -> None:
    found = [finding(), finding("wind"), finding(version=3), finding(version=4), finding()]
    assert len(incidents.record("late", found, now=NOW).opened) == 4
    assert len(incidents.record("early", [finding(model="early")], now=NOW).opened) == 1
    assert len(incidents.record("late", [], now=NOW + HOUR).resolved) == 4
    assert [each.resolved_at for each in incidents.of("early")] == [None]


def test_what_was_not_looked_for_neither_ends_nor_begins(incidents: Incidents) -> None:
    incidents.record("late", [finding(kind="parity"), finding()], now=NOW)
    quick = incidents.record("late", [], now=NOW + HOUR, not_evaluated={"parity", "joint_drift"})
    assert [each.finding.kind for each in quick.resolved] == ["drift"]
    assert [each.finding.kind for each in incidents.of("late") if each.resolved_at is None] == ["parity"]
    assert [each.finding.kind for each in incidents.record("late", [], now=NOW + 2 * HOUR).resolved] == ["parity"]


def test_what_grows_worse_is_said_so(incidents: Incidents) -> None:
    incidents.record("late", [finding()], now=NOW)
    worse = incidents.record("late", [finding(severity="critical")], now=NOW + HOUR)
    assert [each.finding.severity for each in worse.worsened] == ["critical"]
    better = incidents.record("late", [finding(severity="info")], now=NOW + 2 * HOUR)
    assert (len(better.worsened), len(better.ongoing)) == (0, 1)
