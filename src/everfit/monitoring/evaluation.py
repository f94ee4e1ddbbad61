"""Evaluation of a model: performance, drift and data quality of each version against its reference. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

import polars as pl

from everfit.core.columns import KNOWN_AT, LABEL, RECORDED_AT, ROUTE, TIME, VERSION
from everfit.core.duration import format_roughly
from everfit.core.evidence import SourceFreshness
from everfit.core.finding import SEVERITIES, Finding
from everfit.definitions.watch import Drift, PerformanceDrop, Watch
from everfit.measures.delays import Delays
from everfit.monitoring.data_quality import (
    LEAST_ROWS,
    clock_findings,
    column_findings,
    infinite_values,
    stale_sources,
    views_of,
)
from everfit.monitoring.delays import learn_delays
from everfit.monitoring.drift_windows import (
    Counted,
    Distribution,
    DriftWindow,
    Judged,
    count_windows,
    distribution,
    drift_findings,
    drift_windows,
    history_note,
)
from everfit.monitoring.estimate import Estimator, Reconciled, learn_estimator
from everfit.monitoring.labels import label_findings, report_findings
from everfit.monitoring.maturity import cohort, weights
from everfit.monitoring.new_classes import new_class_findings
from everfit.monitoring.performance import (
    LEAST_LABELLED,
    Comparison,
    Figure,
    Scale,
    by_slice,
    compare,
    compare_dealt,
    coverage,
    figure,
    over_time,
)
from everfit.monitoring.performance_alarm import Alarm, alarm_finding, performance_alarm
from everfit.monitoring.reference import ReferenceProfile
from everfit.monitoring.report.report import CohortReport, MonitorReport, VersionReport

ANSWERS, SHADOW = "answers", "shadow"
CHAMPION, CANARY = "champion", "canary"
_A_DAY = timedelta(days=1)
_MOST_DISTRIBUTIONS = 6
_NEARLY_ALL = 0.98
"""With this share of labels known, the missing ones do not bias a metric."""
_LONGER = 3.0
"""Predictions have stopped after a pause this many times as long as any before."""


@dataclass(frozen=True, kw_only=True)
class CountedBefore:
    """Counted windows of a version, and their drift as computed before."""

    windows: tuple[Counted, ...]
    judged: Judged


@dataclass(frozen=True, kw_only=True)
class EvaluationScope:
    """Inputs of an evaluation beside the rows.

    Args:
        champion: The version that answers now; ``None`` if none does.
        references: What each version was made from, by its number; versions without one are only measured.
        scale: How to score; the champion's.
        scales: How to score each version, by its number, where that need not be ``scale``.
        watches: What is watched.
        slices: Columns by whose values metrics are broken down.
        every: How long a stretch of time a figure covers.
        freshness: How old the sources of its views are.
        sources: The source of each view, by name.
        reports: Outcomes as they were reported: ``id`` and ``value``.
        counted: What was counted before, of versions as they answer or shadow; the rest is counted from the rows.
    """

    model: str
    champion: int | None
    references: Mapping[int, ReferenceProfile]
    scale: Scale
    watches: Sequence[Watch]
    scales: Mapping[int, Scale] = field(default_factory=dict)
    slices: Sequence[str] = ()
    every: timedelta = timedelta(days=1)
    freshness: Sequence[SourceFreshness] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    reports: pl.DataFrame | None = None
    counted: Mapping[tuple[int, str], CountedBefore] = field(default_factory=dict)


def build_report(rows: pl.DataFrame, scope: EvaluationScope, *, since: datetime, as_of: datetime) -> MonitorReport:
    """Return the report on all versions.

    Args:
        rows: The model's predictions in the form of :mod:`everfit.monitoring.prediction_frame`, with the
            labels known at ``as_of``, each version's by its own scale.
        scope: What to hold them against.
        since: What was asked earlier is left out of figures and plots; alarms see everything.
    """
    recent = rows.filter(pl.col(TIME) >= since)
    parts = {
        (version, route): _Part(own_rows(rows, version, route), scope, version, route, since, as_of)
        for version, route in versions_by_route(recent)
    }
    champion = next((part for (version, route), part in parts.items() if _is_champion(scope, version, route)), None)
    return MonitorReport(
        model=scope.model,
        task=scope.scale.task,
        metric=scope.scale.metric,
        greater_is_better=scope.scale.measure.greater_is_better,
        as_of=as_of,
        since=since,
        champion=scope.champion,
        versions=tuple(part.report(rows) for part in parts.values()),
        findings=_findings(rows, recent, champion, scope, as_of=as_of),
        notes=() if champion is None else champion.notes,
    )


def present_findings(
    asked: pl.DataFrame, rows: pl.DataFrame | None, scope: EvaluationScope, *, since: datetime, as_of: datetime
) -> tuple[Finding, ...]:
    """Return the findings alone, the gravest first: those of :func:`build_report`, but cheaper.

    Args:
        asked: All predictions of the model: :data:`TIME` and :data:`RECORDED_AT`.
        rows: The champion's predictions, as for :func:`build_report`; features are not needed where windows were
            counted before. ``None`` if there is no champion.
        scope: What to hold them against.
        since: As for :func:`build_report`.
    """
    champion = None
    if scope.champion is not None and rows is not None and (rows[TIME] >= since).any():
        champion = _Part(rows, scope, scope.champion, ANSWERS, since, as_of)
    return _findings(asked, asked.filter(pl.col(TIME) >= since), champion, scope, as_of=as_of)


def _findings(
    asked: pl.DataFrame, recent: pl.DataFrame, champion: _Part | None, scope: EvaluationScope, *, as_of: datetime
) -> tuple[Finding, ...]:
    findings = [
        *stale_sources(scope.freshness, scope.model, now=as_of),
        *infinite_values(scope.freshness, scope.model),
        *_silence(asked, scope.model, as_of=as_of),
        *clock_findings(recent, scope.model),
        *(report_findings(scope.reports, scope.model) if scope.reports is not None else ()),
    ]
    if champion is not None:
        findings += champion.findings([finding.subject for finding in findings if finding.kind == "stale_source"])
    return gravest_first(findings)


def gravest_first(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return findings in the order of a report."""
    return tuple(sorted(findings, key=lambda one: (-SEVERITIES.index(one.severity), one.kind, one.subject)))


