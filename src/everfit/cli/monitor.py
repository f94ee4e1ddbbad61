"""``everfit monitor``: one evaluation of a model."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from everfit.cli.options import AsOf, ModelName, instant
from everfit.cli.output import CAUTION, OK, Item, Output, Styled, Table, bold, minute, spoken
from everfit.cli.printing import printed
from everfit.core.progress import Progress
from everfit.loop import monitoring_run
from everfit.monitoring.report.page import write_page
from everfit.monitoring.report.report import MonitorReport, VersionReport, compared
from everfit.system import System

_SIGNS = {"critical": Styled("‼", "bold red"), "warning": CAUTION, "info": Styled("·", "blue")}
_SINCE = instant("--since", help="Leave earlier predictions out of the figures.", show_default="90 days ago")


@printed
def monitor(
    system: System,
    progress: Progress,
    model: ModelName = None,
    since: Annotated[datetime | None, _SINCE] = None,
    as_of: AsOf = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page with plots to this file.")] = None,
    fail: Annotated[bool, typer.Option("--fail", help="Exit with 1 if there is a critical finding.")] = False,
) -> Output:
    """Evaluate a model: performance, drift, data quality, coverage.

    An evaluation of the present opens and ends incidents, and sends alerts. With --as-of, only what was known at that
    time is shown.
    """
    report = monitoring_run.monitor(system, model, since=since, as_of=as_of, progress=progress)
    if html is not None:
        html.parent.mkdir(parents=True, exist_ok=True)
        html.write_text(write_page(report), encoding="utf-8")
    critical = any(finding.severity == "critical" for finding in report.findings)
    after = None if as_of is not None else partial(monitoring_run.log_live_metrics, system, report)
    return Output(report, _text(report, html), code=1 if fail and critical else 0, after=after)


def _text(report: MonitorReport, html: Path | None) -> Iterator[Item]:
    yield bold(report.model), f"as of {minute(report.as_of)} UTC, predictions since {report.since:%Y-%m-%d}"
    columns = ("version", "rows", "outcomes", spoken(report.metric), "95 % interval", "hold-out", "alarm")
    yield Table(columns, map(_version_row, report.versions))
    for version in report.versions:
        if version.comparison is not None:
            yield compared(version.comparison)
    for finding in report.findings:
        title = f"{spoken(finding.kind)} {finding.subject}".rstrip()
        yield _SIGNS[finding.severity], bold(title), "", finding.sentence
    if not report.findings:
        yield OK, "No findings."
    served = report.served
    if served is not None and served.rows and not served.different:
        yield OK, f"The newest {served.rows:,} predictions used the same features as history has."
    for note in report.notes:
        yield Styled(note, "dim")
    for incident in report.incidents:
        if incident.resolved_at is None:
            about = f"{spoken(incident.finding.kind)} {incident.finding.subject}"
            yield f"  incident #{incident.number}, open since {minute(incident.opened_at)}: {about}"
    if html is not None:
        yield OK, f"The page is {html}."


def _version_row(version: VersionReport) -> tuple[str, ...]:
    overall, reference = version.overall, version.reference
    alarm = "–"
    if version.alarm is not None:
        current = version.alarm.current
        alarm = "quiet" if current is None else f"since {current.since:%Y-%m-%d}"
    return (
        f"{version.version}{' (shadow)' if version.route == 'shadow' else ''}",
        f"{overall.rows:,}",
        f"{overall.coverage:.0%}",
        _value(overall.value),
        "too few outcomes" if overall.low is None else f"{overall.low:.4f} … {overall.high:.4f}",
        _value(reference.value if reference else None),
        alarm,
    )


def _value(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
