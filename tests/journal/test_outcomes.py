"""Late, corrected, doubled and missing outcomes, against what a person would do with a dictionary."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.journal.records import Service, hour

from everfit.core.errors import SourceError, TimestampError
from everfit.journal import outcome_rows, prediction_rows
from everfit.journal.outcomes import join_labels, join_outcomes, latest_outcomes
from everfit.journal.ship import ship
from everfit.journal.tables import scan_outcomes, scan_predictions

IDS = st.sampled_from(["a", "b", "c"])
HOURS = st.integers(0, 6)
PREDICTIONS = st.lists(st.tuples(IDS, HOURS, st.sampled_from(["champion", "shadow"])), max_size=12)
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
    return pl.DataFrame(base, schema=outcome_rows.BASE)


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


@given(made=PREDICTIONS, rows=OUTCOMES, as_of=HOURS)
def test_every_answer_once_with_what_was_known(
    made: list[tuple[str, int, str]], rows: list[tuple[str, int, int, str | None]], as_of: int
) -> None:
    found = join_outcomes(predictions(made).lazy(), outcomes(rows).lazy(), hour(as_of)).collect()
    first: dict[tuple[str, str], tuple[int, int]] = {}
    for number, (key, at, route) in enumerate(made):
        if at <= as_of:
            first[key, route] = min(first.get((key, route), (at, number)), (at, number))
    known = told(rows, as_of)
    assert {
        (row["id"], row["route"]): (row["prediction"], row["outcome"], row["outcome_known_at"])
        for row in found.rows(named=True)
    } == {(key, route): (number, *known.get(key, (None, None))) for (key, route), (_, number) in first.items()}
    assert found.height == len(first)


@given(made=PREDICTIONS, rows=OUTCOMES, as_of=HOURS, by_time=st.booleans())
def test_a_label_source_says_the_same(
    made: list[tuple[str, int, str]], rows: list[tuple[str, int, int, str | None]], as_of: int, by_time: bool
) -> None:
    """By id, or by key and event time; here an event's time is 24 hours after its letter."""
    times = {"a": hour(-3), "b": hour(-2), "c": hour(-1)}
    asked = predictions(made).with_columns(pl.col("id").replace_strict(times, default=None).alias("event_time"))
    labels = pl.DataFrame(
        [
            {"id": key, "shop": "k", "time": times[key], "value": value, "known_at": hour(known)}
            for key, _, known, value in rows
        ],
        schema={
            "id": pl.String, "shop": pl.String, "time": pl.Datetime("ms", "Europe/Paris"), "value": pl.String,
            "known_at": pl.Datetime("ns", "UTC"),
        },
    )  # fmt: skip
    if by_time:
        found = join_labels(asked.lazy(), labels.drop("id").lazy(), keys=["shop"], as_of=hour(as_of)).collect()
    else:
        found = join_labels(asked.lazy(), labels.lazy(), as_of=hour(as_of)).collect()
    known: dict[str, tuple[int, str]] = {}
    for key, _, at, value in rows:
        if at <= as_of:
            known[key] = max(known.get(key, (at, "")), (at, value or ""))
    wanted = {key: (value or None, hour(at) if value else None) for key, (at, value) in known.items()}
    assert found.height == len({(key, route) for key, at, route in made if at <= as_of})
    for row in found.rows(named=True):
        assert (row["outcome"], row["outcome_known_at"]) == wanted.get(row["id"], (None, None))


def test_instants_need_a_zone_and_labels_their_columns() -> None:
    with pytest.raises(TimestampError, match="as_of must have a time zone"):
        latest_outcomes(outcomes([]).lazy(), datetime(2024, 1, 1))  # noqa: DTZ001 - that is the mistake
    labels = pl.LazyFrame({"id": ["a"], "value": [1]})
    with pytest.raises(SourceError, match="known_at"):
        join_labels(predictions([]).lazy(), labels, as_of=hour(0))
    with pytest.raises(SourceError, match=r"request\.city"):
        join_labels(predictions([]).lazy(), labels, keys=["city"], as_of=hour(0))


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
        moment: join_outcomes(
            scan_predictions(lake, journal, "late"), scan_outcomes(lake, journal, "late"), hour(moment)
        )
        .sort("id", "route")
        .collect()
        for moment in (1, 4, 5)
    }
    assert {at: frame["outcome"].to_list() for at, frame in found.items()} == {
        1: [None, None, None],
        4: ["True", "True", "True", None],
        5: ["False", "False", None, None],
    }
    assert found[5]["prediction"].to_list() == [0.25, 0.5, 0.25, 0.25]
