"""The append-only record of alias changes. The one writer of ``alias_changes``."""

from __future__ import annotations

import sqlalchemy as sa

from everfit.core.clock import from_us, to_us
from everfit.core.records import AliasChange
from everfit.store.ledger import ALIAS_CHANGES


class AliasHistory:
    """Append-only store of alias changes."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def append(self, change: AliasChange) -> None:
        """Add a change."""
        row = {
            "model": change.model,
            "alias": change.alias,
            "version": change.version,
            "changed_at_us": to_us(change.changed_at),
            "actor": change.actor,
            "reason": change.reason,
        }
        with self._engine.begin() as connection:
            connection.execute(ALIAS_CHANGES.insert().values(**row))

    def of(self, model: str) -> tuple[AliasChange, ...]:
        """Return all changes of one model, oldest first."""
        query = sa.select(ALIAS_CHANGES).where(ALIAS_CHANGES.c.model == model).order_by(ALIAS_CHANGES.c.number)
        with self._engine.connect() as connection:
            return tuple(
                AliasChange(
                    model=row["model"],
                    alias=row["alias"],
                    version=row["version"],
                    changed_at=from_us(row["changed_at_us"]),
                    actor=row["actor"],
                    reason=row["reason"],
                )
                for row in connection.execute(query).mappings()
            )
