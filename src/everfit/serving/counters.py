"""Counters of a worker as plain numbers: counting must cost less than a prediction."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable

from msgspec import Struct, field

BUCKETS_S = (
    *(0.000_05, 0.000_1, 0.000_15, 0.000_2, 0.000_3, 0.000_5, 0.000_75),
    *(0.001, 0.001_5, 0.002, 0.003, 0.005, 0.007_5),
    *(0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
"""Upper ends of the latency histogram, in seconds; the last bucket is open."""


class RequestCounters(Struct, kw_only=True):
    """Counters of the requests for one model."""

    answered: int = 0
    rows: int = 0
    seconds: float = 0.0
    """Total of all requests, errors included."""
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))
    refused: dict[int, int] = {}
    """Errors by status."""
    missing: dict[str, int] = {}
    """Rows for which a view held no usable row."""
    outcomes: int = 0
    """Reported outcomes."""
    new_class: int = 0
    """Reported outcomes of a class that the champion was not trained on."""

    def count_prediction(self, rows: int, missing: dict[str, list[int]], seconds: float) -> None:
        """Count a request that got predictions."""
        self.answered += 1
        self.rows += rows
        self.seconds += seconds
        self.buckets[bisect_left(BUCKETS_S, seconds)] += 1
        for view, places in missing.items():
            self.missing[view] = self.missing.get(view, 0) + len(places)

    def count_error(self, status: int, seconds: float) -> None:
        """Count a request that got an error."""
        self.refused[status] = self.refused.get(status, 0) + 1
        self.seconds += seconds
        self.buckets[bisect_left(BUCKETS_S, seconds)] += 1


def sum_counters(parts: Iterable[RequestCounters]) -> RequestCounters:
    """Return the sum of several workers' counters."""
    parts = list(parts)
    return RequestCounters(
        answered=sum(part.answered for part in parts),
        rows=sum(part.rows for part in parts),
        seconds=sum(part.seconds for part in parts),
        buckets=[sum(counts) for counts in zip(*(part.buckets for part in parts), strict=True)],
        refused=sum((Counter(part.refused) for part in parts), Counter()),
        missing=sum((Counter(part.missing) for part in parts), Counter()),
        outcomes=sum(part.outcomes for part in parts),
        new_class=sum(part.new_class for part in parts),
    )
