"""Search for a prediction by its id, with everything on record."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
from msgspec import Struct

from everfit.journal.logs import PREDICTION_LOG
from everfit.journal.prediction_rows import FEATURE, PREDICTION, REQUEST
from everfit.journal.tables import scan_outcomes
from everfit.store.lake import PLACE, SEGMENT, tables_under
from everfit.store.timestamps import representable

Value = str | int | float | bool | datetime | date | None


class ReportedOutcome(Struct, frozen=True, kw_only=True):
    """One report of an outcome."""

    value: str | None
    """``None`` took back what was reported before."""
    known_at: datetime
    recorded_at: datetime


class FoundPrediction(Struct, frozen=True, kw_only=True):
    """One prediction, as it was returned."""

    id: str
    model: str
    version: int
    digest: str
    """Of the package that answered."""
    route: str
    row: int
    """Its place within its request."""
    recorded_at: datetime
    event_time: datetime | None
    latency_us: int
    prediction: float | dict[str, float] | None
    """For a multiclass model the chance of each class."""
    request: dict[str, Value]
    features: dict[str, Value]
    """As used, after they were looked up and computed."""
    outcomes: tuple[ReportedOutcome, ...]
    """Oldest first; the last holds."""

    @property
    def outcome(self) -> str | None:
        """The last reported outcome, if there is one."""
        return self.outcomes[-1].value if self.outcomes else None


def find_prediction(lake: Path, journal: Path, prediction_id: str) -> list[FoundPrediction]:
    """Return every prediction with an id, oldest first, whether it was shipped or not.

    There are several if a version answered in shadow as well, or if a caller asked twice with an id of its own.
    Raises :class:`StoreError` if the log or a table cannot be read.
    """
    asked = pl.col("id") == prediction_id
    # The log first, as ever; each table by itself, since only its own columns were asked for and used.
    waiting = [part.rows.filter(asked) for part in PREDICTION_LOG.unshipped(journal)]
    tables = [table.scan() for _, table in tables_under(lake, PREDICTION_LOG.name)]
    answers = {
        (row["recorded_at"], row[SEGMENT], row[PLACE], row["row"]): row
        for frame in (*waiting, *(table.filter(asked).collect() for table in tables))
        for row in representable(frame).rows(named=True)
    }
    outcomes = {model: _outcomes(lake, journal, model, asked) for model in {row["model"] for row in answers.values()}}
    return [_found(answers[key], outcomes[answers[key]["model"]]) for key in sorted(answers)]


def _outcomes(lake: Path, journal: Path, model: str, asked: pl.Expr) -> tuple[ReportedOutcome, ...]:
    reports = scan_outcomes(lake, journal, model).filter(asked).sort("recorded_at", SEGMENT, PLACE).collect()
    return msgspec.convert(reports.rows(named=True), tuple[ReportedOutcome, ...])


def _found(row: dict[str, Any], outcomes: tuple[ReportedOutcome, ...]) -> FoundPrediction:
    own = {name: row[name] for name in FoundPrediction.__struct_fields__ if name in row}
    prediction = _under(row, f"{PREDICTION}.") or row[PREDICTION]
    request, features = _under(row, REQUEST), _under(row, FEATURE)
    return FoundPrediction(**own | {"prediction": prediction}, request=request, features=features, outcomes=outcomes)


def _under(row: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in row.items() if name.startswith(prefix)}
