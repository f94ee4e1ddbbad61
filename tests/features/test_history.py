"""Training frames: everything as it was known, every mistake in the data named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from everfit.core.columns import KNOWN_AT, LABEL, TIME
from everfit.core.errors import (
    DataError,
    DefinitionError,
    DuplicateError,
    EmptyWindowError,
    LabelError,
    SourceError,
    TimestampError,
)
from everfit.core.evidence import ID
from everfit.definitions.entity import Entity
from everfit.definitions.events import Events, Label
from everfit.definitions.model import Model
from everfit.definitions.on_demand import OnDemand
from everfit.definitions.source import Source
from everfit.definitions.view import FeatureView
from everfit.features.history import build_frame
from everfit.store.reader import Reader

ORIGIN = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
AS_OF = ORIGIN + 10 * HOUR
READER = Reader(Path(), {})
SHOP = Entity("shop", dtype=pl.Int64)

ORDERS = pl.DataFrame(
    {
        "order": ["e", "d", "c", "b", "a", "z"],
        "at": [ORIGIN + hour * HOUR for hour in (5, 4, 3, 2, 2, 20)],
        "shop": [1, 2, 1, 9, 1, 1],
        "amount": [5.0, None, 3.0, 2.0, 1.0, 6.0],
        "minutes": [50, 10, 30, 20, None, 60],
        "delivered": [ORIGIN + hour * HOUR if hour else None for hour in (11, 10, 4, 3, 3, 21)],
    }
)
WEATHER = pl.DataFrame(
    {
        "shop": [1, 1, 2, 1],
        "at": [ORIGIN + hour * HOUR for hour in (1, 3, 0, 4)],
        "known": [ORIGIN + hour * HOUR for hour in (1, 3, 0, 12)],
        "rain": [0.1, 0.3, 0.2, 0.4],
    }
)
LATE = pl.col("minutes") >= 30


def _hour(request: pl.DataFrame) -> pl.DataFrame:
    return request.select(hour=pl.col("at").dt.hour(), double=pl.col("amount") * 2)


def _model(
    orders: pl.DataFrame = ORDERS,
    *,
    source: Source | None = None,
    views: Sequence[FeatureView] | None = None,
    on_demand: Callable[[pl.DataFrame], pl.DataFrame] = _hour,
    **changes: Any,
) -> Model:
    events = source or Source("orders", function=lambda: orders, timestamp="at")
    weather = Source("weather", function=lambda: WEATHER, timestamp="at", created="known")
    plain = FeatureView("weather", entities=[SHOP], source=weather, ttl="2h", features=["rain"])
    arguments: dict[str, Any] = {
        "task": "binary",
        "events": Events(events, id="order"),
        "request": ["shop", "at", "amount"],
        "features": [OnDemand("clock", function=on_demand), *([plain] if views is None else views), "amount"],
        "label": Label(LATE, known_at="delivered"),
    }
    return Model("late", **{**arguments, **changes})


def test_the_frame_is_what_was_known() -> None:
    frame = build_frame(_model(), READER, as_of=AS_OF)
    assert frame.features == ("clock.hour", "clock.double", "weather.rain", "amount")
    assert frame.request == ("shop", "at", "amount")
    expected = [
        ("a", 2, 1, 1.0, 2, 2.0, 0.1, None, 3),
        ("b", 2, 9, 2.0, 2, 4.0, None, False, 3),
        ("c", 3, 1, 3.0, 3, 6.0, 0.3, True, 4),
        ("d", 4, 2, None, 4, None, None, False, 10),
        ("e", 5, 1, 5.0, 5, 10.0, 0.3, None, None),
    ]
    hours = pl.col(TIME, KNOWN_AT) - ORIGIN
    found = frame.data.drop("at").with_columns(hours.dt.total_hours())
    assert found.rows() == expected
    assert frame.data.columns == [
        *(ID, TIME, "shop", "at", "amount", "clock.hour", "clock.double", "weather.rain", LABEL, KNOWN_AT)
    ]


def test_the_manifest_says_how_to_make_it_again() -> None:
    manifest = build_frame(_model(), READER, as_of=AS_OF).manifest
    assert (manifest.start, manifest.end, manifest.as_of) == (ORIGIN + 2 * HOUR, AS_OF, AS_OF)
    assert (manifest.rows, manifest.labelled, manifest.views) == (5, 3, ("weather",))
    assert [source.name for source in manifest.sources] == ["orders", "weather"]
    for words in ("orders by order at at", "known at delivered", "view weather of weather, ttl 2h", "on demand clock"):
        assert words in manifest.query
    assert build_frame(_model(), READER, as_of=AS_OF).manifest == manifest
    shuffled = build_frame(_model(ORDERS.sample(fraction=1, shuffle=True, seed=1)), READER, as_of=AS_OF).manifest
    assert shuffled.digest == manifest.digest
    changed = build_frame(_model(ORDERS.with_columns(pl.col("amount") + 1)), READER, as_of=AS_OF).manifest
    assert changed.digest != manifest.digest


def test_an_earlier_as_of_knows_less() -> None:
    frame = build_frame(_model(), READER, as_of=ORIGIN + 3 * HOUR + HOUR / 2)
    assert frame.data[ID].to_list() == ["a", "b", "c"]
    assert frame.data[LABEL].to_list() == [None, False, None]
    assert build_frame(_model(), READER, as_of=AS_OF + 10 * HOUR).data[LABEL].to_list() == [
        None,
        False,
        True,
        False,
        True,
    ]


def test_the_window_is_half_open() -> None:
    frame = build_frame(_model(), READER, as_of=AS_OF, start=ORIGIN + 3 * HOUR, end=ORIGIN + 5 * HOUR)
    assert frame.data[ID].to_list() == ["c", "d"]
    assert frame.manifest.start == ORIGIN + 3 * HOUR


def test_an_empty_window_says_what_there_is() -> None:
    with pytest.raises(EmptyWindowError, match=r"from 2024-01-01 02:00:00.* to 2024-01-01 20:00:00"):
        build_frame(_model(), READER, as_of=AS_OF, start=ORIGIN + 6 * HOUR, end=ORIGIN + 7 * HOUR)
    nothing = Events(Source("orders", function=lambda: ORDERS, timestamp="at"), id="order", where=pl.col("amount") > 99)
    with pytest.raises(EmptyWindowError, match="no events that pass its filter"):
        build_frame(_model(events=nothing), READER, as_of=AS_OF)


def test_events_are_filtered_before_ids_are_compared() -> None:
    doubled = pl.concat([ORDERS, ORDERS.head(2).with_columns(amount=pl.lit(-1.0))])
    with pytest.raises(DuplicateError, match=r"2 ids are not, but got \['d', 'e'\]"):
        build_frame(_model(doubled), READER, as_of=AS_OF)
    source = Source("orders", function=lambda: doubled, timestamp="at")
    kept = Events(source, id="order", where=(pl.col("amount") >= 0) | pl.col("amount").is_null())
    assert build_frame(_model(events=kept), READER, as_of=AS_OF).data.height == 5


@pytest.mark.parametrize("column", ["order", "at"])
def test_a_null_id_or_time_is_an_error(column: str) -> None:
    orders = ORDERS.with_columns(pl.when(pl.col("order") == "c").then(None).otherwise(pl.col(column)).alias(column))
    with pytest.raises(DataError, match=f"{column} must not be null, but 1 of"):
        build_frame(_model(orders), READER, as_of=AS_OF)


@pytest.mark.parametrize("column", ["at", "delivered"])
def test_naive_instants_are_refused(column: str) -> None:
    orders = ORDERS.with_columns(pl.col(column).dt.replace_time_zone(None))
    with pytest.raises(TimestampError, match=f"{column} must be an instant with a time zone"):
        build_frame(_model(orders), READER, as_of=AS_OF)


def test_a_naive_as_of_is_refused() -> None:
    with pytest.raises(TimestampError, match="as_of must have a time zone"):
        build_frame(_model(), READER, as_of=datetime(2024, 1, 2))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"request": ["shop", "at", "amount", "amonut"]}, "Did you mean 'amount'"),
        ({"label": Label(pl.col("minuts") > 3, known_at="delivered")}, "Did you mean 'minutes'"),
        ({"label": Label("minutes", known_at="deliverd")}, "Did you mean 'delivered'"),
    ],
)
def test_a_missing_column_is_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SourceError) as caught:
        build_frame(_model(**changes), READER, as_of=AS_OF)
    assert said in str(caught.value)
    assert "model late" in str(caught.value)


@pytest.mark.parametrize(
    ("task", "value"),
    [("binary", pl.col("minutes")), ("multiclass", pl.col("amount") + 0.5), ("regression", pl.col("order"))],
)
def test_a_label_that_the_task_cannot_learn_is_refused(task: str, value: pl.Expr) -> None:
    with pytest.raises(LabelError, match=f"the label of a {task} model must be"):
        build_frame(_model(task=task, label=Label(value, known_at="delivered")), READER, as_of=AS_OF)


def test_a_request_field_cannot_take_a_column_of_the_frame() -> None:
    with pytest.raises(DefinitionError, match="must not be called one of"):
        build_frame(
            _model(ORDERS.with_columns(label=1), request=["shop", "at", "amount", "label"]), READER, as_of=AS_OF
        )


def test_on_demand_features_come_row_for_row() -> None:
    with pytest.raises(DataError, match=r"on-demand transformation clock: it must return 5 rows.* but got 2"):
        build_frame(_model(on_demand=lambda request: request.head(2)), READER, as_of=AS_OF)
    with pytest.raises(DataError, match="its function must not raise, but raised ColumnNotFoundError"):
        build_frame(_model(on_demand=lambda request: request.select("minutes")), READER, as_of=AS_OF)


def test_no_view_sees_an_event_later_than_its_row() -> None:
    """A view over the events' own outcomes: the running count of deliveries, known when they arrive."""
    deliveries = Source("deliveries", function=lambda: ORDERS, timestamp="at")

    def count(rows: pl.LazyFrame) -> pl.LazyFrame:
        arrived = rows.filter(pl.col("delivered").is_not_null()).sort("delivered")
        return arrived.select("shop", "delivered", done=pl.int_range(1, pl.len() + 1).over("shop"))

    view = FeatureView("past", entities=[SHOP], source=deliveries, ttl="1d", timestamp="delivered", transform=count)
    data = build_frame(_model(views=[view]), READER, as_of=AS_OF).data
    assert data["past.done"].to_list() == [None, None, 1, None, 2]


@pytest.mark.parametrize("ending", ["parquet", "csv", "delta"])
def test_the_frame_is_the_same_from_every_kind_of_file(ending: str, tmp_path: Path) -> None:
    place = tmp_path / f"orders.{ending}"
    if ending == "parquet":
        ORDERS.write_parquet(place)
    elif ending == "csv":
        ORDERS.write_csv(place, datetime_format="%+")
    else:
        ORDERS.write_delta(str(place))
    source = Source("orders", path=place.name, timestamp="at")
    frame = build_frame(_model(source=source), Reader(tmp_path, {}), as_of=AS_OF)
    assert frame.manifest.digest == build_frame(_model(), READER, as_of=AS_OF).manifest.digest


def test_events_recorded_later_are_not_there_yet() -> None:
    orders = ORDERS.with_columns(recorded=pl.col("at") + 6 * HOUR)
    source = Source("orders", function=lambda: orders, timestamp="at", created="recorded")
    assert build_frame(_model(source=source), READER, as_of=AS_OF).data[ID].to_list() == ["a", "b", "c", "d"]
