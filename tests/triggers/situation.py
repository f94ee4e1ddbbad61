"""A model in a state that is known, for the tests beside this file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from everfit.core.finding import Finding, Incident
from everfit.core.order import OrderRecord, RetrainOrder
from everfit.definitions.policy import Policy
from everfit.triggers.decide import consider
from everfit.triggers.signals import Champion, Facts

TRAINED = datetime(2013, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
CHAMPION = Champion(version=3, as_of=TRAINED, trained_until=TRAINED - DAY, code="sha256:a")


def day(number: float) -> datetime:
    """So many days after the champion was trained."""
    return TRAINED + number * DAY


def facts(*incidents: Incident, **more: Any) -> Facts:
    given: dict[str, Any] = {"model": "late", "champion": CHAMPION, "code": "sha256:a", "labels_since": 5_000}
    return Facts(incidents=incidents, **given | more)


def incident(number: int, finding: Finding) -> Incident:
    return Incident(number=number, key=finding.key, finding=finding, opened_at=TRAINED, updated_at=TRAINED)


def drop(number: int = 12, *, version: int = 3) -> Incident:
    return incident(
        number,
        Finding(
            kind="performance_drop",
            model="late",
            version=version,
            severity="critical",
            sentence=f"Version {version} has become worse: its log loss is 0.6100, against 0.5100. 0.08 of it is new.",
            numbers={"since_then": 0.61, "hold_out": 0.51},
        ),
    )


def drifted(number: int, subject: str, *, severity: Any = "warning", effect: float = 0.5) -> Incident:
    return incident(
        number,
        Finding(
            kind="drift",
            model="late",
            subject=subject,
            severity=severity,
            sentence=f"{subject} has moved by about {effect:.2f} standard deviations.",
            numbers={"effect": effect, "importance": 1.0},
        ),
    )


def record(number: int, cause: str, state: Any, *, asked: float, ended: float | None = None) -> OrderRecord:
    """An order of the policy, asked and ended so many days after the champion was trained."""
    order = RetrainOrder(model="late", cause=cause, reason="It was due.", asked_at=day(asked), actor="policy")
    return OrderRecord(number=number, order=order, state=state, ended_at=None if ended is None else day(ended))


def decide(policy: Policy, known: Facts, history: Sequence[OrderRecord], now: datetime) -> RetrainOrder | None:
    """The order that the policy gives, if there is one."""
    return consider(policy, known, history, now).order
