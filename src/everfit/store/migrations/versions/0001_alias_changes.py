"""History of the champion alias, with reasons."""

from alembic import op

from everfit.store.ledger import ALIAS_CHANGES

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the table of alias changes."""
    ALIAS_CHANGES.create(op.get_bind())
