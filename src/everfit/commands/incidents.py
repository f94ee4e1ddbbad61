"""All that is on record of one incident: its newest finding, its alerts, the orders that it caused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from everfit.core.finding import Incident
from everfit.core.order import OrderRecord

if TYPE_CHECKING:
    from everfit.system import System


class IncidentDetails(Struct, frozen=True, kw_only=True):
    """One incident with everything that belongs to it."""

    incident: Incident
    notified: str
    """The state that people were notified of last: a severity, ``resolved``, or empty if none."""
    orders: tuple[OrderRecord, ...] = ()
    """That rest on its finding, given while it was open."""
    earlier: tuple[Incident, ...] = ()
    """Of the same finding, oldest first."""


def incident_details(system: System, number: int) -> IncidentDetails:
    """Gather what is on record of an incident.

    Args:
        system: The parts.
        number: In the list of incidents.

    Raises:
        StoreError: If there is no such incident.
    """
    incidents = system.incidents
    incident = incidents.one(number)
    model = incident.finding.model
    return IncidentDetails(
        incident=incident,
        notified=incidents.notified(number),
        orders=tuple(record for record in system.orders.of(model) if _rests_on(record, incident)),
        earlier=tuple(one for one in incidents.of(model) if one.key == incident.key and one.number < number),
    )


def _rests_on(record: OrderRecord, incident: Incident) -> bool:
    order = record.order
    if order.incident is not None:
        return order.incident == incident.number
    ended = incident.resolved_at
    while_open = incident.opened_at <= order.asked_at and (ended is None or order.asked_at <= ended)
    return incident.key in order.findings and while_open
