"""Incidents: findings with the same key become one, that opens, goes on and ends. The one writer of ``incidents``.

The ledger keeps the newest finding of an incident, not the earlier ones.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa
from msgspec import Struct
from msgspec.structs import replace

from everfit.core.clock import from_us, to_us
from everfit.core.errors import StoreError
from everfit.core.event_log import log_event
from everfit.core.finding import SEVERITIES, Finding, FindingKind, Incident
from everfit.monitoring.alerts import REOPENS_WITHIN, RESOLVED, Unnotified
from everfit.store.ledger import INCIDENTS

_log = logging.getLogger(__name__)
_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "critical": logging.ERROR}


class Changes(Struct, frozen=True, kw_only=True):
    """Changes of incidents by one evaluation."""

    opened: tuple[Incident, ...] = ()
    reopened: tuple[Incident, ...] = ()
    """Ended within the last day, and found again."""
    worsened: tuple[Incident, ...] = ()
    """Open before, and more severe now."""
    ongoing: tuple[Incident, ...] = ()
    resolved: tuple[Incident, ...] = ()


def reconcile(
    before: Sequence[Incident], findings: Sequence[Finding], *, now: datetime, next_number: int = 1
) -> Changes:
    """Hold present findings against the incidents on record.

    Args:
        before: The incidents that are open, and those that ended within :data:`REOPENS_WITHIN`, oldest first.
        findings: What is found now; of several with one key, the first counts.
        next_number: The number of the first incident that opens.
    """
    found: dict[str, Finding] = {}
    for finding in findings:
        found.setdefault(finding.key, finding)
    reopened: list[Incident] = []
    worsened: list[Incident] = []
    ongoing: list[Incident] = []
    resolved: list[Incident] = []
    # An open incident first, then the one that ended last.
    for incident in sorted(before, key=lambda incident: (incident.resolved_at is None, incident.number), reverse=True):
        is_open = incident.resolved_at is None
        if incident.key not in found:
            resolved += [replace(incident, resolved_at=now, updated_at=now)] if is_open else []
            continue
        finding = found.pop(incident.key)
        same = replace(incident, finding=finding, resolved_at=None, updated_at=now, looks=incident.looks + 1)
        grew = SEVERITIES.index(finding.severity) > SEVERITIES.index(incident.finding.severity)
        (reopened if not is_open else worsened if grew else ongoing).append(same)
    opened = [
        Incident(number=number, key=finding.key, finding=finding, opened_at=now, updated_at=now)
        for number, finding in enumerate(found.values(), start=next_number)
    ]
    parts = {"reopened": reopened, "worsened": worsened, "ongoing": ongoing, "resolved": resolved}
    return Changes(opened=tuple(opened), **{name: tuple(reversed(part)) for name, part in parts.items()})


class Incidents:
    """The incidents in the ledger."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def record(
        self, model: str, findings: Sequence[Finding], *, now: datetime, not_evaluated: Collection[FindingKind] = ()
    ) -> Changes:
        """Record a model's findings, all or nothing.

        Args:
            findings: What was found.
            not_evaluated: Incidents of these kinds stay as they are.
        """
        recent = sa.or_(INCIDENTS.c.resolved_at_us.is_(None), INCIDENTS.c.resolved_at_us > to_us(now - REOPENS_WITHIN))
        with self._engine.begin() as connection:
            known = _read(connection, INCIDENTS.c.model == model, recent)
            before = [incident for incident in known if incident.finding.kind not in not_evaluated]
            last = connection.execute(sa.select(sa.func.max(INCIDENTS.c.number))).scalar() or 0
            changes = reconcile(before, findings, now=now, next_number=last + 1)
            if changes.opened:
                connection.execute(INCIDENTS.insert(), [_row(incident) for incident in changes.opened])
            for incident in (*changes.reopened, *changes.worsened, *changes.ongoing, *changes.resolved):
                connection.execute(
                    INCIDENTS.update().where(INCIDENTS.c.number == incident.number).values(**_row(incident))
                )
        _log_changes(changes)
        return changes

    def unnotified(self, model: str) -> tuple[Unnotified, ...]:
        """Return a model's incidents whose present state was not notified yet, oldest first."""
        query = sa.select(INCIDENTS.c.number, INCIDENTS.c.announced).where(INCIDENTS.c.model == model)
        with self._engine.connect() as connection:
            notified = {row.number: row.announced for row in connection.execute(query)}
            incidents = _read(connection, INCIDENTS.c.model == model, INCIDENTS.c.announced != RESOLVED)
        return tuple(Unnotified(incident=incident, notified=notified[incident.number]) for incident in incidents)

    def mark_notified(self, about: Sequence[Unnotified]) -> None:
        """Record that people were notified of the present state of these."""
        with self._engine.begin() as connection:
            for one in about:
                connection.execute(
                    INCIDENTS.update().where(INCIDENTS.c.number == one.incident.number).values(announced=one.state)
                )

    def one(self, number: int) -> Incident:
        """An incident by its number, open or ended.

        Raises:
            StoreError: If there is none.
        """
        with self._engine.connect() as connection:
            found = _read(connection, INCIDENTS.c.number == number)
        if not found:
            raise StoreError(
                "there must be an incident with that number",
                value=number,
                remedy="'everfit incidents list' shows them all.",
            )
        return found[0]

    def notified(self, number: int) -> str:
        """The state of an incident that people were notified of last: a severity, ``resolved``, or empty if none."""
        query = sa.select(INCIDENTS.c.announced).where(INCIDENTS.c.number == number)
        with self._engine.connect() as connection:
            return str(connection.execute(query).scalar() or "")

    def of(self, model: str, *, since: datetime | None = None, as_of: datetime | None = None) -> tuple[Incident, ...]:
        """Return a model's incidents, oldest first.

        Args:
            since: Leave out those that were resolved before.
            as_of: Leave out those that opened later, and show as open those that ended later. Each comes with its
                newest finding all the same; a time in which it had ended and was then re-opened is not on record.
        """
        conditions = [INCIDENTS.c.model == model]
        if since is not None:
            ended = INCIDENTS.c.resolved_at_us
            conditions.append(sa.or_(ended.is_(None), ended >= to_us(since)))
        if as_of is not None:
            conditions.append(INCIDENTS.c.opened_at_us <= to_us(as_of))
        with self._engine.connect() as connection:
            found = _read(connection, *conditions)
        if as_of is None:
            return found
        return tuple(
            replace(incident, resolved_at=None)
            if incident.resolved_at is not None and incident.resolved_at > as_of
            else incident
            for incident in found
        )


