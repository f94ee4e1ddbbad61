"""The policy's decision: retrain now, or why not. Pure: the live loop and a backtest call the same function."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import takewhile
from operator import attrgetter
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import replace

from everfit.core.duration import format_roughly
from everfit.core.order import OrderRecord, RetrainOrder
from everfit.definitions.policy import Policy
from everfit.definitions.trigger import NewRelease, Trigger, instant_at
from everfit.triggers.signals import AGAIN, LABELS_SINCE_CHANGE, Champion, Facts, Signal, Signals

POLICY = "policy"
"""The actor of automatic orders."""


class Decision(Struct, frozen=True, kw_only=True):
    """An order, or the reason why there is none."""

    order: RetrainOrder | None = None
    sentence: str


def consider(policy: Policy, facts: Facts, history: Sequence[OrderRecord], now: datetime) -> Decision:
    """Decide whether to order a retraining now. Deterministic.

    ``history`` has all orders, people's included. If the clock was set back, those later than ``now`` count as just
    given, until the clock has caught up or a person orders a retraining.
    """
    if facts.champion is None:
        return Decision(sentence="No version is deployed yet, so there is nothing to retrain.")
    own = [record for record in history if record.order.model == facts.model]
    known = sorted(own, key=attrgetter("number"))
    unfinished = next((record for record in known if not record.ended), None)
    busy = unfinished and Decision(
        sentence=f"Order {unfinished.number} is {unfinished.state}: {unfinished.order.reason}"
    )
    if busy and not _gives_way(unfinished, facts):
        return busy
    found = Signals(facts, facts.champion, known, now).of(_trigger(policy, facts))
    asking = [signal for signal in found if signal.cause and (busy is None or signal.released_at)]
    if not asking:
        waiting = "; ".join(dict.fromkeys(signal.sentence for signal in found))
        waiting = waiting or "the policy has none, so only people order trainings"
        return busy or Decision(sentence=f"No trigger holds: {waiting}.")
    fresh = [replace(signal, cause=cause) for signal in asking if (cause := _cause(signal, known))]
    if not fresh:
        return Decision(sentence=_spent(asking[0], known))
    enough = facts.labels_since >= policy.least_labels
    ready = [signal for signal in fresh if enough or not signal.needs_labels]
    holds = [
        (signal, _cooling_down(policy, known, signal, facts, now) or _over_budget(policy, known, signal, now))
        for signal in ready or fresh
    ]
    free = next((signal for signal, held in holds if held is None), None)
    if free is None or not ready:
        signal, held = holds[0]
        held = held or _few_labels(policy, facts.champion, facts.labels_since)
        return Decision(sentence=f"{held} The trigger that holds: {signal.sentence}.")
    order = _order(free, facts, now)
    return Decision(order=order, sentence=order.reason)


def by_hand(model: str, *, reason: str, actor: str, ticket: str, now: datetime) -> RetrainOrder:
    """Return a person's order, to which no cool-down, budget or minimum of labels applies.

    ``ticket`` is an idempotency key, such as a UUID: two requests with one ticket are one order.
    """
    return RetrainOrder(model=model, cause=f"manual/{ticket}", reason=reason, asked_at=now, actor=actor)


def _gives_way(unfinished: OrderRecord | None, facts: Facts) -> bool:
    """Return true for an order of before the active release whose version is on its way.

    A release need not wait for it: its own version's rollout supersedes that one.
    """
    if unfinished is None or facts.released_at is None:
        return False
    return unfinished.state == "delivering" and unfinished.order.asked_at < facts.released_at


def _trigger(policy: Policy, facts: Facts) -> Trigger:
    """Return the policy's trigger; while a release is active, a new one is a trigger, too, unless it is named in it.

    Else a release would take effect at an arbitrary later training. A policy without triggers stays without.
    """
    leaves = list(policy.trigger.leaves)
    if not facts.release or not leaves or any(isinstance(leaf, NewRelease) for leaf in leaves):
        return policy.trigger
    return policy.trigger | NewRelease()


def _order(signal: Signal, facts: Facts, now: datetime) -> RetrainOrder:
    changed = {} if facts.changed_at is None else {LABELS_SINCE_CHANGE: float(facts.labels_since_change)}
    return RetrainOrder(
        model=facts.model,
        cause=signal.cause,
        reason=f"{signal.sentence}.",
        findings=signal.findings,
        numbers=signal.numbers | {"labels_since": float(facts.labels_since)} | changed,
        asked_at=now,
        actor=POLICY,
        due_at=signal.due_at,
        incident=signal.incident,
    )


def _cause(signal: Signal, history: Sequence[OrderRecord]) -> str | None:
    """Return the cause that an order would have; ``None`` if an earlier order settled it."""
    earlier = _orders_for(signal, history)
    if not earlier:
        return signal.cause
    # A release may return to code that was released before, as 'git revert' does.
    is_new = not _since_release(signal, earlier)
    return f"{signal.cause}{AGAIN}{len(earlier)}" if is_new or earlier[-1].state in signal.again else None


def _orders_for(signal: Signal, history: Sequence[OrderRecord]) -> list[OrderRecord]:
    cause = signal.cause.partition(AGAIN)[0]
    return [record for record in history if record.order.cause.partition(AGAIN)[0] == cause]


def _since_release(signal: Signal, history: Sequence[OrderRecord]) -> list[OrderRecord]:
    """Return the orders that were given since the signal's release became active; all, if it is no release's."""
    since = signal.released_at
    return [record for record in history if since is None or record.order.asked_at >= since]


def _spent(signal: Signal, history: Sequence[OrderRecord]) -> str:
    last = _orders_for(signal, history)[-1]
    outcome = f": {last.sentence}" if last.sentence else "."
    return f"{signal.sentence}; that was ordered already, and order {last.number} was {last.state}{outcome}"


def _cooling_down(
    policy: Policy, history: Sequence[OrderRecord], signal: Signal, facts: Facts, now: datetime
) -> str | None:
    if signal.released_at is not None:
        # Neither a training before it nor other code's failures say anything about a release; only its own do.
        own = _since_release(signal, _orders_for(signal, history))
        history = [record for record in own if record.brought_nothing]
    if not history:
        return None
    last = history[-1]
    if _has_more_evidence(last, signal, facts):
        return None
    judged = (record for record in reversed(history) if record.state != "cancelled")
    in_vain = list(takewhile(lambda record: record.brought_nothing, judged))
    # From the request, so that a daily schedule stays daily; but the result is only known at its end.
    until = _waited(last.order.asked_at, last, policy.wait(0), signal)
    if in_vain:
        ended_at = in_vain[0].ended_at or in_vain[0].order.asked_at
        until = max(until, _waited(ended_at, in_vain[0], policy.wait(len(in_vain)), signal))
    if now >= until:
        return None
    after = f"order {last.number}" if len(in_vain) < 2 else f"{len(in_vain)} orders in a row that brought nothing"
    return f"Cooling down until {until:%Y-%m-%d %H:%M} UTC after {after}.{_ahead(last, now)}"


def _has_more_evidence(last: OrderRecord, signal: Signal, facts: Facts) -> bool:
    """Return true if an order for the same incident was in vain, and twice as many labels since its begin are known.

    Then there is reason to expect another candidate, however long the back-off.
    """
    if signal.incident is None or last.order.incident != signal.incident or not last.brought_nothing:
        return False
    had = last.order.numbers.get(LABELS_SINCE_CHANGE)
    return had is not None and facts.labels_since_change >= 2 * max(had, 1)


def _waited(since: datetime, record: OrderRecord, wait: timedelta, signal: Signal) -> datetime:
    """Return the end of a wait; between two scheduled times it counts from the first, in the schedule's time zone.

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
        f"The source has {labels:,} of the {policy.least_labels:,} labels that are needed of events since "
        f"{champion.trained_until:%Y-%m-%d}, where version {champion.version} stopped learning."
    )


def _ahead(last: OrderRecord, now: datetime) -> str:
    ahead = last.order.asked_at - now
    if ahead <= timedelta(0):
        return ""
    return f" That order is dated {format_roughly(ahead)} ahead: the clock was set back. Order one by hand to go on."
