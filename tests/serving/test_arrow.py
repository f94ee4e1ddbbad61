"""Arrow tables as callers send them, and as attackers do."""

from __future__ import annotations

import io
import json
import random
import struct
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.serving.orders import Shop
from tests.serving.process import MAX_BODY_BYTES, MAX_ROWS, Service, running

from everfit.core.errors import InvalidRequestError, RequestTooLargeError
from everfit.serving.protocols.arrow.reader import read_table
from everfit.serving.protocols.arrow.writer import write_table

STREAM = "application/vnd.apache.arrow.stream"
FILE = "application/vnd.apache.arrow.file"


def ipc(frame: pl.DataFrame, *, is_file: bool = False, compression: Any = "uncompressed", old: bool = False) -> bytes:
    file = io.BytesIO()
    write = frame.write_ipc if is_file else frame.write_ipc_stream
    write(file, compression=compression, compat_level=pl.CompatLevel.oldest() if old else pl.CompatLevel.newest())
    return file.getvalue()


def ask(service: Service, body: bytes, content_type: str = STREAM, accept: str = "*/*") -> httpx.Response:
    headers = {"content-type": content_type, "accept": accept}
    return httpx.post(f"{service.url}/predict/late", content=body, headers=headers, timeout=30)


def requests_of(shop: Shop) -> pl.DataFrame:
    return shop.frame.select(field.name for field in shop.schema.request)


@pytest.mark.parametrize("is_file", [False, True])
@pytest.mark.parametrize("old", [False, True])
def test_a_table_is_answered_in_json(service: Service, shop: Shop, is_file: bool, old: bool) -> None:
    body = ipc(requests_of(shop).head(300), is_file=is_file, old=old)
    answer = ask(service, body, FILE if is_file else STREAM)
    assert answer.status_code == 200, answer.text
    np.testing.assert_allclose(answer.json()["predictions"], shop.native[:300], atol=1e-9)


def test_a_table_is_answered_by_a_table(service: Service, shop: Shop) -> None:
    answer = ask(service, ipc(requests_of(shop).head(300)), accept=f"{STREAM}, application/json;q=0.5")
    assert answer.headers["content-type"] == STREAM
    found = pl.read_ipc_stream(io.BytesIO(answer.content))
    assert found.schema == {"id": pl.String, "version": pl.Int64, "prediction": pl.Float64}
    assert found["id"].n_unique() == 300
    np.testing.assert_allclose(found["prediction"].to_numpy(), shop.native[:300], atol=1e-9)


def test_types_that_lose_nothing(service: Service, shop: Shop) -> None:
    frame = requests_of(shop).head(200)
    other = frame.with_columns(
        pl.col("shop").cast(pl.Categorical),
        pl.col("kind").cast(pl.UInt8),
        pl.col("ordered_at").dt.cast_time_unit("ns").dt.convert_time_zone("Asia/Tokyo"),
        pl.col("wanted_on").cast(pl.String),
    ).select(reversed(frame.columns))
    assert ask(service, ipc(other)).json()["predictions"] == ask(service, ipc(frame)).json()["predictions"]
    gaps = frame.with_columns(pl.lit(None).alias("express"), pl.col("kind").cast(pl.Float32))
    assert ask(service, ipc(gaps)).status_code == 200


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (pl.col("ordered_at").dt.replace_time_zone(None), "column ordered_at: must have a time zone"),
        (pl.col("kind") + 0.5, "inputs[0].kind: must hold integers of 64 bits, and lose nothing by it"),
        (pl.lit("heavy").alias("weight kg"), "inputs.weight kg: must hold finite numbers, but got 'utf8_view'"),
        (pl.lit(float("inf")).alias("weight kg"), "must be a finite number or null"),
        (pl.lit(2**53 + 1).alias("weight kg"), "lose nothing by it"),
        (pl.lit(timedelta(1)).alias("kind"), "column kind: must be a column of numbers, text"),
        (pl.concat_list("kind").alias("kind"), "column kind: must be a column of numbers, text"),
        (pl.lit(datetime(2026, 1, 1, tzinfo=UTC)).alias("wanted_on"), "inputs.wanted_on: must hold dates"),
        (pl.lit("soon").alias("wanted_on"), "inputs[0].wanted_on: must be a date such as"),
        (pl.lit(1).alias("colour"), "inputs.colour: must not be given"),
    ],
)
def test_types_that_would_lose_something(service: Service, shop: Shop, change: pl.Expr, words: str) -> None:
    answer = ask(service, ipc(requests_of(shop).head(1).with_columns(change)))
    assert answer.status_code == 422
    assert words in answer.json()["error"]["message"]


