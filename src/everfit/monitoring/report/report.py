"""Monitoring report as values, for terminals, pages and programs."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from everfit.core.finding import Finding, Incident
from everfit.measures.delays import Delay
from everfit.monitoring.drift_windows import Distribution, DriftWindow
from everfit.monitoring.estimate import Estimate, Reconciled
from everfit.monitoring.joint_drift import Together
from everfit.monitoring.maturity import CohortReport
from everfit.monitoring.performance import Comparison, Coverage, Figure, SliceFigure
from everfit.monitoring.performance_alarm import Alarm


class VersionReport(Struct, frozen=True, kw_only=True):
    """Report on one version, where it responds or as a shadow."""

    version: int
    route: str
    """``answers`` or ``shadow``."""
    first_asked: datetime
    last_asked: datetime
    reference: Figure | None
    """On its hold-out; ``None`` if its package keeps none."""
    overall: Figure
    over_time: tuple[Figure, ...]
    estimates: tuple[Estimate, ...]
    """Estimates without labels, over time; none if the hold-out is too small."""
    reconciled: Reconciled | None
    """Estimate beside the realised metric, on labelled rows."""
    coverage: tuple[Coverage, ...]
    delays: tuple[Delay, ...]
    """Label delays: of all together, then of each class."""
    cohorts: tuple[CohortReport, ...]
    """The shares of the classes, as known and as they will be; none for a regression."""
    slices: tuple[SliceFigure, ...]
    alarm: Alarm | None
    drift: tuple[DriftWindow, ...]
    distributions: tuple[Distribution, ...]
    """Of the columns that moved most in the newest window."""
    comparison: Comparison | None
    """With the champion: of a shadow or a canary."""


class ServedFeature(Struct, frozen=True, kw_only=True):
    """One feature, as it was served, against history."""

    feature: str
    rows: int
    different: int


class Served(Struct, frozen=True, kw_only=True):
    """Parity of the newest predictions: served features against history."""

    rows: int
    different: int
    """Rows in which any feature differs."""
    features: tuple[ServedFeature, ...]
    """The least alike first."""


class MonitorReport(Struct, frozen=True, kw_only=True):
    """Report on one model."""

    model: str
    task: str
    metric: str
    greater_is_better: bool
    as_of: datetime
    """Nothing that became known later was used."""
    since: datetime
    champion: int | None = None
    """The version that answers; ``None`` if none does."""
    versions: tuple[VersionReport, ...]
    """The newest first."""
    findings: tuple[Finding, ...]
    """The gravest first."""
    together: Together | None = None
    """Joint drift of the champion's features; ``None`` if it could not be checked."""
    served: Served | None = None
    """``None`` if it could not be checked."""
    notes: tuple[str, ...] = ()
    """Checks that could not be made, or not as was asked for."""
    incidents: tuple[Incident, ...] = ()
    """Those that are open, and those that ended since ``since``."""


def compared(found: Comparison) -> str:
    """Return a comparison as a sentence."""
    low, high, sign = (-found.high, -found.low, -1) if found.high < 0 else (found.low, found.high, 1)
    verdict = "worse than" if found.low > 0 else "better than" if found.high < 0 else "not proven to differ from"
    where = (
        f"on {found.rows:,} rows that both predicted"
        if found.paired
        else f"on {found.rows:,} and {found.rows_against:,} rows, assigned by chance"
    )
    doubt = "worse by " if low <= 0 else ""
    return (
        f"Version {found.version} is {verdict} version {found.against} in {found.metric.replace('_', ' ')}, {where}: "
        f"{doubt}{sign * found.worse_by:.4f} ({low:.4f} … {high:.4f})."
    )
