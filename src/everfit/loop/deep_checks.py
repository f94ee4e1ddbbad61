"""Checks that take seconds, of full evaluations only: all columns together, and parity of served features."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from importlib.metadata import version as installed_version

import msgspec
from msgspec.structs import replace

from everfit.core.errors import EverfitError
from everfit.core.finding import FindingKind
from everfit.core.progress import Progress
from everfit.definitions.model import Model
from everfit.definitions.watch import Drift
from everfit.features.parity import parity_finding
from everfit.loop.feature_parity import parity
from everfit.measures.weighting import Floats
from everfit.monitoring.cache import CachedVersion, ReadBetween
from everfit.monitoring.evaluation import ANSWERS, gravest_first, own_rows
from everfit.monitoring.joint_drift import look_together, together_finding, usual_areas
from everfit.monitoring.reference import ReferenceProfile
from everfit.monitoring.report.report import MonitorReport, Served
from everfit.store.ledger import is_writable
from everfit.store.snapshot import read_snapshot, write_snapshot
from everfit.system import System

DEEP_KINDS: frozenset[FindingKind] = frozenset({"joint_drift", "parity"})
"""Kinds that only deep checks find."""
NEWEST = 2_000
"""Predictions whose features are recomputed."""
_AREAS = 2
"""Number of the form of what is kept of a reference; another one is not read."""


@dataclass(frozen=True, kw_only=True)
class ReferenceAreas:
    """Result of :func:`~everfit.monitoring.joint_drift.usual_areas`."""

    values: Floats


def add_deep_checks(
    system: System,
    definition: Model,
    report: MonitorReport,
    champion: CachedVersion | None,
    read: ReadBetween,
    *,
    since: datetime,
    progress: Progress,
) -> MonitorReport:
    """Return a report with the findings of the deep checks; raises :class:`StoreError` if the lake cannot be read.

    Args:
        champion: The version of which all columns are checked together; ``None`` without one.
        read: Reads the model's predictions.
        since: No event of the newest :data:`NEWEST` predictions is earlier.
    """
    report = _check_parity(system, definition, report, since, progress)
    return report if champion is None else _check_joint_drift(system, definition, report, champion, read, progress)


def not_evaluated(report: MonitorReport) -> frozenset[FindingKind]:
    """Return the kinds among :data:`DEEP_KINDS` that could not be checked this time."""
    results: dict[FindingKind, object] = {"joint_drift": report.together, "parity": report.served}
    return frozenset(kind for kind, result in results.items() if result is None)


def _check_joint_drift(
    system: System,
    definition: Model,
    report: MonitorReport,
    champion: CachedVersion,
    read: ReadBetween,
    progress: Progress,
) -> MonitorReport:
    number = report.champion
    watch = next((watch for watch in definition.watches if isinstance(watch, Drift)), None)
    present = next((part for part in report.versions if (part.version, part.route) == (number, ANSWERS)), None)
    if watch is None or number is None or present is None or not present.drift or champion.reference is None:
        return report
    newest = present.drift[-1]
    progress.start("Telling apart")
    rows = own_rows(champion.read(read, newest.start, newest.end), number, ANSWERS)
    usual = partial(_kept_areas, system, definition, champion.digest, champion.reference)
    found = look_together(rows, champion.reference, watch, start=newest.start, end=newest.end, usual=usual)
    progress.finish("Telling apart", note="" if found is None else f"area {found.auc:.2f}, {found.usual_auc:.2f} usual")
    if found is None:
        return report
    # Findings that may be why rows differ: columns, sources, or features served wrongly.
    named = (finding for finding in report.findings if finding.subject or finding.kind == "parity")
    causes = (*newest.drifted, *{finding.subject or finding.kind for finding in named})
    finding = together_finding(found, causes, definition.name)
    more = () if finding is None else (finding,)
    return replace(report, together=found, findings=gravest_first((*report.findings, *more)))


def _kept_areas(
    system: System, definition: Model, digest: str, reference: ReferenceProfile, size: int
) -> Floats | None:
    """Return :func:`usual_areas` of a champion as an earlier report kept them, or compute and keep them.

    They are sixteen times the work of the check itself.
    """
    parts = (_AREAS, installed_version("scikit-learn"), digest, str(reference.window), size)
    path = system.state / "monitoring" / f"{definition.name}.areas"
    key = hashlib.sha256(repr(parts).encode()).hexdigest()
    if (kept := read_snapshot(path, key, ReferenceAreas)) is not None:
        return kept.values
    areas = usual_areas(reference, size)
    if areas is not None and is_writable(system.ledger):
        write_snapshot(path, key, ReferenceAreas(values=areas))
    return areas


def _check_parity(
    system: System, definition: Model, report: MonitorReport, since: datetime, progress: Progress
) -> MonitorReport:
    try:
        found = parity(system, definition.name, since=since, as_of=report.as_of, limit=NEWEST, progress=progress)
    except EverfitError as error:
        note = f"Served features could not be held against history: {error}"
        return replace(report, notes=(*report.notes, note))
    finding = parity_finding(found, definition.name)
    more = () if finding is None else (finding,)
    served = msgspec.convert(found, Served, from_attributes=True)
    return replace(report, served=served, findings=gravest_first((*report.findings, *more)))