def own_rows(rows: pl.DataFrame, version: int, route: str) -> pl.DataFrame:
    """Return a version's rows, where it responds or as a shadow."""
    return rows.filter(pl.col(VERSION) == version, (pl.col(ROUTE) == SHADOW) == (route == SHADOW))


def _is_champion(scope: EvaluationScope, version: int, route: str) -> bool:
    return version == scope.champion and route == ANSWERS


def versions_by_route(rows: pl.DataFrame) -> list[tuple[int, str]]:
    """Return versions with their roles, the newest first; champion and canary are one role."""
    part = pl.when(pl.col(ROUTE) == SHADOW).then(pl.lit(SHADOW)).otherwise(pl.lit(ANSWERS))
    found = rows.select(pl.col(VERSION), part.alias(ROUTE)).unique().rows()
    return sorted(found, key=lambda one: (-one[0], one[1]))


def _silence(rows: pl.DataFrame, model: str, *, as_of: datetime) -> list[Finding]:
    """Return a finding if requests have stopped."""
    moments = rows[RECORDED_AT].sort().tail(10_000)
    last, longest = moments.max(), moments.diff().max()
    if not isinstance(last, datetime) or not isinstance(longest, timedelta) or len(moments) < LEAST_ROWS:
        return []
    quiet = as_of - last
    if quiet <= max(_LONGER * longest, timedelta(hours=1)):
        return []
    return [
        Finding(
            kind="predictions_stopped",
            model=model,
            severity="warning",
            sentence=f"There was no request for {format_roughly(quiet)}; the longest pause before was "
            f"{format_roughly(longest)}.",
            numbers={"quiet_s": quiet.total_seconds(), "longest_s": longest.total_seconds()},
            since=last,
        )
    ]


