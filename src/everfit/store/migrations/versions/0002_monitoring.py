"""Incidents, and the performances of versions."""

from alembic import op

from everfit.store.ledger import INCIDENTS, PERFORMANCES

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables of monitoring."""
    INCIDENTS.create(op.get_bind())
    PERFORMANCES.create(op.get_bind())
