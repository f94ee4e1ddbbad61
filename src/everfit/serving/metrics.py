"""``/metrics``: the reports of all workers in Prometheus's text format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from everfit.serving.counters import BUCKETS_S, RequestCounters, sum_counters
from everfit.serving.worker_report import WorkerReport
from everfit.store.gauges import GAUGES, Sample

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4.encode()
Values = Mapping[Any, float]
"""A metric's samples by the tuple of its labels' values."""


@dataclass(frozen=True)
class ServiceMetrics(Collector):
    """Metrics of the prediction service: the workers' reports and monitoring's samples."""

    reports: Sequence[WorkerReport] = ()
    samples: Sequence[Sample] = ()

    def collect(self) -> Iterator[Metric]:
        """Yield every metric, with its samples."""
        reports = self.reports
        counters = {
            name: sum_counters(report.counters_by_model[name] for report in reports if name in report.counters_by_model)
            for name in sorted({name for report in reports for name in report.counters_by_model})
        }
        requests: dict[Any, float] = {}
        for name, own in counters.items():
            requests |= {(name, "200"): own.answered} if own.answered else {}
            requests |= {(name, str(status)): count for status, count in sorted(own.refused.items())}
        words = "Prediction requests by status of the response; model is empty where no model of the name is served."
        yield _family(CounterMetricFamily, "everfit_requests", words, ("model", "status"), requests)
        yield _of_models(counters, "everfit_rows", "Rows predicted.", "rows")
        yield _seconds(counters)
        missing = {(name, view): count for name, own in counters.items() for view, count in own.missing.items()}
        words = "Rows for which a view held no usable row: unknown entity, or older than its ttl."
        yield _family(CounterMetricFamily, "everfit_feature_missing", words, ("model", "view"), missing)
        yield _of_models(counters, "everfit_outcomes", "Outcomes that were reported.", "outcomes")
        words = "Outcomes of a class that the champion was not trained on."
        yield _of_models(counters, "everfit_new_class_outcomes", words, "new_class")
        loaded = Counter(
            (entry.model, str(entry.version), entry.digest, entry.form, entry.route)
            for report in reports
            for entry in report.loaded
        )
        words = "Number of workers that loaded a version, with its package's digest, its runtime and its route."
        labels = ("model", "version", "digest", "form", "route")
        yield _family(GaugeMetricFamily, "everfit_model_version_info", words, labels, loaded)
        refused = dict.fromkeys(sorted({(name,) for report in reports for name in report.refused}), 1)
        words = "1 for a version that is deployed and cannot be loaded."
        yield _family(GaugeMetricFamily, "everfit_version_refused", words, ("version",), refused)
        lost, dropped = (sum(getattr(report, field) for report in reports) for field in ("lost_rows", "dropped_rows"))
        words = "Rows that were predicted and could not be recorded."
        yield CounterMetricFamily("everfit_unrecorded_rows", words, value=lost)
        words = "Rows that no shadow version received, because its queue was full."
        yield CounterMetricFamily("everfit_shadow_dropped_rows", words, value=dropped)
        memory = {(str(report.slot),): report.memory_bytes for report in reports}
        words = "A worker's resident memory."
        yield _family(GaugeMetricFamily, "everfit_worker_memory_bytes", words, ("worker",), memory)
        deployments = {(str(report.slot),): report.deployment for report in reports}
        words = "The number of the deployment that a worker has applied."
        yield _family(GaugeMetricFamily, "everfit_worker_deployment", words, ("worker",), deployments)
        for gauge in GAUGES:
            own_samples = {
                sample.labels: sample.value
                for sample in self.samples
                if sample.gauge == gauge.name and len(sample.labels) == len(gauge.labels)
            }
            yield _family(GaugeMetricFamily, gauge.name, gauge.help, gauge.labels, own_samples)


def _family(
    kind: type[CounterMetricFamily | GaugeMetricFamily], name: str, words: str, labels: Sequence[str], values: Values
) -> Metric:
    family = kind(name, words, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _of_models(counters: Mapping[str, RequestCounters], name: str, words: str, field: str) -> Metric:
    values = {(model,): getattr(own, field) for model, own in counters.items() if model}
    return _family(CounterMetricFamily, name, words, ("model",), values)


def _seconds(counters: Mapping[str, RequestCounters]) -> Metric:
    words = "Time from a request's arrival to its response."
    family = HistogramMetricFamily("everfit_request_seconds", words, labels=("model",))
    ends = [*map(str, BUCKETS_S), "+Inf"]
    for name, own in counters.items():
        family.add_metric((name,), list(zip(ends, accumulate(own.buckets), strict=True)), own.seconds)
    return family
