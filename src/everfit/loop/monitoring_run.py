"""Monitoring pass over one model: from the log to findings, incidents, alerts and, if asked for, a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import polars as pl
from msgspec import Struct, structs

from everfit.artifact.package import open_package
from everfit.core.columns import ID, LABEL, RECORDED_AT, ROUTE, TIME, VERSION
from everfit.core.errors import EmptyWindowError, UnknownVersionError
from everfit.core.evidence import SourceFreshness
from everfit.core.finding import EstimatedDrop, Finding, Incident
from everfit.core.progress import SILENT, Progress
from everfit.definitions.model import Model
from everfit.features.freshness import measure_freshness
from everfit.features.labels import read_labels
from everfit.journal.label_join import join_labels, known_labels, repeated_reports
from everfit.journal.prediction_history import PredictionHistory
from everfit.journal.ship import Shipped
from everfit.journal.ship import ship as ship_journal
from everfit.loop.deep_checks import DEEP_KINDS, add_deep_checks, not_evaluated
from everfit.loop.health import FOUND_BY_LOOP
from everfit.loop.version_packages import open_packages
from everfit.monitoring.alerts import compose, send
from everfit.monitoring.cache import CachedVersion, VersionCache, counts_folder
from everfit.monitoring.estimate import estimated_drop
from everfit.monitoring.evaluation import (
    ANSWERS,
    CountedBefore,
    EvaluationScope,
    build_report,
    own_rows,
    present_findings,
    versions_by_route,
)
from everfit.monitoring.performance import Scale
from everfit.monitoring.performance_store import Performances
from everfit.monitoring.prediction_frame import standard_rows
from everfit.monitoring.report.gauges import samples_of
from everfit.monitoring.report.report import MonitorReport
from everfit.registry.history import AliasHistory
from everfit.registry.registry import CHAMPION
from everfit.store.gauges import write_samples
from everfit.store.ledger import is_writable
from everfit.system import System

_LOOK_BACK = timedelta(days=90)
_MOST_FIGURES = 100
_DRIFTS = frozenset({"drift", "prediction_drift"})


class Evaluation(Struct, frozen=True, kw_only=True):
    """Result of one monitoring pass."""

    model: str
    as_of: datetime
    champion: int | None
    rows: int
    """Predictions of all versions."""
    labelled: int
    """Predictions of the champion whose label is known."""
    findings: tuple[Finding, ...]
    """The gravest first."""
    incidents: tuple[Incident, ...]
    """Those that are open, and those that ended by this pass; of a full one, those that ended since ``since``."""
    estimated_drop: EstimatedDrop | None = None
    """By the newest window's rows, labels not needed; only while something that the model uses has drifted."""
    report: MonitorReport | None = None
    """Of a full pass."""


@dataclass
class MonitoringCache:
    """State of a process that evaluates models repeatedly; it notices changes by itself.

    It holds some hundred bytes for each prediction of a model, two million of them at most, and a few versions'
    references.

    Args:
        include_unshipped: Also read what is not in the lake yet, each time.
    """

    include_unshipped: bool = False
    versions: VersionCache = field(default_factory=VersionCache)
    _histories: dict[str, PredictionHistory] = field(default_factory=dict)

    def history(self, system: System, definition: Model, columns: Sequence[str] | None = ()) -> PredictionHistory:
        """Return a model's predictions, caught up.

        Args:
            columns: Features or request fields to keep; all of them if ``None``. Decided by the first call.

        Raises:
            StoreError: If the lake cannot be read.
        """
        name = definition.name
        if name not in self._histories:
            self._histories[name] = PredictionHistory(
                system.lake, system.journal, name, columns=columns, include_unshipped=self.include_unshipped
            )
        self._histories[name].catch_up()
        return self._histories[name]


def ship(system: System, *, progress: Progress = SILENT) -> Shipped:
    """Move the segments that the prediction service has sealed into the lake's tables.

    Raises:
        StoreError: If another process is shipping, or the lake cannot be written; nothing is lost then.
    """
    return ship_journal(system.journal, system.lake, progress=progress)


