"""Gate: latency of a prediction."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from everfit.core.errors import DefinitionError
from everfit.core.evidence import Evidence
from everfit.core.records import Verdict
from everfit.gates.columns import features_of
from everfit.gates.verdict import decide, refuse, skip

ROWS = 300
ROUNDS = 3
BUDGET_S = 5.0


@dataclass(frozen=True, kw_only=True)
class MaxLatency:
    """One row must be predicted in time, through the path that serves it: encoding and model, without HTTP.

    Up to 300 rows are predicted three times each, for five seconds at most, and a row's time is its shortest, so that
    other load on the machine counts little.

    Args:
        p99_ms: The longest that 99 % of rows may take; without it, the figure is only recorded.

    Raises:
        DefinitionError: If ``p99_ms`` is not positive.
    """

    p99_ms: float | None = None

    name: ClassVar[str] = "max_latency"

    def __post_init__(self) -> None:
        if self.p99_ms is not None and not self.p99_ms > 0:
            raise DefinitionError("p99_ms must be positive", value=self.p99_ms, place=self.name)

    def judge(self, evidence: Evidence) -> Sequence[Verdict]:
        """One verdict; its value is the 99th percentile in milliseconds."""
        features = features_of(evidence)
        rows = evidence.holdout.head(ROWS).select(features).to_dicts()
        if not rows:
            return [skip(self.name, f"There are {len(features)} features and {len(evidence.holdout)} rows to predict.")]
        try:
            times_ms = _times_ms(evidence, rows)
        except Exception as error:  # noqa: BLE001 - whatever the user's estimator raises is the finding
            sentence = f"None of {len(rows)} rows could be timed, {type(error).__name__}: {error}"
            return [refuse(self.name, sentence, threshold=self.p99_ms)]
        median, p99 = np.quantile(times_ms, [0.5, 0.99])
        limit = "" if self.p99_ms is None else f"; allowed are {self.p99_ms:g} ms"
        sentence = f"99 % of {len(times_ms)} rows take at most {p99:.3g} ms, half at most {median:.3g} ms{limit}."
        passed = self.p99_ms is None or bool(p99 <= self.p99_ms)
        return [decide(self.name, passed, sentence, value=float(p99), threshold=self.p99_ms)]


def _times_ms(evidence: Evidence, rows: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return the shortest time of each row, of as many rows as the budget allows."""
    # The first predictions pay for imports and caches that a running service has behind it.
    for row in rows[:10]:
        evidence.answer(row)
    times = []
    started = time.perf_counter()
    for row in rows:
        quickest = float("inf")
        for _ in range(ROUNDS):
            before = time.perf_counter()
            evidence.answer(row)
            quickest = min(quickest, time.perf_counter() - before)
        times.append(quickest * 1000)
        if time.perf_counter() - started > BUDGET_S:
            break
    return times
