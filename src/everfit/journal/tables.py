"""Tables of the journal as lazy frames: shipped or not, every row once."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from everfit.journal import failure_rows, outcome_rows, prediction_rows
from everfit.journal.logs import FAILURE_LOG, OUTCOME_LOG, PREDICTION_LOG
from everfit.store.lake import scan_tables
from everfit.store.pushed_rows import scan_pushed
from everfit.store.timestamps import out_of_years

__all__ = ["scan_failures", "scan_outcomes", "scan_predictions", "scan_pushes"]

scan_pushes = scan_pushed


def scan_predictions(lake: Path, journal: Path, model: str, *, include_unshipped: bool = True) -> pl.LazyFrame:
    """Return every recorded prediction of a model, by all its versions and routes, in no particular order.

    Rows whose event time breaks the rule of :mod:`everfit.core.instants` are left out.

    Args:
        include_unshipped: Also read what is not in the lake yet, up to this moment; it is held in memory.

    Returns:
        :data:`everfit.journal.prediction_rows.BASE`, then the columns of answers, request and features that any of the
        model's layouts has; null in rows of layouts that lack them.

    Raises:
        StoreError: If the log or a table cannot be read.
    """
    # The log first: what is shipped in between is in the tables then, and told by its segment's name.
    waiting = PREDICTION_LOG.unshipped(journal) if include_unshipped else []
    found = scan_tables(lake, f"{PREDICTION_LOG.name}/{model}", waiting, base=prediction_rows.BASE)
    return found.filter(~out_of_years("event_time"))


def scan_outcomes(lake: Path, journal: Path, model: str, *, include_unshipped: bool = True) -> pl.LazyFrame:
    """Return every report of an outcome to a model's predictions, corrections among them, in no particular order.

    Those whose known time breaks the rule of :mod:`everfit.core.instants` are left out.

    Args:
        include_unshipped: Also read what is not in the lake yet, up to this moment; it is held in memory.

    Returns:
        :data:`everfit.journal.outcome_rows.BASE`.

    Raises:
        StoreError: If the log or a table cannot be read.
    """
    waiting = OUTCOME_LOG.unshipped(journal) if include_unshipped else []
    found = scan_tables(lake, f"{OUTCOME_LOG.name}/{model}", waiting, base=outcome_rows.BASE)
    return found.filter(~out_of_years("known_at"))


def scan_failures(lake: Path, journal: Path, model: str, *, include_unshipped: bool = True) -> pl.LazyFrame:
    """Return every row that a version of a model could not predict, once for each route, in no particular order.

    Args:
        include_unshipped: Also read what is not in the lake yet, up to this moment; it is held in memory.

    Returns:
        :data:`everfit.journal.failure_rows.BASE`.

    Raises:
        StoreError: If the log or a table cannot be read.
    """
    waiting = FAILURE_LOG.unshipped(journal) if include_unshipped else []
    found = scan_tables(lake, f"{FAILURE_LOG.name}/{model}", waiting, base=failure_rows.BASE)
    return found.unique(["id", "version", "route"], keep="any")