def monitor(
    system: System,
    model: str | None = None,
    *,
    since: datetime | None = None,
    as_of: datetime | None = None,
    progress: Progress = SILENT,
) -> MonitorReport:
    """Return a report on a model.

    Without ``as_of`` it is about the present: incidents open and end, alerts are sent, and figures are kept. With it,
    roles, alarms and incidents are shown as they were then, and nothing is recorded.

    Args:
        model: Its name; may be left out where there is only one.
        since: Earlier predictions are left out of figures; ninety days before ``as_of`` by default.
        as_of: Nothing that became known later is used; now by default.

    Raises:
        EmptyWindowError: If there was no prediction by then.
        StoreError: If the log, the lake or the ledger cannot be read.
        AlertError: If an alert did not reach its channel; all else is done then.
    """
    definition, cache = system.project.model(model), MonitoringCache(include_unshipped=True)
    found = evaluate(system, definition, cache, since=since, as_of=as_of, full=True, progress=progress)
    assert found.report is not None
    return found.report


def watch(
    system: System,
    model: str | None,
    cache: MonitoringCache,
    *,
    as_of: datetime | None = None,
    also: Sequence[Finding] = (),
) -> Evaluation:
    """Evaluate a model's present without a report, let incidents open and end, and send alerts.

    It finds what :func:`monitor` does, but for the deep checks, so quickly that a loop may call it in every round.

    Args:
        model: Its name; may be left out where there is only one.
        cache: The caller's, given to every call.
        as_of: The present, which only goes on; now by default.
        also: Findings of the caller.

    Raises:
        StoreError: If the lake or the ledger cannot be read.
        PackageError: If the champion's package cannot be read.
        AlertError: If an alert did not reach its channel; all else is done then.
    """
    now = as_of or system.clock.now()
    found = evaluate(system, system.project.model(model), cache, present=now)
    findings = (*also, *found.findings)
    system.incidents.record(found.model, findings, now=now, not_evaluated=DEEP_KINDS)
    _send_alerts(system, found.model, now=now)
    return structs.replace(found, findings=findings, incidents=system.incidents.of(found.model, since=now))


def evaluate(
    system: System,
    definition: Model,
    cache: MonitoringCache,
    *,
    present: datetime | None = None,
    since: datetime | None = None,
    as_of: datetime | None = None,
    full: bool = False,
    progress: Progress = SILENT,
) -> Evaluation:
    """Evaluate a model: the one monitoring pass, quick or full.

    A quick one is about the champion. A full one covers every version, makes the report, runs the deep checks, and
    records what it found, unless it is about the past.

    Args:
        cache: The caller's.
        present: The present instant; of the system's clock by default.
        since: See :func:`monitor`.
        as_of: An instant of the past, in which roles and incidents are shown as they were.
        full: See above.
        progress: Shown while a full one runs.

    Raises:
        EmptyWindowError: If a full one has no prediction to evaluate.
        StoreError: If the log, the lake or the ledger cannot be read.
        PackageError: If the champion's package cannot be read in a quick one.
        AlertError: If an alert of a full one did not reach its channel; all else is done then.
    """
    now = as_of or present or system.clock.now()
    since = since or now - _LOOK_BACK
    # The estimate of a regression's loss needs its features.
    columns = () if not full else None if definition.task == "regression" else definition.slices
    progress.start("Reading")
    history = cache.history(system, definition, columns)
    predictions = history.as_of(now)
    if full and predictions.is_empty():
        raise _no_prediction(history, definition, as_of)
    progress.finish("Reading", note=f"{predictions.height:,} predictions")
    progress.start("Comparing")
    champion = _champion(system, definition, predictions, as_of)
    versions = _versions(system, definition, cache.versions, champion, predictions, full=full)
    rows, reports = _labelled(system, definition, history, predictions, champion, versions, now, full=full)
    counted = _counted(system, definition, versions, rows, history, until=now)
    scope = _scope(
        system,
        definition,
        now,
        champion=champion,
        versions=versions,
        every=_figure_length(now - since) if full else timedelta(days=1),
        reports=reports,
        counted=counted,
    )
    own = None if rows is None or champion is None else own_rows(rows, champion, ANSWERS)
    found = Evaluation(
        model=definition.name,
        as_of=now,
        champion=champion,
        rows=predictions.height,
        labelled=0 if own is None else int(own[LABEL].is_not_null().sum()),
        findings=(),
        incidents=(),
    )
    if not full or rows is None:
        findings = present_findings(predictions, rows, scope, since=since, as_of=now)
        drop = _estimated_drop(findings, champion, versions, counted, history)
        return structs.replace(found, findings=findings, estimated_drop=drop)
    report = build_report(rows, scope, since=since, as_of=now)
    report = structs.replace(report, notes=(*report.notes, *_notes(history)))
    progress.finish("Comparing", note=f"{len(report.findings)} findings")
    known = (champion, versions[champion]) if champion in versions else None
    report = add_deep_checks(system, definition, report, champion=known, history=history, progress=progress)
    report = _as_it_was(system, report) if as_of else _record(system, report, scope.freshness)
    return structs.replace(found, findings=report.findings, incidents=report.incidents, report=report)


