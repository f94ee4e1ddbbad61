"""Performance as it was last seen, stretch of time by stretch of time. The one writer of ``performances``."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from msgspec import Struct

from everfit.core.clock import from_us, to_us
from everfit.monitoring.report.report import MonitorReport
from everfit.store.ledger import PERFORMANCES


def keep_figures(engine: sa.Engine, report: MonitorReport) -> None:
    """Write a report's figures in place of what was thought of the same time before."""
    rows = [
        {
            "model": report.model,
            "version": version.version,
            "route": version.route,
            "start_us": to_us(figure.start),
            "end_us": to_us(figure.end),
            "seen_at_us": to_us(report.as_of),
            **{name: getattr(figure, name) for name in ("metric", "value", "low", "high", "rows", "labelled")},
        }
        for version in report.versions
        for figure in version.over_time
    ]
    with engine.begin() as connection:
        for row in rows:
            same = [column == row[column.name] for column in PERFORMANCES.primary_key]
            connection.execute(PERFORMANCES.delete().where(*same))
        if rows:
            connection.execute(PERFORMANCES.insert(), rows)


class LiveFigure(Struct, frozen=True, kw_only=True):
    """A version's performance in one stretch of time."""

    metric: str
    value: float
    low: float | None
    """Lower end of the 95 % interval."""
    high: float | None
    """Upper end of the 95 % interval."""
    rows: int
    labelled: int
    start: datetime
    end: datetime


def newest_figure(engine: sa.Engine, model: str, version: int) -> LiveFigure | None:
    """Return the newest stretch of time of which a version's performance is known; ``None`` if there is none."""
    columns = PERFORMANCES.c
    mine = (columns.model == model, columns.version == version, columns.value.is_not(None))
    query = sa.select(PERFORMANCES).where(*mine).order_by(columns.end_us.desc(), columns.start_us.desc())
    with engine.connect() as connection:
        row = connection.execute(query.limit(1)).mappings().first()
    if row is None:
        return None
    figures = {name: row[name] for name in ("metric", "value", "low", "high", "rows", "labelled")}
    return LiveFigure(start=from_us(row["start_us"]), end=from_us(row["end_us"]), **figures)
