"""Alembic's entry: migrates over the connection that ``open_ledger`` hands in."""

from __future__ import annotations

from alembic import context

from everfit.store.ledger import METADATA

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=METADATA, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
