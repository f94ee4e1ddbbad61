"""In-memory history of a model's predictions and labels, kept up with the lake; its errors are :class:`StoreError`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import polars as pl

from everfit.core.columns import PREDICTION
from everfit.core.instants import END
from everfit.journal.journal_feed import JournalFeed, together
from everfit.journal.label_join import first_predictions
from everfit.journal.logs import LABEL, OUTCOME
from everfit.store.timestamps import INSTANT

_MOST_ROWS = 2_000_000
"""Of a model's predictions, held without their features: some hundred bytes each. The oldest are dropped."""
KEPT = ("id", "version", "route", "row", "recorded_at", "event_time", "latency_us", "segment", "place")
"""Columns that are read beside the predictions themselves."""


class PredictionHistory:
    """A model's predictions without their features, but for some columns; each file of the lake is read once.

    Args:
        labels: Digest of the label's definition; without it, labels of the events' source are not read.
        columns: Features or request fields to keep; all of them if ``None``.
        include_unshipped: Also read what is not in the lake yet.
        as_of: What was recorded later is left out.
        most_rows: Number of predictions to hold, the newest; two million by default.
    """

    def __init__(
        self,
        lake: Path,
        journal: Path,
        model: str,
        *,
        labels: str = "",
        columns: Sequence[str] | None = (),
        include_unshipped: bool = False,
        as_of: datetime = END,
        most_rows: int | None = None,
    ) -> None:
        self._as_of, self._most_rows = as_of, most_rows or _MOST_ROWS
        self._kept = None if columns is None else {*KEPT, *columns_of(columns)}
        self.feed = JournalFeed(
            lake, journal, model, labels=labels, wanted=self._is_wanted, include_unshipped=include_unshipped
        )
        self.model = model
        self.rows = pl.DataFrame()
        """Every prediction, with ``mark``, ordered by event time and id."""
        self.outcomes = pl.DataFrame(schema=OUTCOME)
        """Every report of an outcome."""
        self.labels = pl.DataFrame(schema=LABEL)
        """Every label that was found in the events' source, corrections among them."""
        self.repeats = False
        """An id was predicted twice by the same route."""
        self.first_recorded: datetime | None = None
        """When the first prediction was recorded that was read."""
        self.is_cut = False
        """There are older predictions than those that are held."""
        self.is_behind = False
        """There is more to read at once; never, since all is read at once."""

    @property
    def left_out(self) -> int:
        """Rows that are left out, since their event or known time breaks the rule for instants."""
        return self.feed.left_out

    def catch_up(self) -> None:
        """Read what was added since the last call; of old files, what the newest predictions need."""
        new = self.feed.read(newest=self._most_rows, as_of=self._as_of)
        if new.predictions.is_all:
            self.rows, self.repeats = new.predictions.rows.clear(), False
        self.repeats = self.repeats or repeats(self.rows, new.predictions.rows)
        rows = new.predictions.rows
        if isinstance(first := rows["recorded_at"].min(), datetime):
            self.first_recorded = first if self.first_recorded is None else min(first, self.first_recorded)
        if self._as_of < END:
            rows = rows.filter(pl.col("recorded_at") <= self._as_of)
        every = _in_order(self.rows, rows)
        self.rows = every.tail(self._most_rows)
        self.is_cut = self.is_cut or self.feed.is_cut or every.height > self._most_rows
        self.outcomes = new.outcomes.added_to(self.outcomes)
        self.labels = new.labels.added_to(self.labels)

    def catch_up_labels(self) -> None:
        """Read the labels of the events' source that were added since the last call."""
        self.labels = self.feed.read_labels().added_to(self.labels)

    def hold(self, labels: pl.DataFrame) -> None:
        """Add labels that are not recorded in the journal."""
        self.labels = pl.concat([self.labels, labels], how="diagonal_relaxed")

    def labels_since(self, begin: datetime) -> pl.DataFrame:
        """Return the labels of the events' source that were known at an instant or later."""
        return self.labels.filter(pl.col("known_at") >= pl.lit(begin, dtype=INSTANT))

    def as_of(self, as_of: datetime) -> pl.DataFrame:
        """Return the predictions that had been made; one that was requested twice counts once, the first."""
        made = self.rows.filter(pl.col("recorded_at") <= as_of)
        return first_predictions(made.lazy(), as_of).sort("event_time", "id").collect() if self.repeats else made

    def between(self, first: datetime, last: datetime, columns: Sequence[str]) -> pl.DataFrame:
        """Return predictions with event times in ``[first, last]``, with ``mark`` and more features or fields."""
        more = columns_of(columns)
        return marked(self.feed.between(first, last, lambda name: name in more or self._is_wanted(name)))

    def _is_wanted(self, name: str) -> bool:
        return self._kept is None or name in self._kept or name.partition(".")[0] == PREDICTION


def columns_of(names: Sequence[str]) -> set[str]:
    """Return the columns that features or request fields may have."""
    return {f"{kind}.{name}" for name in names for kind in ("feature", "request")}


def repeats(held: pl.DataFrame, new: pl.DataFrame) -> bool:
    """Return true if new rows repeat an id and route, of each other or of those held, which are many."""
    once = new.select("id", "route").unique()
    if once.height < new.height:
        return True
    return bool(held.height and held.lazy().join(once.lazy(), on=["id", "route"], how="semi").head(1).collect().height)


def marked(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows with ``mark``, a number that no other row of the log is likely to have."""
    # Few enough bits for the sum of a window's to be a whole number of 64.
    mark = pl.struct("segment", "place", "row").hash() // (1 << 24)
    return rows.with_columns(mark.cast(pl.Int64).alias("mark"))


def _in_order(held: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """Merge new rows into held ones by event time and id; only rows that may be out of order are sorted."""
    new = marked(new)
    if held.is_empty():
        return new.sort("event_time", "id")
    if new.is_empty():
        return held
    earliest = new["event_time"].min()
    first = held.select(pl.col("event_time").search_sorted(earliest, side="left")).item()
    tail = pl.concat([held[first:], new], how="diagonal_relaxed").sort("event_time", "id")
    return together(held[:first], tail)
