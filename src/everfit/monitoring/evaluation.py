"""Evaluation of a model: performance, drift and data quality of each version against its reference. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

import polars as pl

from everfit.core.columns import KNOWN_AT, LABEL, ROUTE, TIME, VERSION
from everfit.core.duration import format_roughly
from everfit.core.evidence import SourceFreshness
from everfit.core.finding import SEVERITIES, Finding
from everfit.definitions.watch import Drift, PerformanceDrop, Watch
from everfit.measures.delays import Delays
from everfit.monitoring.common_cause import by_source, with_unit_changes
from everfit.monitoring.data_quality import column_findings, feed_findings, views_of
from everfit.monitoring.drift_windows import (
    Counted,
    Distribution,
    DriftWindow,
    Judged,
    distribution,
    drift_findings,
    drift_windows,
    history_note,
    windows_joined,
)
from everfit.monitoring.estimate import learn_estimator
from everfit.monitoring.figure_rows import FigureRows
from everfit.monitoring.labels import label_delay_findings, label_findings, new_class_findings, report_findings
from everfit.monitoring.maturity import cohorts, learn_delays, needed_weights
from everfit.monitoring.performance import Comparison, Scale, by_slice, compare, figure
from everfit.monitoring.performance_alarm import Alarm, PerformanceTest, alarm_findings, performance_test
from everfit.monitoring.reference import ReferenceProfile
from everfit.monitoring.report.report import MonitorReport, VersionReport
from everfit.monitoring.settled import NOTHING_SETTLED, ReportCounts, Settled
from everfit.monitoring.unit_change import UnitChange, unit_changes_of, unit_findings
from everfit.monitoring.windows import LEAST_ROWS
from everfit.store.timestamps import instant_literal

ANSWERS, SHADOW = "answers", "shadow"
_A_DAY = timedelta(days=1)
_MOST_DISTRIBUTIONS = 6
_DELAY_ROWS = 20_000
"""Rows by which the label delay is compared with the expected one, in 20 ms; of a million it takes a second."""


@dataclass(frozen=True, kw_only=True)
class CountedBefore:
    """Counted windows of a version, and their drift as computed before."""

    windows: tuple[Counted, ...]
    judged: Judged


@dataclass(frozen=True, kw_only=True)
class EvaluationScope:
    """Inputs of an evaluation beside the rows."""

    model: str
    champion: int | None
    references: Mapping[int, ReferenceProfile]
    """By version; those without one are only measured."""
    scale: Scale
    """The champion's."""
    watches: Sequence[Watch]
    scales: Mapping[int, Scale] = field(default_factory=dict)
    """By version, where that need not be ``scale``."""
    slices: Sequence[str] = ()
    """Columns by whose values metrics are broken down."""
    every: timedelta = _A_DAY
    """Length of time that a figure covers."""
    freshness: Sequence[SourceFreshness] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    """The source of each view, by name."""
    reports: ReportCounts = field(default_factory=ReportCounts)
    """Numbers of predictions whose label was reported, and reported again."""
    settled: Settled = NOTHING_SETTLED
    """The champion's rows that are not among those that are given."""
    expected_delay: timedelta | None = None
    """Duration from the event until nine of ten labels are known, by the design record; ``None`` without one."""
    counted: Mapping[tuple[int, str], CountedBefore] = field(default_factory=dict)
    """Windows of versions with a reference, where they respond or as a shadow."""
    tests: Mapping[tuple[int, str], PerformanceTest] = field(default_factory=dict)
    """Tests that go on from the evaluation before, by version and route, and that hold what is settled; others begin
    with the version's life."""
    alarms: Mapping[tuple[int, str], Alarm] = field(default_factory=dict)
    """Alarms over whole lives, where the rows that are given are only the newest."""
    featured: pl.DataFrame | None = None
    """The champion's newest labelled rows with features and slices, where its others have none."""


def build_report(rows: pl.DataFrame, scope: EvaluationScope, *, since: datetime, as_of: datetime) -> MonitorReport:
    """Return the report on all versions, by the model's predictions with the labels known at ``as_of``.

    Rows are in the form of :mod:`everfit.monitoring.prediction_frame`, each version's by its own scale. What was asked
    before ``since`` is left out of figures and plots; alarms see everything.
    """
    recent = rows.filter(pl.col(TIME) >= instant_literal(since))
    parts = {
        (version, route): _VersionEvaluation(own_rows(rows, version, route), scope, version, route, since, as_of)
        for version, route in versions_by_route(recent)
    }
    return _report(parts, rows, rows, scope, since=since, as_of=as_of)


