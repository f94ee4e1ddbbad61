"""Rollouts, one at a time for each model, and who did what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the tables of rollouts and of the audit."""
    op.create_table(
        "rollouts",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("model", sa.String(63), nullable=False, index=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("state", sa.String(31), nullable=False),
        sa.Column("running", sa.String(63), nullable=True, unique=True),
        sa.Column("lines", sa.Integer, nullable=False),
        sa.Column("rollout", sa.Text, nullable=False),
    )
    op.create_table(
        "audit",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.String(255), nullable=False),
        sa.Column("action", sa.String(31), nullable=False),
        sa.Column("model", sa.String(63), nullable=False, index=True),
        sa.Column("version", sa.Integer, nullable=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("details", sa.Text, nullable=False),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("audit")
    op.drop_table("rollouts")
