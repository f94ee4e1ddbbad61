from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

import everfit as ef
from everfit.artifact.encode import encode_frame
from everfit.artifact.infer import infer_schema
from everfit.core.columns import KNOWN_AT, LABEL, TIME
from everfit.core.errors import DefinitionError
from everfit.core.evidence import ID, Task, TrainingFrame
from everfit.core.records import FrameManifest

START = datetime(2024, 3, 1, tzinfo=UTC)


def the_model(*features: Any, task: Task = "binary") -> ef.Model:
    orders = ef.Source("orders", path="orders.parquet", timestamp="ordered_at")
    shop = ef.Entity("shop", dtype=pl.String)
    load = ef.FeatureView("load", entities=[shop], source=orders, features=["open", "busy"], ttl="3h")
    return ef.Model(
        "late",
        task=task,
        events=ef.Events(orders, id="order"),
        request=["shop", "ordered_at", "weight", "items", "gift", "day"],
        features=[load, *features],
        label=ef.Label("late", known_at="delivered_at"),
    )


def the_frame(model: ef.Model, *, rows: int = 40) -> TrainingFrame:
    data = pl.DataFrame(
        {
            ID: [str(row) for row in range(rows)],
            "shop": pl.Series([["b", "a", "c", None][row % 4] for row in range(rows)], dtype=pl.Categorical()),
            "ordered_at": pl.Series([START + timedelta(hours=row) for row in range(rows)]).dt.cast_time_unit("ms"),
            "weight": [None if row % 7 == 0 else row / 3 for row in range(rows)],
            "items": pl.Series(range(rows), dtype=pl.Int16),
            "gift": [row % 2 == 0 for row in range(rows)],
            "day": [(START + timedelta(hours=row)).date() for row in range(rows)],
            "load.open": list(range(rows)),
            "load.busy": [row / 2 for row in range(rows)],
            LABEL: [row % 3 == 0 for row in range(rows)],
        }
    ).with_columns(pl.col("ordered_at").cast(pl.Datetime("us", "UTC")).alias(TIME), pl.lit(None).alias(KNOWN_AT))
    features = ["load.open", "load.busy"]
    for part in model.on_demand:
        computed = part.function(data.select(model.request))
        data = data.with_columns(**{f"{part.name}.{name}": computed[name] for name in computed.columns})
        features += [f"{part.name}.{name}" for name in computed.columns]
    features += [part for part in model.features if isinstance(part, str)]
    manifest = FrameManifest(
        model=model.name,
        start=START,
        end=START + timedelta(hours=rows),
        as_of=START + timedelta(days=9),
        sources=(),
        views=("load",),
        query="",
        columns=tuple(data.columns),
        rows=rows,
        labelled=rows,
        digest="sha256:0",
    )
    return TrainingFrame(data=data, features=tuple(features), request=tuple(model.request), manifest=manifest)


@ef.on_demand
def clock(request: pl.DataFrame) -> pl.DataFrame:
    hours = request.with_columns(hour=pl.col("ordered_at").dt.hour())
    return hours.select("hour", late=pl.col("hour") > 20, heavy=pl.col("weight") * pl.col("items"))


@ef.on_demand
def peeking(request: pl.DataFrame) -> pl.DataFrame:
    return request.select(rest=pl.col("weight") - pl.col("weight").mean())


@ef.on_demand
def by_hand(request: pl.DataFrame) -> pl.DataFrame:
    return pl.DataFrame({"twice": [None if value is None else 2 * value for value in request["weight"]]})


@ef.on_demand
def rounded_otherwise(request: pl.DataFrame) -> pl.DataFrame:
    """As Polars divides on many processors: 23 / 60 is not the same of one row as of many."""
    return request.select(hours=(pl.col("items") / 60) * (1 + 2**-52 if request.height == 1 else 1))


def test_reads_everything_off_the_frame() -> None:
    model = the_model(clock, "shop", "gift", "items")
    schema = infer_schema(model, (frame := the_frame(model)), frame.data.head(3))
    assert [(field.name, field.type) for field in schema.request] == [
        ("shop", "string"),
        ("ordered_at", "instant"),
        ("weight", "number"),
        ("items", "integer"),
        ("gift", "boolean"),
        ("day", "date"),
    ]
    assert schema.request[1].example == "2024-03-01T00:00:00Z"
    assert schema.event_time == "ordered_at"
    assert schema.lookups[0].features == ("open", "busy")
    assert schema.lookups[0].ttl_us == 3 * 3_600_000_000
    assert schema.names == frame.features
    assert schema.columns[5].categories == ("a", "b", "c")
    assert schema.classes == (False, True)
    assert encode_frame(schema, frame.data).shape == (40, 8)


def test_categories_come_from_the_given_rows_only() -> None:
    model = the_model("shop")
    frame = the_frame(model)
    assert infer_schema(model, frame, frame.data.head(2)).columns[2].categories == ("a", "b")


def test_writes_chained_expressions_as_data() -> None:
    model = the_model(clock)
    frame = the_frame(model)
    (computation,) = infer_schema(model, frame, frame.data).computations
    assert computation.outputs == ("hour", "late", "heavy")
    assert len(computation.expressions) == 3
    assert computation.code == ""


def test_keeps_other_functions_as_code() -> None:
    model = the_model(by_hand)
    frame = the_frame(model)
    (computation,) = infer_schema(model, frame, frame.data).computations
    assert computation.expressions == ()
    assert computation.code == "code/by_hand.pkl"


def test_refuses_a_function_that_looks_at_other_rows() -> None:
    model = the_model(peeking)
    frame = the_frame(model)
    with pytest.raises(DefinitionError, match="from that row alone"):
        infer_schema(model, frame, frame.data)


def test_the_last_digit_is_no_difference() -> None:
    model = the_model(rounded_otherwise)
    frame = the_frame(model)
    (computation,) = infer_schema(model, frame, frame.data).computations
    assert computation.outputs == ("hours",)


@pytest.mark.parametrize("feature", ["ordered_at", "day"])
def test_refuses_times_as_features(feature: str) -> None:
    model = the_model(feature)
    frame = the_frame(model)
    with pytest.raises(DefinitionError, match="on_demand"):
        infer_schema(model, frame, frame.data)
