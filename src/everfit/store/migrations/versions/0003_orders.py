"""Orders to retrain, one per cause."""

from alembic import op

from everfit.store.ledger import ORDERS

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table of orders."""
    ORDERS.create(op.get_bind())