def build_live_report(
    asked: pl.DataFrame,
    rows: pl.DataFrame,
    others: pl.DataFrame | None,
    scope: EvaluationScope,
    *,
    since: datetime,
    as_of: datetime,
) -> MonitorReport:
    """Return the report by the champion's rows that are not settled, with the findings of :func:`present_findings`.

    Figures are of a sample, as :class:`~everfit.monitoring.figure_rows.FigureRows` takes it.

    Args:
        asked: :data:`TIME` and :data:`RECORDED_AT` of the newest predictions of all versions.
        rows: The champion's, without features.
        others: Rows of other versions, with those of the champion that they are compared with; ``None`` without any.
    """
    parts = {}
    if scope.champion is not None and (rows[TIME] >= since).any():
        parts[scope.champion, ANSWERS] = _VersionEvaluation(rows, scope, scope.champion, ANSWERS, since, as_of)
    beside = rows.clear() if others is None else others
    for version, route in versions_by_route(beside.filter(pl.col(TIME) >= since)):
        if (version, route) != (scope.champion, ANSWERS):
            own = own_rows(beside, version, route)
            parts[version, route] = _VersionEvaluation(own, scope, version, route, since, as_of)
    parts = dict(sorted(parts.items(), key=lambda part: (-part[0][0], part[0][1])))
    return _report(parts, asked, beside, scope, since=since, as_of=as_of)


def _report(
    parts: Mapping[tuple[int, str], _VersionEvaluation],
    asked: pl.DataFrame,
    rows: pl.DataFrame,
    scope: EvaluationScope,
    *,
    since: datetime,
    as_of: datetime,
) -> MonitorReport:
    champion = None if scope.champion is None else parts.get((scope.champion, ANSWERS))
    return MonitorReport(
        model=scope.model,
        task=scope.scale.task,
        metric=scope.scale.metric,
        greater_is_better=scope.scale.measure.greater_is_better,
        as_of=as_of,
        since=since,
        champion=scope.champion,
        versions=tuple(part.report(rows) for part in parts.values()),
        findings=_findings(asked, champion, scope, since=since, as_of=as_of),
        notes=() if champion is None else champion.notes,
    )


def present_findings(
    asked: pl.DataFrame, rows: pl.DataFrame | None, scope: EvaluationScope, *, since: datetime, as_of: datetime
) -> tuple[Finding, ...]:
    """Return the findings alone, the gravest first: those of :func:`build_report`, but cheaper.

    Given are :data:`TIME` and :data:`RECORDED_AT` of all predictions, and the champion's rows, without features.
    """
    champion = None
    if scope.champion is not None and rows is not None and (rows[TIME] >= since).any():
        champion = _VersionEvaluation(rows, scope, scope.champion, ANSWERS, since, as_of)
    return _findings(asked, champion, scope, since=since, as_of=as_of)


def _findings(
    asked: pl.DataFrame,
    champion: _VersionEvaluation | None,
    scope: EvaluationScope,
    *,
    since: datetime,
    as_of: datetime,
) -> tuple[Finding, ...]:
    findings = feed_findings(asked, scope.freshness, scope.model, since=since, as_of=as_of)
    findings += report_findings(scope.reports, scope.model)
    if champion is not None:
        findings += champion.findings({finding.subject for finding in findings if finding.kind == "stale_source"})
    return gravest_first(findings)


