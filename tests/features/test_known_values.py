"""Values that become known later than their row, and infinite ones, in frames, labels and views."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everfit.core.columns import KNOWN_AT, LABEL
from everfit.core.errors import DefinitionError
from everfit.definitions.entity import Entity
from everfit.definitions.events import Events, Label
from everfit.definitions.model import Model
from everfit.definitions.source import Source
from everfit.definitions.view import FeatureView
from everfit.features.compute import view_rows
from everfit.features.freshness import measure_freshness
from everfit.features.history import build_frame
from everfit.features.labels import scan_labels
from everfit.store.reader import Reader

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
TRIPS = pl.DataFrame(
    {
        "id": ["a", "b", "c", "d"],
        "taxi": [1, 1, 2, 2],
        "pickup": [FIRST + n * HOUR for n in range(4)],
        "dropoff": [FIRST + (n + 2) * HOUR if n < 3 else None for n in range(4)],
        "fare": [10.0, float("inf"), 30.0, 40.0],
        "km": [1.0, 2.0, 3.0, 4.0],
    }
)
LATE = Source("trips", function=lambda: TRIPS, timestamp="pickup", known_at={"fare": "dropoff"})
TAXI = Entity("taxi", dtype=pl.Int64)
READER = Reader(Path(), {})


def model(source: Source, **more: object) -> Model:
    given_: dict[str, object] = {
        "request": ["km"],
        "features": ["km"],
        "label": Label("fare", known_at="pickup"),
    } | more
    return Model("trips", task="regression", events=Events(source, id="id"), **given_)  # type: ignore[arg-type]


def test_a_label_is_known_when_all_that_it_is_made_of_is() -> None:
    frame = build_frame(model(LATE), READER, as_of=FIRST + 3 * HOUR).data
    assert frame[LABEL].to_list() == [10.0, None, None]
    assert frame[KNOWN_AT][0] == FIRST + 2 * HOUR
    whole = build_frame(model(LATE), READER, as_of=FIRST + 9 * HOUR).data
    assert whole[LABEL].to_list() == [10.0, None, 30.0, None]
    known = scan_labels(model(LATE), READER, until=FIRST + 9 * HOUR).collect()
    assert known.select("id", "value").rows() == [("a", 10.0), ("c", 30.0)]


def test_a_request_field_must_be_known_at_the_event() -> None:
    with pytest.raises(DefinitionError, match="fare is known at dropoff"):
        build_frame(model(LATE, request=["fare"], features=["fare"]), READER, as_of=FIRST + 9 * HOUR)


@pytest.mark.parametrize(
    ("times", "fares"),
    [
        ({}, [None, None, None, None]),
        ({"timestamp": "dropoff"}, [10.0, None, 30.0]),
        ({"created": "dropoff"}, [10.0, None, 30.0]),
    ],
)
def test_a_view_sees_what_is_known_at_its_rows_time(times: dict[str, str], fares: list[float | None]) -> None:
    view = FeatureView("rides", entities=[TAXI], source=LATE, ttl="9d", features=["fare"], **times)  # type: ignore[arg-type]
    rows = view_rows(view, READER, as_of=FIRST + 99 * HOUR).collect().sort("taxi", view.timestamp)
    assert rows["fare"].to_list() == fares


@given(at=st.integers(0, 9), until=st.integers(0, 9))
def test_a_computed_view_never_sees_the_future(at: int, until: int) -> None:
    """Blank what was unknown at an instant: the view's rows up to then do not change."""
    cut = FIRST + at * HOUR

    def total(rows: pl.LazyFrame) -> pl.LazyFrame:
        return rows.select("taxi", "pickup", fare=pl.col("fare").fill_null(0.0).cum_sum().over("taxi"))

    def blanked() -> pl.DataFrame:
        return TRIPS.with_columns(fare=pl.when(pl.col("dropoff") <= cut).then("fare"))

    views = [
        FeatureView("total", entities=[TAXI], source=source, ttl="9d", transform=total)
        for source in (LATE, Source("trips", function=blanked, timestamp="pickup", known_at={"fare": "dropoff"}))
    ]
    as_of = FIRST + until * HOUR
    one, other = (view_rows(view, READER, as_of=as_of).filter(pl.col("pickup") <= cut).collect() for view in views)
    assert one.equals(other)


def test_infinite_values_are_missing_and_counted() -> None:
    source = Source("trips", function=lambda: TRIPS, timestamp="pickup")
    view = FeatureView("rides", entities=[TAXI], source=source, ttl="9d", features=["fare", "km"])
    assert view_rows(view, READER).collect()["fare"].to_list() == [10.0, None, 30.0, 40.0]
    (then, later) = (measure_freshness([view], READER, at=FIRST + hours * HOUR)[0] for hours in (2, 5))
    # Counted in the newest hour of rows, whatever the ttl.
    assert (then.rows, then.infinite) == (2, {"fare": 1})
    assert (later.rows, later.infinite, later.age) == (2, {}, 2 * HOUR)

    def ratio(rows: pl.LazyFrame) -> pl.LazyFrame:
        return rows.select("taxi", "pickup", share=pl.col("km") / (pl.col("km") - 1))

    computed = FeatureView("ratio", entities=[TAXI], source=source, ttl="9d", transform=ratio)
    assert view_rows(computed, READER).collect()["share"].null_count() == 1
