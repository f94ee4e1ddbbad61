"""In-memory history of a model's predictions, kept up with the lake; its errors are :class:`StoreError`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import polars as pl

from everfit.core.columns import PREDICTION
from everfit.journal.label_join import first_predictions
from everfit.journal.logs import OUTCOME, OUTCOME_LOG, PREDICTION_LOG
from everfit.journal.prediction_rows import BASE
from everfit.store.lake import united
from everfit.store.table_tailer import TableTailer
from everfit.store.timestamps import in_years

_MOST_ROWS = 2_000_000
"""Of a model's predictions, held without their features: some hundred bytes each. The oldest are dropped."""
_KEEP = ("id", "version", "route", "row", "recorded_at", "event_time", "latency_us", "segment", "place")


class PredictionHistory:
    """A model's predictions without their features, but for some columns; each file of the lake is read once.

    Args:
        columns: Features or request fields to keep; all of them if ``None``.
        include_unshipped: Also read what is not in the lake yet, each time.
    """

    def __init__(
        self,
        lake: Path,
        journal: Path,
        model: str,
        *,
        columns: Sequence[str] | None = (),
        include_unshipped: bool = False,
    ) -> None:
        self._kept = None if columns is None else {*_KEEP, *_columns_of(columns)}
        self._journal, self._include_unshipped, self.model = journal, include_unshipped, model
        self._predictions = TableTailer(lake, f"predictions/{model}", BASE, self._is_wanted, "event_time")
        self._reported = TableTailer(lake, f"outcomes/{model}", OUTCOME, lambda _: True, "recorded_at")
        self._shipped = self._outcomes = pl.DataFrame()
        self._unshipped: list[pl.LazyFrame] = []
        self._repeats = False
        self.rows = pl.DataFrame()
        """Every prediction, with ``mark``, ordered by event time and id."""
        self.outcomes = pl.DataFrame()
        """Every report of an outcome."""
        self.left_out = 0
        """Rows of both that are left out, since their event or known time breaks the rule for instants."""

    def catch_up(self) -> None:
        """Read what was added since the last call."""
        # The log first: what is shipped in between is in the tables then, and recognised by its segment's name.
        both = PREDICTION_LOG, OUTCOME_LOG
        waiting = [part for log in both for part in log.unshipped(self._journal)] if self._include_unshipped else []
        new, is_all = self._predictions.grown()
        if is_all or new.height:
            self._shipped = _in_order(self._shipped.clear() if is_all else self._shipped, new).tail(_MOST_ROWS)
            self._repeats = self._shipped.select(pl.struct("id", "route").n_unique()).item() < self._shipped.height
        new, is_all = self._reported.grown()
        self._outcomes = new if is_all else pl.concat([self._outcomes, new], how="diagonal_relaxed")
        self.rows, self.outcomes, self._unshipped = self._shipped, self._outcomes, []
        self.left_out = self._predictions.left_out + self._reported.left_out
        for part in waiting:
            kept = in_years(part.rows)
            if part.table.startswith(f"predictions/{self.model}/") and not _has(self._shipped, part.segment):
                self._unshipped.append(kept.lazy())
                self._repeats = True
            elif part.table == f"outcomes/{self.model}" and not _has(self._outcomes, part.segment):
                self.outcomes = pl.concat([self.outcomes, kept], how="diagonal_relaxed")
            else:
                continue
            self.left_out += part.rows.height - kept.height
        for frame in self._unshipped:
            few = frame.select(name for name in frame.collect_schema() if self._is_wanted(name)).collect()
            self.rows = _in_order(self.rows, few)

    def as_of(self, as_of: datetime) -> pl.DataFrame:
        """Return the predictions that had been made; one that was requested twice counts once, the first."""
        made = self.rows.filter(pl.col("recorded_at") <= as_of)
        return first_predictions(made.lazy(), as_of).sort("event_time", "id").collect() if self._repeats else made

    def between(self, first: datetime, last: datetime, columns: Sequence[str]) -> pl.DataFrame:
        """Return predictions with event times in ``[first, last]``, with ``mark`` and more features or fields."""
        more = _columns_of(columns)

        def wanted(name: str) -> bool:
            return name in more or self._is_wanted(name)

        unshipped = [
            frame.filter(pl.col("event_time").is_between(first, last)).select(
                name for name in frame.collect_schema() if wanted(name)
            )
            for frame in self._unshipped
        ]
        return _marked(united([self._predictions.between(first, last, wanted), *unshipped]).collect())

    def _is_wanted(self, name: str) -> bool:
        return self._kept is None or name in self._kept or name.partition(".")[0] == PREDICTION


def _columns_of(names: Sequence[str]) -> set[str]:
    return {f"{kind}.{name}" for name in names for kind in ("feature", "request")}


def _has(rows: pl.DataFrame, segment: str) -> bool:
    return not rows.is_empty() and bool((rows["segment"] == segment).any())


def _marked(rows: pl.DataFrame) -> pl.DataFrame:
    # Few enough bits for the sum of a window's to be a whole number of 64.
    mark = pl.struct("segment", "place", "row").hash() // (1 << 24)
    return rows.with_columns(mark.cast(pl.Int64).alias("mark"))


def _in_order(held: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """Merge new rows into held ones by event time and id; only rows that may be out of order are sorted."""
    new = _marked(new)
    if held.is_empty():
        return new.sort("event_time", "id")
    if new.is_empty():
        return held
    earliest = new["event_time"].min()
    first = held.select(pl.col("event_time").search_sorted(earliest, side="left")).item()
    tail = pl.concat([held[first:], new], how="diagonal_relaxed").sort("event_time", "id")
    return pl.concat([held[:first], tail], how="diagonal_relaxed")
