"""Known changes: what in a ticket voided an approval, so that the next one is given in full knowledge of it.

Revision 0012, after 0011. Workers of the release before go on: they leave the column as it is.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("actions", sa.Column("known_changes", sa.Text(), nullable=False, server_default="[]"))


def downgrade() -> None:
    op.drop_column("actions", "known_changes")
