"""Predictions and labels of one version that its monitoring has not settled yet, kept up with log and lake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from everfit.core.columns import ARRIVAL, ID, PREDICTION, RECORDED_AT, ROUTE, TIME, VERSION
from everfit.journal.journal_feed import FeedMark, JournalFeed, together
from everfit.journal.label_join import join_labels, known_labels
from everfit.journal.logs import LABEL, OUTCOME
from everfit.journal.prediction_history import KEPT, columns_of, marked
from everfit.store.lake import PLACE, SEGMENT
from everfit.store.timestamps import INSTANT, instant_literal

_PORTION_ROWS = 50_000
_MOST_MOMENTS = 10_000
_MOST_UNMATCHED = 500_000
"""Labels without a prediction that are held, some sixty bytes each: the last that became known."""


@dataclass(frozen=True, kw_only=True)
class LiveState:
    """Live predictions and labels, and what of log and lake they were read from."""

    feed: FeedMark
    rows: pl.DataFrame
    outcomes: pl.DataFrame
    labels: pl.DataFrame
    moments: pl.DataFrame
    arrived: int


class LivePredictions:
    """A version's predictions and their labels until they are settled, and the newest requests of the model.

    Args:
        labels: Digest of the label's definition.
        version: The champion, whose predictions as champion and as canary are held; none are without a version.
    """

    def __init__(self, lake: Path, journal: Path, model: str, *, labels: str, version: int | None) -> None:
        self.feed = JournalFeed(lake, journal, model, labels=labels, wanted=_is_wanted, include_unshipped=True)
        self.version = version
        self.rows = pl.DataFrame()
        """Predictions, with ``mark`` and :data:`ARRIVAL`."""
        self.outcomes = pl.DataFrame(schema=OUTCOME)
        """Reports of outcomes."""
        self.labels = pl.DataFrame(schema=LABEL)
        """Labels that were found in the events' source."""
        self.moments = pl.DataFrame(schema={TIME: INSTANT, RECORDED_AT: INSTANT})
        """Event time and time of recording of the model's newest predictions, by any version."""
        self.is_behind = True
        """There is more to read at once."""
        self.is_void = False
        """Rows were deleted that had been read: what was settled must be computed again, by another one of these."""
        self._was_read = False
        self._arrived = 0
        self._ahead = pl.DataFrame()
        """Predictions of events later than some that are not read yet: they must not arrive before those."""

    def catch_up(self) -> None:
        """Read a portion of what was added since the last call; raises :class:`StoreError` if that is impossible."""
        new = self.feed.read(_PORTION_ROWS)
        if self._was_read and any(part.is_all for part in (new.predictions, new.outcomes, new.labels)):
            self.is_void = True
        predictions = new.predictions.rows
        moments = pl.concat([self.moments, predictions.select(TIME, RECORDED_AT)])
        self.moments = moments.sort(RECORDED_AT).tail(_MOST_MOMENTS)
        own = self._own(predictions)
        own = own if self._ahead.is_empty() else pl.concat([self._ahead, own], how="diagonal_relaxed")
        is_next = pl.lit(True) if new.until is None else pl.col(TIME) < instant_literal(new.until)
        self._ahead, own = own.filter(~is_next), self._first(own.filter(is_next))
        own = marked(own).with_columns(pl.int_range(pl.len()).alias(ARRIVAL) + self._arrived)
        self._arrived += own.height
        self.rows = own if self.rows.is_empty() else together(self.rows, own)
        self.outcomes = together(self.outcomes, new.outcomes.rows)
        self.labels = together(self.labels, new.labels.rows)
        self.is_behind, self._was_read = new.until is not None, True

    def catch_up_labels(self) -> None:
        """Read the labels of the events' source that were added; nothing must be left to read."""
        new = self.feed.read_labels()
        self.is_void = self.is_void or new.is_all
        self.labels = together(self.labels, new.rows)

    def state(self) -> LiveState:
        """Return the state by which another one can go on; nothing must be left to read."""
        return LiveState(
            feed=self.feed.mark(),
            rows=self.rows,
            outcomes=self.outcomes,
            labels=self.labels,
            moments=self.moments,
            arrived=self._arrived,
        )

    def resume(self, state: LiveState) -> None:
        """Go on from a state, in place of the beginning."""
        self.feed.resume(state.feed)
        self.rows, self.outcomes, self.labels = state.rows, state.outcomes, state.labels
        self.moments, self._arrived, self._was_read = state.moments, state.arrived, True

    def _first(self, own: pl.DataFrame) -> pl.DataFrame:
        """Return predictions in the order of recording; one that was requested twice counts once, the first."""
        ordered = own.sort(RECORDED_AT, SEGMENT, PLACE, "row", ID)
        once = ordered.unique([ID, ROUTE], keep="first", maintain_order=True)
        if self.rows.is_empty():
            return once
        again = self.rows.select(ID, ROUTE).join(once.select(ID, ROUTE), on=[ID, ROUTE], how="semi")
        return once.join(again, on=[ID, ROUTE], how="anti", maintain_order="left") if again.height else once

    def hold(self, labels: pl.DataFrame) -> None:
        """Add labels that are not recorded in the journal."""
        self.labels = pl.concat([self.labels, labels], how="diagonal_relaxed")

    def labels_since(self, begin: datetime) -> pl.DataFrame:
        """Return the labels of the events' source that were known at an instant or later, those held among them."""
        held = self.labels.filter(pl.col("known_at") >= instant_literal(begin))
        recorded = self.feed.labels_since(begin)
        return pl.concat([recorded, held], how="diagonal_relaxed").unique([ID, "value", "known_at"])

    def joined(self, as_of: datetime) -> pl.DataFrame:
        """Return the predictions that had been made, with the labels that were known; see :func:`join_labels`."""
        made = self.rows.filter(pl.col(RECORDED_AT) <= instant_literal(as_of))
        return join_labels(made, known_labels(self.outcomes, self.labels, as_of)).sort(TIME, ID)

    def between(self, first: datetime, last: datetime, columns: Sequence[str]) -> pl.DataFrame:
        """Return the version's predictions with event times in ``[first, last]``, with ``mark`` and more columns."""
        more = columns_of(columns)
        rows = self.feed.between(first, last, lambda name: name in more or _is_wanted(name))
        ordered = self._own(rows).sort(RECORDED_AT, SEGMENT, PLACE, "row", ID)
        return marked(ordered.unique([ID, ROUTE], keep="first", maintain_order=True))

    def settle(self, ids: pl.Series) -> None:
        """Let go of predictions and their labels, and of labels that have long been without a prediction."""
        settled = pl.DataFrame({ID: ids})
        self.rows = self.rows.join(settled, on=ID, how="anti", maintain_order="left")
        self.outcomes, self.labels = (
            self._held(reports.join(settled, on=ID, how="anti", maintain_order="left"))
            for reports in (self.outcomes, self.labels)
        )

    def _own(self, rows: pl.DataFrame) -> pl.DataFrame:
        if self.version is None:
            return rows.clear()
        return rows.filter(pl.col(VERSION) == self.version, pl.col(ROUTE) != "shadow")

    def _held(self, reports: pl.DataFrame) -> pl.DataFrame:
        if reports.height <= _MOST_UNMATCHED:
            return reports
        unmatched = reports.join(self.rows.select(ID), on=ID, how="anti")
        if unmatched.height <= _MOST_UNMATCHED:
            return reports
        matched = reports.join(self.rows.select(ID), on=ID, how="semi")
        return pl.concat([matched, unmatched.sort("known_at").tail(_MOST_UNMATCHED)])


def _is_wanted(name: str) -> bool:
    return name in KEPT or name.partition(".")[0] == PREDICTION
