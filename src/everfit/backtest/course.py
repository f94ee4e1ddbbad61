"""The course that a policy took through history: its orders, versions, rollouts and alarms."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from everfit.core.class_names import ClassValue
from everfit.core.finding import Incident
from everfit.core.order import OrderRecord
from everfit.core.rollout import Rollout


class Reign(Struct, frozen=True, kw_only=True):
    """Period in which a version was the champion."""

    version: int
    since: datetime
    as_of: datetime
    """Of its training."""
    sentence: str
    """Why it became the champion."""


class Course(Struct, frozen=True, kw_only=True):
    """Orders, rollouts, incidents and champions under one policy."""

    policy: str
    trainings: int
    """The first version's is not among them, which all policies share."""
    orders: tuple[OrderRecord, ...] = ()
    rollouts: tuple[Rollout, ...] = ()
    incidents: tuple[Incident, ...] = ()
    reigns: tuple[Reign, ...] = ()
    seconds: float = 0.0
    """Of this machine's clock, trainings included."""
    training_seconds: float = 0.0

    @property
    def refused(self) -> int:
        """Number of candidates that gates refused."""
        return sum(record.state == "refused" for record in self.orders)

    @property
    def failed(self) -> int:
        """Number of trainings that failed."""
        return sum(record.state == "failed" for record in self.orders)

    @property
    def promotions(self) -> int:
        """Number of versions that became the champion, without the first."""
        return max(len(self.reigns) - 1, 0)

    @property
    def taken_back(self) -> int:
        """Number of rollouts that ended with a rollback or a refusal."""
        return sum(rollout.state in {"refused", "rolled_back"} for rollout in self.rollouts)

    @property
    def alarms(self) -> int:
        """Number of incidents of performance."""
        return sum(incident.finding.kind == "performance_drop" for incident in self.incidents)


@dataclass(frozen=True, kw_only=True)
class Walked:
    """A course, and the predictions that callers would have received."""

    course: Course
    predictions: NDArray[np.float64]
    """Of the events of the backtest, in order; shape ``(rows,)``, or ``(rows, classes)``."""
    classes: tuple[ClassValue, ...] = ()
    """Of the columns."""
