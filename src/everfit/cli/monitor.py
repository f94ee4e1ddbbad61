"""``everfit monitor``: one evaluation of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from everfit.cli.instants import read_instant, read_moment
from everfit.cli.options import AsJson, AsOf, ModelName, ProjectFolder
from everfit.cli.output import CAUTION, OK, Styled, bold, minute, print_json, print_line, print_rows, spoken
from everfit.cli.progress_bars import Bars
from everfit.loop import monitoring_run
from everfit.monitoring.report.page import write_page
from everfit.monitoring.report.report import MonitorReport, VersionReport, compared
from everfit.wiring import open_system

_SIGNS = {"critical": Styled("‼", "bold red"), "warning": CAUTION, "info": Styled("·", "blue")}


def monitor(
    model: ModelName = None,
    since: Annotated[
        str | None,
        typer.Option("--since", help="Leave earlier predictions out of the figures.", show_default="90 days ago"),
    ] = None,
    as_of: AsOf = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page with plots to this file.")] = None,
    fail: Annotated[bool, typer.Option("--fail", help="Exit with 1 if there is a critical finding.")] = False,
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate a model: performance, drift, data quality, coverage.

    An evaluation of the present opens and ends incidents, and sends alerts. With --as-of, only what was known at that
    time is shown.
    """
    first, moment = read_instant(since, name="--since"), read_moment(as_of, name="--as-of")
    system = open_system(project)
    with Bars(quiet=as_json) as progress:
        report = monitoring_run.monitor(system, model, since=first, as_of=moment, progress=progress)
    if html is not None:
        html.parent.mkdir(parents=True, exist_ok=True)
        html.write_text(write_page(report), encoding="utf-8")
    if as_json:
        print_json(report)
    else:
        _print(report)
        if html is not None:
            print_line(OK, f"The page is {html}.")
    if fail and any(finding.severity == "critical" for finding in report.findings):
        raise typer.Exit(1)


def _print(report: MonitorReport) -> None:

    print_line(bold(report.model), f"as of {minute(report.as_of)} UTC, predictions since {report.since:%Y-%m-%d}")
    columns = ("version", "rows", "outcomes", spoken(report.metric), "95 % interval", "hold-out", "alarm")
    print_rows("", columns, map(_version_row, report.versions))
    for version in report.versions:
        if version.comparison is not None:
            print_line(compared(version.comparison))
    for finding in report.findings:
        title = f"{spoken(finding.kind)} {finding.subject}".rstrip()
        print_line(_SIGNS[finding.severity], bold(title), "", finding.sentence)
    if not report.findings:
        print_line(OK, "No findings.")
    served = report.served
    if served is not None and served.rows and not served.different:
        print_line(OK, f"The newest {served.rows:,} predictions used the same features as history has.")
    for note in report.notes:
        print_line(Styled(note, "dim"))
    for incident in report.incidents:
        if incident.resolved_at is None:
            about = f"{spoken(incident.finding.kind)} {incident.finding.subject}"
            print_line(f"  incident #{incident.number}, open since {minute(incident.opened_at)}: {about}")


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
