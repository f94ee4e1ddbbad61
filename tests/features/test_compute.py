"""View rows: what the computation sees, and that incremental and full runs agree."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everfit.core.errors import SourceError, TimestampError
from everfit.definitions.entity import Entity
from everfit.definitions.source import Source
from everfit.definitions.view import FeatureView
from everfit.features.compute import feature_names, view_rows
from everfit.features.freshness import measure_freshness
from everfit.store.reader import Reader

ORIGIN = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
READER = Reader(Path(), {})
SHOP = Entity("shop", dtype=pl.Int64)


def _source(rows: pl.DataFrame, *, created: str | None = None) -> Source:
    return Source("orders", function=lambda: rows, timestamp="at", created=created)


def _orders(hours: list[int], *, known_after: list[int] | None = None) -> pl.DataFrame:
    lags = known_after or [0] * len(hours)
    return pl.DataFrame(
        {
            "shop": [hour % 2 for hour in hours],
            "at": [ORIGIN + hour * HOUR for hour in hours],
            "known": [ORIGIN + (hour + lag) * HOUR for hour, lag in zip(hours, lags, strict=True)],
            "amount": [2 * hour for hour in hours],
        },
        schema={
            "shop": pl.Int32,
            "at": pl.Datetime("ms", "UTC"),
            "known": pl.Datetime("ms", "UTC"),
            "amount": pl.Int64,
        },
    )


def _rolling(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.sort("at").rolling("at", period="3h", group_by="shop", closed="both").agg(total=pl.col("amount").sum())


def _computed(source: Source, transform: Callable[[pl.LazyFrame], pl.LazyFrame]) -> FeatureView:
    return FeatureView("v", entities=[SHOP], source=source, ttl="1d", lookback="3h", transform=transform)


def test_the_columns_are_keys_times_features_in_their_types() -> None:
    source = _source(_orders([1, 2]), created="known")
    rows = view_rows(FeatureView("v", entities=[SHOP], source=source, ttl="1h", features=["amount"]), READER)
    instant = pl.Datetime("us", "UTC")
    expected = {"shop": pl.Int64, "at": instant, "known": instant, "amount": pl.Int64}
    assert list(rows.collect_schema().items()) == list(expected.items())
    assert rows.collect().height == 2


def test_a_computed_view_has_every_other_column_as_feature() -> None:
    view = _computed(_source(_orders([1, 2])), _rolling)
    assert feature_names(view, view_rows(view, READER)) == ("total",)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=25), st.integers(0, 40))
def test_a_part_computed_alone_equals_that_part_of_the_whole(hours: list[int], first: int) -> None:
    view = _computed(_source(_orders(hours)), _rolling)
    since = ORIGIN + first * HOUR
    part = view_rows(view, READER, since=since).collect()
    whole = view_rows(view, READER).filter(pl.col("at") >= since).collect()
    assert part.unique().sort("at", "shop").equals(whole.unique().sort("at", "shop"))


def test_the_computation_sees_nothing_from_beyond() -> None:
    seen: list[pl.DataFrame] = []

    def spy(rows: pl.LazyFrame) -> pl.LazyFrame:
        seen.append(rows.collect())
        return rows.select("shop", "at", "amount")

    orders = _orders(list(range(10)), known_after=[0, 0, 9, 0, 0, 0, 0, 0, 0, 0])
    view = _computed(_source(orders, created="known"), spy)
    view_rows(view, READER, since=ORIGIN + 5 * HOUR, as_of=ORIGIN + 6 * HOUR)
    assert seen[0]["amount"].to_list() == [6, 8, 10, 12]  # hours 3 to 6; hour 2 lies beyond look-back and as-of
    view_rows(view, READER, as_of=ORIGIN + 3 * HOUR)
    assert seen[1]["amount"].to_list() == [0, 2, 6]


def test_a_computation_cannot_add_rows_from_the_future() -> None:
    view = _computed(_source(_orders([1])), lambda rows: rows.with_columns(pl.col("at") + 10 * HOUR).drop("known"))
    assert view_rows(view, READER, as_of=ORIGIN + 5 * HOUR).collect().is_empty()


def test_rows_without_key_or_time_are_left_out() -> None:
    rows = pl.DataFrame(
        {"shop": [1, None, 1, 1], "at": [ORIGIN, ORIGIN, None, ORIGIN], "known": [ORIGIN, ORIGIN, ORIGIN, None], "x": 1}
    )
    view = FeatureView("v", entities=[SHOP], source=_source(rows, created="known"), ttl="1h", features=["x"])
    assert view_rows(view, READER).collect().height == 1
    assert view_rows(view, READER, as_of=ORIGIN).collect().height == 1


def test_dates_become_midnights() -> None:
    rows = pl.DataFrame({"shop": [1], "at": [date(2024, 1, 1)], "x": [1]})
    view = FeatureView("v", entities=[SHOP], source=_source(rows), ttl="1h", features=["x"])
    assert view_rows(view, READER, as_of=ORIGIN).collect()["at"].to_list() == [ORIGIN]


@pytest.mark.parametrize(
    ("features", "entity", "said"),
    [
        (["amuont"], SHOP, "Did you mean 'amount'"),
        (["amount"], Entity("shopp", dtype=pl.Int64), "Did you mean 'shop'"),
        (["amount"], Entity("shop", dtype=pl.String), "the key shop must be String"),
    ],
)
def test_a_column_that_does_not_fit_is_named(features: list[str], entity: Entity, said: str) -> None:
    view = FeatureView("v", entities=[entity], source=_source(_orders([1])), ttl="1h", features=features)
    with pytest.raises(SourceError) as caught:
        view_rows(view, READER)
    assert said in str(caught.value)
    assert "feature view v" in str(caught.value)


def test_a_computation_on_a_missing_column_is_named() -> None:
    view = _computed(_source(_orders([1])), lambda rows: rows.select("shop", "at", pl.col("nothing")))
    with pytest.raises(SourceError, match="feature view v: its computation must fit"):
        view_rows(view, READER)


def test_naive_times_are_refused_wherever_they_come_in() -> None:
    view = _computed(_source(_orders([1])), lambda rows: rows.with_columns(pl.col("at").dt.replace_time_zone(None)))
    with pytest.raises(TimestampError, match="at must be an instant with a time zone"):
        view_rows(view, READER)
    with pytest.raises(TimestampError, match="as_of must have a time zone"):
        view_rows(_computed(_source(_orders([1])), _rolling), READER, as_of=datetime(2024, 1, 1))  # noqa: DTZ001


def test_freshness_is_the_age_of_what_was_known_then() -> None:
    view = _computed(_source(_orders([1, 2, 9])), _rolling)
    empty = _computed(_source(_orders([])), _rolling)
    fresh, nothing = measure_freshness([view, empty], READER, at=ORIGIN + 5 * HOUR)
    assert (fresh.source, fresh.view, fresh.age, fresh.ttl) == ("orders", "v", 3 * HOUR, timedelta(days=1))
    assert nothing.age is None
