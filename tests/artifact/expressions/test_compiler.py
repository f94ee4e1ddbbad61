from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everfit.artifact.expressions import recorder, stored
from everfit.artifact.expressions.check import prove_computations, same, same_types
from everfit.artifact.expressions.compiler import ExpressionCompiler
from everfit.artifact.expressions.expression_types import Untranslatable
from everfit.artifact.expressions.row_pipeline import compile_computation
from everfit.artifact.schema import Computation, FieldType, InputSchema, RequestField
from everfit.core.errors import UntrustedPackageError

FIELDS: dict[str, FieldType] = {
    "i": "integer",
    "j": "integer",
    "f": "number",
    "g": "number",
    "s": "string",
    "u": "string",
    "b": "boolean",
    "c": "boolean",
    "t": "instant",
    "v": "instant",
    "d": "date",
}
TYPES = {
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "string": pl.String(),
    "boolean": pl.Boolean(),
    "instant": pl.Datetime("us", "UTC"),
    "date": pl.Date(),
}
i, j, f, g, s, u, b, c, t, v, d = (pl.col(name) for name in FIELDS)

COMPILED: dict[str, pl.Expr] = {
    "hour": t.dt.hour(),
    "an hour overflows": t.dt.hour() * 60 + t.dt.minute(),
    "an hour widens": t.dt.hour() * 300,
    "local hour": t.dt.convert_time_zone("America/New_York").dt.hour(),
    "local date": t.dt.convert_time_zone("Asia/Tokyo").dt.date(),
    "weekday": t.dt.weekday(),
    "weekday of date": d.dt.weekday(),
    "calendar": t.dt.month() + t.dt.day() + t.dt.ordinal_day() + t.dt.year() + t.dt.week() + t.dt.quarter(),
    "weekend": t.dt.weekday().is_in([6, 7]),
    "weekend by order": t.dt.weekday() > 5,
    "circle": (t.dt.hour() * 2 * math.pi / 24).sin(),
    "cosine": (2 * math.pi * t.dt.month() / 12).cos(),
    "minutes between": (t - v).dt.total_minutes(),
    "hours between": (t - v).dt.total_hours(fractional=True),
    "days between": (d - pl.lit(date(2024, 1, 1))).dt.total_days(),
    "before": t < pl.lit(datetime(2024, 1, 1, tzinfo=UTC)),
    "later": (t + pl.duration(hours=5)).dt.hour(),
    "sum of integers": i + j,
    "product of integers": i * j - 3,
    "mixed": i * 2.5 + f,
    "quotient": i / j,
    "float quotient": f / g,
    "floored": i // j,
    "float floored": f // g,
    "remainder": i % j,
    "remainder by literal": i % 7,
    "float below": f < g,
    "float equal": f == g,
    "float at least": f >= g,
    "float at most": f <= g,
    "float not equal": f != g,
    "float above a literal": f > 1,
    "integers equal": i == j,
    "text equal": s == u,
    "text unlike": s != "x",
    "dates in order": d > date(2024, 5, 5),
    "and": b & c,
    "or": b | c,
    "not": ~b,
    "and over comparisons": (f > 0.5) & (i < 3) | b.is_null(),
    "is null": s.is_null(),
    "is not null": f.is_not_null(),
    "is nan": f.is_nan(),
    "between": f.is_between(0, 1),
    "between open": i.is_between(-5, 5, closed="left"),
    "choice": pl.when(b).then(i).otherwise(0),
    "choice of literals": pl.when(f > 0).then(1).otherwise(0),
    "choice of floats": pl.when(f > 0).then(1).otherwise(0.5),
    "choice of three": pl.when(i > 3).then(pl.lit("many")).when(i > 0).then(pl.lit("some")).otherwise(pl.lit(None)),
    "filled": f.fill_null(0),
    "filled integers": i.fill_null(-1),
    "first known": pl.coalesce(f, g),
    "no nan": f.fill_nan(None),
    "clipped": f.clip(0, 1),
    "clipped integers": i.clip(-3, 3),
    "clipped below": f.clip(lower_bound=0),
    "log1p": f.log1p(),
    "log": f.log(),
    "log10": f.log(10),
    "log of integer": i.log1p(),
    "exp": f.exp(),
    "root": f.sqrt(),
    "square": f**2,
    "half power": f**0.5,
    "absolute": f.abs() + i.abs(),
    "negative": -i,
    "floor": f.floor(),
    "ceiling": f.ceil(),
    "as number": i.cast(pl.Float64) + b.cast(pl.Float64),
    "as integer": b.cast(pl.Int8),
    "wider": t.dt.hour().cast(pl.Int32) * 60 + t.dt.minute().cast(pl.Int32),
    "lower": s.str.to_lowercase(),
    "upper": s.str.to_uppercase(),
    "characters": s.str.len_chars(),
    "bytes": s.str.len_bytes(),
    "starts": s.str.starts_with("a"),
    "ends": s.str.ends_with("b"),
    "contains": s.str.contains("ab", literal=True),
    "route": pl.concat_str([s, u], separator="-"),
    "text sum": s + "/" + u,
    "is in text": s.is_in(["a", "b"]),
    "literal": pl.lit(1),
}
LEFT_TO_POLARS: dict[str, pl.Expr] = {
    "pattern": s.str.contains("a.*b"),
    "replaced": s.str.replace("a", "b"),
    "rounded": f.round(2),
    "narrowed": i.cast(pl.Int8),
    "greatest": pl.max_horizontal(f, g),
}

