"""Rows that are decoded by columns equal those that are decoded record by record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from tests.journal.records import LAYOUT, variant

from everfit.core.errors import StoreError
from everfit.journal.logs import OUTCOME, OUTCOME_LOG, PREDICTION_LOG
from everfit.journal.prediction_rows import BASE
from everfit.store.journal_records import Outcome, Outcomes, PredictionLayout, Predictions
from everfit.store.lake import SegmentRows
from everfit.store.record_log import encode_record
from everfit.store.segments import Segment
from everfit.store.timestamps import INSTANT

US = st.integers(-(2**62), 2**62)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
INSTANTS = st.datetimes(timezones=st.just(UTC))
NUMBERS = st.one_of(st.floats(), st.integers(-(2**63), 2**64 - 1), st.booleans())
OF_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "string": TEXT,
    "integer": st.integers(-(2**63), 2**64 - 1),
    "number": NUMBERS,
    "boolean": st.booleans(),
    "instant": INSTANTS,
    "date": st.one_of(st.dates(), st.sampled_from(["2024-02-30", "no day"])),
}
FEATURES = st.sampled_from([st.floats(), NUMBERS, TEXT, st.booleans(), INSTANTS, st.one_of(TEXT, NUMBERS, INSTANTS)])
"""Values of one column: of one kind, of several numeric ones, or of kinds that have nothing in common."""
DTYPES = {
    "string": pl.String(),
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "boolean": pl.Boolean(),
    "instant": INSTANT,
    "date": pl.String(),
}


def or_null(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(values, st.none())


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    """A segment of several layouts, of which two versions may share a table, with records of no, one and more rows."""
    records: list[PredictionLayout | Predictions] = []
    layouts: list[tuple[PredictionLayout, list[st.SearchStrategy[Any]], list[st.SearchStrategy[Any]]]] = []
    for number in range(draw(st.integers(1, 3))):
        request = tuple((name, draw(st.sampled_from(list(OF_TYPE)))) for name in draw(st.sampled_from(["a", "ab", ""])))
        layout = variant(
            number=number,
            version=number,
            task=draw(st.sampled_from(["binary", "multiclass"])),
            request=request,
            features=tuple(draw(st.sampled_from(["x", "xy", ""]))),
            event_time=draw(st.sampled_from(["", *[name for name, kind in request if kind in {"instant", "date"}]])),
        )
        records.append(layout)
        layouts.append(
            (
                layout,
                [or_null(OF_TYPE[kind]) for _, kind in request],
                [or_null(draw(FEATURES)) for _ in layout.features],
            )
        )
    for _ in range(draw(st.integers(0, 5))):
        layout, request_values, feature_values = draw(st.sampled_from(layouts))
        rows = draw(st.integers(0, 3))
        value: st.SearchStrategy[Any] = st.floats() if layout.task == "binary" else st.tuples(st.floats(), st.floats())
        records.append(
            Predictions(
                layout=layout.number,
                route=draw(st.sampled_from(["champion", "shadow"])),
                recorded_us=draw(US),
                latency_us=draw(st.integers(0, 10**9)),
                ids=[draw(TEXT) for _ in range(rows)],
                rows=[[draw(field) for field in request_values] for _ in range(rows)],
                features=[[draw(feature) for feature in feature_values] for _ in range(rows)],
                values=[draw(value) for _ in range(rows)],
            )
        )
    # Again and again, since many rows are turned into columns in several turns.
    return Segment(
        name="seg",
        frames=[encode_record(record) for record in records] * draw(st.sampled_from([1, 40])),
        torn_bytes=0,
    )


def record_by_record(segment: Segment) -> dict[str, pl.DataFrame]:
    """Return each layout's rows, from one Python dictionary for each row."""
    decode = msgspec.msgpack.Decoder(PredictionLayout | Predictions).decode
    layouts: dict[int, PredictionLayout] = {}
    gathered: dict[Any, tuple[PredictionLayout, list[dict[str, Any]]]] = {}
    place = 0
    for record in map(decode, segment.frames):
        if isinstance(record, PredictionLayout):
            layouts[record.number] = record
            continue
        layout = layouts[record.layout]
        shape = (layout.task, layout.request, layout.features, layout.event_time)
        _, rows = gathered.setdefault(shape, (layout, []))
        for row, row_id in enumerate(record.ids):
            fields = {
                f"request.{name}": value for (name, _), value in zip(layout.request, record.rows[row], strict=True)
            }
            base = {
                "id": row_id,
                "model": "late",
                "version": layout.version,
                "digest": layout.digest,
                "route": record.route,
                "row": row,
                "recorded_at": record.recorded_us,
                "event_time": record.recorded_us,
                "latency_us": record.latency_us,
                "segment": "seg",
                "place": place,
            }
            value = record.values[row]
            values = (
                zip([f"prediction.{name}" for name in layout.classes], value, strict=True)
                if isinstance(value, Sequence)
                else [("prediction", value)]
            )
            used = {f"feature.{name}": value for name, value in zip(layout.features, record.features[row], strict=True)}
            rows.append(base | dict(values) | fields | used)
        place += 1
    return {str(shape): frame(layout, rows) for shape, (layout, rows) in gathered.items()}


