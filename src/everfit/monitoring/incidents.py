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
    """Compare present findings, of which the first with one key counts, with the incidents on record.

    Those are the open ones, and those that ended within :data:`REOPENS_WITHIN`, oldest first.
    """
    found: dict[str, Finding] = {}
    for finding in findings:
        found.setdefault(finding.key, finding)
    parts: dict[str, list[Incident]] = {"reopened": [], "worsened": [], "ongoing": [], "resolved": []}
    # An open incident first, then the one that ended last.
    for incident in sorted(before, key=lambda incident: (incident.resolved_at is None, incident.number), reverse=True):
        is_open = incident.resolved_at is None
        if present := found.pop(incident.key, None):
            same = replace(incident, finding=present, resolved_at=None, updated_at=now, looks=incident.looks + 1)
            grew = SEVERITIES.index(present.severity) > SEVERITIES.index(incident.finding.severity)
            parts["reopened" if not is_open else "worsened" if grew else "ongoing"].append(same)
        elif is_open:
            parts["resolved"].append(replace(incident, resolved_at=now, updated_at=now))
    opened = (
        Incident(number=number, key=finding.key, finding=finding, opened_at=now, updated_at=now)
        for number, finding in enumerate(found.values(), start=next_number)
    )
    return Changes(opened=tuple(opened), **{name: tuple(reversed(part)) for name, part in parts.items()})


class Incidents:
    """The incidents in the ledger."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def record(
        self, model: str, findings: Sequence[Finding], *, now: datetime, not_evaluated: Collection[FindingKind] = ()
    ) -> Changes:
        """Record a model's findings, all or nothing; incidents of kinds that were not evaluated stay as they are."""
        recent = sa.or_(INCIDENTS.c.resolved_at_us.is_(None), INCIDENTS.c.resolved_at_us > to_us(now - REOPENS_WITHIN))
        with self._engine.begin() as connection:
            known = map(_incident, _rows(connection, INCIDENTS.c.model == model, recent))
            before = [incident for incident in known if incident.finding.kind not in not_evaluated]
            last = connection.execute(sa.select(sa.func.max(INCIDENTS.c.number))).scalar() or 0
            changes = reconcile(before, findings, now=now, next_number=last + 1)
            if changes.opened:
                connection.execute(INCIDENTS.insert(), [_row(incident) for incident in changes.opened])
            for incident in (*changes.reopened, *changes.worsened, *changes.ongoing, *changes.resolved):
                connection.execute(_update(incident.number).values(**_row(incident)))
        _log_changes(changes)
        return changes

    def unnotified(self, model: str) -> tuple[Unnotified, ...]:
        """Return a model's incidents whose present state was not notified yet, oldest first."""
        with self._engine.connect() as connection:
            rows = _rows(connection, INCIDENTS.c.model == model, INCIDENTS.c.announced != RESOLVED)
        return tuple(Unnotified(incident=_incident(row), notified=row["announced"]) for row in rows)

    def mark_notified(self, about: Sequence[Unnotified]) -> None:
        """Record that people were notified of the present state of these."""
        with self._engine.begin() as connection:
            for one in about:
                connection.execute(_update(one.incident.number).values(announced=one.state))

    def one(self, number: int) -> Incident:
        """An incident by its number, open or ended. Raises :class:`StoreError` if there is none."""
        with self._engine.connect() as connection:
            rows = _rows(connection, INCIDENTS.c.number == number)
        if not rows:
            remedy = "'everfit incidents list' shows them all."
            raise StoreError("there must be an incident with that number", value=number, remedy=remedy)
        return _incident(rows[0])

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
        ended = INCIDENTS.c.resolved_at_us
        if since is not None:
            conditions.append(sa.or_(ended.is_(None), ended >= to_us(since)))
        if as_of is not None:
            conditions.append(INCIDENTS.c.opened_at_us <= to_us(as_of))
        with self._engine.connect() as connection:
            found = tuple(map(_incident, _rows(connection, *conditions)))
        return tuple(
            replace(one, resolved_at=None) if as_of and one.resolved_at and one.resolved_at > as_of else one
            for one in found
        )


def _log_changes(changes: Changes) -> None:
    parts = {"opened": changes.opened, "reopened": changes.reopened, "worsened": changes.worsened}
    for change, incidents in (parts | {"ended": changes.resolved}).items():
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


def _rows(connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> Sequence[sa.RowMapping]:
    query = sa.select(INCIDENTS).where(*conditions).order_by(INCIDENTS.c.number)
    return connection.execute(query).mappings().all()


def _update(number: int) -> sa.Update:
    return INCIDENTS.update().where(INCIDENTS.c.number == number)


def _incident(row: sa.RowMapping) -> Incident:
    return Incident(
        number=row["number"],
        key=row["key"],
        finding=msgspec.json.decode(row["finding"], type=Finding),
        opened_at=from_us(row["opened_at_us"]),
        updated_at=from_us(row["updated_at_us"]),
        resolved_at=None if row["resolved_at_us"] is None else from_us(row["resolved_at_us"]),
        looks=row["looks"],
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
