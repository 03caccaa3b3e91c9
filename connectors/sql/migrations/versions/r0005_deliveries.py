"""Deliveries: reports on their way to a mail address or a ticket.

Revision 0005, after 0004. Workers of the release before go on: the table is new.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def _word(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(), nullable=False)


def upgrade() -> None:
    op.create_table(
        "deliveries",
        _word("id"),
        _word("use_case"),
        sa.Column("fire_time", sa.BigInteger(), nullable=False),
        _word("channel"),
        _word("target"),
        _word("note"),
        _word("state"),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("fence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("detail", sa.String(), server_default="", nullable=False),
        sa.Column("done_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
    )
    op.create_index("ix_deliveries_due_at", "deliveries", ["due_at"])
