"""``everfit incidents``: problems that monitoring found, open or ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from everfit.cli.options import AsJson, ModelName, ProjectFolder
from everfit.cli.output import minute, print_facts, print_json, print_records, print_rows, second, spoken
from everfit.commands.incidents import IncidentDetails, incident_details
from everfit.core.finding import Incident
from everfit.wiring import open_system


def list_incidents(
    model: ModelName = None,
    only_open: Annotated[bool, typer.Option("--open", help="Leave out incidents that have ended.")] = False,
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """List the incidents, open and ended, oldest first."""
    system = open_system(project)
    incidents = [one for name in system.project.model_names(model) for one in system.incidents.of(name)]
    found = sorted((one for one in incidents if one.resolved_at is None or not only_open), key=lambda one: one.number)
    columns = ("incident", "opened (UTC)", "ended (UTC)", "model", "severity", "finding", "about", "sentence")
    print_records(found, columns, map(_row, found), as_json=as_json)


def show(
    number: Annotated[int, typer.Argument(help="The incident's number, as 'everfit incidents list' shows it.")],
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Show one incident: finding, numbers, alerts, training orders."""
    details = incident_details(open_system(project), number)
    if as_json:
        print_json(details)
        return
    print_facts(_facts(details))
    if details.orders:
        rows = [(record.number, record.state, record.version or "–", record.sentence) for record in details.orders]
        print_rows("Training orders that it caused", ("order", "state", "version", "result"), rows)
    if details.earlier:
        columns = ("incident", "opened (UTC)", "ended (UTC)", "sentence")
        rows_before = [(*_row(incident)[:3], incident.finding.sentence) for incident in details.earlier]
        print_rows("Earlier incidents of the same finding", columns, rows_before)


def _row(incident: Incident) -> tuple[object, ...]:
    finding, ended = incident.finding, incident.resolved_at
    return (
        incident.number,
        minute(incident.opened_at),
        "open" if ended is None else minute(ended),
        finding.model,
        finding.severity,
        spoken(finding.kind),
        finding.subject or "–",
        finding.sentence,
    )


def _facts(details: IncidentDetails) -> Iterator[tuple[str, object]]:
    incident = details.record
    finding = incident.finding
    yield "incident", f"{incident.number}, {spoken(finding.kind)} of {finding.model} {finding.subject}".rstrip()
    yield "severity", finding.severity
    yield "state", "open" if incident.resolved_at is None else f"ended {second(incident.resolved_at)}"
    yield "finding", finding.sentence
    yield "numbers", ", ".join(f"{name} {value:g}" for name, value in finding.numbers.items())
    yield "version", finding.version
    yield "since", None if finding.since is None else f"{second(finding.since)}, by event time"
    yield "opened", second(incident.opened_at)
    yield "updated", f"{second(incident.updated_at)}, found {incident.looks} times"
    yield "alerts", f"last sent when it was {details.notified}" if details.notified else "none was sent"
