"""Checks that take seconds, of full evaluations only: all columns together, and parity of served features."""

from __future__ import annotations

from msgspec.structs import replace

from everfit.core.errors import EverfitError
from everfit.core.finding import FindingKind
from everfit.core.progress import SILENT, Progress
from everfit.definitions.model import Model
from everfit.definitions.watch import Drift
from everfit.features.parity import parity_finding
from everfit.journal.prediction_history import PredictionHistory
from everfit.loop.feature_parity import parity
from everfit.monitoring.cache import CachedVersion
from everfit.monitoring.evaluation import ANSWERS, gravest_first, own_rows
from everfit.monitoring.joint_drift import look_together, together_finding
from everfit.monitoring.report.report import MonitorReport, Served, ServedFeature, VersionReport
from everfit.system import System

DEEP_KINDS: frozenset[FindingKind] = frozenset({"joint_drift", "parity"})
"""Kinds that only deep checks find."""
_NEWEST = 2_000
"""Predictions whose features are recomputed."""


def add_deep_checks(
    system: System,
    definition: Model,
    report: MonitorReport,
    *,
    champion: tuple[int, CachedVersion] | None,
    history: PredictionHistory,
    progress: Progress = SILENT,
) -> MonitorReport:
    """Return a report with the findings of the deep checks.

    Args:
        report: The findings so far.
        champion: The champion's number and reference, if there is one.
        history: The model's predictions.

    Raises:
        StoreError: If the lake cannot be read.
    """
    report = _check_parity(system, definition, report, progress)
    return report if champion is None else _check_joint_drift(definition, report, *champion, history, progress)


def not_evaluated(report: MonitorReport) -> frozenset[FindingKind]:
    """Return the kinds among :data:`DEEP_KINDS` that could not be checked this time."""
    checked: set[FindingKind] = set()
    if report.together is not None:
        checked.add("joint_drift")
    if report.served is not None:
        checked.add("parity")
    return DEEP_KINDS - checked


def _check_joint_drift(
    definition: Model,
    report: MonitorReport,
    number: int,
    version: CachedVersion,
    history: PredictionHistory,
    progress: Progress,
) -> MonitorReport:
    watch = next((watch for watch in definition.watches if isinstance(watch, Drift)), None)
    present = next((part for part in report.versions if (part.version, part.route) == (number, ANSWERS)), None)
    if watch is None or present is None or not present.drift or version.reference is None:
        return report
    newest = present.drift[-1]
    progress.start("Telling apart")
    rows = own_rows(version.read(history.between, newest.start, newest.end), number, ANSWERS)
    found = look_together(rows, version.reference, watch, start=newest.start, end=newest.end)
    progress.finish("Telling apart", note="" if found is None else f"area {found.auc:.2f}, {found.usual_auc:.2f} usual")
    if found is None:
        return report
    finding = together_finding(found, _explained_by(report, present), definition.name)
    more = () if finding is None else (finding,)
    return replace(report, together=found, findings=gravest_first((*report.findings, *more)))


def _explained_by(report: MonitorReport, version: VersionReport) -> tuple[str, ...]:
    """Return the subjects of findings that may be why rows differ: columns, sources, or features served wrongly."""
    named = (finding for finding in report.findings if finding.subject or finding.kind == "parity")
    return (*version.drift[-1].drifted, *{finding.subject or finding.kind for finding in named})


def _check_parity(system: System, definition: Model, report: MonitorReport, progress: Progress) -> MonitorReport:
    try:
        found = parity(
            system, definition.name, since=report.since, as_of=report.as_of, limit=_NEWEST, progress=progress
        )
    except EverfitError as error:
        note = f"Served features could not be held against history: {error}"
        return replace(report, notes=(*report.notes, note))
    finding = parity_finding(found, definition.name)
    features = (
        ServedFeature(feature=part.feature, rows=part.rows, different=part.different) for part in found.features
    )
    return replace(
        report,
        served=Served(rows=found.rows, different=found.different, features=tuple(features)),
        findings=gravest_first((*report.findings, *(() if finding is None else (finding,)))),
    )
