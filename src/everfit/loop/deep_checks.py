"""What a report looks at and a loop does not, since it takes seconds: all columns together, and served features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from everfit.core.errors import EverfitError
from everfit.core.finding import FindingKind
from everfit.core.progress import SILENT, Progress
from everfit.loop.feature_parity import parity

if TYPE_CHECKING:
    from everfit.definitions.model import Model
    from everfit.loop.cache import RememberedVersion
    from everfit.loop.prediction_history import Answers
    from everfit.monitoring.report.report import MonitorReport, VersionReport
    from everfit.system import System

CLOSER: frozenset[FindingKind] = frozenset({"joint_drift", "parity"})
"""What only a closer look finds."""
_ANSWERS = 2_000
"""So many of the newest are recomputed."""


def look_closer(
    system: System,
    definition: Model,
    report: MonitorReport,
    *,
    champion: tuple[int, RememberedVersion] | None,
    answers: Answers,
    progress: Progress = SILENT,
) -> MonitorReport:
    """A report with what takes longer to find.

    Args:
        system: The parts.
        definition: The model.
        report: What was found so far.
        champion: The version that answers, if any, and what is known of it.
        answers: The model's.
        progress: Hears how far it is.

    Raises:
        StoreError: If the lake cannot be read.
    """
    report = _served(system, definition, report, progress)
    return report if champion is None else _together(definition, report, *champion, answers, progress)


def unseen(report: MonitorReport) -> frozenset[FindingKind]:
    """What of :data:`CLOSER` could not be looked at this time."""
    looked: set[FindingKind] = set()
    if report.together is not None:
        looked.add("joint_drift")
    if report.served is not None:
        looked.add("parity")
    return CLOSER - looked


def _together(
    definition: Model,
    report: MonitorReport,
    number: int,
    version: RememberedVersion,
    answers: Answers,
    progress: Progress,
) -> MonitorReport:
    import polars as pl

    from everfit.definitions.watch import Drift
    from everfit.monitoring.evaluation import ANSWERS, SHADOW, gravest_first
    from everfit.monitoring.joint_drift import look_together, together_finding
    from everfit.monitoring.prediction_frame import ROUTE, VERSION

    watch = next((each for each in definition.watches if isinstance(each, Drift)), None)
    seen = next((each for each in report.versions if (each.version, each.route) == (number, ANSWERS)), None)
    if watch is None or seen is None or not seen.drift or version.reference is None:
        return report
    newest = seen.drift[-1]
    progress.start("Telling apart")
    rows = version.read(answers, newest.start, newest.end)
    own = rows.filter(pl.col(VERSION) == number, pl.col(ROUTE) != SHADOW)
    found = look_together(own, version.reference, watch, start=newest.start, end=newest.end)
    progress.finish("Telling apart", note="" if found is None else f"area {found.auc:.2f}, {found.usual_auc:.2f} usual")
    if found is None:
        return report
    finding = together_finding(found, _said_of(report, seen), definition.name)
    more = () if finding is None else (finding,)
    return replace(report, together=found, findings=gravest_first((*report.findings, *more)))


def _said_of(report: MonitorReport, version: VersionReport) -> tuple[str, ...]:
    """Of what something is said that may be why rows differ: columns, sources, or features served wrongly."""
    told = {each.subject or each.kind for each in report.findings if each.subject or each.kind == "parity"}
    return (*version.drift[-1].drifted, *told)


def _served(system: System, definition: Model, report: MonitorReport, progress: Progress) -> MonitorReport:
    from everfit.features.parity import parity_finding
    from everfit.monitoring.evaluation import gravest_first
    from everfit.monitoring.report.report import Served, ServedFeature

    try:
        found = parity(
            system, definition.name, since=report.since, as_of=report.as_of, limit=_ANSWERS, progress=progress
        )
    except EverfitError as error:
        note = f"Served features could not be held against history: {error}"
        return replace(report, notes=(*report.notes, note))
    finding = parity_finding(found, definition.name)
    features = (
        ServedFeature(feature=each.feature, rows=each.rows, different=each.different) for each in found.features
    )
    return replace(
        report,
        served=Served(rows=found.rows, different=found.different, features=tuple(features)),
        findings=gravest_first((*report.findings, *(() if finding is None else (finding,)))),
    )
