"""What ``/metrics`` tells of all workers together, in Prometheus's text format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from everfit.serving.counters import BUCKETS_S, Tally, add_tallies
from everfit.store.gauges import GAUGES, Sample

if TYPE_CHECKING:
    from everfit.serving.worker_report import WorkerReport

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4.encode()


def render_metrics(reports: Sequence[WorkerReport], samples: Sequence[Sample] = ()) -> bytes:
    """The reports, and what monitoring saw, as text format 0.0.4."""
    registry = CollectorRegistry()
    registry.register(_Collected(reports, samples))
    return generate_latest(registry)


def describe_metrics() -> tuple[Metric, ...]:
    """Every metric that the service tells, without samples."""
    return tuple(_metrics((), ()))


class _Collected:
    def __init__(self, reports: Sequence[WorkerReport], samples: Sequence[Sample]) -> None:
        self._reports = reports
        self._samples = samples

    def collect(self) -> Iterable[Metric]:
        return _metrics(self._reports, self._samples)


def _metrics(reports: Sequence[WorkerReport], samples: Sequence[Sample]) -> Iterator[Metric]:
    names = sorted({name for report in reports for name in report.tallies})
    tallies = {name: add_tallies(each.tallies[name] for each in reports if name in each.tallies) for name in names}
    yield _requests(tallies)
    yield _counter("everfit_rows", "Rows predicted.", {name: each.rows for name, each in tallies.items() if name})
    yield _seconds(tallies)
    missing = CounterMetricFamily(
        "everfit_feature_missing",
        "Rows for which a view held no usable row: unknown entity, or older than its ttl.",
        labels=("model", "view"),
    )
    for name, tally in tallies.items():
        for view, count in tally.missing.items():
            missing.add_metric((name, view), count)
    yield missing
    outcomes = {name: each.outcomes for name, each in tallies.items() if name}
    yield _counter("everfit_outcomes", "Outcomes that were reported.", outcomes)
    new = {name: counts.new_class for name, counts in tallies.items() if name}
    yield _counter("everfit_new_class_outcomes", "Outcomes of a class that the champion did not learn.", new)
    versions = GaugeMetricFamily(
        "everfit_model_version_info",
        "How many workers have loaded a version, with its package's digest, how it is executed, and its part.",
        labels=("model", "version", "digest", "form", "route"),
    )
    for key, count in _loaded(reports).items():
        versions.add_metric(key, count)
    yield versions
    refused = GaugeMetricFamily(
        "everfit_version_refused", "1 for a version that is deployed and cannot be loaded.", labels=("version",)
    )
    for name in sorted({name for report in reports for name in report.refused}):
        refused.add_metric((name,), 1)
    yield refused
    yield _total("everfit_unrecorded_rows", "Rows that were answered and could not be recorded.", reports, "lost_rows")
    yield _total(
        "everfit_shadow_dropped_rows", "Rows that no shadow was asked for want of time.", reports, "dropped_rows"
    )
    memory = GaugeMetricFamily("everfit_worker_memory_bytes", "A worker's resident memory.", labels=("worker",))
    deployment = GaugeMetricFamily(
        "everfit_worker_deployment", "The number of the deployment that a worker has dealt with.", labels=("worker",)
    )
    for report in reports:
        memory.add_metric((str(report.slot),), report.memory_bytes)
        deployment.add_metric((str(report.slot),), report.deployment)
    yield memory
    yield deployment
    for gauge in GAUGES:
        seen = GaugeMetricFamily(gauge.name, gauge.help, labels=gauge.labels)
        for each in samples:
            if each.gauge == gauge.name and len(each.labels) == len(gauge.labels):
                seen.add_metric(each.labels, each.value)
        yield seen


def _requests(tallies: dict[str, Tally]) -> Metric:
    family = CounterMetricFamily(
        "everfit_requests",
        "Prediction requests answered; model is empty where none of that name is served.",
        labels=("model", "status"),
    )
    for name, tally in tallies.items():
        if tally.answered:
            family.add_metric((name, "200"), tally.answered)
        for status, count in sorted(tally.refused.items()):
            family.add_metric((name, str(status)), count)
    return family


def _seconds(tallies: dict[str, Tally]) -> Metric:
    family = HistogramMetricFamily(
        "everfit_request_seconds",
        "Time from a request's arrival to its answer.",
        labels=("model",),
    )
    ends = [*map(str, BUCKETS_S), "+Inf"]
    for name, tally in tallies.items():
        counts = accumulate(tally.buckets)
        family.add_metric((name,), list(zip(ends, counts, strict=True)), tally.seconds)
    return family


def _loaded(reports: Sequence[WorkerReport]) -> dict[tuple[str, ...], int]:
    found: dict[tuple[str, ...], int] = {}
    for report in reports:
        for each in report.loaded:
            key = (each.model, str(each.version), each.digest, each.form, each.route)
            found[key] = found.get(key, 0) + 1
    return found


def _counter(name: str, words: str, values: dict[str, int]) -> Metric:
    family = CounterMetricFamily(name, words, labels=("model",))
    for model, value in values.items():
        family.add_metric((model,), value)
    return family


def _total(name: str, words: str, reports: Sequence[Any], field: str) -> Metric:
    return CounterMetricFamily(name, words, value=sum(getattr(each, field) for each in reports))
