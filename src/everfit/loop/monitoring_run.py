"""Monitoring pass over one model: from the log to findings, incidents, alerts and, if asked for, a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

import polars as pl
from msgspec import Struct, structs

from everfit.artifact.package import open_package
from everfit.core.columns import ID, RECORDED_AT, ROUTE, TIME, VERSION
from everfit.core.errors import EmptyWindowError, UnknownVersionError
from everfit.core.evidence import SourceFreshness
from everfit.core.finding import EstimatedDrop, Finding, Incident
from everfit.core.progress import SILENT, Progress
from everfit.definitions.model import Model
from everfit.features.freshness import measure_freshness
from everfit.features.labels import read_labels
from everfit.journal.label_join import join_labels, known_labels, repeated_reports
from everfit.journal.prediction_history import PredictionHistory
from everfit.loop.deep_checks import DEEP_KINDS, add_deep_checks, not_evaluated
from everfit.loop.feature_parity import open_packages
from everfit.loop.health import FOUND_BY_LOOP
from everfit.monitoring.alerts import compose, send
from everfit.monitoring.cache import CachedVersion, VersionCache, counts_folder
from everfit.monitoring.estimate import estimated_drop
from everfit.monitoring.evaluation import (
    ANSWERS,
    EvaluationScope,
    build_report,
    own_rows,
    present_findings,
    versions_by_route,
)
from everfit.monitoring.performance import Scale
from everfit.monitoring.performance_store import keep_figures
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
    """Result of a quick pass."""

    findings: tuple[Finding, ...]
    """Those of the caller, then the pass's own, the gravest first."""
    incidents: tuple[Incident, ...]
    """Those that are open, and those that ended by this pass."""
    estimated_drop: EstimatedDrop | None = None
    """By the newest window's rows, labels not needed; only while something that the model uses has drifted."""


@dataclass
class MonitoringCache:
    """State of a process that evaluates one model repeatedly; it notices changes by itself.

    It holds some hundred bytes for each prediction, two million of them at most, and a few versions' references.
    """

    versions: VersionCache = field(default_factory=VersionCache)
    _history: PredictionHistory | None = None

    def history(self, system: System, definition: Model) -> PredictionHistory:
        """Return the model's predictions, caught up with what is in the log; raises :class:`StoreError`."""
        if self._history is None:
            self._history = PredictionHistory(system.lake, system.journal, definition.name, include_unshipped=True)
        self._history.catch_up()
        return self._history


def monitor(
    system: System,
    model: str | None = None,
    *,
    since: datetime | None = None,
    as_of: datetime | None = None,
    progress: Progress = SILENT,
) -> MonitorReport:
    """Return a report on all versions of a model: a full pass, with the deep checks.

    Without ``as_of`` it is about the present: incidents open and end, alerts are sent, and figures are kept. With it,
    roles, alarms and incidents are shown as they were then, and nothing is recorded. Raises
    :class:`EmptyWindowError` if there was no prediction by then, :class:`StoreError` if the log, the lake or the ledger
    cannot be read, and :class:`AlertError` if an alert did not reach its channel; all else is done then.

    Args:
        model: Its name; may be left out where there is only one.
        since: Earlier predictions are left out of figures; ninety days before ``as_of`` by default.
        as_of: Nothing that became known later is used; now by default.
    """
    definition, now = system.project.model(model), as_of or system.clock.now()
    since = since or now - _LOOK_BACK
    progress.start("Reading")
    # The estimate of a regression's loss needs its features.
    columns = None if definition.task == "regression" else definition.slices
    history = PredictionHistory(system.lake, system.journal, definition.name, columns=columns, include_unshipped=True)
    history.catch_up()
    predictions = history.as_of(now)
    if predictions.is_empty():
        raise _no_prediction(history, as_of)
    progress.finish("Reading", note=f"{predictions.height:,} predictions")
    progress.start("Comparing")
    champion = _champion_at(system, predictions, history.model, as_of)
    versions = _versions(system, definition, predictions)
    labels, reports = _labels(system, definition, history, predictions, now)
    rows = _by_own_schema(join_labels(predictions, labels), versions, definition)
    scope = _scope(
        system, definition, champion, versions, rows, reports, history, now, every=_figure_length(now - since)
    )
    report = build_report(rows, scope, since=since, as_of=now)
    if history.left_out:
        note = f"{history.left_out:,} rows are left out: their event or known time is not in the years 1970 to 2200."
        report = structs.replace(report, notes=(*report.notes, note))
    progress.finish("Comparing", note=f"{len(report.findings)} findings")
    version = versions.get(champion) if champion is not None else None
    report = add_deep_checks(system, definition, report, version, history, progress)
    return _as_it_was(system, report) if as_of else _record(system, report, scope.freshness)


