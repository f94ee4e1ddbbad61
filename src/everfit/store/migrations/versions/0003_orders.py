"""Orders to retrain, one per cause."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table of orders."""
    op.create_table(
        "orders",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("model", sa.String(63), nullable=False, index=True),
        sa.Column("cause", sa.String(1023), nullable=False),
        sa.Column("order", sa.Text, nullable=False),
        sa.Column("state", sa.String(15), nullable=False, index=True),
        sa.Column("started_at_us", sa.BigInteger, nullable=True),
        sa.Column("ended_at_us", sa.BigInteger, nullable=True),
        sa.Column("run_id", sa.String(63), nullable=True),
        sa.Column("version", sa.Integer, nullable=True),
        sa.Column("sentence", sa.Text, nullable=False),
        sa.UniqueConstraint("model", "cause", name="one_order_per_cause"),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("orders")
