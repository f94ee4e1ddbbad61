from __future__ import annotations

from datetime import UTC, datetime
from math import log

import polars as pl
import pytest

import everfit as ef
from everfit.core.columns import LABEL, TIME
from everfit.core.evidence import Task
from everfit.replay.result import AGAINST, PREDICTION, VERSION, figures


def model(task: Task) -> ef.Model:
    rows = ef.Source("rows", path="rows.parquet", timestamp="at")
    return ef.Model(
        "one", task=task, events=ef.Events(rows, id="id"), request=["x"], features=["x"],
        label=ef.Label("y", known_at="known"),
    )  # fmt: skip


TIMES = [datetime(2013, month, 1, tzinfo=UTC) for month in (4, 3, 3, 4, 5)]


def test_months_come_in_order_and_only_what_is_labelled_counts() -> None:
    answered = pl.DataFrame(
        {
            TIME: TIMES,
            LABEL: [True, False, True, False, None],
            VERSION: [2, 1, 1, 1, 2],
            PREDICTION: [0.9, 0.2, 0.8, 0.4, 0.5],
            AGAINST: [0.1, 0.8, 0.2, 0.6, 0.5],
        }
    )
    overall, months = figures(model("binary"), answered)
    assert overall is not None
    assert (overall.month, overall.rows, overall.versions) == ("", 4, (1, 2))
    assert [(each.month, each.rows, each.versions) for each in months] == [("2013-03", 2, (1,)), ("2013-04", 2, (1, 2))]
    assert overall.live["roc_auc"] == 1.0
    assert overall.against is not None
    assert overall.against["roc_auc"] == 0.0
    assert months[0].live["log_loss"] == pytest.approx(-log(0.8))


def test_classes_count_by_their_names() -> None:
    chances = [{"a": 0.7, "b": 0.3}, {"a": 0.4, "b": 0.6}, {"a": 0.5, "b": 0.5}, {"a": 0.2, "b": 0.8}, None]
    answered = pl.DataFrame({TIME: TIMES, LABEL: ["a", "b", "a", "b", "a"], VERSION: 1, PREDICTION: chances})
    overall, _ = figures(model("multiclass"), answered)
    assert overall is not None
    assert (overall.rows, overall.against) == (4, None)
    assert overall.live["log_loss"] == pytest.approx(-(log(0.7) + log(0.6) + log(0.5) + log(0.8)) / 4)


def test_nothing_labelled_is_nothing_to_say() -> None:
    answered = pl.DataFrame(
        {TIME: TIMES, LABEL: [None] * 5, VERSION: [1] * 5, PREDICTION: [0.5] * 5}, schema_overrides={LABEL: pl.Boolean}
    )
    assert figures(model("binary"), answered) == (None, ())