def watch(
    system: System, model: str | None, cache: MonitoringCache, *, as_of: datetime, also: Sequence[Finding] = ()
) -> Evaluation:
    """Evaluate a model's champion without a report, let incidents open and end, and send alerts: a quick pass.

    It finds what :func:`monitor` does, but for the deep checks, so quickly that a loop may call it in every round. It
    raises what that does, and :class:`PackageError` if the champion's package cannot be read.

    Args:
        model: Its name; may be left out where there is only one.
        cache: The caller's, given to every call.
        as_of: The present, which only goes on.
        also: Findings of the caller.
    """
    definition = system.project.model(model)
    history, deployed = cache.history(system, definition), system.deployment.of(definition.name)
    predictions, champion = history.as_of(as_of), deployed.champion.version if deployed else None
    versions: dict[int, CachedVersion] = {}
    rows = reports = None
    if deployed is not None and not predictions.is_empty():
        opened = partial(open_package, system.deployment.folder_of(deployed.champion), trust=system.trust)
        version = cache.versions.version(deployed.champion.digest, definition, opened)
        versions = {deployed.champion.version: version}
        labels, reports = _labels(system, definition, history, predictions, as_of)
        own = own_rows(predictions, deployed.champion.version, ANSWERS)
        rows = standard_rows(join_labels(own, labels), version.schema)
    scope = _scope(system, definition, champion, versions, rows, reports, history, as_of)
    found = present_findings(predictions, rows, scope, since=as_of - _LOOK_BACK, as_of=as_of)
    drop = _estimated_drop(found, scope, versions, history)
    system.incidents.record(definition.name, (*also, *found), now=as_of, not_evaluated=DEEP_KINDS)
    _send_alerts(system, definition.name, now=as_of)
    incidents = system.incidents.of(definition.name, since=as_of)
    return Evaluation(findings=(*also, *found), incidents=incidents, estimated_drop=drop)


def _no_prediction(history: PredictionHistory, as_of: datetime | None) -> EmptyWindowError:
    if history.rows.is_empty():
        rule, remedy = "a model must have made predictions before it can be monitored", "Serve it: everfit serve."
        return EmptyWindowError(rule, value=history.model, remedy=remedy)
    first = history.rows[RECORDED_AT].min()
    return EmptyWindowError(
        "there must be predictions before the instant of --as-of",
        value=f"{as_of:%Y-%m-%d %H:%M:%S} UTC",
        place=history.model,
        remedy=f"The first was recorded at {first:%Y-%m-%d %H:%M:%S} UTC." if isinstance(first, datetime) else "",
    )


def _champion_at(system: System, predictions: pl.DataFrame, model: str, as_of: datetime | None) -> int | None:
    """Return the champion, now or at an instant of the past; ``None`` if there is none.

    Where the history of aliases does not reach back so far, the newest prediction of a champion tells.
    """
    if as_of is None:
        deployed = system.deployment.of(model)
        return deployed.champion.version if deployed else None
    changes = AliasHistory(system.ledger).of(model)
    past = [change.version for change in changes if change.alias == CHAMPION and change.changed_at <= as_of]
    if past:
        return past[-1]
    responded = predictions.filter(pl.col(ROUTE) == CHAMPION).sort(RECORDED_AT, maintain_order=True)
    return int(responded[VERSION][-1]) if responded.height else None


def _versions(system: System, definition: Model, predictions: pl.DataFrame) -> dict[int, CachedVersion]:
    """Return the references of all versions that made predictions and whose package is still there."""
    numbers, cache = sorted(set(predictions[VERSION].to_list())), VersionCache()
    packages = open_packages(system, definition.name, numbers)
    if not packages:
        rule = "of the versions that made predictions, one must still be there"
        raise UnknownVersionError(rule, value=numbers, place=definition.name)
    return {
        number: cache.version(package.digest, definition, partial(lambda opened: opened, package))
        for number, package in packages.items()
    }


