"""The append-only record of alias changes. The one writer of ``alias_changes``."""

from __future__ import annotations

import sqlalchemy as sa
from msgspec.structs import asdict

from everfit.core.clock import from_us, to_us
from everfit.core.records import AliasChange
from everfit.store.ledger import ALIAS_CHANGES


class AliasHistory:
    """Append-only store of alias changes."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def append(self, change: AliasChange) -> None:
        """Add a change."""
        row = asdict(change)
        row["changed_at_us"] = to_us(row.pop("changed_at"))
        with self._engine.begin() as connection:
            connection.execute(ALIAS_CHANGES.insert().values(**row))

    def of(self, model: str) -> tuple[AliasChange, ...]:
        """Return all changes of one model, oldest first."""
        table = ALIAS_CHANGES.c
        query = sa.select(table.alias, table.version, table.changed_at_us, table.actor, table.reason)
        with self._engine.connect() as connection:
            rows = connection.execute(query.where(table.model == model).order_by(table.number)).all()
        return tuple(
            AliasChange(model=model, alias=alias, version=version, changed_at=from_us(us), actor=actor, reason=reason)
            for alias, version, us, actor, reason in rows
        )
