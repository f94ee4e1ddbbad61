"""What holds of every life of a model, whatever happens in it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.triggers.situation import CHAMPION, DAY, day, drifted, drop, facts

import everfit as ef
from everfit.core.finding import Incident
from everfit.core.order import OrderRecord, RetrainOrder
from everfit.definitions.policy import Policy
from everfit.definitions.trigger import Trigger
from everfit.triggers.decide import consider

LEAVES = st.sampled_from(
    [
        ef.PerformanceDrop(),
        ef.Drift(),
        ef.Drift(anyway=True),
        ef.Every("3d"),
        ef.Cron("0 */6 * * *"),
        ef.NewData(100),
        ef.NewRelease(),
        ef.StaleModel("5d"),
    ]
)
TRIGGERS: st.SearchStrategy[Trigger] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda a, b: a | b, inner, inner),
        st.builds(lambda a, b: a & b, inner, inner),
    ),
    max_leaves=3,
)
POLICIES = st.builds(
    Policy,
    trigger=TRIGGERS,
    cooldown=st.sampled_from(["1h", "1d", "2d"]),
    budget=st.one_of(st.none(), st.integers(1, 3)),
    per=st.sampled_from(["1d", "7d", "30d"]),
    least_labels=st.sampled_from([0, 200]),
    back_off=st.sampled_from(["1d", "8d"]),
)


@dataclass(frozen=True)
class Moment:
    """What happens at one look."""

    after: float
    ends: str
    trouble: bool
    moved: bool
    rows: int
    code: str


def moments(*steps: float) -> st.SearchStrategy[list[Moment]]:
    one = st.builds(
        Moment,
        after=st.sampled_from(steps),
        ends=st.sampled_from(["shipped", "refused", "taken_back", "failed", "cancelled", "running"]),
        trouble=st.sampled_from([True, True, True, False]),
        moved=st.booleans(),
        rows=st.sampled_from([600, 450, 300, 120, 0]),
        code=st.sampled_from(["sha256:a", "sha256:b"]),
    )
    return st.lists(one, min_size=12, max_size=40)


def live(policy: Policy, life: list[Moment]) -> list[OrderRecord]:
    """Look at each moment, carry out what is ordered, and end what runs at the next."""
    history: list[OrderRecord] = []
    champion, now, incident = CHAMPION, day(0), 0
    for place, moment in enumerate(life):
        now += moment.after * DAY
        if history and not history[-1].ended:
            last = history[-1]
            history[-1] = OrderRecord(number=last.number, order=last.order, state=moment.ends, ended_at=now)  # type: ignore[arg-type]
            if moment.ends == "shipped":
                champion = replace(champion, version=champion.version + 1, as_of=now, code=moment.code)
        incident += not (place and life[place - 1].trouble)
        open_ones: list[Incident] = [drop(incident, version=champion.version)] if moment.trouble else []
        open_ones += [drifted(100 + incident, "rain")] if moment.moved else []
        known = facts(*open_ones, champion=champion, code=moment.code, rows_since=moment.rows, labels_since=moment.rows)
        decision = consider(policy, known, history, now)
        assert decision.sentence
        assert decision == consider(policy, known, tuple(reversed(history)), now)
        if decision.order is not None:
            history.append(OrderRecord(number=len(history) + 1, order=decision.order, state="running"))
    return history


def asked(history: list[OrderRecord]) -> list[datetime]:
    return [each.order.asked_at for each in history]


def orders(history: list[OrderRecord]) -> list[RetrainOrder]:
    return [each.order for each in history]


FORWARDS = (3.0, 1.0, 9.0, 2.0, 0.04, 0.0)
"""Days between looks."""
ANY_CLOCK: dict[str, Any] = {"policy": POLICIES, "life": moments(*FORWARDS, -2.0, -9.0)}


@settings(max_examples=150, deadline=None)
@given(**ANY_CLOCK)
def test_a_cause_is_ordered_once(policy: Policy, life: list[Moment]) -> None:
    causes = [each.cause for each in orders(live(policy, life))]
    assert len(causes) == len(set(causes))


@settings(max_examples=150, deadline=None)
@given(**ANY_CLOCK)
def test_no_period_has_more_orders_than_its_budget(policy: Policy, life: list[Moment]) -> None:
    if policy.budget is None:
        return
    times = asked(live(policy, life))
    for end in times:
        assert sum(end - policy.period < each <= end for each in times) <= policy.budget


@settings(max_examples=100, deadline=None)
@given(**ANY_CLOCK)
def test_orders_keep_their_distance(policy: Policy, life: list[Moment]) -> None:
    for before, after in pairwise(asked(live(policy, life))):
        assert after - before >= policy.wait(0) > timedelta(0)


@settings(max_examples=50, deadline=None)
@given(**ANY_CLOCK)
def test_a_replay_decides_alike(policy: Policy, life: list[Moment]) -> None:
    assert live(policy, life) == live(policy, life)


@settings(max_examples=100, deadline=None)
@given(life=moments(*FORWARDS), policy=POLICIES)
def test_whoever_waits_long_enough_is_heard(policy: Policy, life: list[Moment]) -> None:
    history = live(policy, life)
    if history and not history[-1].ended:
        last = history[-1]
        history[-1] = OrderRecord(number=last.number, order=last.order, state="failed", ended_at=last.order.asked_at)
    later = max([day(0), *(each.ended_at or each.order.asked_at for each in history)]) + 400 * DAY
    urgent = replace_trigger(policy, ef.PerformanceDrop())
    assert consider(urgent, facts(drop(9_999)), history, later).order is not None


def replace_trigger(policy: Policy, trigger: Trigger) -> Policy:
    return Policy(trigger=trigger, cooldown=policy.cooldown, budget=policy.budget, per=policy.per)