def test_absent_columns_too_many_rows_and_compression(service: Service, shop: Shop) -> None:
    frame = requests_of(shop)
    absent = ask(service, ipc(frame.head(3).drop("kind")))
    assert absent.status_code == 422
    assert absent.json()["error"]["field"] == "inputs.kind"
    assert ask(service, ipc(frame.head(MAX_ROWS + 1))).status_code == 413
    assert ask(service, ipc(frame.head(0))).status_code == 422
    squeezed = ask(service, ipc(frame.head(3), compression="zstd"))
    assert squeezed.status_code == 422
    assert "must not be compressed" in squeezed.json()["error"]["message"]
    assert ask(service, ipc(frame.head(3), is_file=True)).status_code == 422
    assert ask(service, ipc(frame.head(3)), FILE).status_code == 422


def test_neither_way_loads_polars(shop: Shop) -> None:
    """What the service itself never loads: importing it would stop the event loop for a second."""
    with running(shop.folder) as own:
        answer = ask(own, ipc(requests_of(shop).head(3)), accept=STREAM)
        assert answer.headers["content-type"] == STREAM
        _, modules, _ = own.stop()
    assert not {"polars", "pyarrow", "pandas"} & modules


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(), st.integers(-(2**63), 2**63 - 1), st.none() | st.floats(allow_nan=False))))
def test_polars_and_the_reader_read_what_is_written(rows: list[tuple[str, int, float | None]]) -> None:
    columns = {name: [row[place] for row in rows] for place, name in enumerate(("id", "version", "prédiction"))}
    body = write_table(columns)
    frame = pl.read_ipc_stream(io.BytesIO(body))
    assert frame.to_dict(as_series=False) == columns
    assert not rows or list(frame.schema.values()) == [pl.String, pl.Int64, pl.Float64]
    found = read_table(body, is_file=False, max_rows=1_000)
    assert {name: list(own.values) for name, own in found.items()} == columns


KINDS: dict[str, Any] = {
    "text": pl.String,
    "chosen": pl.Categorical,
    "small": pl.Int8,
    "large": pl.UInt64,
    "single": pl.Float32,
    "double": pl.Float64,
    "truth": pl.Boolean,
    "instant": pl.Datetime("ms", "UTC"),
    "day": pl.Date,
    "nothing": pl.Null,
}
ROWS = st.fixed_dictionaries(
    {
        "text": st.none() | st.text(max_size=30),
        "chosen": st.none() | st.sampled_from(["red", "green", "a colour with a long name"]),
        "small": st.none() | st.integers(-128, 127),
        "large": st.none() | st.integers(0, 2**64 - 1),
        "single": st.none() | st.floats(width=32, allow_nan=False),
        "double": st.none() | st.floats(allow_nan=False),
        "truth": st.none() | st.booleans(),
        "instant": st.none() | st.datetimes().map(lambda at: at.replace(microsecond=0, tzinfo=UTC)),
        "day": st.none() | st.dates(),
        "nothing": st.none(),
    }
)


@settings(deadline=None, max_examples=100)
@given(rows=st.lists(ROWS, max_size=20), is_file=st.booleans(), old=st.booleans(), cut=st.integers(0, 10))
def test_it_reads_what_polars_writes(rows: list[dict[str, Any]], is_file: bool, old: bool, cut: int) -> None:
    frame = pl.DataFrame(rows, schema=KINDS).slice(cut)
    found = read_table(ipc(frame, is_file=is_file, old=old), is_file=is_file, max_rows=20)
    assert {name: list(each.values) for name, each in found.items()} == frame.to_dict(as_series=False)


