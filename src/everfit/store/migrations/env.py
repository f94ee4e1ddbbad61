"""Alembic's entry: migrates over the connection that ``open_ledger`` hands in."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
