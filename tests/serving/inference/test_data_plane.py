"""Served predictions are the estimator's own on the same row of history."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import UUID

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from tests.serving.orders import NOW, ROW, SHOPS, START, Shop, make_shop, request_of, trees

from everfit.core.clock import FixedClock
from everfit.core.errors import InvalidRequestError, NotReadyError, StoreError
from everfit.serving.inference.data_plane import DataPlane, PredictionResponse


def ask(data_plane: DataPlane, inputs: Any, **more: Any) -> PredictionResponse:
    variants = data_plane.variants("late")
    request = variants.decoder.decode(json.dumps({"inputs": inputs, **more}).encode())
    return data_plane.predict(variants, request, began_s=perf_counter())


def numbers(answer: PredictionResponse) -> NDArray[np.float64]:
    return np.array([list(each.values()) if isinstance(each, dict) else each for each in answer.predictions])


@pytest.mark.parametrize("name", ["shop", "boosted"])
def test_every_row_of_history_is_answered_as_the_estimator_does(name: str, request: pytest.FixtureRequest) -> None:
    shop: Shop = request.getfixturevalue(name)
    data_plane = shop.data_plane()
    rows = [request_of(row, shop.schema) for row in shop.frame.to_dicts()]
    together = ask(data_plane, rows)
    np.testing.assert_allclose(numbers(together), shop.native, atol=1e-9, rtol=0)
    alone = [ask(data_plane, row) for row in rows[:1000]]
    np.testing.assert_allclose(np.ravel([numbers(each) for each in alone]), shop.native[:1000], atol=1e-9, rtol=0)
    # Which rows lack a view is told alike: one by one, all at once, and in history.
    for view, features in (("rating", ["rating.stars", "rating.chain"]), ("demand", ["demand.open"])):
        lacking = set(together.missing[view])
        assert {place for place, each in enumerate(alone) if view in each.missing} == {p for p in lacking if p < 1000}
        empty = shop.frame.select(pl.all_horizontal(pl.col(features).is_null())).to_series()
        assert lacking == set(empty.arg_true().to_list())
        assert 0 < len(lacking) < len(rows)


def test_classes_are_named(tmp_path: Path) -> None:
    shop = make_shop(tmp_path / "shop", trees("multiclass"), "multiclass")
    answer = ask(shop.data_plane(), [request_of(row, shop.schema) for row in shop.frame.head(200).to_dicts()])
    np.testing.assert_allclose(numbers(answer), shop.native[:200], atol=1e-6)
    assert isinstance(answer.predictions[0], dict)
    assert list(answer.predictions[0]) == [str(each) for each in shop.schema.classes]


def test_without_an_event_time_the_clock_asks(tmp_path: Path) -> None:
    shop = make_shop(tmp_path / "shop", trees("regression"), "regression", asks_when=False)
    row = {key: value for key, value in ROW.items() if key != "ordered_at"}
    clock = FixedClock(START - timedelta(hours=1))
    data_plane = shop.data_plane(clock)
    assert ask(data_plane, row).missing == {"rating": [0], "demand": [0]}
    clock.instant = START + timedelta(days=1)
    assert ask(data_plane, row).missing == {}
    clock.instant = START + timedelta(days=20)
    assert ask(data_plane, row).missing == {"rating": [0]}
    assert isinstance(ask(data_plane, row).predictions[0], float)


def test_values_live_exactly_as_long_as_their_ttl(shop: Shop) -> None:
    data_plane = shop.data_plane()
    since = START + timedelta(hours=7)  # shop-7's rating: event time; it was known an hour later
    known = since + timedelta(hours=1)
    instants = {
        known - timedelta(microseconds=1): True,
        known: False,
        since + timedelta(days=5): False,
        since + timedelta(days=5, microseconds=1): True,
    }
    for at, is_missing in instants.items():
        for rows in ([ROW | {"ordered_at": at.isoformat()}], [ROW | {"ordered_at": at.isoformat()}] * 2):
            assert ("rating" in ask(data_plane, rows).missing) is is_missing, at


def test_a_null_key_or_event_time_finds_nothing(shop: Shop) -> None:
    data_plane = shop.data_plane()
    assert ask(data_plane, ROW).missing == {}
    assert ask(data_plane, ROW | {"shop": None}).missing == {"rating": [0], "demand": [0]}
    assert ask(data_plane, ROW | {"kind": None}).missing == {"demand": [0]}
    assert ask(data_plane, [ROW, ROW | {"ordered_at": None}]).missing == {"rating": [1], "demand": [1]}
    assert ask(data_plane, ROW | {"shop": f"shop-{SHOPS}"}).missing == {"rating": [0], "demand": [0]}


def test_an_instant_is_the_same_in_every_zone(shop: Shop) -> None:
    data_plane = shop.data_plane()
    there = ROW | {"ordered_at": "2026-01-05T21:00:00+09:00"}
    assert ask(data_plane, there).predictions == ask(data_plane, ROW).predictions


def test_ids_are_the_callers_or_new(shop: Shop) -> None:
    data_plane = shop.data_plane()
    assert ask(data_plane, ROW, id="mine").ids == ["mine"]
    assert ask(data_plane, [ROW, ROW], id="mine").ids == ["mine-0", "mine-1"]
    assert ask(data_plane, [ROW, ROW], ids=["b", "a"]).ids == ["b", "a"]
    assert UUID(ask(data_plane, ROW).ids[0]).version == 7
    made = [ask(data_plane, ROW).ids[0] for _ in range(50)]
    assert len(set(made)) == 50
    earlier = ask(shop.data_plane(FixedClock(NOW - timedelta(seconds=1))), ROW).ids[0]
    assert earlier < min(made)


def test_many_threads_get_the_answers_of_one(shop: Shop) -> None:
    data_plane = shop.data_plane()
    rows = [request_of(row, shop.schema) for row in shop.frame.head(400).to_dicts()]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda row: ask(data_plane, row), rows * 3))
    np.testing.assert_allclose(
        np.ravel([numbers(each) for each in answers]), np.tile(shop.native[:400], 3), atol=1e-9, rtol=0
    )


def test_nothing_deployed_is_nothing_to_serve(tmp_path: Path, shop: Shop) -> None:
    empty = replace(shop, folder=tmp_path)
    with pytest.raises(NotReadyError, match="everfit promote"):
        empty.worker()


def test_a_store_that_cannot_be_read_is_not_ready(tmp_path: Path, shop: Shop) -> None:
    moved = replace(shop, folder=Path(shutil.copytree(shop.folder, tmp_path / "shop")))
    worker = moved.worker()
    data_plane = worker.data_plane
    data_plane.require_ready()
    moved.online().close()
    for path in moved.folder.glob("online.db*"):
        path.unlink()
    (moved.folder / "online.db").write_bytes(b"no database" * 100)
    late = replace(moved)  # another connection, since the first one holds the file that is gone
    with pytest.raises(StoreError):
        late.worker()


def test_an_unexpected_gap_is_the_callers_error(shop: Shop) -> None:
    with pytest.raises(InvalidRequestError, match="weight kg"):
        ask(shop.data_plane(), {key: value for key, value in ROW.items() if key != "weight kg"})
