"""Policy texts: what a policy said when it decided, by its fingerprint, so that a decision can be made again.

Revision 0011, after 0010. Workers of the release before go on: the table is new, and what they decide has no text.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "policy_texts",
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("use_case", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", name="pk_policy_texts"),
    )


def downgrade() -> None:
    op.drop_table("policy_texts")
