"""Logs that are shipped, and the tables of their records."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from everfit.journal.failure_rows import failure_rows
from everfit.journal.outcome_rows import outcome_rows
from everfit.journal.prediction_rows import prediction_rows
from everfit.store.journal_records import (
    FAILURES,
    OUTCOMES,
    PREDICTIONS,
    PUSHES,
    Failures,
    Outcomes,
    PredictionLayout,
    Predictions,
    PushedRows,
)
from everfit.store.lake import SegmentRows
from everfit.store.pushed_rows import pushed_rows
from everfit.store.record_log import recent_records


@dataclass(frozen=True, kw_only=True)
class Log:
    """A log that the prediction service writes."""

    name: str
    """Its folder, within the journal's and within the lake."""
    kind: Any
    """The type of its records, or a union of types."""
    rows: Callable[[Iterable[tuple[str, Any]]], list[SegmentRows]]
    """From its segments' records to rows of tables."""

    def unshipped(self, journal: Path) -> list[SegmentRows]:
        """Return the rows that the log holds at this moment, the segment that is being written included.

        Raises:
            StoreError: If a segment cannot be read or understood.
        """
        return self.rows(recent_records(journal / self.name, self.kind))


PREDICTION_LOG = Log(name=PREDICTIONS, kind=PredictionLayout | Predictions, rows=prediction_rows)
OUTCOME_LOG = Log(name=OUTCOMES, kind=Outcomes, rows=outcome_rows)
PUSH_LOG = Log(name=PUSHES, kind=PushedRows, rows=pushed_rows)
FAILURE_LOG = Log(name=FAILURES, kind=Failures, rows=failure_rows)
LOGS = (PREDICTION_LOG, OUTCOME_LOG, PUSH_LOG, FAILURE_LOG)
