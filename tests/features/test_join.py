"""The join against a reference that says the rule in plain Python."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everfit.core.errors import SourceError, TimestampError
from everfit.features.join import ViewRows, point_in_time_join

ORIGIN = datetime(2024, 1, 1, tzinfo=UTC)
INSTANT = pl.Datetime("us", "UTC")
KEYS: dict[str, tuple[pl.DataType, Sequence[Any]]] = {
    "text": (pl.String(), ["a", "b", "", "ä", None]),
    "number": (pl.Int32(), [-1, 0, 7, 2**31 - 1, None]),
    "unsigned": (pl.UInt64(), [0, 1, 2**64 - 1, None]),
    "day": (pl.Date(), [date(1969, 12, 31), date(2024, 2, 29), None]),
}
# Few instants, so that ties, ttl edges and equal known times are common; one microsecond sits beside an edge.
MOMENTS = st.sampled_from([None, 0, 1, 59_999_999, 60_000_000, 60_000_001, 120_000_000, 180_000_000])
VALUES = st.sampled_from([None, -1.5, 0.0, 2.0, float("nan")])


def _instant(offset_us: int | None) -> datetime | None:
    return None if offset_us is None else ORIGIN + timedelta(microseconds=offset_us)


def _value_rank(value: Any) -> tuple[int, Any]:
    """Nulls first, NaN last: the order that decides full ties."""
    if value is None:
        return (0, 0)
    return (2, 0) if value != value else (1, value)


def reference(
    events: Sequence[tuple[tuple[Any, ...], datetime | None]], rows: Sequence[dict[str, Any]], *, ttl: timedelta
) -> list[tuple[Any, Any]]:
    """The rule, row by row: ``rows`` have ``key``, ``event``, ``known`` and ``values``."""
    answers = []
    for key, moment in events:
        seen = [
            row
            for row in rows
            if moment is not None
            and None not in key
            and row["key"] == key
            and row["event"] is not None
            and row["known"] is not None
            and moment - ttl <= row["event"] <= moment
            and row["known"] <= moment
        ]
        best = max(seen, key=lambda row: (row["event"], row["known"], *map(_value_rank, row["values"])), default=None)
        answers.append((None, None) if best is None else best["values"])
    return answers


@st.composite
def problems(draw: st.DrawFn) -> dict[str, Any]:
    kinds = draw(st.lists(st.sampled_from(sorted(KEYS)), min_size=1, max_size=2, unique=True))
    key = st.tuples(*(st.sampled_from(KEYS[kind][1]) for kind in kinds))
    return {
        "kinds": kinds,
        "ttl": timedelta(microseconds=draw(st.sampled_from([1, 60_000_000, 120_000_000, 10**12]))),
        "created": draw(st.booleans()),
        "in_order": draw(st.booleans()),
        "batch_rows": draw(st.sampled_from([1, 2, 5, 1_000])),
        "events": draw(st.lists(st.tuples(key, MOMENTS), max_size=12)),
        "rows": draw(st.lists(st.tuples(key, MOMENTS, MOMENTS, VALUES, VALUES), max_size=25)),
    }


@settings(max_examples=300, deadline=None)
@given(problems())
def test_it_is_the_reference_whatever_the_data(problem: dict[str, Any]) -> None:
    kinds, created = problem["kinds"], problem["created"]
    key_types: dict[str, pl.DataType] = {kind: KEYS[kind][0] for kind in kinds}
    events = pl.DataFrame(
        [(index, *key, _instant(at)) for index, (key, at) in enumerate(problem["events"])],
        schema={"n": pl.Int64(), **key_types, "t": INSTANT},
        orient="row",
    )
    rows = pl.DataFrame(
        [(*key, _instant(at), _instant(known), x, y) for key, at, known, x, y in problem["rows"]],
        schema={**key_types, "at": INSTANT, "known": INSTANT, "x": pl.Float64(), "y": pl.Float64()},
        orient="row",
    )
    rows = rows.sort("at", "known", nulls_last=False) if problem["in_order"] else rows
    view = ViewRows(
        name="v",
        rows=rows.lazy(),
        keys=kinds,
        time="at",
        created="known" if created else None,
        features=["x", "y"],
        ttl=problem["ttl"],
    )
    joined = point_in_time_join(events, [view], time="t", batch_rows=problem["batch_rows"])

    assert joined.columns == [*events.columns, "v.x", "v.y"]
    assert joined.select(events.columns).equals(events)
    expected = reference(
        [(key, _instant(at)) for key, at in problem["events"]],
        [
            {"key": key, "event": _instant(at), "known": _instant(known if created else at), "values": (x, y)}
            for key, at, known, x, y in problem["rows"]
        ],
        ttl=problem["ttl"],
    )
    wanted = pl.DataFrame(expected, schema={"v.x": pl.Float64, "v.y": pl.Float64}, orient="row")
    assert joined.select("v.x", "v.y").equals(wanted)


@settings(max_examples=60, deadline=None)
@given(problems(), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(problem: dict[str, Any], random: Any) -> None:
    schema: dict[str, Any] = {"k": pl.String, "at": INSTANT, "known": INSTANT, "x": pl.Float64, "y": pl.Float64}
    rows = [("k", _instant(at), _instant(known), x, y) for _, at, known, x, y in problem["rows"]]
    shuffled = random.sample(rows, len(rows))
    events = pl.DataFrame(
        {"k": "k", "t": [_instant(at) for _, at in problem["events"]]}, schema={"k": pl.String, "t": INSTANT}
    )
    first, second = (
        point_in_time_join(events, [_view(pl.DataFrame(order, schema=schema, orient="row"))], time="t")
        for order in (rows, shuffled)
    )
    assert first.equals(second)


def _view(rows: pl.DataFrame, **changes: Any) -> ViewRows:
    arguments: dict[str, Any] = {
        "name": "v",
        "rows": rows.lazy(),
        "keys": ["k"],
        "time": "at",
        "created": "known",
        "features": ["x"],
        "ttl": timedelta(hours=1),
    }
    return ViewRows(**{**arguments, **changes})


def _rows(*rows: tuple[Any, datetime, datetime, float | None]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"k": pl.String, "at": INSTANT, "known": INSTANT, "x": pl.Float64}, orient="row")


def _ask(*moments: datetime, key: str = "a") -> pl.DataFrame:
    return pl.DataFrame({"k": [key] * len(moments), "t": list(moments)}, schema={"k": pl.String, "t": INSTANT})


def test_a_late_correction_does_not_reach_back() -> None:
    at, hour = ORIGIN, timedelta(hours=1)
    rows = _rows(("a", at, at, 1.0), ("a", at, at + hour / 2, 2.0))
    joined = point_in_time_join(_ask(at + hour / 4, at + hour / 2, at + hour), [_view(rows)], time="t")
    assert joined["v.x"].to_list() == [1.0, 2.0, 2.0]


def test_a_row_known_late_does_not_hide_a_newer_one() -> None:
    minute = timedelta(minutes=1)
    rows = _rows(("a", ORIGIN, ORIGIN + 10 * minute, 1.0), ("a", ORIGIN + 5 * minute, ORIGIN + 5 * minute, 2.0))
    joined = point_in_time_join(_ask(ORIGIN + 10 * minute), [_view(rows)], time="t")
    assert joined["v.x"].to_list() == [2.0]


def test_both_ends_of_the_ttl_count() -> None:
    hour, tick = timedelta(hours=1), timedelta(microseconds=1)
    joined = point_in_time_join(
        _ask(ORIGIN - tick, ORIGIN, ORIGIN + hour, ORIGIN + hour + tick),
        [_view(_rows(("a", ORIGIN, ORIGIN, 1.0)))],
        time="t",
    )
    assert joined["v.x"].to_list() == [None, 1.0, 1.0, None]


def test_a_null_in_the_newest_row_stays() -> None:
    rows = _rows(("a", ORIGIN, ORIGIN, 1.0), ("a", ORIGIN + timedelta(seconds=1), ORIGIN, None))
    events = pl.concat([_ask(ORIGIN + timedelta(minutes=1)), _ask(ORIGIN, key="unknown")])
    joined = point_in_time_join(events, [_view(rows)], time="t")
    assert joined["v.x"].to_list() == [None, None]


def test_a_date_is_its_midnight_and_other_units_are_exact() -> None:
    rows = pl.DataFrame({"k": ["a"], "at": [date(2024, 1, 1)], "x": [3]})
    events = pl.DataFrame({"k": ["a", "a"], "t": [ORIGIN, ORIGIN - timedelta(milliseconds=1)]}).with_columns(
        pl.col("t").dt.cast_time_unit("ms").dt.convert_time_zone("Asia/Tokyo")
    )
    joined = point_in_time_join(events, [_view(rows, created=None)], time="t")
    assert joined["v.x"].to_list() == [3, None]
    assert joined.select("k", "t").equals(events)


def test_several_views_and_types_of_features() -> None:
    rows = pl.DataFrame({"k": [1], "at": [ORIGIN], "x": ["text"], "flag": [True], "day": [date(2024, 1, 1)]})
    events = pl.DataFrame({"k": [2, 1], "t": [ORIGIN, ORIGIN]}, schema={"k": pl.UInt8, "t": INSTANT})
    views = [_view(rows, name=name, created=None, features=["day", "x", "flag"]) for name in ("first", "second")]
    joined = point_in_time_join(events, views, time="t")
    assert joined.row(0)[2:] == (None,) * 6
    assert joined.row(1)[2:] == (date(2024, 1, 1), "text", True) * 2


def test_keys_of_different_kinds_are_refused() -> None:
    rows = pl.DataFrame({"k": [1], "at": [ORIGIN], "x": [1.0]})
    with pytest.raises(SourceError, match="the key k must have one type, but it is String among the events and Int64"):
        point_in_time_join(_ask(ORIGIN), [_view(rows, created=None)], time="t")


def test_naive_event_times_are_refused() -> None:
    events = _ask(ORIGIN).with_columns(pl.col("t").dt.replace_time_zone(None))
    with pytest.raises(TimestampError, match="t must be an instant with a time zone"):
        point_in_time_join(events, [_view(_rows())], time="t")


def test_a_missing_column_is_named_with_its_neighbours() -> None:
    with pytest.raises(SourceError, match=r"'xx'.*Did you mean 'x'"):
        point_in_time_join(_ask(ORIGIN), [_view(_rows(), features=["xx"])], time="t")


@pytest.mark.parametrize("keys", [20, 3_000])
@pytest.mark.parametrize("created", [None, "known"])
@pytest.mark.parametrize("text", [False, True])
def test_rows_in_the_order_of_time_give_what_shuffled_ones_do(keys: int, created: str | None, *, text: bool) -> None:
    """Rows are left out by blocks and batches where they are in order; nowhere else."""
    count, asked = 40_000, 3_000
    key = (pl.int_range(pl.len()) * 7919) % keys
    rows = pl.select(n=pl.int_range(count)).select(
        (key.cast(pl.String) if text else key).alias("k"),
        # Seven rows have one time, and some of them one key and different values.
        (pl.lit(ORIGIN) + pl.duration(seconds=pl.col("n") // 7 * 3)).alias("at"),
        (pl.lit(ORIGIN) + pl.duration(seconds=pl.col("n") // 7 * 3 + 60)).alias("known"),
        pl.col("n").alias("x"),
    )
    rows = pl.concat([rows, rows.with_columns(pl.col("x") + 1)]).sort("at", maintain_order=True)
    events = pl.select(n=pl.int_range(asked)).select(
        ((pl.col("n") * 31) % keys).cast(rows.schema["k"]).alias("k"),
        (pl.lit(ORIGIN) + pl.duration(seconds=(pl.col("n") * 263) % 18_000 - 100)).alias("t"),
    )
    shuffled = rows.sample(fraction=1, shuffle=True, seed=3)
    expected = point_in_time_join(events, [_view(shuffled, created=created)], time="t")
    assert 0 < expected["v.x"].null_count() < asked
    for batch_rows in (700, 9_000, 1 << 20):
        joined = point_in_time_join(events, [_view(rows, created=created)], time="t", batch_rows=batch_rows)
        assert joined.equals(expected)


MEASURE = """
import sys
from datetime import timedelta
from pathlib import Path
import polars as pl
from everfit.features.join import ViewRows, point_in_time_join

