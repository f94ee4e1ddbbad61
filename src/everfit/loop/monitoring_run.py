"""Monitoring pass over one model: from the log to findings, incidents, alerts and, if asked for, a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import polars as pl
from msgspec import Struct, structs

from everfit.core.columns import RECORDED_AT, ROUTE, VERSION
from everfit.core.errors import EmptyWindowError
from everfit.core.evidence import SourceFreshness
from everfit.core.finding import EstimatedDrop, Finding, Incident
from everfit.core.instants import END
from everfit.core.progress import SILENT, Progress
from everfit.definitions.model import Model
from everfit.journal.label_join import repeated_reports
from everfit.journal.prediction_history import PredictionHistory
from everfit.loop.declared_design import DesignWatch
from everfit.loop.deep_checks import DEEP_KINDS, add_deep_checks, not_evaluated
from everfit.loop.evaluation_scope import live_scope, scope_of
from everfit.loop.health import FOUND_BY_LOOP, FOUND_BY_MONITORING
from everfit.loop.historical_rows import counted_windows, labelled_rows, versions_of
from everfit.loop.label_intake import LabelIntake
from everfit.loop.live_report import DraftReport, figure_length, left_out_note, live_draft
from everfit.loop.monitoring_cache import MonitoringCache
from everfit.monitoring.alerts import compose, send
from everfit.monitoring.cache import CachedVersion, ReadBetween
from everfit.monitoring.estimate import estimated_drop
from everfit.monitoring.evaluation import ANSWERS, EvaluationScope, build_report, present_findings
from everfit.monitoring.labels import count_reports
from everfit.monitoring.performance_alarm import Alarm
from everfit.monitoring.performance_store import keep_figures
from everfit.monitoring.report.gauges import samples_of
from everfit.monitoring.report.report import MonitorReport
from everfit.registry.aliases import CHAMPION
from everfit.registry.history import AliasHistory
from everfit.store.gauges import write_samples
from everfit.store.ledger import is_writable
from everfit.store.timestamps import instant_literal
from everfit.system import System

_LOOK_BACK = timedelta(days=90)
_DRIFTS = frozenset({"drift", "prediction_drift"})


class Evaluation(Struct, frozen=True, kw_only=True):
    """Result of a quick pass."""

    findings: tuple[Finding, ...]
    """Those of the caller, then the pass's own, the gravest first."""
    incidents: tuple[Incident, ...]
    """Those that are open, and those that ended by this pass."""
    estimated_drop: EstimatedDrop | None = None
    """By the newest window's rows, labels not needed; only while something that the model uses has drifted."""


def monitor(
    system: System,
    model: str | None = None,
    *,
    since: datetime | None = None,
    as_of: datetime | None = None,
    progress: Progress = SILENT,
) -> MonitorReport:
    """Return a report on all versions of a model: a full pass, with the deep checks.

    Without ``as_of`` it is about the present: incidents open and end, alerts are sent, and figures are kept;
    :func:`log_live_metrics` is called apart. With it, roles, alarms and incidents are shown as they were then, and
    nothing is recorded. Raises
    :class:`EmptyWindowError` if there was no prediction by then, :class:`StoreError` if the log, the lake or the ledger
    cannot be read, and :class:`AlertError` if an alert did not reach its channel; all else is done then.

    Args:
        model: Its name; may be left out where there is only one.
        since: Earlier predictions are left out of figures; ninety days before ``as_of`` by default.
        as_of: Nothing that became known later is used; now by default.
    """
    definition, now = system.project.model(model), as_of or system.clock.now()
    since = since or now - _LOOK_BACK
    live = None if as_of is not None else live_draft(system, definition, since=since, now=now, progress=progress)
    draft = live or _draft_of_history(system, definition, since=since, as_of=as_of, now=now, progress=progress)
    progress.finish("Comparing", note=f"{len(draft.report.findings)} findings")
    report = add_deep_checks(
        system, definition, draft.report, draft.champion, draft.read, since=draft.newest_since, progress=progress
    )
    return _as_it_was(system, report) if as_of else _record(system, report, draft.freshness)


def _draft_of_history(
    system: System,
    definition: Model,
    *,
    since: datetime,
    as_of: datetime | None,
    now: datetime,
    progress: Progress,
) -> DraftReport:
    """Return the report by the newest two million predictions, which are read."""
    progress.start("Reading")
    # The estimate of a regression's loss needs its features.
    columns = None if definition.task == "regression" else definition.slices
    intake = LabelIntake(system, definition)
    history = intake.history(columns, as_of=as_of or END)
    intake.take(history, system.clock.now())
    intake.close()
    predictions = history.as_of(now)
    if predictions.is_empty():
        raise _no_prediction(history, as_of)
    progress.finish("Reading", note=f"{predictions.height:,} predictions")
    progress.start("Comparing")
    champion = _champion_at(system, predictions, history.model, as_of)
    versions = versions_of(system, definition, predictions)
    reports = repeated_reports(history.outcomes, history.labels, predictions, now)
    rows = labelled_rows(history, predictions, versions, definition, now)
    expected = DesignWatch(system.project, definition.name).expected_delay
    scope = scope_of(
        system,
        definition,
        champion,
        versions,
        now,
        reports=count_reports(reports),
        counted=counted_windows(system, definition, versions, rows, history, now),
        every=figure_length(now - since),
        expected_delay=expected,
        alarms=_whole_life(system, definition, now) if history.is_cut and as_of is None else {},
    )
    report = build_report(rows, scope, since=since, as_of=now)
    report = structs.replace(report, notes=(*report.notes, *_limits(history, as_of)))
    version = versions.get(champion) if champion is not None else None
    return DraftReport(
        report=report, freshness=scope.freshness, champion=version, read=history.between, newest_since=since
    )


