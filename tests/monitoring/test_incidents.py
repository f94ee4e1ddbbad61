from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from everfit.core.finding import Finding
from everfit.monitoring.incidents import Incidents
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
    first = incidents.settle("late", [finding()], now=NOW)
    again = incidents.settle("late", [finding(sentence="It moved on.")], now=NOW + HOUR)
    gone = incidents.settle("late", [], now=NOW + 2 * HOUR)
    back = incidents.settle("late", [finding()], now=NOW + 3 * HOUR)
    assert [each.number for each in (*first.opened, *again.ongoing, *gone.resolved)] == [1, 1, 1]
    assert again.ongoing[0].looks == 2
    assert [each.number for each in back.opened] == [2]
    known = incidents.of("late")
    assert [(each.opened_at, each.resolved_at) for each in known] == [(NOW, NOW + 2 * HOUR), (NOW + 3 * HOUR, None)]
    assert known[0].finding.sentence == "It moved on."
    assert [each.number for each in incidents.of("late", since=NOW + 3 * HOUR)] == [2]


def test_versions_subjects_and_models_are_troubles_of_their_own(incidents: Incidents) -> None:
    found = [finding(), finding("wind"), finding(version=3), finding(version=4), finding()]
    assert len(incidents.settle("late", found, now=NOW).opened) == 4
    assert len(incidents.settle("early", [finding(model="early")], now=NOW).opened) == 1
    assert len(incidents.settle("late", [], now=NOW + HOUR).resolved) == 4
    assert [each.resolved_at for each in incidents.of("early")] == [None]


def test_what_was_not_looked_for_neither_ends_nor_begins(incidents: Incidents) -> None:
    incidents.settle("late", [finding(kind="parity"), finding()], now=NOW)
    quick = incidents.settle("late", [], now=NOW + HOUR, unseen={"parity", "joint_drift"})
    assert [each.finding.kind for each in quick.resolved] == ["drift"]
    assert [each.finding.kind for each in incidents.of("late") if each.resolved_at is None] == ["parity"]
    assert [each.finding.kind for each in incidents.settle("late", [], now=NOW + 2 * HOUR).resolved] == ["parity"]


def test_what_grows_worse_is_said_so(incidents: Incidents) -> None:
    incidents.settle("late", [finding()], now=NOW)
    worse = incidents.settle("late", [finding(severity="critical")], now=NOW + HOUR)
    assert [each.finding.severity for each in worse.worsened] == ["critical"]
    better = incidents.settle("late", [finding(severity="info")], now=NOW + 2 * HOUR)
    assert (len(better.worsened), len(better.ongoing)) == (0, 1)
