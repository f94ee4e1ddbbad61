"""Policy, gates and rollout plan in words."""

from __future__ import annotations

import polars as pl
import pytest

import everfit as ef
from everfit.commands.documentation.definition_text import (
    gate_table,
    plan_sentences,
    policy_rows,
    trigger_text,
    watch_rows,
)
from everfit.definitions.trigger import Trigger
from everfit.gates.judge import STANDARD_GATES

TRIGGERS: tuple[Trigger, ...] = (
    ef.PerformanceDrop(by=0.02),
    ef.Drift(against="season"),
    ef.Every("7d"),
    ef.Cron("0 3 * * *", within="2h"),
    ef.NewData(rows=5000),
    ef.NewRelease(),
    ef.StaleModel("30d"),
    ef.Every("7d") & ef.NewRelease(),
    ef.Every("7d") | ef.NewRelease(),
)


@pytest.fixture
def model() -> ef.Model:
    rides = ef.Source("rides", path="rides.parquet", timestamp="at")
    return ef.Model(
        "late",
        task="binary",
        events=ef.Events(rides, id="ride"),
        request=["x"],
        features=["x"],
        label=ef.Label(pl.col("late"), known_at="known"),
    )


@pytest.mark.parametrize("trigger", TRIGGERS, ids=lambda trigger: type(trigger).__name__)
def test_every_trigger_has_words(trigger: Trigger) -> None:
    assert type(trigger).__name__ not in trigger_text(trigger)


def test_no_kind_of_trigger_is_forgotten() -> None:
    kinds, left = set(), [type(trigger) for trigger in TRIGGERS]
    todo = list(Trigger.__subclasses__())
    while todo:
        kind = todo.pop()
        todo += kind.__subclasses__()
        kinds |= {kind} if kind.__module__.startswith("everfit") and not kind.__name__.startswith("_") else set()
    assert kinds == set(left)


def test_every_gate_has_a_meaning_and_its_limits(model: ef.Model) -> None:
    @ef.gate
    def answers_vary(evidence: ef.Evidence) -> bool:
        """Not every row gets the same answer."""
        return bool(evidence.predicted.std() > 0)

    model.ship_when(ef.MaxLatency(p99_ms=7), answers_vary)
    rows = {str(row[0]): row[1:] for row in gate_table(model).rows}
    assert set(rows) == {gate.name for gate in STANDARD_GATES} | {"answers_vary"}
    assert all(meaning for meaning, _ in rows.values())
    assert "p99_ms 7" in rows["max_latency"][1]
    assert rows["answers_vary"] == ("Not every row gets the same answer.", "–")


def test_policy_monitors_and_plan_state_the_numbers_of_the_code(model: ef.Model) -> None:
    model.retrain_when(ef.PerformanceDrop(alpha=0.01), ef.Every("14d"), cooldown="3d", budget=4, per="60d")
    model.roll_out(ef.Shadow(123), ef.Canary(0.25, 456, at_least="6h"), watch="9d", approval="required", p99_ms=11)
    policy, plan = dict(policy_rows(model)), list(plan_sentences(model.rollout_plan))
    assert "or 14d have passed" in policy["Retrain if"]
    assert policy["Budget"] == "4 orders in 60d"
    assert policy["Cool-down"].startswith("3d ")
    assert "at most 0.01" in dict(watch_rows(model))["performance_drop"]
    assert plan[0].startswith("A person must approve")
    assert "123 rows" in plan[1]
    assert "25% of the ids" in plan[2]
    assert "456 rows, not before 6h" in plan[2]
    assert "For 9d" in plan[3]
    assert "11 ms" in plan[-1]


def test_a_model_without_triggers_is_retrained_by_persons(model: ef.Model) -> None:
    model.retrain_when()
    assert list(policy_rows(model)) == [("Retrain if", "a person orders it")]
