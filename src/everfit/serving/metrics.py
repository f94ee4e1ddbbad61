"""What Prometheus may ask."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class ServiceMetrics:
    """The service's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "everfit_requests", "Requests for predictions, by HTTP status.", ["model", "status"], registry=self.registry
        )
        self.rows = Counter("everfit_predictions", "Rows that were predicted.", ["model"], registry=self.registry)
        self.seconds = Histogram(
            "everfit_request_seconds",
            "Seconds from the last byte of a request to its answer.",
            ["model"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.version = Gauge(
            "everfit_model_version", "The version that answers.", ["model", "digest", "form"], registry=self.registry
        )
        self.missing = Counter(
            "everfit_feature_missing",
            "Rows for which a feature view had no usable values in the online store.",
            ["model", "view"],
            registry=self.registry,
        )

    def page(self) -> bytes:
        """All of them, in Prometheus's text format."""
        return generate_latest(self.registry)
