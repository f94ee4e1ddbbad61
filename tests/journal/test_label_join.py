"""Late, corrected, doubled and missing labels of both sources, against a join by dictionaries."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.journal.records import Service, hour

from everfit.core.errors import TimestampError
from everfit.journal import prediction_rows
from everfit.journal.label_join import (
    first_predictions,
    join_labels,
    known_labels,
    latest_outcomes,
    repeated_reports,
)
from everfit.journal.logs import LABEL, OUTCOME
from everfit.journal.ship import ship
from everfit.journal.tables import scan_outcomes, scan_predictions
from everfit.store.timestamps import INSTANT

IDS = st.sampled_from(["a", "b", "c"])
HOURS = st.integers(0, 6)
PREDICTIONS = st.lists(st.tuples(IDS, HOURS, st.sampled_from(["champion", "shadow"])), max_size=12)
LABELS = st.lists(st.tuples(IDS, HOURS, st.sampled_from(["0", "1", None])), max_size=12)
OUTCOMES = st.lists(st.tuples(IDS, HOURS, HOURS, st.sampled_from(["0", "1", None])), max_size=20)


def predictions(rows: list[tuple[str, int, str]]) -> pl.DataFrame:
    """Id, hour and route; the answer is the row's number."""
    base: list[dict[str, Any]] = [
        {
            "id": key, "model": "late", "version": 1, "digest": "", "route": route, "row": 0, "recorded_at": hour(at),
            "event_time": hour(at), "latency_us": 1, "segment": "s", "place": place,
        }
        for place, (key, at, route) in enumerate(rows)
    ]  # fmt: skip
    return pl.DataFrame(base, schema=prediction_rows.BASE).with_columns(
        pl.Series("prediction", range(len(rows)), dtype=pl.Float64),
        pl.lit("k").alias("request.shop"),
    )


def outcomes(rows: list[tuple[str, int, int, str | None]]) -> pl.DataFrame:
    """Id, hours it was recorded and known, value."""
    base = [
        {"id": key, "value": value, "known_at": hour(known), "recorded_at": hour(at), "segment": "s", "place": place}
        for place, (key, at, known, value) in enumerate(rows)
    ]
    return pl.DataFrame(base, schema=OUTCOME)


def told(rows: list[tuple[str, int, int, str | None]], as_of: int) -> dict[str, tuple[str, datetime]]:
    known: dict[str, tuple[str | None, datetime]] = {}
    for key, _, at, value in sorted((row for row in rows if max(row[1], row[2]) <= as_of), key=lambda row: row[1]):
        known[key] = (value, hour(at))
    return {key: (value, at) for key, (value, at) in known.items() if value is not None}


@given(rows=OUTCOMES, as_of=HOURS, seed=st.randoms())
def test_the_last_report_holds(rows: list[tuple[str, int, int, str | None]], as_of: int, seed: Any) -> None:
    frame = outcomes(rows)
    shuffled = frame[seed.sample(range(frame.height), frame.height)].lazy() if rows else frame.lazy()
    found = latest_outcomes(shuffled, hour(as_of)).collect()
    assert {row["id"]: (row["value"], row["known_at"]) for row in found.rows(named=True)} == told(rows, as_of)
    assert found["id"].is_unique().all()


def source(rows: list[tuple[str, int, str | None]]) -> pl.DataFrame:
    """Id, hour it was known, value; all were found together. A null is no label."""
    base = [
        {"id": key, "value": value, "known_at": hour(known), "recorded_at": hour(9), "segment": "s", "place": place}
        for place, (key, known, value) in enumerate(rows)
        if value is not None
    ]
    return pl.DataFrame(base, schema=LABEL)


def in_source(rows: list[tuple[str, int, str | None]], as_of: int) -> dict[str, tuple[str, datetime]]:
    known: dict[str, tuple[int, str]] = {}
    for key, at, value in rows:
        if at <= as_of and value is not None:
            known[key] = max(known.get(key, (at, "")), (at, value))
    return {key: (value, hour(at)) for key, (at, value) in known.items()}


