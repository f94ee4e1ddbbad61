"""Whether to retrain now, and why or why not. Pure: the live loop and a backtest ask the same function."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import replace

from everfit.core.duration import format_roughly
from everfit.core.order import OrderRecord, RetrainOrder
from everfit.definitions.policy import Policy
from everfit.definitions.trigger import instant_at
from everfit.triggers.facts import Champion, Facts
from everfit.triggers.signals import Signal, signals

POLICY = "policy"
"""Who asks, where no person does."""
AGAIN = "/again-"
"""Between a cause and the number of its repetition."""


class Decision(Struct, frozen=True, kw_only=True):
    """An order, or why there is none."""

    order: RetrainOrder | None = None
    sentence: str


def decide(policy: Policy, facts: Facts, history: Sequence[OrderRecord], now: datetime) -> RetrainOrder | None:
    """The order that the policy gives now, if any; arguments as for :func:`consider`."""
    return consider(policy, facts, history, now).order


def consider(policy: Policy, facts: Facts, history: Sequence[OrderRecord], now: datetime) -> Decision:
    """Whether the policy orders a retraining now.

    The same arguments give the same decision. Nothing breaks if ``now`` is earlier than orders that were given: they
    count as if they had just been, until the clock has caught up or a person orders a retraining.

    Args:
        policy: The model's.
        facts: What is known of it.
        history: All its orders, people's included.
        now: The present instant.
    """
    if facts.champion is None:
        return Decision(sentence="No version answers yet, so there is nothing to train anew.")
    known = sorted((each for each in history if each.order.model == facts.model), key=lambda each: each.number)
    unfinished = next((each for each in known if not each.ended), None)
    if unfinished is not None:
        return Decision(sentence=f"Order {unfinished.number} is {unfinished.state}: {unfinished.order.reason}")
    heard = signals(policy.trigger, facts, facts.champion, known, now)
    asking = [each for each in heard if each.cause]
    if not asking:
        waiting = "; ".join(dict.fromkeys(each.sentence for each in heard))
        return Decision(sentence=f"Nothing asks for it: {waiting or 'only people order it'}.")
    fresh = [replace(each, cause=cause) for each in asking if (cause := _cause(each, known))]
    if not fresh:
        return Decision(sentence=_spent(asking[0], known))
    ready = [each for each in fresh if not each.needs_labels or facts.labels_since >= policy.least_labels]
    holds = [(signal, _held(policy, known, signal, now)) for signal in ready or fresh]
    free = next((signal for signal, held in holds if held is None), None)
    if free is None or not ready:
        signal, held = holds[0]
        held = held or _few_labels(policy, facts.champion, facts.labels_since)
        return Decision(sentence=f"{held} What asks: {signal.sentence}.")
    order = _order(free, facts, now)
    return Decision(order=order, sentence=order.reason)


def by_hand(model: str, *, reason: str, actor: str, ticket: str, now: datetime) -> RetrainOrder:
    """An order that a person gives: no cool-down, budget or minimum of labels holds it back.

    Args:
        model: The model's name.
        reason: Why, in the person's words.
        actor: Who asks.
        ticket: What no other request has, such as a UUID; asked twice with one ticket, it is one order.
        now: The present instant.
    """
    return RetrainOrder(model=model, cause=f"manual/{ticket}", reason=reason, asked_at=now, actor=actor)


def _order(signal: Signal, facts: Facts, now: datetime) -> RetrainOrder:
    return RetrainOrder(
        model=facts.model,
        cause=signal.cause,
        reason=f"{signal.sentence}.",
        findings=signal.findings,
        numbers=signal.numbers | {"labels_since": float(facts.labels_since)},
        asked_at=now,
        actor=POLICY,
        due_at=signal.due_at,
        incident=signal.incident,
    )


def _cause(signal: Signal, history: Sequence[OrderRecord]) -> str | None:
    """What an order for this would be for; ``None`` if it was ordered and that settled it."""
    earlier = _orders_for(signal, history)
    if not earlier:
        return signal.cause
    return f"{signal.cause}{AGAIN}{len(earlier)}" if earlier[-1].state in signal.again else None


def _orders_for(signal: Signal, history: Sequence[OrderRecord]) -> list[OrderRecord]:
    return [record for record in history if record.order.cause.partition(AGAIN)[0] == signal.cause]


def _spent(signal: Signal, history: Sequence[OrderRecord]) -> str:
    last = _orders_for(signal, history)[-1]
    outcome = f": {last.sentence}" if last.sentence else "."
    return f"{signal.sentence}; that was ordered already, and order {last.number} was {last.state}{outcome}"


def _held(policy: Policy, history: Sequence[OrderRecord], signal: Signal, now: datetime) -> str | None:
    """Why nothing may be ordered for a signal now."""
    return _cooling_down(policy, history, signal, now) or _over_budget(policy, history, signal, now)


def _cooling_down(policy: Policy, history: Sequence[OrderRecord], signal: Signal, now: datetime) -> str | None:
    if not history:
        return None
    last = history[-1]
    judged = (each for each in reversed(history) if each.state != "cancelled")
    in_vain = list(takewhile(lambda each: each.brought_nothing, judged))
    # From the asking, so that a daily schedule stays daily; but what came of it is only known at its end.
    until = _waited(last.order.asked_at, last, policy.wait(0), signal)
    if in_vain:
        ended_at = in_vain[0].ended_at or in_vain[0].order.asked_at
        until = max(until, _waited(ended_at, in_vain[0], policy.wait(len(in_vain)), signal))
    if now >= until:
        return None
    after = f"order {last.number}" if len(in_vain) < 2 else f"{len(in_vain)} orders in a row that brought nothing"
    return f"Cooling down until {until:%Y-%m-%d %H:%M} UTC after {after}.{_ahead(last, now)}"


def _waited(since: datetime, record: OrderRecord, wait: timedelta, signal: Signal) -> datetime:
    """When a wait is over; between two scheduled times it is counted from the first, on the schedule's clock.

    An order is given some seconds after its time, or hours if it waited for data or the machine was off; and a day in
    which the clocks change has 23 or 25 hours. Neither may move or skip the next night's order.
    """
    due_at = record.order.due_at
    if due_at is None or signal.due_at is None or signal.due_at <= due_at:
        return since + wait
    zone = ZoneInfo(signal.zone)
    return instant_at(due_at.astimezone(zone).replace(tzinfo=None, fold=0) + wait, zone)


def _over_budget(policy: Policy, history: Sequence[OrderRecord], signal: Signal, now: datetime) -> str | None:
    if policy.budget is None:
        return None
    ends = (_waited(record.order.asked_at, record, policy.period, signal) for record in history)
    counted = sorted(end for end in ends if end > now)
    if len(counted) < policy.budget:
        return None
    free = counted[-policy.budget]
    return f"The budget of {policy.budget} per {policy.per} is used up until {free:%Y-%m-%d %H:%M} UTC."


def _few_labels(policy: Policy, champion: Champion, labels: int) -> str:
    return (
        f"Only {labels:,} of {policy.least_labels:,} labels since {champion.trained_until:%Y-%m-%d}, where version "
        f"{champion.version} stopped learning, are mature."
    )


def _ahead(last: OrderRecord, now: datetime) -> str:
    ahead: timedelta = last.order.asked_at - now
    if ahead <= timedelta(0):
        return ""
    return f" That order is dated {format_roughly(ahead)} ahead: the clock was set back. Order one by hand to go on."