def gravest_first(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return findings in the order of a report."""
    return tuple(sorted(findings, key=lambda one: (-SEVERITIES.index(one.severity), one.kind, one.subject)))


def own_rows(rows: pl.DataFrame, version: int, route: str) -> pl.DataFrame:
    """Return a version's rows, where it responds or as a shadow."""
    return rows.filter(pl.col(VERSION) == version, (pl.col(ROUTE) == SHADOW) == (route == SHADOW))


def versions_by_route(rows: pl.DataFrame) -> list[tuple[int, str]]:
    """Return versions with their roles, the newest first; champion and canary are one role."""
    part = pl.when(pl.col(ROUTE) == SHADOW).then(pl.lit(SHADOW)).otherwise(pl.lit(ANSWERS))
    found = rows.select(pl.col(VERSION), part.alias(ROUTE)).unique().rows()
    return sorted(found, key=lambda one: (-one[0], one[1]))


@dataclass(frozen=True)
class _VersionEvaluation:
    """Evaluation of one version, where it responds or as a shadow."""

    rows: pl.DataFrame
    scope: EvaluationScope
    version: int
    route: str
    since: datetime
    as_of: datetime

    def report(self, all_rows: pl.DataFrame) -> VersionReport:
        scope, scale, figured = self.scope, self.scale, self.figured
        weight = needed_weights(figured.rows, self.delays, as_of=self.as_of)
        featured, featured_weight, overall_of_featured = figured.rows, weight, None
        overall = figured.overall(scale, start=self.since, end=self.as_of, weight=weight)
        if self.is_champion and scope.featured is not None:
            featured = scope.featured
            featured_weight = needed_weights(featured, self.delays, as_of=self.as_of)
            overall_of_featured = figure(featured, scale, start=self.since, end=self.as_of, weight=featured_weight)
        slices = [column for column in scope.slices if column in featured.columns]
        estimator = None if self.reference is None else learn_estimator(self.reference)
        # The loss of a regression is estimated by features.
        estimated, own_weight = (featured, featured_weight) if scale.task == "regression" else (figured.rows, weight)
        return VersionReport(
            version=self.version,
            route=self.route,
            first_asked=self._first_asked,
            last_asked=self.rows[TIME][-1],
            reference=None if self.reference is None else self.reference.performance,
            overall=overall,
            over_time=figured.over_time(scale, every=scope.every, weight=weight),
            estimates=estimator.over_time(estimated, every=scope.every) if estimator else (),
            reconciled=estimator.reconcile(estimated, start=self.since, end=self.as_of, weight=own_weight)
            if estimator
            else None,
            coverage=figured.coverage(every=scope.every),
            delays=(self.delays.overall, *self.delays.by_class),
            cohorts=cohorts(figured.rows, self.delays, every=scope.every, as_of=self.as_of),
            slices=by_slice(featured, scale, slices, overall_of_featured or overall),
            alarm=self.alarm,
            drift=self.drift,
            distributions=tuple(self.distributions()),
            comparison=self.comparison(all_rows),
        )

    @property
    def _first_asked(self) -> datetime:
        # A request need not state its time: such rows come first.
        times = (self.settled.first, self.rows[TIME].min())
        return min(time for time in times if isinstance(time, datetime))

    def findings(self, stale: Collection[str]) -> list[Finding]:
        model, reference = self.scope.model, self.reference
        if reference is None:
            return []
        found: list[Finding] = []
        if self.windows:
            newest = self.windows[-1]
            excused = views_of(reference.features, self.scope.sources, stale)
            columns = column_findings(
                reference.inputs,
                newest.inputs,
                model,
                since=newest.start,
                excused=excused,
                joined=windows_joined(newest, reference),
                alpha=reference.window_level((self.drift_watch or Drift()).alpha),
            )
            columns = with_unit_changes(columns, unit_findings(self._unit_changes(reference), model))
            graver = [*excused, *(finding.subject for finding in columns)]
            found += by_source(columns, self.scope.sources)
            found += drift_findings(self.drift, reference.answers.layout.columns, model, excused=graver)
        found += alarm_findings(self.alarm, model, self.version)
        known = reference.labelled
        delays = (known[KNOWN_AT] - known[TIME]).dt.total_microseconds().drop_nulls().sort().to_numpy() / 1e6
        settled = self.settled
        found += new_class_findings(self.rows, self.scale, model, self.version, since=self.since, settled=settled)
        silence = _A_DAY if isinstance(reference.window, int) else reference.window
        found += label_findings(self.rows, delays, model, as_of=self.as_of, window=silence, settled=settled)
        if self.scope.expected_delay is not None:
            delay = self._learn_delays(most_rows=_DELAY_ROWS).overall
            firsts = [time for time in (settled.first, self.rows[TIME].min()) if isinstance(time, datetime)]
            since = min(firsts, default=None)
            found += label_delay_findings(delay, self.scope.expected_delay, model, self.version, since=since)
        return found

    def _unit_changes(self, reference: ReferenceProfile) -> tuple[UnitChange, ...]:
        watch = self.drift_watch or Drift()
        return unit_changes_of(self.windows, reference, alpha=watch.alpha)

    @property
    def settled(self) -> Settled:
        return self.scope.settled if self.is_champion else NOTHING_SETTLED

    @property
    def is_champion(self) -> bool:
        return (self.version, self.route) == (self.scope.champion, ANSWERS)

    @cached_property
    def figured(self) -> FigureRows:
        return FigureRows.of(self.rows, self.settled, since=self.since)

    @cached_property
    def delays(self) -> Delays:
        """Label delays of the version's own life and its reference."""
        return self._learn_delays()

    def _learn_delays(self, most_rows: int | None = None) -> Delays:
        """Learn from all rows, or from that many of them."""
        columns, settled = [TIME, LABEL, KNOWN_AT], self.settled
        # Of what is settled there is a sample; as many of the others count.
        rows = self.rows.select(columns).gather_every(settled.every)
        if settled.delays is not None:
            rows = pl.concat([settled.delays, rows], how="vertical_relaxed")
        if self.reference is not None:
            known = self.reference.rows.select(columns).gather_every(settled.every)
            rows = pl.concat([known, rows], how="vertical_relaxed")
        if most_rows is not None and rows.height > most_rows:
            rows = rows.gather_every(math.ceil(rows.height / most_rows))
        return learn_delays(rows, as_of=self.as_of, classes=self.scale.classes)

    @property
    def scale(self) -> Scale:
        return self.scope.scales.get(self.version, self.scope.scale)

    @property
    def reference(self) -> ReferenceProfile | None:
        return self.scope.references.get(self.version)

    @property
    def before(self) -> CountedBefore | None:
        return self.scope.counted.get((self.version, self.route))

    @property
    def windows(self) -> tuple[Counted, ...]:
        return self.before.windows if self.before else ()

    @property
    def drift_watch(self) -> Drift | None:
        return next((watch for watch in self.scope.watches if isinstance(watch, Drift)), None)

    @property
    def notes(self) -> tuple[str, ...]:
        history = history_note(self.drift, self.drift_watch) if self.drift_watch else None
        return tuple(note for note in (self._unwatched(), history) if note is not None)

    def _unwatched(self) -> str | None:
        """Return a sentence on why inputs are not evaluated, or on windows of several days; ``None`` without need."""
        if self.reference is None:
            return (
                f"The package of version {self.version} keeps no profile of its training rows, so that its inputs "
                "are not watched."
            )
        if self.before is None:
            return None
        if not self.windows:
            rows = self.rows.height + self.settled.rows
            return (
                f"The inputs of version {self.version} are not watched yet: no window is complete that has "
                f"{LEAST_ROWS} of its {rows:,} predictions."
            )
        span, length = self.windows[-1].end - self.windows[-1].start, self.reference.window
        if isinstance(length, int) or span <= length:
            return None
        return (
            f"Inputs are watched in windows of several days, the newest of {format_roughly(span)}, "
            f"since a window needs {LEAST_ROWS} predictions."
        )

    @cached_property
    def drift(self) -> tuple[DriftWindow, ...]:
        if self.drift_watch is None or self.reference is None or self.before is None:
            return ()
        judged = self.before.judged
        return drift_windows(self.windows, self.reference, self.drift_watch, judged=judged, since=self.since)

    @cached_property
    def alarm(self) -> Alarm | None:
        watch = next((watch for watch in self.scope.watches if isinstance(watch, PerformanceDrop)), None)
        if watch is None or self.reference is None:
            return None
        if (whole := self.scope.alarms.get((self.version, self.route))) is not None:
            return whole
        test = self.scope.tests.get((self.version, self.route)) or performance_test(self.reference, watch)
        return None if test is None else test.of(self.rows)

    def distributions(self) -> Iterator[Distribution]:
        if self.reference is None or not self.drift:
            return
        newest, inputs, answers = self.windows[-1], self.reference.inputs, self.reference.answers
        for name in [column.column for column in self.drift[-1].columns[:_MOST_DISTRIBUTIONS]]:
            is_input = name in inputs.layout.columns
            before, after = (inputs.sketch, newest.inputs) if is_input else (answers.sketch, newest.answers)
            yield distribution(name, before.column(name), after.column(name))

    def comparison(self, all_rows: pl.DataFrame) -> Comparison | None:
        """Compare with the champion: a shadow on the same rows, a canary on rows assigned at random."""
        champion = self.scope.champion
        if champion is None or champion == self.version:
            return None
        own, theirs = self.rows, own_rows(all_rows, champion, ANSWERS)
        if self.route == ANSWERS:
            own, theirs = own.filter(pl.col(ROUTE) == "canary"), theirs.filter(pl.col(ROUTE) == "champion")
        other = self.scope.scales.get(champion, self.scope.scale)
        paired = self.route == SHADOW
        return compare(own, theirs, self.scale, other, version=self.version, against=champion, paired=paired)
