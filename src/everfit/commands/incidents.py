"""Details of one incident: its newest finding, its alerts, the orders that it caused, and their rollouts."""

from __future__ import annotations

from msgspec import Struct

from everfit.core.finding import Incident
from everfit.core.order import OrderRecord
from everfit.core.rollout import Rollout
from everfit.system import System


class IncidentDetails(Struct, frozen=True, kw_only=True):
    """One incident with all that belongs to it, in the shape of :class:`everfit.commands.orders.OrderDetails`."""

    record: Incident
    notified: str
    """The state of the last alert: a severity, ``resolved``, or empty if none was sent."""
    orders: tuple[OrderRecord, ...] = ()
    """That rest on its finding, given while it was open."""
    rollouts: tuple[Rollout, ...] = ()
    """Of the versions that the orders led to."""
    earlier: tuple[Incident, ...] = ()
    """Of the same finding, oldest first."""


def incident_details(system: System, number: int) -> IncidentDetails:
    """Gather what is on record of an incident."""
    incidents = system.incidents
    incident = incidents.one(number)
    model = incident.finding.model
    orders = tuple(record for record in system.orders.of(model) if _rests_on(record, incident))
    numbers = {record.number for record in orders}
    return IncidentDetails(
        record=incident,
        notified=incidents.notified(number),
        orders=orders,
        rollouts=tuple(rollout for rollout in system.rollouts.of(model) if rollout.order in numbers),
        earlier=tuple(one for one in incidents.of(model) if one.key == incident.key and one.number < number),
    )


def _rests_on(record: OrderRecord, incident: Incident) -> bool:
    order = record.order
    if order.incident is not None:
        return order.incident == incident.number
    ended = incident.resolved_at
    while_open = incident.opened_at <= order.asked_at and (ended is None or order.asked_at <= ended)
    return incident.key in order.findings and while_open
