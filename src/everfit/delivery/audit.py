"""Audit: an append-only record of who did what to which model, when and why. The one writer of ``audit``."""

from __future__ import annotations

from datetime import datetime

import msgspec
import sqlalchemy as sa
from msgspec import Struct

from everfit.core.clock import from_us, to_us
from everfit.store.ledger import AUDIT


class AuditLine(Struct, frozen=True, kw_only=True):
    """One audited action."""

    at: datetime
    actor: str
    """A person, ``policy`` or ``watch``."""
    action: str
    """Such as ``promote`` or ``pause``."""
    model: str
    """Empty for a release of the project's code."""
    version: int | None = None
    reason: str
    details: dict[str, str] = {}


class Audit:
    """Append-only store of audit lines."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def append(
        self, *, at: datetime, actor: str, action: str, model: str, version: int | None = None, reason: str
    ) -> None:
        """Add a line. Idempotent: an equal line, as when a step runs again after a crash, is added once."""
        row = {"at_us": to_us(at), "actor": actor, "action": action, "model": model, "version": version}
        row |= {"reason": reason, "details": "{}"}
        same = [AUDIT.c[name].is_(None) if value is None else AUDIT.c[name] == value for name, value in row.items()]
        with self._engine.begin() as connection:
            if connection.execute(sa.select(AUDIT.c.number).where(*same)).first() is None:
                connection.execute(AUDIT.insert().values(**row))

    def last(self) -> int:
        """Return the newest line's number; 0 if there is none."""
        with self._engine.connect() as connection:
            return connection.execute(sa.select(sa.func.max(AUDIT.c.number))).scalar() or 0

    def between(self, after: int, until: int) -> tuple[AuditLine, ...]:
        """Return the lines with numbers above ``after`` up to ``until`` inclusive, oldest first."""
        query = sa.select(AUDIT).where(AUDIT.c.number > after, AUDIT.c.number <= until)
        return self._lines(query.order_by(AUDIT.c.number))

    def read(self, model: str | None = None, *, limit: int | None = None) -> tuple[AuditLine, ...]:
        """Return the lines of one model or of all, newest first, at most ``limit``."""
        query = sa.select(AUDIT).order_by(AUDIT.c.number.desc()).limit(limit)
        if model is not None:
            query = query.where(AUDIT.c.model == model)
        return self._lines(query)

    def _lines(self, query: sa.Select[tuple[object, ...]]) -> tuple[AuditLine, ...]:
        with self._engine.connect() as connection:
            return tuple(_line(row) for row in connection.execute(query).mappings())


def _line(row: sa.RowMapping) -> AuditLine:
    details = msgspec.json.decode(row["details"], type=dict[str, str])
    values = {name: row[name] for name in ("actor", "action", "model", "version", "reason")}
    return AuditLine(at=from_us(row["at_us"]), details=details, **values)
