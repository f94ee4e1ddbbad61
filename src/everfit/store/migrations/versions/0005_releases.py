"""Releases, one per commit."""

from alembic import op

from everfit.store.ledger import RELEASES

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the table of releases."""
    RELEASES.create(op.get_bind())
