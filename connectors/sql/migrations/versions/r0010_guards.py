"""Guards: what stands watch over rules beside certificates; and which case's audit withdrew a certificate.

Revision 0010, after 0009. Workers of the release before go on: the table is new, the column may be empty.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def _word(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(), nullable=False)


def upgrade() -> None:
    op.create_table(
        "guards",
        _word("id"),
        _word("use_case"),
        _word("kind"),
        _word("rule"),
        _word("category"),
        _word("boundary"),
        sa.Column("allowed", sa.Float(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("monitor", sa.Text(), nullable=False),
        sa.Column("fallen_at", sa.BigInteger(), nullable=True),
        _word("case_id"),
        _word("why"),
        sa.Column("lifted_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_guards"),
    )
    op.create_index("ix_guards_use_case", "guards", ["use_case"])
    op.add_column("certificates", sa.Column("withdrawn_case", sa.String(), nullable=True))
