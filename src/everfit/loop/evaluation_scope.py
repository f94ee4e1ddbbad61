"""Scope of an evaluation: what a model's rows are compared with, by its definition and its versions' references."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType

from everfit.definitions.model import Model
from everfit.features.freshness import measure_freshness
from everfit.loop.live_monitoring import LiveMonitoring
from everfit.monitoring.cache import CachedVersion
from everfit.monitoring.evaluation import ANSWERS, CountedBefore, EvaluationScope
from everfit.monitoring.performance import Scale
from everfit.monitoring.performance_alarm import Alarm, PerformanceTest
from everfit.monitoring.settled import NOTHING_SETTLED, ReportCounts, Settled
from everfit.system import System


def scope_of(
    system: System,
    definition: Model,
    champion: int | None,
    versions: Mapping[int, CachedVersion],
    now: datetime,
    *,
    reports: ReportCounts,
    counted: Mapping[tuple[int, str], CountedBefore],
    every: timedelta = timedelta(days=1),
    expected_delay: timedelta | None = None,
    tests: Mapping[tuple[int, str], PerformanceTest] = MappingProxyType({}),
    alarms: Mapping[tuple[int, str], Alarm] = MappingProxyType({}),
    settled: Settled = NOTHING_SETTLED,
) -> EvaluationScope:
    """Return what the rows are compared with. Raises :class:`SourceError` if a source cannot be read."""
    scale = Scale(task=definition.task, metric=definition.metric)
    scales = {number: replace(scale, classes=version.schema.classes) for number, version in versions.items()}
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
        expected_delay=expected_delay,
        counted=counted,
        tests=tests,
        alarms=alarms,
        settled=settled,
    )


def live_scope(
    system: System,
    definition: Model,
    monitoring: LiveMonitoring,
    now: datetime,
    *,
    others: Mapping[int, CachedVersion] = MappingProxyType({}),
    every: timedelta = timedelta(days=1),
    expected_delay: timedelta | None = None,
) -> EvaluationScope:
    """Return what the champion's live rows are compared with. Raises :class:`SourceError` as :func:`scope_of`.

    Args:
        others: Further versions that are evaluated.
        every: Length of time that a figure covers.
    """
    number = None if monitoring.champion is None else monitoring.champion.version
    versions, counted, tests = dict(others), {}, {}
    if number is not None:
        if monitoring.version is not None and monitoring.rows is not None:
            versions[number] = monitoring.version
        if monitoring.counted is not None:
            counted[number, ANSWERS] = monitoring.counted
        if monitoring.test is not None:
            tests[number, ANSWERS] = monitoring.test
    return scope_of(
        system,
        definition,
        number,
        versions,
        now,
        reports=monitoring.settled.reports + monitoring.reports(now),
        every=every,
        expected_delay=expected_delay,
        counted=counted,
        tests=tests,
        settled=monitoring.settled,
    )
