"""What monitoring finds, and how findings of the same trouble become one incident."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, get_args

from msgspec import Struct

Severity = Literal["info", "warning", "critical"]
"""``info``: worth knowing; ``warning``: somebody should look; ``critical``: it does harm."""

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""From least to most."""

FindingKind = Literal[
    "performance_drop",
    "worse_than_champion",
    "drift",
    "prediction_drift",
    "joint_drift",
    "missing_values",
    "unseen_categories",
    "out_of_range",
    "constant_alive",
    "stale_source",
    "infinite_values",
    "labels_stopped",
    "unlabelled",
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
]


class Finding(Struct, frozen=True, kw_only=True):
    """One trouble, as it looks now."""

    kind: FindingKind
    model: str
    subject: str = ""
    """The feature, source, slice or version that it is about; empty for the model as a whole."""
    version: int | None = None
    """The version that it is about, where another one need not have it."""
    severity: Severity
    sentence: str
    """What was found and what it means, in plain words, with its numbers."""
    numbers: dict[str, float] = {}
    """The evidence, by name."""
    since: datetime | None = None
    """When it seems to have begun, by event time."""

    @property
    def key(self) -> str:
        """Findings with the same key are one trouble."""
        version = "" if self.version is None else f"v{self.version}"
        return "/".join((self.model, self.kind, version, self.subject))


class Incident(Struct, frozen=True, kw_only=True):
    """A trouble from its first finding until it is gone."""

    number: int
    key: str
    finding: Finding
    """The newest one."""
    opened_at: datetime
    updated_at: datetime
    resolved_at: datetime | None = None
    looks: int = 1
    """How often it was found."""
