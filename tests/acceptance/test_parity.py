"""Served features against history, with the real command: alike, then lagging, then never true."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from tests.acceptance.shop import everfit, orders
from tests.acceptance.test_walk import post, service

ASKED = datetime(2026, 1, 22, tzinfo=UTC)
"""After all that the source knows."""
SHOPS = 8


def ask(folder: Path) -> None:
    """Ask once an hour for each shop, and for one that nobody knows."""
    with service(folder) as url:
        for hour in range(3):
            at = (ASKED + timedelta(hours=hour)).isoformat()
            rows = [{"shop": f"shop-{shop}", "distance_km": 4.5, "ordered_at": at} for shop in range(SHOPS + 1)]
            ids = [f"{hour}-{shop}" for shop in range(SHOPS + 1)]
            assert post(f"{url}/predict/late", {"inputs": rows, "ids": ids})[0] == 200


@pytest.mark.slow
def test_served_features_are_held_against_history(own: Path) -> None:
    nothing = everfit(own, "features", "parity")
    assert (nothing.code, "must be recorded predictions" in nothing.err) == (1, True)
    ask(own)
    whole = everfit(own, "features", "parity", "--json")
    assert whole.code == 0, whole.err
    rows = 3 * (SHOPS + 1)
    assert (whole.json["rows"], whole.json["different"], whole.json["lags"]) == (rows, 0, [])
    assert whole.json["features"] == [{"feature": "shop_record.late", "rows": rows, "different": 0, "equal": 1.0}]

    # What was delivered an hour before the questions is known to history, and was never materialized.
    late = (
        orders()
        .unique("shop")
        .with_columns(ordered_at=ASKED - timedelta(hours=2), delivered_at=ASKED - timedelta(hours=1), late=True)
    )
    pl.concat([orders(), late]).write_parquet(own / "orders.parquet")
    behind = everfit(own, "features", "parity", "--json")
    assert behind.code == 1
    [lag] = behind.json["lags"]
    assert (lag["view"], lag["absent"]) == ("shop_record", 0)
    # In one shop, what comes in and what leaves the day even out.
    assert lag["behind"] == behind.json["different"] >= 3 * (SHOPS - 1)
    assert 2.5 * 3600 < lag["longest_s"] < 24 * 3600
    shown = behind.json["differences"][0]
    assert (shown["id"][0], shown["feature"]) == ("0", "shop_record.late")
    assert shown["served"] < shown["recomputed"]
    few = everfit(own, "features", "parity", "--limit", "4", "--tolerate", "1", "--json")
    assert (few.code, few.json["rows"]) == (0, 4)

    # A past that was written anew: what was served had never been true.
    orders().with_columns(late=True).write_parquet(own / "orders.parquet")
    since = (ASKED + timedelta(hours=1)).isoformat()
    text = everfit(own, "features", "parity", "--since", since)
    assert text.code == 1
    assert f"{2 * SHOPS} of {2 * (SHOPS + 1)} predictions differ" in text.out
    assert "lags" not in text.out
