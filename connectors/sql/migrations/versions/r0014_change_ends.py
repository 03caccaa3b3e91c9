"""Change ends: how the change requests that we drafted ended, as their desks tell it.

Revision 0014, after 0013. Workers of the release before go on: they leave the table as it is.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "change_ends",
        sa.Column("action_key", sa.String(), nullable=False),
        sa.Column("use_case", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.String(), nullable=False, server_default=""),
        sa.Column("failed", sa.Boolean(), nullable=True),
        sa.Column("cancelled", sa.Boolean(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("action_key", name="pk_change_ends"),
    )
    op.create_index("ix_change_ends_use_case", "change_ends", ["use_case", "at"])


def downgrade() -> None:
    op.drop_table("change_ends")