def _no_prediction(history: PredictionHistory, definition: Model, as_of: datetime | None) -> EmptyWindowError:
    if history.rows.is_empty():
        return EmptyWindowError(
            "a model must have made predictions before it can be monitored",
            value=definition.name,
            remedy="Serve it: everfit serve.",
        )
    first = history.rows[RECORDED_AT].min()
    return EmptyWindowError(
        "there must be predictions before the instant of --as-of",
        value=f"{as_of:%Y-%m-%d %H:%M:%S} UTC",
        place=definition.name,
        remedy=f"The first was recorded at {first:%Y-%m-%d %H:%M:%S} UTC." if isinstance(first, datetime) else "",
    )


def _champion(system: System, definition: Model, predictions: pl.DataFrame, as_of: datetime | None) -> int | None:
    """Return the champion, now or at an instant of the past; ``None`` if there is none.

    Where the history of aliases does not reach back so far, the newest prediction of a champion tells.
    """
    if as_of is None:
        deployed = system.deployment.of(definition.name)
        return deployed.champion.version if deployed else None
    changes = AliasHistory(system.ledger).of(definition.name)
    past = [change.version for change in changes if change.alias == CHAMPION and change.changed_at <= as_of]
    if past:
        return past[-1]
    responded = predictions.filter(pl.col(ROUTE) == CHAMPION).sort(RECORDED_AT, maintain_order=True)
    return int(responded[VERSION][-1]) if responded.height else None


def _versions(
    system: System,
    definition: Model,
    cache: VersionCache,
    champion: int | None,
    predictions: pl.DataFrame,
    *,
    full: bool,
) -> dict[int, CachedVersion]:
    """Return the versions to evaluate: the champion, or all that made predictions."""
    if full:
        numbers = sorted(set(predictions[VERSION].to_list()))
        packages = open_packages(system, definition.name, numbers)
        if not packages:
            raise UnknownVersionError(
                "of the versions that made predictions, one must still be there", value=numbers, place=definition.name
            )
        return {
            number: cache.version(package.digest, definition, partial(lambda opened: opened, package))
            for number, package in packages.items()
        }
    deployed = system.deployment.of(definition.name)
    if deployed is None or champion is None or predictions.is_empty():
        return {}
    folder = system.deployment.folder_of(deployed.champion)
    opened = partial(open_package, folder, trust=system.trust)
    return {champion: cache.version(deployed.champion.digest, definition, opened)}


def _labelled(
    system: System,
    definition: Model,
    history: PredictionHistory,
    predictions: pl.DataFrame,
    champion: int | None,
    versions: Mapping[int, CachedVersion],
    now: datetime,
    *,
    full: bool,
) -> tuple[pl.DataFrame | None, pl.DataFrame | None]:
    """Return predictions with labels in monitoring's form, the champion's or all, and the reports of labels."""
    if not versions:
        return None, None
    source = read_labels(definition, system.reader, as_of=now)
    labels = known_labels(history.outcomes, source, now)
    reports = repeated_reports(history.outcomes, source, predictions, now)
    if full:
        features = definition.task == "regression"
        return _by_own_schema(join_labels(predictions, labels), versions, features, definition.slices), reports
    assert champion is not None
    own = join_labels(own_rows(predictions, champion, ANSWERS), labels)
    return standard_rows(own, versions[champion].schema), reports


def _by_own_schema(
    joined: pl.DataFrame, versions: Mapping[int, CachedVersion], features: bool, slices: Sequence[str]
) -> pl.DataFrame:
    """Return predictions in monitoring's form, each version's by the classes that it knows.

    A version without a package is read by the newest one's schema.
    """
    newest, parts = versions[max(versions)].schema, []
    for number in joined[VERSION].unique().sort().to_list():
        schema = versions[number].schema if number in versions else newest
        wanted = [*(newest.names if features else ()), *slices]
        parts.append(standard_rows(joined.filter(pl.col(VERSION) == number), schema, slices=wanted))
    return pl.concat(parts, how="diagonal_relaxed").sort(TIME, ID, maintain_order=True)


