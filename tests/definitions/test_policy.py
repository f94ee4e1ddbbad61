from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.definitions.test_model import GOOD

import everfit as ef
from everfit.core.errors import DefinitionError
from everfit.definitions.policy import Policy
from everfit.definitions.trigger import AllOf, AnyOf


def test_triggers_combine_as_values() -> None:
    drop, due, data = ef.PerformanceDrop(), ef.Every("30d"), ef.NewData(rows=10)
    assert drop | due | data == AnyOf((drop, due, data)) == drop | (due | data)
    assert drop & due & data == AllOf((drop, due, data))
    assert drop | due & data == AnyOf((drop, AllOf((due, data))))
    assert tuple((drop | due & data).leaves) == (drop, due, data)
    assert len({drop | due, ef.PerformanceDrop() | ef.Every("30d")}) == 1
    with pytest.raises(TypeError):
        _ = drop | "30d"  # type: ignore[operator]
    with pytest.raises(TypeError):
        _ = drop & None  # type: ignore[operator]


def test_cron_is_read_in_utc() -> None:
    nightly = ef.Cron("0 3 * * *")
    three = datetime(2013, 3, 1, 3, tzinfo=UTC)
    assert nightly.until(three) == three
    assert nightly.after(three) == three.replace(day=2)
    assert nightly.until(three.replace(hour=2, minute=59)) == datetime(2013, 2, 28, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ef.Every("monthly"), "period of Every must be a positive duration"),
        (lambda: ef.StaleModel("0d"), "age of StaleModel must be a positive duration"),
        (lambda: ef.NewData(rows=0), "rows must be positive, but got 0"),
        (lambda: ef.Cron("daily"), "five fields, but got 'daily'. Write it like"),
        (lambda: ef.Cron("61 3 * * *"), "be valid and occur"),
        (lambda: ef.Cron("0 0 31 2 *"), "be valid and occur"),
        (lambda: AllOf(()), "at least one trigger"),
        (lambda: Policy(trigger=ef.NewRelease(), cooldown="0s"), "cooldown must be a positive duration"),
        (lambda: Policy(trigger=ef.NewRelease(), budget=0), "budget must be positive"),
        (lambda: Policy(trigger=ef.NewRelease(), least_labels=-1), "least_labels must not be negative"),
    ],
)
def test_a_policy_makes_sense(make: Any, message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        make()


def test_a_model_that_says_nothing_is_retrained_after_a_drop_and_every_month_but_at_most_weekly() -> None:
    default = Policy(trigger=ef.PerformanceDrop() | ef.StaleModel("30d"), cooldown="7d")
    assert ef.Model("late", **GOOD).policy == default


def test_a_model_says_when_it_is_retrained() -> None:
    late = ef.Model("late", **GOOD)
    late.retrain_when(ef.Every("30d"), ef.NewRelease() & ef.NewData(5), cooldown="2d", budget=4)
    parts = (ef.Every("30d"), ef.NewRelease() & ef.NewData(5))
    assert late.policy == Policy(trigger=AnyOf(parts), cooldown="2d", budget=4)
    late.retrain_when()
    assert late.policy.trigger == AnyOf(())
    with pytest.raises(DefinitionError, match="model late: the arguments of retrain_when must be triggers"):
        late.retrain_when("30d")  # type: ignore[arg-type]


def test_what_retraining_waits_for_is_watched() -> None:
    late = ef.Model("late", **GOOD)
    assert set(late.watches) == {ef.PerformanceDrop(), ef.Drift()}
    late.retrain_when(ef.PerformanceDrop(by=0.02) & ef.NewData(5))
    assert set(late.watches) == {ef.PerformanceDrop(by=0.02), ef.Drift()}
    late.watch_for(ef.Drift(window="7d"))
    assert set(late.watches) == {ef.PerformanceDrop(by=0.02), ef.Drift(window="7d")}
    late.watch_for()
    assert late.watches == (ef.PerformanceDrop(by=0.02),)


def test_what_is_watched_is_said_once() -> None:
    late = ef.Model("late", **GOOD)
    late.watch_for(ef.PerformanceDrop(by=0.02))
    late.retrain_when(ef.PerformanceDrop(by=0.02) | ef.Every("7d"))
    with pytest.raises(DefinitionError, match="must have the same arguments everywhere"):
        late.retrain_when(ef.PerformanceDrop(by=0.05))
    with pytest.raises(DefinitionError, match="must have the same arguments everywhere"):
        late.watch_for(ef.PerformanceDrop(by=0.05))
    with pytest.raises(DefinitionError, match="must have the same arguments everywhere"):
        ef.Model("early", **GOOD).retrain_when(ef.Drift() | ef.Drift(window="7d"))
    assert late.policy.trigger == AnyOf((ef.PerformanceDrop(by=0.02) | ef.Every("7d"),))