def test_what_no_python_value_can_be() -> None:
    late = pl.DataFrame({"at": [2**62]}).select(pl.col("at").cast(pl.Datetime("ms", "UTC")))
    fine = pl.DataFrame({"at": [1]}).select(pl.col("at").cast(pl.Datetime("ns", "UTC")))
    for frame in (late, fine, pl.DataFrame({"at": [2**31 - 1]}).select(pl.col("at").cast(pl.Int32).cast(pl.Date))):
        with pytest.raises(InvalidRequestError):
            read_table(ipc(frame), is_file=False, max_rows=20)


FRAME = pl.DataFrame(
    {
        "text": ["a", None, "a text of more than twelve bytes"],
        "chosen": ["red", None, "red"],
        "number": [1.5, None, 2.0],
        "truth": [True, None, False],
        "instant": [datetime(2026, 1, 1, tzinfo=UTC)] * 3,
        "day": [date(2026, 1, 1), None, date(2026, 1, 2)],
    },
    schema_overrides={"chosen": pl.Categorical},
)


def mutated(body: bytes, seed: int) -> bytes:
    """The body with a few bytes changed, and perhaps cut."""
    dice = random.Random(seed)
    changed = bytearray(body)
    for _ in range(dice.choice([1, 1, 2, 4, 20])):
        place = dice.randrange(len(changed))
        changed[place] = dice.choice([0, 1, 127, 128, 255, dice.randrange(256)])
    if dice.random() < 0.2:
        place = dice.randrange(0, len(changed) - 8)
        struct.pack_into("<q", changed, place, dice.choice([-1, 2**31, 2**40, -(2**63), 2**63 - 1]))
    if dice.random() < 0.1:
        del changed[dice.randrange(len(changed)) :]
    return bytes(changed)


@pytest.mark.parametrize("is_file", [False, True])
@pytest.mark.parametrize("old", [False, True])
def test_changed_bytes_are_read_or_refused(is_file: bool, old: bool) -> None:
    body = ipc(FRAME, is_file=is_file, old=old)
    refused = 0
    for seed in range(4_000):
        try:
            read_table(mutated(body, seed), is_file=is_file, max_rows=100)
        except (InvalidRequestError, RequestTooLargeError):
            refused += 1
    assert 500 < refused < 4_000


@settings(deadline=None)
@given(st.binary(max_size=400), st.booleans())
def test_any_bytes_are_refused(body: bytes, is_file: bool) -> None:
    for each in (body, b"ARROW1\0\0" + body + b"ARROW1", b"\xff\xff\xff\xff" + body):
        with pytest.raises(InvalidRequestError):
            read_table(each, is_file=is_file, max_rows=100)


def test_the_service_survives_them(service: Service, shop: Shop) -> None:
    body = ipc(requests_of(shop).head(20))
    with httpx.Client(base_url=service.url, timeout=30, headers={"content-type": STREAM}) as client:
        statuses = {client.post("/predict/late", content=mutated(body, seed)).status_code for seed in range(300)}
        assert statuses <= {200, 413, 422}
        assert client.post("/predict/late", content=body).status_code == 200


def test_small_bodies_never_become_much() -> None:
    """Texts that share their bytes would be multiplied."""
    long = "x" * 10_000
    body = bytearray(ipc(pl.DataFrame({"text": [long, "y" * 10_000]})))
    assert len(body) < MAX_BODY_BYTES
    first = struct.pack("<i4sii", 10_000, b"xxxx", 0, 0)
    place = body.index(first)
    # The second text now shares all but one of the first one's bytes, which are charged twice.
    body[place + 16 : place + 32] = struct.pack("<i4sii", 20_000, b"xxxx", 0, 0)
    with pytest.raises(InvalidRequestError, match="must not overlap"):
        read_table(bytes(body), is_file=False, max_rows=100)


def test_answers_of_classes_are_a_column_each() -> None:
    found = pl.read_ipc_stream(io.BytesIO(write_table({"id": ["a"], "prediction.x": [0.25], "prediction.y": [None]})))
    assert json.loads(found.write_json()) == [{"id": "a", "prediction.x": 0.25, "prediction.y": None}]
