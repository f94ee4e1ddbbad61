"""Findings of monitoring, and the incidents that they become."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, get_args

from msgspec import Struct

Severity = Literal["info", "warning", "critical"]
"""``info``: worth knowing; ``warning``: to be looked into; ``critical``: it does harm."""

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""In increasing order."""

FindingKind = Literal[
    "performance_drop",
    "drift",
    "prediction_drift",
    "joint_drift",
    "missing_values",
    "unseen_categories",
    "unit_change",
    "out_of_range",
    "constant_alive",
    "stale_source",
    "infinite_values",
    "labels_stopped",
    "unlabelled",
    "label_delay",
    "duplicate_labels",
    "contradicting_labels",
    "new_class",
    "clock_skew",
    "predictions_stopped",
    "parity",
    "training_failed",
    "candidate_refused",
    "taken_back",
    "clock_set_back",
    "loop_trouble",
    "slow_source",
    "review_overdue",
]


class Finding(Struct, frozen=True, kw_only=True):
    """One problem that monitoring found, as it is now."""

    kind: FindingKind
    model: str
    subject: str = ""
    """The feature, source, slice or version that it is about; empty for the model as a whole."""
    version: int | None = None
    """The version that it is about, where another one need not have it."""
    severity: Severity
    sentence: str
    """The finding and its meaning, in plain words, with its numbers."""
    numbers: dict[str, float] = {}
    """The evidence, by name."""
    since: datetime | None = None
    """The instant at which it seems to have begun, by event time."""

    @property
    def key(self) -> str:
        """Findings with the same key are one incident."""
        version = "" if self.version is None else f"v{self.version}"
        return "/".join((self.model, self.kind, version, self.subject))


class Incident(Struct, frozen=True, kw_only=True):
    """A problem from its first finding until it is gone; found again within a day, it is the same incident."""

    number: int
    key: str
    finding: Finding
    """The newest one; earlier ones are not kept."""
    opened_at: datetime
    updated_at: datetime
    resolved_at: datetime | None = None
    looks: int = 1
    """Number of evaluations that found it."""

    def is_drop_of(self, version: int) -> bool:
        """Return true if it says that a version has become worse."""
        return (self.finding.kind, self.finding.version) == ("performance_drop", version)


class EstimatedDrop(Struct, frozen=True, kw_only=True):
    """Difference between the champion's expected metric on its latest predictions and the one on its hold-out.

    It is estimated without labels.
    """

    metric: str
    worse_by: float
    """In the metric's unit; positive means worse."""
    at_least: float
    """The end of the estimate's interval that is better for the champion."""
