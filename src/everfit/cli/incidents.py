"""``everfit incidents``: what monitoring found, whether it lasts or has ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from everfit.cli.options import AsJson, ModelName, ProjectFolder

if TYPE_CHECKING:
    from everfit.commands.incidents import IncidentDetails
    from everfit.core.finding import Incident

app = typer.Typer(help="Incidents: what monitoring found, open and ended.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_incidents(
    model: ModelName = None,
    only_open: Annotated[bool, typer.Option("--open", help="Leave out those that have ended.")] = False,
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """List the incidents of a model, or of all, oldest first; those that have ended, too."""
    from everfit.cli.output import print_json, print_rows
    from everfit.wiring import open_system

    system = open_system(project)
    names = [system.project.model(model).name] if model else list(system.project.models)
    incidents = system.incidents
    found = sorted((incident for name in names for incident in incidents.of(name)), key=lambda one: one.number)
    if only_open:
        found = [incident for incident in found if incident.resolved_at is None]
    if as_json:
        print_json(found)
        return
    columns = ("incident", "opened (UTC)", "ended (UTC)", "model", "severity", "finding", "about", "sentence")
    print_rows("", columns, [_row(incident) for incident in found])


@app.command()
def show(
    number: Annotated[int, typer.Argument(help="The incident's number, as 'everfit incidents list' shows it.")],
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Show one incident: finding, numbers, alerts, the orders that it caused, and earlier ones of its kind."""
    from everfit.cli.output import bold, print_json, print_line, print_rows
    from everfit.commands.incidents import incident_details
    from everfit.wiring import open_system

    details = incident_details(open_system(project), number)
    if as_json:
        print_json(details)
        return
    for name, value in _facts(details):
        print_line(bold(f"{name:<10}"), value)
    if details.orders:
        rows = [(record.number, record.state, record.version or "–", record.sentence) for record in details.orders]
        print_rows("Orders that it caused", ("order", "state", "version", "result"), rows)
    if details.earlier:
        columns = ("incident", "opened (UTC)", "ended (UTC)", "sentence")
        rows_before = [(*_row(incident)[:3], incident.finding.sentence) for incident in details.earlier]
        print_rows("Earlier incidents of the same finding", columns, rows_before)


def _row(incident: Incident) -> tuple[object, ...]:
    finding, ended = incident.finding, incident.resolved_at
    return (
        incident.number,
        f"{incident.opened_at:%Y-%m-%d %H:%M}",
        "open" if ended is None else f"{ended:%Y-%m-%d %H:%M}",
        finding.model,
        finding.severity,
        finding.kind.replace("_", " "),
        finding.subject or "–",
        finding.sentence,
    )


def _facts(details: IncidentDetails) -> Iterator[tuple[str, str]]:
    incident = details.incident
    finding = incident.finding
    yield (
        "incident",
        f"{incident.number}, {finding.kind.replace('_', ' ')} of {finding.model} {finding.subject}".rstrip(),
    )
    yield "severity", finding.severity
    yield "state", "open" if incident.resolved_at is None else f"ended {incident.resolved_at:%Y-%m-%d %H:%M:%S} UTC"
    yield "finding", finding.sentence
    if finding.numbers:
        yield "numbers", ", ".join(f"{name} {value:g}" for name, value in finding.numbers.items())
    if finding.version is not None:
        yield "version", str(finding.version)
    if finding.since is not None:
        yield "since", f"{finding.since:%Y-%m-%d %H:%M:%S} UTC, by event time"
    yield "opened", f"{incident.opened_at:%Y-%m-%d %H:%M:%S} UTC"
    yield "updated", f"{incident.updated_at:%Y-%m-%d %H:%M:%S} UTC, found {incident.looks} times"
    yield "alerts", f"last sent when it was {details.notified}" if details.notified else "none was sent"
