"""Predictions of a backtest, as the journal would have them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from everfit.backtest.past import Past
from everfit.backtest.trainings import Version
from everfit.core.canary_assignment import is_assigned
from everfit.core.columns import ID, KNOWN_AT, LABEL, RECORDED_AT, ROUTE, TIME, VERSION
from everfit.core.evidence import ID as EVENT_ID
from everfit.core.rollout import Rollout
from everfit.monitoring.prediction_frame import prediction_columns, standard_rows

NO_FAILURES = pl.DataFrame(
    schema={VERSION: pl.Int64, ROUTE: pl.String, RECORDED_AT: pl.Datetime("us", "UTC"), "problem": pl.String}
)
"""No row of a backtest fails: a version that cannot predict ends it."""


@dataclass
class ServedRows:
    """Predictions that callers and shadows would have received, of the events of a backtest."""

    past: Past
    model: str
    first: int
    """Place of the first event."""
    parts: list[pl.DataFrame] = field(default_factory=list)
    """Predictions with their places, without labels, in the order of their events."""
    _by_version: dict[int, pl.DataFrame] = field(default_factory=dict)

    def serve(self, first: int, last: int, champion: Version, rollout: Rollout | None, beside: Version | None) -> None:
        """Predict the events with places ``[first, last)``: the champion, and the other version of a rollout.

        Args:
            beside: The challenger, or once that is the champion, the one before it; ``None`` without a rollout.
        """
        if last <= first:
            return
        places, effective = np.arange(first, last), "" if rollout is None else rollout.effective
        chosen = np.zeros(len(places), dtype=bool)
        if rollout is not None and beside is not None and effective == "canary":
            ids = self.past.rows[EVENT_ID][first:last].cast(pl.String).to_list()
            assigned = (is_assigned(self.model, beside.number, row_id, share=rollout.share) for row_id in ids)
            chosen = np.fromiter(assigned, dtype=bool, count=len(ids))
            self._add(places[chosen], beside, "canary", first, last)
        self._add(places[~chosen], champion, "champion", first, last)
        if beside is not None and effective in {"shadow", "watching"}:
            self._add(places, beside, "shadow", first, last)

    def _add(self, places: NDArray[np.int64], version: Version, route: str, first: int, last: int) -> None:
        if not len(places):
            return
        predicted = version.predictions(first, last)[places - first]
        columns = prediction_columns(version.schema.task, version.schema.classes)
        values = [predicted] if predicted.ndim == 1 else list(predicted.T)
        self.parts.append(
            pl.DataFrame(
                {
                    "place": places,
                    VERSION: np.full(len(places), version.number),
                    ROUTE: [route] * len(places),
                    **dict(zip(columns, values, strict=True)),
                }
            )
        )

    def joined(self, now: datetime, *, versions: tuple[int, ...] = ()) -> pl.DataFrame:
        """Return predictions with the labels that were known, as the journal's join has them.

        Args:
            versions: Only of these; by default all.
        """
        if len(self.parts) > 1:
            self.parts = [pl.concat(self.parts, how="diagonal")]
        made = self.parts[0] if self.parts else pl.DataFrame()
        if versions:
            made = made.filter(pl.col(VERSION).is_in(versions))
        # No order is needed; by place, which is by time and id.
        made = made.sort("place", maintain_order=True)
        events = self.past.rows.select(
            pl.col(EVENT_ID).cast(pl.String).alias(ID), TIME, pl.col(TIME).alias(RECORDED_AT), LABEL, KNOWN_AT
        )[made["place"].to_numpy()]
        rows = self.past.known(events, now)
        # A request is one row, and its latency is not simulated.
        return pl.concat([rows, made.drop("place")], how="horizontal").with_columns(
            pl.lit(0).alias("row"), pl.lit(0).alias("latency_us")
        )

    def answers(self, version: Version, now: datetime) -> pl.DataFrame:
        """Return a version's predictions that callers received, in monitoring's form."""
        joined = self.joined(now, versions=(version.number,)).filter(pl.col(ROUTE) != "shadow")
        return standard_rows(joined, version.schema)

    def final(self, last: int, classes: tuple[object, ...], task: str) -> NDArray[np.float64]:
        """Return what callers received of the events up to a place, by the columns of some classes."""
        columns = [f"prediction.{value}" for value in classes] if task == "multiclass" else ["prediction"]
        made = pl.concat(self.parts, how="diagonal").filter(pl.col(ROUTE) != "shadow").sort("place")
        assert made.height == last - self.first
        there = [pl.col(name).fill_null(0.0) if name in made.columns else pl.lit(0.0).alias(name) for name in columns]
        found = made.select(there).to_numpy()
        return found[:, 0] if task != "multiclass" else found