def _labels(
    system: System, definition: Model, history: PredictionHistory, predictions: pl.DataFrame, now: datetime
) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """Return the labels that are known by now, and all reports of labels."""
    source = read_labels(definition, system.reader, as_of=now)
    reports = repeated_reports(history.outcomes, source, predictions, now)
    return known_labels(history.outcomes, source, now), reports


def _by_own_schema(joined: pl.DataFrame, versions: Mapping[int, CachedVersion], definition: Model) -> pl.DataFrame:
    """Return predictions in monitoring's form, each version's by the classes that it knows.

    A version without a package is read by the newest one's schema.
    """
    newest, parts = versions[max(versions)].schema, []
    for number in joined[VERSION].unique().sort().to_list():
        schema = versions[number].schema if number in versions else newest
        wanted = [*(newest.names if definition.task == "regression" else ()), *definition.slices]
        parts.append(standard_rows(joined.filter(pl.col(VERSION) == number), schema, slices=wanted))
    return pl.concat(parts, how="diagonal_relaxed").sort(TIME, ID, maintain_order=True)


def _scope(
    system: System,
    definition: Model,
    champion: int | None,
    versions: Mapping[int, CachedVersion],
    rows: pl.DataFrame | None,
    reports: pl.DataFrame | None,
    history: PredictionHistory,
    now: datetime,
    *,
    every: timedelta = timedelta(days=1),
) -> EvaluationScope:
    """Return what the rows are compared with; ``rows`` are those in which windows are counted."""
    scale = Scale(task=definition.task, metric=definition.metric)
    scales = {number: replace(scale, classes=version.schema.classes) for number, version in versions.items()}
    counted = {}
    if rows is not None:
        for number, route in versions_by_route(rows):
            if number in versions:
                folder, own = counts_folder(system.state, definition, number, route), own_rows(rows, number, route)
                counted[number, route] = versions[number].counted(folder, own, history.between, until=now)
    newest = scales[max(scales)] if scales else scale
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
        counted={part: windows for part, windows in counted.items() if windows is not None},
    )


def _estimated_drop(
    findings: Sequence[Finding],
    scope: EvaluationScope,
    versions: Mapping[int, CachedVersion],
    history: PredictionHistory,
) -> EstimatedDrop | None:
    """Return how much worse the champion is expected to be by now, while something that it uses has drifted."""
    drifted = any(finding.kind in _DRIFTS and finding.severity != "info" for finding in findings)
    if not drifted or scope.champion is None or (windows := scope.counted.get((scope.champion, ANSWERS))) is None:
        return None
    version = versions[scope.champion]
    estimate = version.estimate(scope.champion, windows, history.between)
    return None if estimate is None or version.estimator is None else estimated_drop(estimate, version.estimator)


def _figure_length(span: timedelta) -> timedelta:
    """Return the length of time that one figure covers, so that there are enough of them and not too many."""
    lengths = timedelta(hours=1), timedelta(days=1), timedelta(days=7)
    return next((length for length in lengths if span / length <= _MOST_FIGURES), timedelta(days=28))


def _as_it_was(system: System, report: MonitorReport) -> MonitorReport:
    """Add the incidents of an instant of the past."""
    incidents, notes = system.incidents.of(report.model, since=report.since, as_of=report.as_of), report.notes
    if any(incident.updated_at > report.as_of for incident in incidents):
        note = "The ledger keeps the newest finding of an incident: those that went on are shown with a later one."
        notes = (*notes, note)
    return structs.replace(report, incidents=incidents, notes=notes)


def _record(system: System, report: MonitorReport, freshness: Sequence[SourceFreshness]) -> MonitorReport:
    """Keep the figures, let incidents open and end, and send alerts."""
    if not is_writable(system.ledger):
        note = "Incidents and figures are not kept: the project's folder cannot be written."
        return structs.replace(report, notes=(*report.notes, note))
    incidents, skipped = system.incidents, {*FOUND_BY_LOOP, *not_evaluated(report)}
    incidents.record(report.model, report.findings, now=report.as_of, not_evaluated=skipped)
    keep_figures(system.ledger, report)
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