def _log_changes(changes: Changes) -> None:
    parts = {
        "opened": changes.opened,
        "reopened": changes.reopened,
        "worsened": changes.worsened,
        "ended": changes.resolved,
    }
    for change, incidents in parts.items():
        for incident in incidents:
            finding = incident.finding
            log_event(
                _log,
                f"incident_{change}",
                f"{finding.model}: incident {incident.number} {change}: {finding.severity} {finding.kind}: "
                f"{finding.sentence}",
                level=logging.INFO if change == "ended" else _LEVELS[finding.severity],
                model=finding.model,
                incident=incident.number,
                version=finding.version,
                kind=finding.kind,
                severity=finding.severity,
            )


def _read(connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> tuple[Incident, ...]:
    query = sa.select(INCIDENTS).where(*conditions).order_by(INCIDENTS.c.number)
    return tuple(
        Incident(
            number=row["number"],
            key=row["key"],
            finding=msgspec.json.decode(row["finding"], type=Finding),
            opened_at=from_us(row["opened_at_us"]),
            updated_at=from_us(row["updated_at_us"]),
            resolved_at=None if row["resolved_at_us"] is None else from_us(row["resolved_at_us"]),
            looks=row["looks"],
        )
        for row in connection.execute(query).mappings()
    )


def _row(incident: Incident) -> dict[str, object]:
    return {
        "number": incident.number,
        "key": incident.key,
        "model": incident.finding.model,
        "finding": msgspec.json.encode(incident.finding).decode(),
        "opened_at_us": to_us(incident.opened_at),
        "updated_at_us": to_us(incident.updated_at),
        "resolved_at_us": None if incident.resolved_at is None else to_us(incident.resolved_at),
        "looks": incident.looks,
    }
