"""Tables of the journal as lazy frames: shipped or not, every row once, in no particular order.

All functions raise :class:`StoreError` if the log or a table cannot be read.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from everfit.journal.logs import FAILURE, FAILURE_LOG, OUTCOME, OUTCOME_LOG, PREDICTION_LOG, Log
from everfit.journal.prediction_rows import BASE
from everfit.store.lake import Schema, scan_tables
from everfit.store.timestamps import out_of_years


def scan_predictions(lake: Path, journal: Path, model: str) -> pl.LazyFrame:
    """Return every recorded prediction of a model, by all its versions and routes.

    Columns are :data:`everfit.journal.prediction_rows.BASE`, then those of predictions, request and features that any
    of the model's layouts has; null in rows of layouts that lack them. Rows whose event time breaks the rule of
    :mod:`everfit.core.instants` are left out.
    """
    return _scan(PREDICTION_LOG, BASE, lake, journal, model).filter(~out_of_years("event_time"))


def scan_outcomes(lake: Path, journal: Path, model: str) -> pl.LazyFrame:
    """Return every report of an outcome to a model's predictions, corrections among them.

    Columns are :data:`everfit.journal.logs.OUTCOME`. Reports whose known time breaks the rule of
    :mod:`everfit.core.instants` are left out.
    """
    return _scan(OUTCOME_LOG, OUTCOME, lake, journal, model).filter(~out_of_years("known_at"))


def scan_failures(lake: Path, journal: Path, model: str) -> pl.LazyFrame:
    """Return every row that a version of a model could not predict, once for each route.

    Columns are :data:`everfit.journal.logs.FAILURE`.
    """
    return _scan(FAILURE_LOG, FAILURE, lake, journal, model).unique(["id", "version", "route"], keep="any")


def _scan(log: Log, base: Schema, lake: Path, journal: Path, model: str) -> pl.LazyFrame:
    # The log first: what is shipped in between is in the tables then, and told by its segment's name.
    waiting = log.unshipped(journal)
    return scan_tables(lake, f"{log.name}/{model}", waiting, base=base)
