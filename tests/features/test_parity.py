"""Served features against history: what is alike, what differs, and what lags behind."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from everfit.core.columns import TIME
from everfit.core.evidence import ID
from everfit.definitions.entity import Entity
from everfit.definitions.events import Events, Label
from everfit.definitions.model import Model
from everfit.definitions.on_demand import OnDemand
from everfit.definitions.source import Source
from everfit.definitions.view import FeatureView
from everfit.features.parity import ParityReport, compare_features, parity_finding
from everfit.store.reader import Reader
from everfit.store.value_equality import equal_values, same_type

ORIGIN = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
SHOP = Entity("shop", dtype=pl.Int32)
USED = {1: ("weather.rain", "weather.sky", "clock.hour")}
WEATHER = pl.DataFrame(
    {
        "shop": [1, 1, 1, 2],
        "at": [ORIGIN + hour * HOUR for hour in (0, 2, 4, 3)],
        "known": [ORIGIN + hour * HOUR for hour in (0, 2, 6, 3)],
        "rain": [1, 2, 4, 3],
        "sky": ["clear", "clear", "dark", None],
    }
)


def model() -> Model:
    weather = Source("weather", function=lambda: WEATHER, timestamp="at", created="known")
    orders = pl.DataFrame({"order": ["a"], "at": [ORIGIN], "shop": [1], "late": [True], "done": [ORIGIN]})
    return Model(
        "late",
        task="binary",
        events=Events(Source("orders", function=lambda: orders, timestamp="at"), id="order"),
        request=["shop", "at"],
        features=[
            FeatureView("weather", entities=[SHOP], source=weather, ttl="6h", features=["rain", "sky"]),
            OnDemand("clock", function=lambda request: request.select(hour=pl.col("at").dt.hour())),
        ],
        label=Label("late", known_at="done"),
    )


def compare(*rows: Mapping[str, Any], used: Mapping[int, Collection[str]] = USED) -> ParityReport:
    """Rows as the journal has them: ``hour`` and ``shop`` of the request, and what was served."""
    served = pl.DataFrame(
        [
            {
                ID: row.get("id", f"row-{number}"),
                "version": row.get("version", 1),
                TIME: ORIGIN + row["hour"] * HOUR,
                "shop": row["shop"],
                "at": ORIGIN + row["hour"] * HOUR,
                "feature.weather.rain": row["rain"],
                "feature.weather.sky": row["sky"],
                "feature.clock.hour": row.get("clock", float(row["hour"])),
            }
            for number, row in enumerate(rows)
        ],
        schema_overrides={"feature.weather.rain": pl.Float64, "feature.weather.sky": pl.String},
    )
    return compare_features(model(), Reader(Path(), {}), served, used, as_of=ORIGIN + 10 * HOUR)


def test_what_history_gives_is_alike() -> None:
    report = compare(
        {"hour": 3, "shop": 1, "rain": 2.0 * (1 + 1e-12), "sky": "clear"},
        {"hour": 5, "shop": 1, "rain": 2.0, "sky": "clear"},  # that of hour 4 was not known yet
        {"hour": 5, "shop": 2, "rain": 3.0, "sky": None},
        {"hour": 5, "shop": 9, "rain": float("nan"), "sky": None},
    )
    assert (report.rows, report.different, report.share_different) == (4, 0, 0.0)
    assert [(each.feature, each.rows, each.equal) for each in report.features] == [
        ("clock.hour", 4, 1.0),
        ("weather.rain", 4, 1.0),
        ("weather.sky", 4, 1.0),
    ]
    assert (report.differences, report.lags, report.unknown) == ((), (), ())
    assert report.first == ORIGIN + 3 * HOUR
    assert parity_finding(report, "late") is None


def test_differences_are_shown_the_oldest_first() -> None:
    report = compare(
        {"id": "younger", "hour": 5, "shop": 2, "rain": 3.0, "sky": "dark"},
        {"id": "older", "hour": 3, "shop": 2, "rain": 3.1, "sky": None},
        {"hour": 4, "shop": 2, "rain": 3.0, "sky": None, "clock": 5.0},
        {"hour": 4, "shop": 2, "rain": 3.0, "sky": None},
    )
    assert (report.rows, report.different) == (4, 3)
    assert {each.feature: each.different for each in report.features} == dict.fromkeys(USED[1], 1)
    assert [each.id for each in report.differences] == ["older", "row-2", "younger"]
    shown = {each.feature: (each.id, each.served, each.recomputed) for each in report.differences}
    assert shown["weather.rain"] == ("older", 3.1, 3.0)
    assert shown["weather.sky"] == ("younger", "dark", None)
    assert shown["clock.hour"] == ("row-2", 5.0, 4.0)
    assert report.lags == ()  # none of these values was ever true


def test_a_view_that_was_materialized_late_is_named() -> None:
    report = compare(
        {"hour": 3, "shop": 1, "rain": 1.0, "sky": "clear"},
        {"hour": 7, "shop": 1, "rain": 1.0, "sky": "clear"},  # it was true, though by now it is older than the ttl
        {"hour": 6, "shop": 1, "rain": 2.0, "sky": "clear"},
        {"hour": 4, "shop": 2, "rain": None, "sky": None},
    )
    [lag] = report.lags
    assert (lag.view, lag.behind, lag.absent) == ("weather", 3, 1)
    assert lag.longest_s == 4 * 3600
    finding = parity_finding(report, "late")
    assert finding is not None
    assert (finding.kind, finding.severity, finding.key) == ("parity", "critical", "late/parity//")
    assert "4 of 4 predictions (100.0%)" in finding.sentence
    assert "3 rows had an older value, by up to 4h, 1 none" in finding.sentence
    assert finding.since == ORIGIN + 3 * HOUR


def test_each_version_answers_for_what_it_used() -> None:
    report = compare(
        {"hour": 3, "shop": 1, "rain": 2.0, "sky": None, "version": 1},
        {"hour": 3, "shop": 1, "rain": 2.0, "sky": "clear", "version": 2},
        {"hour": 3, "shop": 1, "rain": 9.0, "sky": "gone", "version": 3},
        used={1: ("weather.rain",), 2: ("weather.rain", "weather.sky", "weather.wind")},
    )
    assert (report.rows, report.different) == (2, 0)
    assert {each.feature: each.rows for each in report.features} == {"weather.rain": 2, "weather.sky": 1}
    assert report.unknown == ("weather.wind",)


def test_without_rows_there_is_nothing_to_say() -> None:
    report = compare({"hour": 3, "shop": 1, "rain": 2.0, "sky": None, "version": 7})
    assert (report.rows, report.different, report.first) == (0, 0, None)
    assert all(each.equal == 1.0 for each in report.features)


@pytest.mark.parametrize(
    ("recorded", "computed", "expected"),
    [
        ([1.0, None, 0.1 + 0.2], [1, None, 0], [True, True, False]),
        (
            [float("nan"), float("inf"), float("inf"), 0.3],
            [None, float("inf"), 1.0, 0.1 + 0.2],
            [True] * 2 + [False, True],
        ),
        ([True, None], [True, False], [True, False]),
        ([1.0, 0.0], [True, True], [True, False]),
        (["a", None], ["a", "b"], [True, False]),
        ([None, None], ["a", None], [False, True]),
        ([ORIGIN], [ORIGIN + HOUR], [False]),
        (["2024-01-01"], [ORIGIN.date()], [True]),
        (["1.5"], [1.5], [True]),
    ],
)
def test_what_is_alike(recorded: list[Any], computed: list[Any], expected: list[bool]) -> None:
    assert equal_values(*same_type(pl.Series(recorded), pl.Series(computed))).to_list() == expected
