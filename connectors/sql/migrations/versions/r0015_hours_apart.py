"""Hours apart: what is summed by the hour stands in a column for each kind, so that each can be read by itself.

Revision 0015, after 0014. Workers of the release before go on: they read and write the whole of an hour, which is still
written; hours that only they have summed have nothing in the new columns.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_COLUMNS = ("models", "corrections", "drafts")


def upgrade() -> None:
    for name in _COLUMNS:
        op.add_column("rollup_hours", sa.Column(name, sa.Text(), nullable=True))


def downgrade() -> None:
    for name in _COLUMNS:
        op.drop_column("rollup_hours", name)
