"""``everfit incidents``: problems that monitoring found, open or ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from everfit.cli.options import ModelName
from everfit.cli.output import Item, Output, Table, facts, listing, minute, second, spoken
from everfit.cli.printing import printed
from everfit.commands.incidents import IncidentDetails, incident_details
from everfit.core.finding import Incident
from everfit.system import System


@printed
def list_incidents(
    system: System,
    model: ModelName = None,
    only_open: Annotated[bool, typer.Option("--open", help="Leave out incidents that have ended.")] = False,
) -> Output:
    """List the incidents, open and ended, oldest first."""
    incidents = [one for name in system.project.model_names(model) for one in system.incidents.of(name)]
    found = sorted((one for one in incidents if one.resolved_at is None or not only_open), key=lambda one: one.number)
    columns = ("incident", "opened (UTC)", "ended (UTC)", "model", "severity", "finding", "about", "sentence")
    return listing(found, columns, map(_row, found))


@printed
def show(
    system: System,
    number: Annotated[int, typer.Argument(help="The incident's number, as 'everfit incidents list' shows it.")],
) -> Output:
    """Show one incident: finding, numbers, alerts, training orders."""
    details = incident_details(system, number)
    return Output(details, _text(details))


def _text(details: IncidentDetails) -> Iterator[Item]:
    yield from facts(_facts(details))
    if details.orders:
        rows = [(record.number, record.state, record.version or "–", record.sentence) for record in details.orders]
        yield Table(("order", "state", "version", "result"), rows, "Training orders that it caused")
    if details.earlier:
        earlier = [(*_row(incident)[:3], incident.finding.sentence) for incident in details.earlier]
        columns = ("incident", "opened (UTC)", "ended (UTC)", "sentence")
        yield Table(columns, earlier, "Earlier incidents of the same finding")


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
    yield "numbers", finding.numbers
    yield "version", finding.version
    yield "since", finding.since and f"{second(finding.since)}, by event time"
    yield "opened", second(incident.opened_at)
    yield "updated", f"{second(incident.updated_at)}, found {incident.looks} times"
    yield "alerts", f"last sent when it was {details.notified}" if details.notified else "none was sent"
