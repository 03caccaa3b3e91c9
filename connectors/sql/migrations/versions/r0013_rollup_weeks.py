"""Rollup weeks: of each packed day the sums that trends are made of, so that those need not read its tickets.

Revision 0013, after 0012. The first to pack with this release packs every day anew, in the background. Workers of
the release before go on: they leave packing to it, and read the rows themselves. Nobody reads `rollups.core` any more.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rollup_weeks",
        sa.Column("use_case", sa.String(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("use_case", "day", name="pk_rollup_weeks"),
    )


def downgrade() -> None:
    op.drop_table("rollup_weeks")