def _counted(
    system: System,
    definition: Model,
    versions: Mapping[int, CachedVersion],
    rows: pl.DataFrame | None,
    history: PredictionHistory,
    *,
    until: datetime,
) -> dict[tuple[int, str], CountedBefore]:
    found = {}
    if rows is None:
        return {}
    for number, route in versions_by_route(rows):
        if number in versions:
            folder, own = counts_folder(system.state, definition, number, route), own_rows(rows, number, route)
            found[number, route] = versions[number].counted(folder, own, history.between, until=until)
    return {part: counted for part, counted in found.items() if counted is not None}


def _scope(
    system: System,
    definition: Model,
    now: datetime,
    *,
    champion: int | None,
    versions: Mapping[int, CachedVersion],
    every: timedelta,
    reports: pl.DataFrame | None,
    counted: Mapping[tuple[int, str], CountedBefore],
) -> EvaluationScope:
    scales = {
        number: Scale(task=definition.task, metric=definition.metric, classes=version.schema.classes)
        for number, version in versions.items()
    }
    newest = scales[max(scales)] if scales else Scale(task=definition.task, metric=definition.metric)
    return EvaluationScope(
        model=definition.name,
        champion=champion,
        references={number: version.reference for number, version in versions.items() if version.reference is not None},
        scale=newest if champion is None else scales.get(champion, newest),
        scales=scales,
        watches=definition.watches,
        slices=definition.slices,
        every=every,
        freshness=measure_freshness(definition.views, system.reader, at=now),
        sources={view.name: view.source.name for view in definition.views},
        reports=reports,
        counted=counted,
    )


def _estimated_drop(
    findings: Sequence[Finding],
    champion: int | None,
    versions: Mapping[int, CachedVersion],
    counted: Mapping[tuple[int, str], CountedBefore],
    history: PredictionHistory,
) -> EstimatedDrop | None:
    """Return how much worse the champion is expected to be by now, while something that it uses has drifted."""
    drifted = any(finding.kind in _DRIFTS and finding.severity != "info" for finding in findings)
    if not drifted or champion is None or (windows := counted.get((champion, ANSWERS))) is None:
        return None
    version = versions[champion]
    estimate = version.estimate(champion, windows, history.between)
    return None if estimate is None or version.estimator is None else estimated_drop(estimate, version.estimator)


def _notes(history: PredictionHistory) -> tuple[str, ...]:
    if not history.left_out:
        return ()
    return (f"{history.left_out:,} rows are left out: their event or known time is not in the years 1970 to 2200.",)


def _figure_length(span: timedelta) -> timedelta:
    """Return the length of time that one figure covers, so that there are enough of them and not too many."""
    for length in (timedelta(hours=1), timedelta(days=1), timedelta(days=7)):
        if span / length <= _MOST_FIGURES:
            return length
    return timedelta(days=28)


def _as_it_was(system: System, report: MonitorReport) -> MonitorReport:
    """Add the incidents of an instant of the past."""
    incidents = system.incidents.of(report.model, since=report.since, as_of=report.as_of)
    if not any(incident.updated_at > report.as_of for incident in incidents):
        return structs.replace(report, incidents=incidents)
    note = "The ledger keeps the newest finding of an incident: those that went on are shown with a later one."
    return structs.replace(report, incidents=incidents, notes=(*report.notes, note))


def _record(system: System, report: MonitorReport, freshness: Sequence[SourceFreshness]) -> MonitorReport:
    """Keep the figures, let incidents open and end, and send alerts."""
    if not is_writable(system.ledger):
        note = "Incidents and figures are not kept: the project's folder cannot be written."
        return structs.replace(report, notes=(*report.notes, note))
    incidents, skipped = system.incidents, {*FOUND_BY_LOOP, *not_evaluated(report)}
    incidents.record(report.model, report.findings, now=report.as_of, not_evaluated=skipped)
    Performances(system.ledger).keep(report)
    recorded = structs.replace(report, incidents=incidents.of(report.model, since=report.since))
    write_samples(system.state / "gauges", report.model, samples_of(recorded, freshness))
    known = {version.version: version for version in system.registry.versions(report.model)}
    for version in report.versions:
        if version.route == ANSWERS and version.version in known and version.overall.value is not None:
            live = {report.metric: version.overall.value, "label_coverage": version.overall.coverage}
            system.registry.log_live(known[version.version], live, at=report.as_of)
    _send_alerts(system, report.model, now=report.as_of)
    return recorded


def _send_alerts(system: System, model: str, *, now: datetime) -> None:
    settings = system.project.settings.alerts
    message = compose(system.incidents.unnotified(model), settings=settings, now=now)
    if message is not None and settings.urls:
        send(message, settings.urls)
        system.incidents.mark_notified(message.about)