_integers = st.one_of(st.none(), st.integers(-100, 100), st.integers(-(2**63) + 1, 2**63 - 1))
_numbers = st.one_of(
    st.none(), st.sampled_from([0.0, -0.0, 1.0, math.nan, math.inf, -math.inf]), st.floats(-1e6, 1e6), st.floats()
)
_texts = st.one_of(st.none(), st.sampled_from(["", "a", "ab", "x", "Straße", "ÀÉ"]), st.text("abAB éß日", max_size=4))
_instants = st.one_of(
    st.none(),
    st.datetimes(datetime(1950, 1, 1), datetime(2100, 1, 1)).map(lambda value: value.replace(tzinfo=UTC)),  # noqa: DTZ001
)
_dates = st.one_of(st.none(), st.dates(date(1950, 1, 1), date(2100, 1, 1)))
_values: dict[FieldType, Any] = {
    "integer": _integers,
    "number": _numbers,
    "string": _texts,
    "boolean": st.one_of(st.none(), st.booleans()),
    "instant": _instants,
    "date": _dates,
}
_rows = st.lists(st.fixed_dictionaries({name: _values[kind] for name, kind in FIELDS.items()}), min_size=1, max_size=8)


def the_schema(*exprs: pl.Expr) -> InputSchema:
    found = recorder.record(lambda frame: frame.select(**{f"o{n}": e for n, e in enumerate(exprs)}), FIELDS)
    assert found is not None
    texts = tuple(found.values())
    part = Computation(name="part", outputs=tuple(found), expressions=texts, lists=recorder.literal_lists(texts))
    return InputSchema(
        model="m",
        task="regression",
        request=tuple(RequestField(name=name, type=kind) for name, kind in FIELDS.items()),
        event_time="",
        lookups=(),
        computations=(part,),
        columns=(),
    )


@pytest.mark.parametrize("name", COMPILED)
@settings(max_examples=40, deadline=None)
@given(rows=_rows)
def test_a_compiled_expression_answers_as_polars_does(name: str, rows: list[dict[str, Any]]) -> None:
    schema = the_schema(COMPILED[name])
    (compute,) = compile_computation(schema.computations[0], schema).values()
    frame = pl.DataFrame(rows, schema={field: TYPES[kind] for field, kind in FIELDS.items()})
    expected = frame.select(COMPILED[name].alias("o"))["o"].to_list()
    expected = expected * (len(rows) // len(expected))
    for row, answer in zip(rows, expected, strict=True):
        assert same(compute(row), answer), (row, compute(row), answer)


@pytest.mark.parametrize("name", COMPILED)
def test_the_compiler_knows_polars_types(name: str) -> None:
    schema = the_schema(COMPILED[name])
    assert same_types(schema.computations[0], schema)


@pytest.mark.parametrize("name", LEFT_TO_POLARS)
def test_what_is_unknown_is_left_to_polars(name: str, caplog: pytest.LogCaptureFixture) -> None:
    schema = the_schema(LEFT_TO_POLARS[name])
    with pytest.raises(Untranslatable):
        compile_computation(schema.computations[0], schema)
    rows = pl.DataFrame([{"i": 1, "f": 0.5, "s": "ab"}], schema={n: TYPES[k] for n, k in FIELDS.items()})
    assert prove_computations(schema, rows) == {"part": "polars"}
    (line,) = caplog.messages
    assert line.startswith("model m: on-demand part is not compiled and takes about 0.5 ms a row: "), line


@pytest.mark.parametrize(
    "expression", [f.mean(), f.shift(1), f.cum_sum(), f.map_elements(lambda x: x, return_dtype=pl.Float64), f.over(s)]
)
def test_only_what_a_row_says_of_itself_is_written_down(expression: pl.Expr) -> None:
    assert recorder.record(lambda frame: frame.select(x=expression), FIELDS) is None


def test_polars_json_that_carries_python_is_refused() -> None:
    text = f.map_elements(lambda x: x, return_dtype=pl.Float64).meta.serialize(format="json")
    with pytest.raises(UntrustedPackageError, match="AnonymousFunction"):
        stored.require_harmless(text, place="here")


def test_an_absent_field_is_null() -> None:
    tree = json.loads((f + 1).meta.serialize(format="json"))
    assert ExpressionCompiler(FIELDS, {}).settled(tree)[0]({}) is None