def _limits(history: PredictionHistory, as_of: datetime | None) -> Iterator[str]:
    """Yield sentences on predictions that a report leaves out."""
    if history.is_cut and as_of is None:
        yield f"Of the model's predictions the newest {history.rows.height:,} are shown; alarms are about all."
    elif history.is_cut:
        yield f"Of the predictions by then the newest {history.rows.height:,} are used, also for alarms."
    if history.left_out:
        yield left_out_note(history.left_out)


def watch(
    system: System,
    model: str | None,
    cache: MonitoringCache,
    *,
    as_of: datetime,
    also: Sequence[Finding] = (),
    expected_delay: timedelta | None = None,
) -> Evaluation:
    """Evaluate a model's champion without a report, let incidents open and end, and send alerts: a quick pass.

    It finds what :func:`monitor` does, but for the deep checks, so quickly that a loop may call it in every round. It
    raises what that does, and :class:`PackageError` if the champion's package cannot be read.

    Args:
        model: Its name; may be left out where there is only one.
        cache: The caller's, given to every call.
        as_of: The present, which only goes on.
        also: Findings of the caller.
        expected_delay: Label delay by the design record, which is not read in every call.
    """
    definition = system.project.model(model)
    monitoring = cache.champion(system, definition, as_of)
    live, version = monitoring.live, monitoring.version
    if live.is_behind:
        system.incidents.record(definition.name, also, now=as_of, not_evaluated=FOUND_BY_MONITORING)
        return Evaluation(findings=tuple(also), incidents=system.incidents.of(definition.name, since=as_of))
    scope = live_scope(system, definition, monitoring, as_of, expected_delay=expected_delay)
    moments = live.moments.filter(pl.col(RECORDED_AT) <= instant_literal(as_of))
    found = present_findings(moments, monitoring.rows, scope, since=as_of - _LOOK_BACK, as_of=as_of)
    drop = _estimated_drop(found, scope, version, live.between)
    system.incidents.record(definition.name, (*also, *found), now=as_of, not_evaluated=DEEP_KINDS)
    _send_alerts(system, definition.name, now=as_of)
    monitoring.settle(as_of)
    cache.save(system, definition)
    incidents = system.incidents.of(definition.name, since=as_of)
    return Evaluation(findings=(*also, *found), incidents=incidents, estimated_drop=drop)


def _no_prediction(history: PredictionHistory, as_of: datetime | None) -> EmptyWindowError:
    first = history.first_recorded
    if first is None:
        rule, remedy = "a model must have made predictions before it can be monitored", "Serve it: everfit serve."
        return EmptyWindowError(rule, value=history.model, remedy=remedy)
    return EmptyWindowError(
        "there must be predictions before the instant of --as-of",
        value=f"{as_of:%Y-%m-%d %H:%M:%S} UTC",
        place=history.model,
        remedy=f"The first was recorded at {first:%Y-%m-%d %H:%M:%S} UTC.",
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


def _whole_life(system: System, definition: Model, now: datetime) -> dict[tuple[int, str], Alarm]:
    """Return the champion's alarm over its whole life, of which the predictions are too many to be held."""
    cache = MonitoringCache()
    while True:
        monitoring = cache.champion(system, definition, now)
        if cache.is_behind:
            continue
        if monitoring.champion is None or monitoring.test is None or monitoring.rows is None:
            return {}
        return {(monitoring.champion.version, ANSWERS): monitoring.test.of(monitoring.rows)}


def _estimated_drop(
    findings: Sequence[Finding],
    scope: EvaluationScope,
    version: CachedVersion | None,
    read: ReadBetween,
) -> EstimatedDrop | None:
    """Return how much worse the champion is expected to be by now, while something that it uses has drifted."""
    drifted = any(finding.kind in _DRIFTS and finding.severity != "info" for finding in findings)
    if (
        not drifted
        or version is None
        or scope.champion is None
        or (windows := scope.counted.get((scope.champion, ANSWERS))) is None
    ):
        return None
    estimate = version.estimate(scope.champion, windows, read)
    return None if estimate is None or version.estimator is None else estimated_drop(estimate, version.estimator)


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
    _send_alerts(system, report.model, now=report.as_of)
    return recorded


def log_live_metrics(system: System, report: MonitorReport) -> None:
    """Log the metrics of a report of the present to the runs of its versions, in MLflow.

    Apart from :func:`monitor`, since importing MLflow takes half as long as the report. Raises :class:`StoreError` if
    MLflow's store cannot be opened.
    """
    if not is_writable(system.ledger):
        return
    known = {version.version: version for version in system.registry.versions(report.model)}
    for version in report.versions:
        if version.route == ANSWERS and version.version in known and version.overall.value is not None:
            live = {report.metric: version.overall.value, "label_coverage": version.overall.coverage}
            system.registry.log_live(known[version.version], live, at=report.as_of)


def _send_alerts(system: System, model: str, *, now: datetime) -> None:
    settings = system.project.settings.alerts
    message = compose(system.incidents.unnotified(model), settings=settings, now=now)
    if message is not None and settings.urls:
        send(message, settings.urls)
        system.incidents.mark_notified(message.about)
