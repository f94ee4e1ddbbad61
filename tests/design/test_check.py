"""`cycle.check` on projects that are wrong in one way each, and in several at once."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from tests.acceptance.shop import orders

import everfit as ef
from everfit import cycle
from everfit.core.records import DesignCheck

PROJECT = """
import polars as pl
import everfit as ef

orders = ef.Source("orders", path="orders.parquet", timestamp="ordered_at")
shop = ef.Entity("shop", dtype=pl.String)

@ef.feature_view(entities=[shop], source=orders, timestamp="delivered_at", ttl="2d", lookback="1d")
def shop_record(orders):
    return orders.sort("delivered_at").rolling("delivered_at", period="1d", group_by="shop").agg(pl.col("late").mean())

late = ef.Model(
    "late", task="binary", events=ef.Events(orders, id="order_id"), request=["shop", "distance_km"],
    features=[shop_record, "distance_km"], label=ef.Label("late", known_at="delivered_at"),
)

@late.trainer()
def train(X, y):
    from sklearn.dummy import DummyClassifier
    return DummyClassifier(strategy="prior").fit(X, y)
"""


def checked(folder: Path, text: str = PROJECT, data: pl.DataFrame | None = None) -> DesignCheck:
    (folder / "everfit.toml").write_text("")
    (folder / "project.py").write_text(text)
    (orders(600) if data is None else data).write_parquet(folder / "orders.parquet")
    return cycle.check(ef.open_system(folder))


def said(found: DesignCheck) -> str:
    return "\n".join(f"{each.place}: {each.rule} [{each.value}] {each.remedy}" for each in found.problems)


def test_a_sound_project_passes(tmp_path: Path) -> None:
    found = checked(tmp_path)
    assert found.passed, said(found)
    assert not found.problems
    assert "source orders" in found.checked


@pytest.mark.parametrize(
    ("text", "data", "message"),
    [
        ('"distance_km"]', '"distanse_km"]', "Did you mean 'distance_km'"),
        ("dtype=pl.String", "dtype=pl.Int64", "shop"),
        ('known_at="delivered_at"', 'known_at="shop"', "known_at must be an instant"),
        ('request=["shop",', 'request=["late", "shop",', "must not be asked of the caller"),
        ('ef.Label("late"', 'ef.Label(pl.col("distance_km") > -1', "always True"),
        ('path="orders.parquet"', 'path="nowhere.parquet"', "nowhere.parquet"),
        ("@late.trainer()", "@late.trainer(depth=ef.Int(1, 9))", "must be an argument of the trainer"),
        ('task="binary"', 'task="binary", metric="mae"', "mae"),
        ('task="binary"', 'task="binary", slices=["moon"]', "moon"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(tmp_path: Path, text: str, data: str, message: str) -> None:
    assert text in PROJECT
    found = checked(tmp_path, PROJECT.replace(text, data))
    assert not found.passed
    assert message in said(found)


def test_naive_instants_are_refused(tmp_path: Path) -> None:
    found = checked(tmp_path, data=orders(600).with_columns(pl.col("ordered_at").dt.replace_time_zone(None)))
    assert not found.passed
    assert "replace_time_zone" in said(found)


def test_doubled_ids_are_refused(tmp_path: Path) -> None:
    data = orders(600)
    found = checked(tmp_path, data=pl.concat([data, data.tail(2)]))
    assert not found.passed
    assert "4 rows share an id, such as order-598, order-599" in said(found)


def test_a_feature_that_is_the_answer_is_pointed_out(tmp_path: Path) -> None:
    leaky = PROJECT.replace('"distance_km"]', '"distance_km", "refund"]')
    data = orders(600).with_columns(refund=pl.col("late").cast(pl.Float64) * 5)
    found = checked(tmp_path, leaky, data)
    assert "feature refund" in said(found)
    assert "no single feature should predict the label alone" in said(found)


def test_a_view_that_uses_outcomes_too_early_is_refused(tmp_path: Path) -> None:
    found = checked(tmp_path, PROJECT.replace("delivered_at", "ordered_at").replace(
        'known_at="ordered_at"', 'known_at="delivered_at"'
    ))  # fmt: skip
    assert not found.passed
    assert "must use only outcomes known by then" in said(found)
    assert "timestamp='delivered_at'" in said(found)


def test_a_field_known_only_with_the_answer_is_refused(tmp_path: Path) -> None:
    leaky = PROJECT.replace('request=["shop",', 'request=["handed_over_at", "shop",')
    data = orders(600).with_columns(handed_over_at=pl.col("delivered_at"))
    found = checked(tmp_path, leaky, data)
    assert not found.passed
    assert "coincides with the label" in said(found)


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    text = PROJECT.replace('request=["shop",', 'request=["moon", "shop",').replace(
        '"late", known_at', '"latt", known_at'
    )
    found = checked(tmp_path, text.replace("@late.trainer()", "@late.trainer(depth=ef.Int(1, 9))"))
    assert len(found.problems) == 3
    for message in ("moon", "Did you mean 'late'", "depth"):
        assert message in said(found)