def frame(layout: PredictionLayout, rows: list[dict[str, Any]]) -> pl.DataFrame:
    kinds = {f"request.{name}": kind for name, kind in layout.request}
    answers = [f"prediction.{name}" for name in layout.classes] if layout.task == "multiclass" else ["prediction"]
    columns = []
    for name in (*BASE, *answers, *kinds, *(f"feature.{name}" for name in layout.features)):
        values = [row[name] for row in rows]
        if name in BASE:
            columns.append(
                pl.Series(name, values, dtype=pl.Int64 if BASE[name] == INSTANT else BASE[name]).cast(BASE[name])
            )
        elif name in answers:
            columns.append(pl.Series(name, values, dtype=pl.Float64, strict=False))
        elif name in kinds:
            column = pl.Series(name, values, dtype=DTYPES[kinds[name]], strict=False)
            columns.append(column.str.to_date("%Y-%m-%d", strict=False) if kinds[name] == "date" else column)
        else:
            columns.append(feature(name, values))
    found = pl.DataFrame(columns)
    at = f"request.{layout.event_time}"
    return found.with_columns(found[at].cast(INSTANT).alias("event_time")) if at in found.columns else found


def feature(name: str, values: Iterable[Any]) -> pl.Series:
    """The rule of untyped columns, value by value."""
    values = list(values)
    kinds = {type(value) for value in values if value is not None}
    if not kinds:
        return pl.Series(name, values, dtype=pl.Null)
    if kinds == {bool}:
        return pl.Series(name, values, dtype=pl.Boolean)
    if kinds <= {int, float, bool}:
        return pl.Series(name, [None if value is None else float(value) for value in values], dtype=pl.Float64)
    if kinds == {datetime}:
        return pl.Series(name, values, dtype=INSTANT)
    return pl.Series(name, [None if value is None else str(value) for value in values], dtype=pl.String)


@given(segment=segments())
@settings(max_examples=60)
def test_columns_equal_the_decoding_record_by_record(segment: Segment) -> None:
    wanted = record_by_record(segment)
    found: list[SegmentRows] = PREDICTION_LOG.rows_of(segment)
    assert len({part.table for part in found}) == len(found) == len(wanted)
    for part, rows in zip(found, wanted.values(), strict=True):
        assert_frame_equal(part.rows, rows, check_exact=True)


@given(
    records=st.lists(
        st.tuples(st.sampled_from(["late", "other"]), US, st.lists(st.tuples(TEXT, or_null(TEXT), US), max_size=3)),
        max_size=5,
    )
)
@settings(max_examples=40)
def test_outcomes_equal_the_decoding_record_by_record(records: list[tuple[str, int, list[Any]]]) -> None:
    frames = [
        Outcomes(
            model=model, recorded_us=at, outcomes=[Outcome(id=i, value=value, known_us=us) for i, value, us in told]
        )
        for model, at, told in records
    ]
    found = OUTCOME_LOG.rows_of(Segment(name="seg", frames=[encode_record(one) for one in frames], torn_bytes=0))
    assert [part.table for part in found] == [f"outcomes/{model}" for model in dict.fromkeys(one[0] for one in records)]
    for part in found:
        rows = [
            (row_id, value, known, at)
            for model, at, told in records
            for row_id, value, known in told
            if part.table == f"outcomes/{model}"
        ]
        placed = [(*row, "seg", place) for place, row in enumerate(rows)]
        assert_frame_equal(part.rows, pl.DataFrame(placed, schema=OUTCOME, orient="row"))


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"ids": ["a", "b"]}, "features and an answer for every id"),
        ({"rows": [[1]]}, "the values that its layout names"),
        ({"layout": 1}, "layout must stand before it"),
    ],
)
def test_a_record_without_its_layouts_form_is_refused(changed: dict[str, Any], rule: str) -> None:
    record = Predictions(
        layout=0,
        route="champion",
        recorded_us=5,
        latency_us=7,
        ids=["a"],
        rows=[[1, None, date(2024, 1, 1), "ok"]],
        features=[[0.5, None, None]],
        values=[0.5],
    )
    frames = [encode_record(LAYOUT), encode_record(msgspec.structs.replace(record, **changed))]
    with pytest.raises(StoreError, match=rule):
        PREDICTION_LOG.rows_of(Segment(name="seg", frames=frames, torn_bytes=0))
