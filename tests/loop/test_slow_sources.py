"""A function that every round waits for is a finding."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

import everfit as ef
from everfit.loop.health import slow_sources
from everfit.store.reader import Reader

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECONDS = {"shifts": 1.2, "late": 0.0}


def read(name: str) -> pl.DataFrame:
    time.sleep(SECONDS[name])
    return pl.DataFrame({"courier": [1], "at": [NOW], "late": [True]})


def test_it_names_the_source_and_the_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = ef.Source("late", function=lambda: read("late"), timestamp="at")
    shifts = ef.Source("shifts", function=lambda: read("shifts"), timestamp="at")
    courier = ef.Entity("courier", key="courier", dtype=pl.Int64)
    view = ef.FeatureView("shift", entities=[courier], source=shifts, ttl="1d", features=["late"])
    model = ef.Model(
        "late",
        task="binary",
        events=ef.Events(events, id="courier"),
        request=["courier", "at"],
        features=[view],
        label=ef.Label("late", known_at="at"),
    )
    reader = Reader(tmp_path, {})
    assert slow_sources(model, reader, NOW) == []
    with reader.reading_once():
        for source in (events, shifts):
            reader.scan(source).collect()
    (finding,) = slow_sources(model, reader, NOW)
    assert (finding.kind, finding.subject, finding.severity) == ("slow_source", "shifts", "warning")
    assert "took 1.2 s" in finding.sentence
    monkeypatch.setitem(SECONDS, "shifts", 0.0)
    with reader.reading_once():
        reader.scan(shifts).collect()
    assert slow_sources(model, reader, NOW) == []
