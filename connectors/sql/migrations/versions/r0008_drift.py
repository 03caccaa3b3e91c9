"""Drift: what came in by day and kind, and the control lanes that drift has raised.

Revision 0008, after 0007. Workers of the release before go on: the tables are new.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def _word(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(), nullable=False)


def upgrade() -> None:
    op.create_table(
        "signals",
        _word("use_case"),
        _word("day"),
        _word("signal"),
        _word("kind"),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("use_case", "day", "signal", "kind", name="pk_signals"),
    )
    op.create_table(
        "raised_lanes",
        _word("use_case"),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("use_case", "since", name="pk_raised_lanes"),
    )
