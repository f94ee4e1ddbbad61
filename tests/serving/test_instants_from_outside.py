"""One rule for event times and known times, in every protocol: refused with the rule, or taken; never a crash."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.serving.orders import NOW, ROW, Shop

from everfit.core.instants import AHEAD, EARLIEST, END, END_DAY, broken_rule
from everfit.serving.http.connection import HttpRequest
from everfit.serving.http.responses import Response
from everfit.serving.worker import Worker

SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
INSTANTS = st.datetimes(
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-12, minutes=-34))])
)
KINDS = {str: "BYTES", bool: "BOOL", int: "INT64", float: "FP64"}
LOOP = asyncio.new_event_loop()
"""One loop for all requests, as the service has."""
EXTREMES = [
    datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
    datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))),
    EARLIEST,
    EARLIEST - timedelta(microseconds=1),
    END,
    END - timedelta(microseconds=1),
    NOW + AHEAD,
    NOW + AHEAD + timedelta(microseconds=1),
]


def examples(test: Any) -> Any:
    for extreme in EXTREMES:
        test = example(extreme)(test)
    return test


@pytest.fixture(scope="module")
def worker(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    import shutil
    from dataclasses import replace

    folder = tmp_path_factory.mktemp("instants") / "shop"
    shutil.copytree(shop.folder, folder, ignore=shutil.ignore_patterns("journal", "workers"))
    worker = replace(shop, folder=Path(folder)).worker()
    yield worker
    worker._close()
    LOOP.close()


def ask(worker: Worker, path: str, body: Any, content_type: str = "application/json") -> tuple[int, Any]:
    async def answer() -> Response:
        whole = body if isinstance(body, bytes) else json.dumps(body).encode()
        reply = worker.app.handle(HttpRequest("POST", path, b"", [(b"content-type", content_type.encode())], whole))
        return reply if isinstance(reply, Response) else await reply

    reply = LOOP.run_until_complete(answer())
    return reply.status, msgspec.json.decode(reply.body)


def protocols(row: dict[str, Any]) -> Iterator[tuple[str, Any, str]]:
    yield "/predict/late", {"inputs": row}, "application/json"
    tensors = [{"name": n, "shape": [1], "datatype": KINDS[type(v)], "data": [v]} for n, v in row.items()]
    yield "/v2/models/late/infer", {"inputs": tensors}, "application/json"
    yield "/invocations", {"dataframe_records": [row]}, "application/json"
    cells = [str(value).lower() if isinstance(value, bool) else str(value) for value in row.values()]
    yield "/invocations", f"{','.join(row)}\n{','.join(cells)}".encode(), "text/csv"
    table = pl.DataFrame([row])
    yield "/predict/late", arrow(table), "application/vnd.apache.arrow.stream"


def arrow(table: pl.DataFrame) -> bytes:
    stream = io.BytesIO()
    table.write_ipc_stream(stream, compat_level=pl.CompatLevel.oldest())
    return stream.getvalue()


@SETTINGS
@given(INSTANTS)
@examples
def test_the_event_time_of_a_prediction(worker: Worker, instant: datetime) -> None:
    row = ROW | {"ordered_at": instant.isoformat()}
    expected = 200 if EARLIEST <= instant < END else 422
    for path, body, kind in protocols(row):
        status, said = ask(worker, path, body, kind)
        assert status == expected, (path, kind, said)
        if expected == 422:
            assert "ordered_at" in json.dumps(said)


@SETTINGS
@given(st.integers(-(2**63) + 1, 2**63 - 1), st.sampled_from(["ns", "us", "ms"]))
@example(2**63 - 1, "ms")
@example(-(2**62), "us")
@example(1_000_000_000_001, "ns")
def test_an_arrow_column_of_any_count(worker: Worker, count: int, unit: Any) -> None:
    scale = {"ns": 1e9, "us": 1e6, "ms": 1e3}[unit]
    column = pl.Series("ordered_at", [count]).cast(pl.Datetime(unit, "UTC"))
    table = pl.DataFrame([ROW | {"ordered_at": None}]).with_columns(column, pl.col("wanted_on").str.to_date())
    status, said = ask(worker, "/predict/late", arrow(table), "application/vnd.apache.arrow.stream")
    seconds = count / scale
    if abs(seconds) > 1e10 or (unit == "ns" and count % 1000):  # instants are counted in microseconds
        assert status == 422, said
    elif 1 < seconds < 7_289_000_000:
        assert status == 200, said
    assert status in {200, 422}


@SETTINGS
@given(st.dates())
@example(date.min)
@example(date.max)
def test_any_other_date_is_a_feature(worker: Worker, day: date) -> None:
    for path, body, kind in protocols(ROW | {"wanted_on": day.isoformat()}):
        assert ask(worker, path, body, kind)[0] == 200, (path, kind, day)


@pytest.mark.parametrize(
    "text",
    ["0000-01-01T00:00:00Z", "2026-01-05T12:00:00", "2026-06-30T23:59:60Z", "-0001-01-01T00:00:00Z", "now", "",
     "2026-01-05T12:00:00+99:00", "10000-01-01T00:00:00Z", "2026-02-30T00:00:00Z", "1e400"],
)  # fmt: skip
def test_what_is_no_instant(worker: Worker, text: str) -> None:
    for path, body, kind in protocols(ROW | {"ordered_at": text}):
        if kind != "text/csv" or text:  # an empty cell is a missing value
            assert ask(worker, path, body, kind)[0] == 422, (path, kind)
    assert ask(worker, "/outcomes/late", {"id": "x", "value": True, "known_at": text})[0] == 422
    pushed = {"shop": "shop-7", "event_time": text, "stars": 1.0, "chain": "chain-1"}
    assert ask(worker, "/features/rating", {"rows": [pushed]})[0] == 422


@SETTINGS
@given(INSTANTS)
@examples
def test_what_claims_to_have_happened(worker: Worker, instant: datetime) -> None:
    expected = 200 if EARLIEST <= instant <= NOW + AHEAD else 422
    text = instant.isoformat()
    rows = [
        {"shop": "shop-9", "event_time": text, "stars": 1.0, "chain": "chain-1"},
        {"shop": "shop-9", "event_time": NOW.isoformat(), "created": text, "stars": 1.0, "chain": "chain-1"},
    ]
    asked = [("/outcomes/late", {"id": "x", "value": True, "known_at": text})]
    asked += [("/features/rating", {"rows": [row]}) for row in rows]
    for path, body in asked:
        status, said = ask(worker, path, body)
        assert status == expected, (path, said)
        if expected == 422:
            rule = "years 1970 to 2200" if not EARLIEST <= instant < END else "at most 5 minutes ahead"
            assert rule in said["error"]["message"]


def test_a_row_of_the_future_that_is_online_already_makes_way(worker: Worker, shop: Shop) -> None:
    online = worker.data_plane._online
    us = 1_000_000
    now_us = worker.data_plane.now_us()
    rating = online.state("rating")
    assert rating is not None
    online.write_columns(rating, [["shop-77"]], [4_000_000_000 * us], [now_us], [[0.1], ["chain-1"]])
    pushed = {"shop": "shop-77", "event_time": (NOW - timedelta(hours=1)).isoformat(), "stars": 2.5, "chain": "chain-2"}
    asked = ROW | {"shop": "shop-77", "ordered_at": NOW.isoformat()}
    assert "rating" in ask(worker, "/predict/late", {"inputs": asked})[1]["missing"]
    assert ask(worker, "/features/rating", {"rows": [pushed]}) == (200, {"rows": 1, "written": 1})
    assert "missing" not in ask(worker, "/predict/late", {"inputs": asked})[1]
    older = pushed | {"event_time": (NOW - timedelta(hours=2)).isoformat()}
    assert ask(worker, "/features/rating", {"rows": [older]}) == (200, {"rows": 1, "written": 0})


def test_the_rule_itself() -> None:
    now_us = 1_700_000_000_000_000
    assert broken_rule(now_us + 300_000_000, now_us=now_us) == ""
    assert "5 minutes" in broken_rule(now_us + 300_000_001, now_us=now_us)
    assert "1970 to 2200" in broken_rule(-1, now_us=now_us)
    assert date(2201, 1, 1) == END_DAY
