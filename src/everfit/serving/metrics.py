"""What ``/metrics`` tells, in Prometheus's text format."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

if TYPE_CHECKING:
    from everfit.serving.plane import Answer
    from everfit.serving.served_model import ServedModel

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4.encode()

_BUCKETS_S = (
    *(0.000_05, 0.000_1, 0.000_15, 0.000_2, 0.000_3, 0.000_5, 0.000_75),
    *(0.001, 0.001_5, 0.002, 0.003, 0.005, 0.007_5),
    *(0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)


class Metrics:
    """Counts requests, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "everfit_requests",
            "Prediction requests answered; model is empty where none of that name is served.",
            ("model", "status"),
            registry=self._registry,
        )
        self._rows = Counter("everfit_rows", "Rows predicted.", ("model",), registry=self._registry)
        self._seconds = Histogram(
            "everfit_request_seconds",
            "Time from a request's head to its answer, the reading of its body included.",
            ("model",),
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        self._missing = Counter(
            "everfit_feature_missing",
            "Rows for which a view held no usable row: unknown entity, or older than its ttl.",
            ("model", "view"),
            registry=self._registry,
        )
        self._versions = Gauge(
            "everfit_model_version_info",
            "1 for the version that serves, with its package's digest and how it is executed.",
            ("model", "version", "digest", "form"),
            registry=self._registry,
        )

    def serve(self, models: Iterable[ServedModel]) -> None:
        """Say which versions serve."""
        self._versions.clear()
        for model in models:
            self._versions.labels(model.name, str(model.version), model.digest, model.form).set(1)
            for lookup in model.schema.lookups:
                self._missing.labels(model.name, lookup.view)

    def for_model(self, model: str) -> ModelMetrics:
        """The counters of one model; keep them, since finding them costs more than counting."""
        return ModelMetrics(model, self._requests, self._rows, self._seconds, self._missing)

    def text(self) -> bytes:
        """All of it, in the text format 0.0.4."""
        return generate_latest(self._registry)


class ModelMetrics:
    """One model's counters. Counting costs about 3 µs.

    Args:
        model: Its name.
        requests: Counter by model and status.
        rows: Counter by model.
        seconds: Histogram by model.
        missing: Counter by model and view.
    """

    def __init__(self, model: str, requests: Counter, rows: Counter, seconds: Histogram, missing: Counter) -> None:
        self._model = model
        self._requests = requests
        self._missing = missing
        self._answered = requests.labels(model, "200").inc
        self._rows = rows.labels(model).inc
        self._observe = seconds.labels(model).observe

    def answered(self, answer: Answer, seconds: float) -> None:
        """Count a request that was answered."""
        self._answered()
        self._rows(len(answer.ids))
        self._observe(seconds)
        if answer.missing:
            for view, places in answer.missing.items():
                self._missing.labels(self._model, view).inc(len(places))

    def refused(self, status: int, seconds: float) -> None:
        """Count a request that was not."""
        self._requests.labels(self._model, str(status)).inc()
        self._observe(seconds)
