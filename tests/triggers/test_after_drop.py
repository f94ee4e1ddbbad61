"""After a break, trainings follow the labels of the new world as they double, not only the calendar."""

from __future__ import annotations

from msgspec.structs import replace
from tests.triggers.situation import day, decide, drop, facts, record

import everfit as ef
from everfit.core.order import OrderRecord
from everfit.definitions.policy import Policy
from everfit.triggers.decide import consider
from everfit.triggers.signals import LABELS_SINCE_CHANGE

POLICY = Policy(trigger=ef.PerformanceDrop(), cooldown="7d")
DROP = "late/performance_drop/v3#12"


def given(number: int, labels: int, state: str, *, asked: float, cause: str = DROP) -> OrderRecord:
    known = record(number, cause, state, asked=asked, ended=asked)
    incident = 12 if cause == DROP else None
    return replace(known, order=replace(known.order, numbers={LABELS_SINCE_CHANGE: labels}, incident=incident))


def test_an_order_in_vain_is_repeated_with_twice_the_evidence() -> None:
    history = [given(1, 100, "refused", asked=40)]
    for labels, is_ordered in ((100, False), (199, False), (200, True)):
        known = facts(drop(), changed_at=day(39), labels_since_change=labels)
        assert (decide(POLICY, known, history, day(41)) is not None) == is_ordered, labels
    # Twice as many again.
    history.append(given(2, 200, "refused", asked=41))
    assert decide(POLICY, facts(drop(), changed_at=day(39), labels_since_change=399), history, day(42)) is None
    order = decide(POLICY, facts(drop(), changed_at=day(39), labels_since_change=400), history, day(42))
    assert order is not None
    assert order.numbers[LABELS_SINCE_CHANGE] == 400


def test_what_was_shipped_cools_down_all_the_same() -> None:
    history = [given(1, 100, "shipped", asked=40)]
    held = consider(POLICY, facts(drop(), changed_at=day(39), labels_since_change=900), history, day(41))
    assert held.order is None
    assert "that was ordered already" in held.sentence or "Cooling down" in held.sentence


def test_another_incident_does_not_lift_the_back_off() -> None:
    history = [given(1, 100, "refused", asked=40)]
    assert decide(POLICY, facts(drop(13), changed_at=day(39), labels_since_change=900), history, day(41)) is None


def test_a_version_of_few_labels_is_retrained_as_they_double() -> None:
    history = [given(1, 300, "shipped", asked=40)]
    few = consider(POLICY, facts(changed_at=day(39), labels_since_change=599), history, day(48))
    assert few.order is None
    assert "599 of 600 labels are known since the world changed" in few.sentence
    order = decide(POLICY, facts(changed_at=day(39), labels_since_change=600), history, day(48))
    assert order is not None
    assert order.reason.startswith("600 labels are known since the world changed on 2013-04-09, twice as many")
    # Once for each doubling, and not within the cool-down.
    history.append(given(2, 600, "shipped", asked=48, cause=order.cause))
    assert decide(POLICY, facts(changed_at=day(39), labels_since_change=1_199), history, day(60)) is None
    assert decide(POLICY, facts(changed_at=day(39), labels_since_change=1_200), history, day(50)) is None
    assert decide(POLICY, facts(changed_at=day(39), labels_since_change=1_200), history, day(60)) is not None


def test_a_month_after_the_change_schedules_suffice() -> None:
    history = [given(1, 300, "shipped", asked=40)]
    assert decide(POLICY, facts(changed_at=day(39), labels_since_change=5_000), history, day(70)) is None
    assert decide(POLICY, facts(), history, day(48)) is None
    # An order from before the change says nothing about it.
    assert decide(POLICY, facts(changed_at=day(41), labels_since_change=5_000), history, day(60)) is None
