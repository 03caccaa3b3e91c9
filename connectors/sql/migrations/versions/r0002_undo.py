"""Undo: actions that take others back, and changes in tickets that wait to be handled.

Revision 0002, after 0001. Workers of the release before go on: each column has a default.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("actions", sa.Column("undoes", sa.String(), server_default="", nullable=False))
    op.add_column("actions", sa.Column("waits_for", sa.String(), server_default="", nullable=False))
    op.add_column("ticket_changes", sa.Column("handled_at", sa.BigInteger(), nullable=True))
    # What the release before has recorded, it has handled.
    op.execute("UPDATE ticket_changes SET handled_at = recorded_at")
    op.create_index("ix_ticket_changes_ticket", "ticket_changes", ["desk", "ticket_id", "at"])
    op.create_index(
        "ix_ticket_changes_unhandled",
        "ticket_changes",
        ["desk", "at"],
        sqlite_where=sa.text("handled_at IS NULL"),
        postgresql_where=sa.text("handled_at IS NULL"),
    )
