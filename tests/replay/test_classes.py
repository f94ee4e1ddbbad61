"""Figures of a replay whose label is text, and whose versions do not know the same classes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

import everfit as ef
from everfit.core.columns import LABEL, TIME
from everfit.replay.replaying import _predictions
from everfit.replay.result import PREDICTION, VERSION, figures

START = datetime(2026, 1, 1, tzinfo=UTC)


def model(task: Any, **label: Any) -> ef.Model:
    source = ef.Source("rows", function=pl.DataFrame, timestamp="at")
    return ef.Model(
        "m", task=task, events=ef.Events(source, id="id"), request=["size"], features=["size"],
        label=ef.Label("label", known_at="known", **label),
    )  # fmt: skip


def answered(labels: list[Any], predictions: list[Any]) -> pl.DataFrame:
    times = [START + timedelta(hours=number) for number in range(len(labels))]
    return pl.DataFrame(
        {TIME: times, LABEL: labels, VERSION: 1, PREDICTION: _predictions(predictions)}, strict=False
    )  # fmt: skip


@pytest.mark.parametrize(
    ("labels", "positive"),
    [
        (["yes", "no", "yes", "no"], "yes"),
        ([True, False, True, False], None),
        (["1", "0", "1", "0"], None),
        ([False, True, False, True], False),
        ([2, 1, 2, 1], 2),
    ],
)
def test_a_binary_label_is_scored_by_its_positive_class(labels: list[Any], positive: Any) -> None:
    whole, _ = figures(model("binary", positive=positive), answered(labels, [0.9, 0.1, 0.8, 0.3]))
    assert whole is not None
    assert whole.live["roc_auc"] == 1.0
    assert whole.live["log_loss"] == pytest.approx(-np.log([0.9, 0.9, 0.8, 0.7]).mean())


def test_versions_that_know_other_classes_stand_in_one_table() -> None:
    said = [{"a": 0.8, "b": 0.2}, {"a": 0.5, "b": 0.2, "c": 0.3}, {"a": 0.5, "b": 0.5}, {"a": 0.5, "b": 0.5}]
    whole, _ = figures(model("multiclass"), answered(["a", "c", "c", "never"], said))
    assert whole is not None
    smallest = float(np.finfo(np.float64).eps)
    assert whole.live["log_loss"] == pytest.approx(-np.log([0.8, 0.3, smallest, smallest]).mean())