def peak_mib():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024

folder, copies = Path(sys.argv[1]), int(sys.argv[2])
rows = pl.scan_parquet([folder / "rows.parquet"] * copies)
features = [f"x{index}" for index in range(8)]
view = ViewRows(name="v", rows=rows, keys=["k"], time="at", features=features, ttl=timedelta(days=9))
point_in_time_join(pl.read_parquet(folder / "events.parquet"), [view], time="t", batch_rows=1 << 17)
print(peak_mib())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
@pytest.mark.parametrize("in_order", [True, False])
def test_memory_does_not_grow_with_the_view(tmp_path: Path, *, in_order: bool) -> None:
    """Five times the rows, 640 MB more if they were held, take less than a third of that in addition."""
    count, asked = 250_000, 20_000
    at = pl.lit(ORIGIN) + pl.duration(seconds=pl.col("n"))
    n = pl.int_range(count, eager=True).alias("n")
    rows = pl.DataFrame(n if in_order else n.shuffle(seed=1))
    values = [((pl.col("n") * (7 + index)) % 1_000_003).cast(pl.Float64).alias(f"x{index}") for index in range(8)]
    rows.select((pl.col("n") % 1_000).alias("k"), at.alias("at"), *values).write_parquet(tmp_path / "rows.parquet")
    events = pl.select(n=pl.int_range(asked) * 12)
    events.select((pl.col("n") * 31 % 1_000).alias("k"), at.alias("t")).write_parquet(tmp_path / "events.parquet")

    def peak_mib(copies: int) -> float:
        command = [sys.executable, "-c", MEASURE, str(tmp_path), str(copies)]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    assert peak_mib(40) < peak_mib(8) + 200


def test_many_rows_equal_polars_own_asof_join() -> None:
    """More rows than one batch holds, against an implementation of which the tie-free case is known to be right."""
    count, asked = 1_300_000, 5_000
    rows = pl.select(
        k=(pl.int_range(count) * 7919) % 997,
        at=pl.lit(ORIGIN) + pl.duration(seconds=(pl.int_range(count) * 104_729) % count),
        x=pl.int_range(count),
    )
    events = pl.select(
        k=(pl.int_range(asked) * 31) % 1009, t=pl.lit(ORIGIN) + pl.duration(seconds=(pl.int_range(asked) * 263) % count)
    )
    joined = point_in_time_join(events, [_view(rows, created=None)], time="t")
    expected = (
        events.with_row_index()
        .sort("t")
        .join_asof(rows.sort("at"), left_on="t", right_on="at", by="k", tolerance="1h", check_sortedness=False)
    )
    assert joined["v.x"].to_list() == expected.sort("index")["x"].to_list()
    assert 0 < joined["v.x"].null_count() < asked
