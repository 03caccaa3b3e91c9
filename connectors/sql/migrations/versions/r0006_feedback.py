"""Feedback: who a correction came from, by which rules a label was made, and the versions of the pool.

Revision 0006, after 0005. Workers of the release before go on: what is new has a default or is a table of its own.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def _word(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(), nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False)


def _at() -> sa.Column[int]:
    return sa.Column("at", sa.BigInteger(), nullable=False)


def upgrade() -> None:
    source = sa.Column("source", sa.String(), server_default="person", nullable=False)
    op.add_column("corrections", source)
    op.add_column("labels", sa.Column("rule_version", sa.Integer(), server_default="1", nullable=False))
    op.create_index("ix_ticket_changes_author", "ticket_changes", ["desk", "author", "at"])
    op.create_table(
        "pool_entries",
        _word("id"),
        _word("use_case"),
        _word("cluster"),
        _word("template"),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_pool_entries"),
    )
    op.create_index("ix_pool_entries_cluster", "pool_entries", ["use_case", "cluster"])
    op.create_index("ix_pool_entries_template", "pool_entries", ["use_case", "template"])
    op.create_table(
        "pool_versions",
        _word("use_case"),
        _number("version"),
        _at(),
        _word("author"),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("use_case", "version", name="pk_pool_versions"),
    )
    op.create_table(
        "pool_activations",
        _word("use_case"),
        _number("seq"),
        _number("version"),
        _at(),
        _word("author"),
        sa.PrimaryKeyConstraint("use_case", "seq", name="pk_pool_activations"),
    )
