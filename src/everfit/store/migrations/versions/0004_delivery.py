"""Rollouts, one at a time for each model, and who did what."""

from alembic import op

from everfit.store.ledger import AUDIT, ROLLOUTS

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the tables of rollouts and of the audit."""
    AUDIT.create(op.get_bind())
    ROLLOUTS.create(op.get_bind())
