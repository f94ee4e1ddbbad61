"""Performance as it was last seen, stretch of time by stretch of time. The one writer of ``performances``."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from everfit.core.clock import from_us, to_us
from everfit.monitoring.performance import Figure
from everfit.monitoring.report.report import MonitorReport
from everfit.store.ledger import PERFORMANCES


class Performances:
    """The figures in the ledger."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def keep(self, report: MonitorReport) -> None:
        """Write a report's figures in place of what was thought of the same time before."""
        rows = [
            {
                "model": report.model,
                "version": version.version,
                "route": version.route,
                "start_us": to_us(figure.start),
                "end_us": to_us(figure.end),
                "metric": figure.metric,
                "value": figure.value,
                "low": figure.low,
                "high": figure.high,
                "rows": figure.rows,
                "labelled": figure.labelled,
                "seen_at_us": to_us(report.as_of),
            }
            for version in report.versions
            for figure in version.over_time
        ]
        keys = [column.name for column in PERFORMANCES.primary_key]
        with self._engine.begin() as connection:
            for row in rows:
                same = [PERFORMANCES.c[key] == row[key] for key in keys]
                connection.execute(PERFORMANCES.delete().where(*same))
            if rows:
                connection.execute(PERFORMANCES.insert(), rows)

    def of(self, model: str, version: int, *, route: str = "answers", since: datetime | None = None) -> list[Figure]:
        """A version's figures, oldest first."""
        table = PERFORMANCES
        query = sa.select(table).where(table.c.model == model, table.c.version == version, table.c.route == route)
        if since is not None:
            query = query.where(table.c.end_us > to_us(since))
        with self._engine.connect() as connection:
            return [
                Figure(
                    start=from_us(row["start_us"]),
                    end=from_us(row["end_us"]),
                    rows=row["rows"],
                    labelled=row["labelled"],
                    metric=row["metric"],
                    value=row["value"],
                    low=row["low"],
                    high=row["high"],
                )
                for row in connection.execute(query.order_by(table.c.start_us)).mappings()
            ]
