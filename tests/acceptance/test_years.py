"""A simulated year under the default policy: nothing crashes, and every outcome is kept."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from tests.acceptance.shop import everfit
from tests.acceptance.years import END, START, make_meters, make_tickets
from tests.loop.parcels import running

from everfit.journal.tables import scan_outcomes, scan_predictions

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("EVERFIT_TEST_REPLAYS" not in os.environ, reason="minutes each: set EVERFIT_TEST_REPLAYS=1"),
]
PATIENCE_S = 3600.0


@dataclass(frozen=True)
class Year:
    """A project, and where its labels are."""

    model: str
    make: Callable[[Path], Path]
    data: str
    id: str
    asked_at: str
    known_at: str


YEARS = [
    Year("team", make_tickets, "tickets.parquet", "ticket", "opened_at", "closed_at"),
    Year("use", make_meters, "readings.parquet", "reading", "day", "read_at"),
]


@pytest.mark.parametrize("year", YEARS, ids=lambda year: year.model)
def test_a_year_under_the_default_policy(year: Year, tmp_path: Path) -> None:
    folder = year.make(tmp_path / year.model)
    for words in (("check", "--as-of", START.isoformat()), ("train", "--as-of", START.isoformat()), ("promote",)):
        answer = everfit(folder, *words)
        assert answer.code == 0, answer.err + answer.out
    span = ("--from", START.isoformat(), "--to", END.isoformat(), "--step", "6h", "--against", "1")
    with running(folder, "--replay") as url:
        answer = everfit(folder, "replay", *span, "--url", url, "--json", timeout_s=PATIENCE_S)
    log = (folder / "up.log").read_text()
    assert answer.code == 0, answer.err + log[-5_000:]
    report = answer.json
    sys.stdout.write(f"\n{year.model}: {report['overall']}\n")
    assert "Traceback" not in log, log[log.index("Traceback") - 1_000 :][:5_000]

    asked = pl.read_parquet(folder / year.data).filter(pl.col(year.asked_at).is_between(START, END, closed="left"))
    known = asked.filter(pl.col(year.known_at) <= END)
    assert report["finished"]
    assert (report["asked"], report["answered"], report["failed"]) == (asked.height, asked.height, 0)
    assert (report["outcomes"], report["refused_outcomes"]) == (known.height, 0)
    lake, journal = folder / ".everfit" / "lake", folder / ".everfit" / "journal"
    answered = scan_predictions(lake, journal, year.model).filter(pl.col("route") != "shadow").collect()
    assert sorted(answered["id"]) == sorted(asked[year.id])
    assert sorted(scan_outcomes(lake, journal, year.model).collect()["id"]) == sorted(known[year.id])

    monitor = everfit(folder, "monitor", "--json")
    assert monitor.code == 0, monitor.err
    assert {finding["kind"] for finding in monitor.json["findings"]}.isdisjoint({"parity", "clock_skew"})
    orders = everfit(folder, "orders", "list", "--json").json
    for order in orders:
        sys.stdout.write(
            f"order {order['number']} {order['state']}: {order['order']['reason']} -> {order['sentence']}\n"
        )
    assert any(order["state"] == "shipped" for order in orders)
    assert not [order for order in orders if order["state"] == "failed"]
