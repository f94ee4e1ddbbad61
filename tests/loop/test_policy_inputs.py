"""The first training, and what of orders somebody should know."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

import everfit as ef
from everfit.core.order import OrderRecord, OrderState, RetrainOrder
from everfit.loop.policy_inputs import decide_on, order_findings
from everfit.triggers.signals import Facts

NOW = datetime(2026, 3, 1, tzinfo=UTC)
source = ef.Source("orders", path="orders.parquet", timestamp="at")
model = ef.Model(
    "late",
    task="binary",
    events=ef.Events(source, id="id", timestamp="at"),
    request=["weight"],
    features=["weight"],
    label=ef.Label(pl.col("late"), known_at="known"),
)


def record(number: int, state: OrderState, *, cause: str = "every/1", sentence: str = "") -> OrderRecord:
    asked = NOW - timedelta(days=10 - number)
    order = RetrainOrder(model="late", cause=cause, reason="Because.", asked_at=asked, actor="policy")
    return OrderRecord(number=number, order=order, state=state, sentence=sentence)


def nobody(code: str = "a", labels: int | None = None) -> Facts:
    return Facts(model="late", champion=None, code=code, labels=labels)


def test_where_nobody_answers_the_first_training_is_ordered() -> None:
    order = decide_on(model, nobody(), (), NOW).order
    assert order is not None
    assert order.cause == "first/a"


def test_it_is_ordered_once_for_each_code() -> None:
    refused = record(1, "refused", cause="first/a", sentence="The candidate was refused.")
    decision = decide_on(model, nobody(), [refused], NOW)
    assert decision.order is None
    assert "The candidate was refused." in decision.sentence
    assert decide_on(model, nobody("b"), [refused], NOW).order is not None


@pytest.mark.parametrize(
    ("state", "attempts", "labels", "days", "again"),
    [
        ("refused", 1, 1_000, 0, False),
        ("refused", 1, 1_099, 0, False),
        ("refused", 1, 1_100, 0, True),
        ("failed", 1, 1_100, 0, True),
        ("taken_back", 1, 1_100, 0, True),
        # The second attempt in vain needs twice as many.
        ("refused", 2, 1_199, 0, False),
        ("refused", 2, 1_200, 0, True),
        # After the back-off any new label will do, but without one the same data would be refused again.
        ("refused", 1, 1_000, 40, False),
        ("refused", 1, 1_001, 13, False),
        ("refused", 1, 1_001, 40, True),
        # What failed may do better without new data, such as after a disk was full; also if labels cannot be counted.
        ("failed", 1, 1_000, 40, True),
        ("failed", 1, None, 40, True),
        ("refused", 1, None, 40, False),
        ("cancelled", 1, 9_000, 40, False),
        ("shipped", 1, 9_000, 40, False),
    ],
)
def test_a_first_training_in_vain_is_tried_again_when_there_is_reason(
    state: OrderState, attempts: int, labels: int | None, days: int, again: bool
) -> None:
    history = []
    for number in range(attempts):
        cause = "first/a" if number == 0 else f"first/a/again-{number}"
        order = RetrainOrder(
            model="late", cause=cause, reason="First.", numbers={"labels": 1_000.0}, asked_at=NOW, actor="policy"
        )
        history.append(OrderRecord(number=number + 1, order=order, state=state, ended_at=NOW, sentence="No."))
    decision = decide_on(model, nobody(labels=labels), history, NOW + timedelta(days=days))
    assert (decision.order is not None) == again, decision.sentence
    if decision.order is not None:
        assert decision.order.cause == f"first/a/again-{attempts}"
        assert decision.order.numbers == ({} if labels is None else {"labels": float(labels)})


def test_it_waits_for_what_is_under_way() -> None:
    decision = decide_on(model, nobody("b"), [record(1, "running", cause="first/a")], NOW)
    assert decision.order is None
    assert "Order 1 is running" in decision.sentence


def test_the_last_end_is_told_until_a_later_one_does_better() -> None:
    failed, refused = record(1, "failed", sentence="It failed."), record(2, "refused", sentence="It was refused.")
    [finding] = order_findings("late", [failed])
    assert (finding.kind, finding.severity, finding.sentence) == ("training_failed", "critical", "It failed.")
    [finding] = order_findings("late", [failed, refused])
    assert (finding.kind, finding.subject) == ("candidate_refused", "order 2")
    [finding] = order_findings("late", [failed, record(2, "taken_back", sentence="Worse.")])
    assert (finding.kind, finding.severity) == ("taken_back", "warning")
    assert order_findings("late", [failed, record(2, "shipped")]) == ()
    assert order_findings("late", [record(1, "cancelled"), record(2, "running")]) == ()
