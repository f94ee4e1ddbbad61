from __future__ import annotations

from typing import Any

import polars as pl
import pytest

import everfit as ef
from everfit.core.errors import DefinitionError

ORDERS = ef.Source("orders", path="orders.parquet", timestamp="ordered_at")
SHOP = ef.Entity("shop", dtype=pl.String)
LOAD = ef.FeatureView("load", entities=[SHOP], source=ORDERS, features=["orders"], ttl="1h")
GOOD: dict[str, Any] = {
    "task": "binary",
    "events": ef.Events(ORDERS, id="order_id"),
    "request": ["shop", "items"],
    "features": [LOAD, "items"],
    "label": ef.Label("late", known_at="delivered_at"),
}


def test_the_event_time_and_metric_have_sensible_defaults() -> None:
    model = ef.Model("late", **GOOD)
    assert model.events.timestamp == "ordered_at"
    assert model.metric == "log_loss"
    assert model.views == (LOAD,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "guess"}, "task must be one of binary, multiclass and regression, but got 'guess'"),
        ({"features": []}, "at least one feature"),
        ({"features": [LOAD, "items", "items"]}, "must not be named twice"),
        ({"features": ["distance"]}, "must be a request field, but got 'distance'"),
        ({"request": ["items"]}, "Add 'shop' to request"),
    ],
)
def test_parts_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        ef.Model("late", **(GOOD | change))


def test_a_model_has_one_trainer() -> None:
    model = ef.Model("late", **GOOD)
    with pytest.raises(DefinitionError, match=r"@late.trainer\(\)"):
        _ = model.learner

    @model.trainer(rate=ef.Float(0.01, 1, log=True))
    def fit(X: Any, y: Any, rate: float) -> None: ...

    assert model.learner.function is fit
    assert model.learner.space["rate"].untuned == pytest.approx(0.1)
    with pytest.raises(DefinitionError, match="one trainer"):
        model.trainer()(fit)


def test_only_gates_gate() -> None:
    with pytest.raises(DefinitionError, match="ship_when must be gates"):
        ef.Model("late", **GOOD).ship_when("always")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["Late", "1st", "late arrival", "", "x" * 64, None])
def test_names_are_held_to_one_form(name: str) -> None:
    with pytest.raises(DefinitionError, match="lower-case"):
        ef.Source(name, path="x.csv", timestamp="t")


def test_a_source_reads_one_thing() -> None:
    with pytest.raises(DefinitionError, match="exactly one of path, query and function"):
        ef.Source("orders", timestamp="t")
    with pytest.raises(DefinitionError, match="exactly one"):
        ef.Source("orders", path="a.csv", query="select 1", url="sqlite:///x.db", timestamp="t")
    with pytest.raises(DefinitionError, match="url must be given together"):
        ef.Source("orders", query="select 1", timestamp="t")
    kinds = [ef.Source("s", path=path, timestamp="t").kind for path in ("a/*.parquet", "a.csv", "a/table")]
    assert kinds == ["parquet", "csv", "delta"]


def test_a_view_computes_or_names_its_features() -> None:
    with pytest.raises(DefinitionError, match="must name its features"):
        ef.FeatureView("load", entities=[SHOP], source=ORDERS, ttl="1h")
    with pytest.raises(DefinitionError, match="ttl must be a positive duration"):
        ef.FeatureView("load", entities=[SHOP], source=ORDERS, features=["orders"], ttl="soon")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ef.Float(2, 1), "finite low below a finite high"),
        (lambda: ef.Float(0, 1, log=True), "must start above 0"),
        (lambda: ef.Int(1, 5, default=9), "between 1 and 5 inclusive, but got 9"),
        (lambda: ef.Choice([]), "at least one option"),
        (ef.Choice, "at least one option"),
        (lambda: ef.Choice(["a"], default="b"), "one of its options"),
    ],
)
def test_a_search_space_makes_sense(make: Any, message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        make()


def test_options_are_listed_or_in_a_list() -> None:
    assert ef.Choice("all", "60d") == ef.Choice(["all", "60d"])
    assert ef.Choice("all").options == ("all",)
    assert ef.Choice(None).options == (None,)
    assert ef.Choice(3, 5, default=5).untuned == 5


def test_a_choice_of_history_is_named_by_its_windows() -> None:
    model = ef.Model("late", **GOOD, history=ef.Choice("14d", "all", "60d"))
    assert model.history is None
    assert model.history_text == "all history, the last 60d or the last 14d"
    assert ef.Model("late", **GOOD).history_text == "all history, the last 180d or the last 60d"
    assert ef.Model("late", **GOOD, history="all").history_text == ""
    assert ef.Model("late", **GOOD, history="60d").history_text == "the last 60d"