@dataclass(frozen=True)
class _Part:
    """Evaluation of one version, where it responds or as a shadow."""

    rows: pl.DataFrame
    scope: EvaluationScope
    version: int
    route: str
    since: datetime
    as_of: datetime

    def report(self, all_rows: pl.DataFrame) -> VersionReport:
        scope, scale = self.scope, self.scale
        recent = self.rows.filter(pl.col(TIME) >= self.since)
        weight = self.weight(recent)
        overall = figure(recent, scale, start=self.since, end=self.as_of, weight=weight)
        slices = [column for column in scope.slices if column in recent.columns]
        return VersionReport(
            version=self.version,
            route=self.route,
            first_asked=self.rows[TIME][0],
            last_asked=self.rows[TIME][-1],
            reference=None if self.reference is None else _on_hold_out(self.reference),
            overall=overall,
            over_time=over_time(recent, scale, every=scope.every, weight=weight),
            estimates=self.estimator.over_time(recent, every=scope.every) if self.estimator else (),
            reconciled=self.reconciled(recent, weight),
            coverage=coverage(recent, every=scope.every),
            delays=(self.delays.overall, *self.delays.by_class),
            cohorts=self.cohorts(recent),
            slices=by_slice(recent, scale, slices, overall=overall),
            alarm=self.alarm,
            drift=self.drift,
            distributions=self.distributions(),
            comparison=self.comparison(all_rows),
        )

    def findings(self, stale: Sequence[str]) -> list[Finding]:
        model, reference = self.scope.model, self.reference
        if reference is None:
            return []
        found: list[Finding] = []
        if self.windows:
            newest = self.windows[-1]
            excused = views_of(reference.features, self.scope.sources, stale)
            inputs = reference.inputs
            found += column_findings(
                inputs.sketch, newest.inputs, model, since=newest.start, excused=excused, novelty=inputs.novelty
            )
            graver = [*excused, *(one.subject for one in found)]
            found += drift_findings(self.drift, tuple(reference.answers.layout.columns), model, excused=graver)
        if self.alarm is not None:
            dropped = alarm_finding(self.alarm, model, self.version)
            found += [] if dropped is None else [dropped]
        known = reference.held_out.filter(pl.col(LABEL).is_not_null())
        delays = (known[KNOWN_AT] - known[TIME]).dt.total_microseconds().drop_nulls().sort().to_numpy() / 1e6
        found += new_class_findings(self.rows.filter(pl.col(TIME) >= self.since), self.scale, model, self.version)
        silence = _A_DAY if isinstance(reference.window, int) else reference.window
        found += label_findings(self.rows, delays, model, as_of=self.as_of, window=silence)
        return found

    @cached_property
    def delays(self) -> Delays:
        """Label delays of the version's own life and its reference."""
        columns = [TIME, LABEL, KNOWN_AT]
        rows = self.rows.select(columns)
        if self.reference is not None:
            rows = pl.concat([self.reference.rows.select(columns), rows], how="vertical_relaxed")
        return learn_delays(rows, as_of=self.as_of, classes=self.scale.classes)

    def weight(self, rows: pl.DataFrame) -> pl.Series | None:
        """Return the weight of each row, where so many labels are missing that they could bias a metric."""
        known = rows[LABEL].is_not_null().sum()
        if not rows.height or known < LEAST_LABELLED or known / rows.height >= _NEARLY_ALL:
            return None
        return weights(rows, self.delays, as_of=self.as_of).fill_null(0.0)

    @cached_property
    def estimator(self) -> Estimator | None:
        return None if self.reference is None else learn_estimator(self.reference)

    def reconciled(self, rows: pl.DataFrame, weight: pl.Series | None) -> Reconciled | None:
        if self.estimator is None or not rows.height:
            return None
        return self.estimator.reconcile(rows, start=self.since, end=self.as_of, weight=weight)

    def cohorts(self, rows: pl.DataFrame) -> tuple[CohortReport, ...]:
        if self.scale.task == "regression" or self.delays.labelled < LEAST_LABELLED:
            return ()
        every = self.scope.every
        parts = rows.with_columns(pl.col(TIME).dt.truncate(every).alias("__start")).partition_by("__start")
        starts = sorted(((part["__start"][0], part.drop("__start")) for part in parts), key=lambda one: one[0])
        return tuple(
            CohortReport(start=start, end=start + every, cohort=cohort(part, self.delays, as_of=self.as_of))
            for start, part in starts
        )

    @property
    def scale(self) -> Scale:
        return self.scope.scales.get(self.version, self.scope.scale)

    @property
    def reference(self) -> ReferenceProfile | None:
        return self.scope.references.get(self.version)

    @property
    def before(self) -> CountedBefore | None:
        return self.scope.counted.get((self.version, self.route))

    @cached_property
    def windows(self) -> tuple[Counted, ...]:
        if self.reference is None:
            return ()
        if self.before is not None:
            return self.before.windows
        return count_windows(self.rows, self.reference, until=self.as_of)

    @property
    def drift_watch(self) -> Drift | None:
        return next((watch for watch in self.scope.watches if isinstance(watch, Drift)), None)

    @property
    def notes(self) -> tuple[str, ...]:
        note = history_note(self.drift, self.drift_watch) if self.drift_watch else None
        return () if note is None else (note,)

    @cached_property
    def drift(self) -> tuple[DriftWindow, ...]:
        watch = self.drift_watch
        if watch is None or self.reference is None:
            return ()
        judged = self.before.judged if self.before else None
        found = drift_windows(self.windows, self.reference, watch, judged=judged)
        return tuple(one for one in found if one.end > self.since)

    @cached_property
    def alarm(self) -> Alarm | None:
        watch = next((one for one in self.scope.watches if isinstance(one, PerformanceDrop)), None)
        if watch is None or self.reference is None:
            return None
        return performance_alarm(self.rows, self.reference, by=watch.by, alpha=watch.alpha, run_length=watch.run_length)

    def distributions(self) -> tuple[Distribution, ...]:
        if self.reference is None or not self.drift:
            return ()
        newest, found = self.windows[-1], []
        for column in self.drift[-1].columns[:_MOST_DISTRIBUTIONS]:
            is_input = column.column in self.reference.inputs.layout.columns
            watched = self.reference.inputs if is_input else self.reference.answers
            after = newest.inputs if is_input else newest.answers
            found.append(distribution(column.column, watched.sketch.column(column.column), after.column(column.column)))
        return tuple(found)

    def comparison(self, all_rows: pl.DataFrame) -> Comparison | None:
        """Compare with the champion: a shadow on the same rows, a canary on rows assigned at random."""
        champion = self.scope.champion
        if champion is None or champion == self.version:
            return None
        theirs = all_rows.filter(pl.col(VERSION) == champion)
        other = self.scope.scales.get(champion, self.scope.scale)
        versions = {"version": self.version, "against": champion}
        if self.route == SHADOW:
            answers = theirs.filter(pl.col(ROUTE) != SHADOW)
            return compare(self.rows, answers, self.scale, other_scale=other, **versions)
        own = self.rows.filter(pl.col(ROUTE) == CANARY)
        answers = theirs.filter(pl.col(ROUTE) == CHAMPION)
        return compare_dealt(own, answers, self.scale, other_scale=other, **versions)


def _on_hold_out(reference: ReferenceProfile) -> Figure | None:
    rows = reference.held_out
    if rows.is_empty():
        return None
    return figure(rows, reference.scale, start=rows[TIME][0], end=rows[TIME][-1])
