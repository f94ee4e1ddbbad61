"""Performance as it was last seen, stretch of time by stretch of time. The one writer of ``performances``."""

from __future__ import annotations

import sqlalchemy as sa

from everfit.core.clock import to_us
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