def joined(predictions: pl.LazyFrame, outcomes: pl.DataFrame, labels: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    return join_labels(first_predictions(predictions, as_of).collect(), known_labels(outcomes, labels, as_of))


@given(made=PREDICTIONS, rows=OUTCOMES, labels=LABELS, as_of=HOURS, seed=st.randoms())
def test_every_prediction_once_with_the_label_that_was_known(
    made: list[tuple[str, int, str]],
    rows: list[tuple[str, int, int, str | None]],
    labels: list[tuple[str, int, str | None]],
    as_of: int,
    seed: Any,
) -> None:
    shuffled = source(seed.sample(labels, len(labels)))
    found = joined(predictions(made).lazy(), outcomes(rows), shuffled, hour(as_of))
    first: dict[tuple[str, str], tuple[int, int]] = {}
    for number, (key, at, route) in enumerate(made):
        if at <= as_of:
            first[key, route] = min(first.get((key, route), (at, number)), (at, number))
    known = {**in_source(labels, as_of), **told(rows, as_of)}
    assert {
        (row["id"], row["route"]): (row["prediction"], row["label"], row["label_known_at"])
        for row in found.rows(named=True)
    } == {(key, route): (number, *known.get(key, (None, None))) for (key, route), (_, number) in first.items()}
    assert found.height == len(first)


@given(rows=OUTCOMES, labels=LABELS, as_of=HOURS, later=HOURS)
def test_the_past_does_not_change(
    rows: list[tuple[str, int, int, str | None]], labels: list[tuple[str, int, str | None]], as_of: int, later: int
) -> None:
    """What was recorded or known later than an instant makes no difference to it."""
    past = [row for row in rows if max(row[1], row[2]) <= as_of or row[1] <= as_of]
    before = known_labels(outcomes(past), source([row for row in labels if row[1] <= as_of]), hour(as_of))
    after = known_labels(outcomes(rows), source(labels), hour(as_of))
    assert sorted(before.rows()) == sorted(after.rows())


def test_reports_that_can_be_repeated() -> None:
    made = predictions([("a", 0, "champion"), ("b", 0, "champion")])
    once = source([("a", 1, "1"), ("b", 1, "0"), ("c", 1, "0")])
    assert repeated_reports(outcomes([]), once, made, hour(5)) is None
    # "a" is in both sources and agrees: one report. "c" was never predicted.
    found = repeated_reports(outcomes([("a", 1, 1, "1"), ("a", 9, 9, "0")]), once, made, hour(5))
    assert found is not None
    assert sorted(found.rows()) == [("a", "1"), ("b", "0")]
    twice = repeated_reports(outcomes([]), source([("a", 1, "1"), ("a", 2, "0")]), made, hour(5))
    assert twice is not None
    assert sorted(twice.rows()) == [("a", "0"), ("a", "1")]


def test_of_labels_that_state_the_same_known_time_the_last_found_counts() -> None:
    found = pl.concat(
        source([("a", 1, value)]).with_columns(pl.lit(hour(at), dtype=INSTANT).alias("recorded_at"))
        for at, value in ((3, "0"), (2, "1"))
    )
    assert known_labels(outcomes([]), found, hour(5))["label"].to_list() == ["0"]


def test_instants_need_a_zone() -> None:
    with pytest.raises(TimestampError, match="as_of must have a time zone"):
        known_labels(outcomes([]), source([]), datetime(2024, 1, 1))  # noqa: DTZ001 - that is the mistake


def test_shipped_and_unshipped_reports_are_one_history(journal: Path, lake: Path) -> None:
    service = Service(journal)
    service.predict("a", "b", "c", at=0)
    service.predict("a", at=1, value=0.75)
    service.predict("a", at=2, value=0.5, route="shadow")
    service.report({"a": "True", "b": "True"}, at=3)
    service.stop()
    ship(journal, lake)
    service.report({"a": "False", "b": None}, at=5, known=4)
    found = {
        moment: joined(
            scan_predictions(lake, journal, "late"),
            scan_outcomes(lake, journal, "late").collect(),
            source([]),
            hour(moment),
        ).sort("id", "route")
        for moment in (1, 4, 5)
    }
    assert {at: frame["label"].to_list() for at, frame in found.items()} == {
        1: [None, None, None],
        4: ["True", "True", "True", None],
        5: ["False", "False", None, None],
    }
    assert found[5]["prediction"].to_list() == [0.25, 0.5, 0.25, 0.25]
