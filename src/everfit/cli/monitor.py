"""``everfit monitor``: how a model does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from everfit.cli.options import AsJson, AsOf, ModelName, ProjectFolder
from everfit.cli.output import CAUTION, OK, Styled, bold, print_json, print_line, print_rows

if TYPE_CHECKING:
    from everfit.monitoring.report.report import MonitorReport, VersionReport

_SIGNS = {"critical": Styled("‼", "bold red"), "warning": CAUTION, "info": Styled("·", "blue")}


def monitor(
    model: ModelName = None,
    since: Annotated[
        str | None,
        typer.Option("--since", help="Leave out of figures what was asked earlier.", show_default="90 days ago"),
    ] = None,
    as_of: AsOf = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page with plots to this file.")] = None,
    fail: Annotated[
        bool, typer.Option("--fail", help="Exit with 1 if anything critical was found, for use in scripts.")
    ] = False,
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Look at how a model does: performance, drift, data quality and coverage.

    A look at the present opens and ends incidents and tells people of them; one with --as-of only shows what was known
    then.
    """
    from everfit.cli.instants import read_instant, read_moment
    from everfit.cli.progress_bars import Bars
    from everfit.loop.monitoring_run import monitor as run
    from everfit.wiring import open_system

    first, moment = read_instant(since, name="--since"), read_moment(as_of, name="--as-of")
    system = open_system(project)
    with Bars(quiet=as_json) as progress:
        report = run(system, model, since=first, as_of=moment, progress=progress)
    if html is not None:
        from everfit.monitoring.report.page import write_page

        html.parent.mkdir(parents=True, exist_ok=True)
        html.write_text(write_page(report), encoding="utf-8")
    if as_json:
        print_json(report)
    else:
        _print(report)
        if html is not None:
            print_line(OK, f"The page is {html}.")
    if fail and any(each.severity == "critical" for each in report.findings):
        raise typer.Exit(1)


def _print(report: MonitorReport) -> None:
    from everfit.monitoring.report.report import compared

    print_line(bold(report.model), f"as of {report.as_of:%Y-%m-%d %H:%M} UTC, asked since {report.since:%Y-%m-%d}")
    name = report.metric.replace("_", " ")
    columns = ("version", "rows", "outcomes", name, "95 % interval", "hold-out", "alarm")
    print_rows("", columns, [_version_row(each) for each in report.versions])
    for version in report.versions:
        if version.comparison is not None:
            print_line(compared(version.comparison))
    for each in report.findings:
        about = f" {each.subject}" if each.subject else ""
        print_line(_SIGNS[each.severity], bold(f"{each.kind.replace('_', ' ')}{about}"), "", each.sentence)
    if not report.findings:
        print_line(OK, "Nothing is worth your attention.")
    served = report.served
    if served is not None and served.rows and not served.different:
        print_line(OK, f"The newest {served.rows:,} answers were given the features that history has.")
    for note in report.notes:
        print_line(Styled(note, "dim"))
    opened = [each for each in report.incidents if each.resolved_at is None]
    for incident in opened:
        print_line(
            f"  incident #{incident.number}, open since {incident.opened_at:%Y-%m-%d %H:%M}: "
            f"{incident.finding.kind.replace('_', ' ')} {incident.finding.subject}"
        )


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
