from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from everfit.core.errors import AlertError
from everfit.core.finding import Finding
from everfit.core.settings import AlertSettings
from everfit.monitoring.alerts import compose, is_quiet, send
from everfit.monitoring.incidents import Incidents
from everfit.store.ledger import open_ledger

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MIDNIGHT = NOON + timedelta(hours=12)


def finding(subject: str, severity: Any = "warning", model: str = "late") -> Finding:
    return Finding(kind="drift", model=model, subject=subject, severity=severity, sentence=f"{subject} moved.")


@pytest.fixture
def incidents(tmp_path: Path) -> Incidents:
    return Incidents(open_ledger(f"sqlite:///{tmp_path}/ledger.db"))


@contextmanager
def receiver(status: int = 200) -> Iterator[tuple[str, list[Any]]]:
    """A webhook's other end, that really listens."""
    got: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"json://127.0.0.1:{server.server_port}/hook", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def tell(incidents: Incidents, settings: AlertSettings, now: datetime, urls: list[str]) -> bool:
    message = compose(incidents.unnotified("late"), settings=settings, now=now)
    if message is None:
        return False
    send(message, urls)
    incidents.mark_notified(message.about)
    return True


def test_all_that_is_new_is_one_message_told_once(incidents: Incidents) -> None:
    with receiver() as (url, got):
        incidents.record("late", [finding("rain"), finding("wind", "critical"), finding("sun", "info")], now=NOON)
        assert tell(incidents, AlertSettings(), NOON, [url])
        assert not tell(incidents, AlertSettings(), NOON, [url])
        incidents.record("late", [finding("wind", "critical")], now=NOON)
        assert not tell(incidents, AlertSettings(), NOON, [url])
        assert tell(incidents, AlertSettings(), NOON + timedelta(days=1), [url])
        assert not tell(incidents, AlertSettings(), NOON + timedelta(days=1), [url])
    assert [each["title"] for each in got] == ["Everfit: 2 new in late", "Everfit: 1 resolved in late"]
    assert got[0]["message"].splitlines() == ["‼ #2 late wind: wind moved.", "! #1 late rain: rain moved."]
    assert got[1]["message"] == "✓ #1 late rain: drift is over"  # of the sun nobody had heard


def test_an_incident_that_comes_and_goes_makes_one_alert(incidents: Incidents) -> None:
    with receiver() as (url, got):
        for hours in range(0, 96, 12):
            now = NOON + timedelta(hours=hours)
            incidents.record("late", [finding("rain", "critical")] if hours % 24 == 0 else [], now=now)
            tell(incidents, AlertSettings(), now, [url])
        tell(incidents, AlertSettings(), NOON + timedelta(hours=108), [url])
    assert [message["title"] for message in got] == ["Everfit: 1 new in late", "Everfit: 1 resolved in late"]


def test_in_quiet_hours_only_what_is_critical_and_the_rest_after(incidents: Incidents) -> None:
    settings = AlertSettings(quiet="22:00-07:00")
    with receiver() as (url, got):
        incidents.record("late", [finding("rain"), finding("wind", "critical")], now=MIDNIGHT)
        assert tell(incidents, settings, MIDNIGHT, [url])
        assert not tell(incidents, settings, MIDNIGHT + timedelta(hours=1), [url])
        assert tell(incidents, settings, MIDNIGHT + timedelta(hours=8), [url])
    assert ["wind" in each["message"] for each in got] == [True, False]


def test_what_grows_worse_is_told_again(incidents: Incidents) -> None:
    with receiver() as (url, got):
        incidents.record("late", [finding("rain")], now=NOON)
        tell(incidents, AlertSettings(), NOON, [url])
        incidents.record("late", [finding("rain", "critical")], now=NOON)
        tell(incidents, AlertSettings(), NOON, [url])
        incidents.record("late", [finding("rain", "info")], now=NOON)
        assert not tell(incidents, AlertSettings(), NOON, [url])
    assert len(got) == 2


def test_what_a_channel_did_not_take_is_told_later(incidents: Incidents) -> None:
    incidents.record("late", [finding("rain")], now=NOON)
    with receiver(500) as (url, _), pytest.raises(AlertError, match="json://…"):
        tell(incidents, AlertSettings(), NOON, [url])
    with receiver() as (url, got):
        assert tell(incidents, AlertSettings(), NOON, [url])
    assert len(got) == 1


def test_a_channel_that_is_none_is_named_without_its_secrets(incidents: Incidents) -> None:
    incidents.record("late", [finding("rain")], now=NOON)
    with pytest.raises(AlertError) as caught:
        tell(incidents, AlertSettings(), NOON, ["carrierpigeon://me:secret@loft"])
    assert "carrierpigeon" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("quiet", "zone", "hour", "expected"),
    [
        ("", "UTC", 3, False),
        ("22:00-07:00", "UTC", 23, True),
        ("22:00-07:00", "UTC", 6, True),
        ("22:00-07:00", "UTC", 7, False),
        ("22:00-07:00", "America/New_York", 12, False),
        ("22:00-07:00", "America/New_York", 3, True),
        ("09:00-17:00", "UTC", 12, True),
        ("09:00-17:00", "UTC", 18, False),
    ],
)
def test_quiet_hours(quiet: str, zone: str, hour: int, expected: bool) -> None:
    settings = AlertSettings(quiet=quiet, time_zone=zone)
    assert is_quiet(settings, datetime(2026, 3, 1, hour, tzinfo=UTC)) is expected
