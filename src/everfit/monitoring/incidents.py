"""The same trouble is one incident, that opens, goes on and ends. The one writer of ``incidents``."""

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
from everfit.monitoring.alerts import RESOLVED, Untold
from everfit.store.ledger import INCIDENTS

_log = logging.getLogger(__name__)
_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "critical": logging.ERROR}


class Changes(Struct, frozen=True, kw_only=True):
    """What a look changed."""

    opened: tuple[Incident, ...] = ()
    worsened: tuple[Incident, ...] = ()
    """Open before, and more severe now."""
    ongoing: tuple[Incident, ...] = ()
    resolved: tuple[Incident, ...] = ()

    @property
    def open(self) -> tuple[Incident, ...]:
        """All that are open now."""
        return (*self.opened, *self.worsened, *self.ongoing)


def reconcile(
    before: Sequence[Incident], findings: Sequence[Finding], *, now: datetime, next_number: int = 1
) -> Changes:
    """Hold what is found now against what is open.

    Args:
        before: The open incidents of the models that were looked at.
        findings: What is found now; of several with one key, the first counts.
        now: The present instant.
        next_number: The number of the first incident that opens.
    """
    found: dict[str, Finding] = {}
    for finding in findings:
        found.setdefault(finding.key, finding)
    opened: list[Incident] = []
    worsened: list[Incident] = []
    ongoing: list[Incident] = []
    resolved: list[Incident] = []
    for incident in before:
        if incident.key not in found:
            resolved.append(replace(incident, resolved_at=now, updated_at=now))
            continue
        finding = found.pop(incident.key)
        same = replace(incident, finding=finding, updated_at=now, looks=incident.looks + 1)
        grew = SEVERITIES.index(finding.severity) > SEVERITIES.index(incident.finding.severity)
        (worsened if grew else ongoing).append(same)
    for number, finding in enumerate(found.values(), start=next_number):
        opened.append(Incident(number=number, key=finding.key, finding=finding, opened_at=now, updated_at=now))
    return Changes(opened=tuple(opened), worsened=tuple(worsened), ongoing=tuple(ongoing), resolved=tuple(resolved))


class Incidents:
    """The incidents in the ledger.

    Args:
        engine: The ledger's.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def settle(
        self, model: str, findings: Sequence[Finding], *, now: datetime, unseen: Collection[FindingKind] = ()
    ) -> Changes:
        """Record what was found of a model at a look, all or nothing.

        Args:
            model: Its name.
            findings: What was found.
            now: The present instant.
            unseen: What was not looked for: incidents of these kinds stay as they are.
        """
        with self._engine.begin() as connection:
            open_ones = _read(connection, INCIDENTS.c.model == model, INCIDENTS.c.resolved_at_us.is_(None))
            before = [each for each in open_ones if each.finding.kind not in unseen]
            last = connection.execute(sa.select(sa.func.max(INCIDENTS.c.number))).scalar() or 0
            changes = reconcile(before, findings, now=now, next_number=last + 1)
            if changes.opened:
                connection.execute(INCIDENTS.insert(), [_row(each) for each in changes.opened])
            for incident in (*changes.worsened, *changes.ongoing, *changes.resolved):
                connection.execute(
                    INCIDENTS.update().where(INCIDENTS.c.number == incident.number).values(**_row(incident))
                )
        _log_changes(changes)
        return changes

    def untold(self, model: str) -> tuple[Untold, ...]:
        """A model's incidents whose present state was not told yet, oldest first."""
        query = sa.select(INCIDENTS.c.number, INCIDENTS.c.announced).where(INCIDENTS.c.model == model)
        with self._engine.connect() as connection:
            told = {row.number: row.announced for row in connection.execute(query)}
            all_of_it = _read(connection, INCIDENTS.c.model == model, INCIDENTS.c.announced != RESOLVED)
        found = (Untold(incident=each, told=told[each.number]) for each in all_of_it)
        return tuple(each for each in found if each.matters)

    def tell(self, about: Sequence[Untold]) -> None:
        """Record that the present state of these was told."""
        with self._engine.begin() as connection:
            for each in about:
                connection.execute(
                    INCIDENTS.update().where(INCIDENTS.c.number == each.incident.number).values(announced=each.state)
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

    def of(self, model: str, *, since: datetime | None = None) -> tuple[Incident, ...]:
        """A model's incidents, oldest first.

        Args:
            model: Its name.
            since: Leave out those that were resolved before.
        """
        conditions = [INCIDENTS.c.model == model]
        if since is not None:
            ended = INCIDENTS.c.resolved_at_us
            conditions.append(sa.or_(ended.is_(None), ended >= to_us(since)))
        with self._engine.connect() as connection:
            return _read(connection, *conditions)


def _log_changes(changes: Changes) -> None:
    parts = {"opened": changes.opened, "worsened": changes.worsened, "ended": changes.resolved}
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
