"""Model figures: what a model's confidence is worth, and where the embedded model may answer alone.

Revision 0007, after 0006. Workers of the release before go on: every table is new.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _word(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(), nullable=False)


def _at(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def upgrade() -> None:
    op.create_table(
        "scales",
        _word("id"),
        _word("use_case"),
        _at("at"),
        _word("author"),
        _word("versions"),
        _text("body"),
        sa.PrimaryKeyConstraint("id", name="pk_scales"),
    )
    op.create_index("ix_scales_use_case", "scales", ["use_case", "at"])
    op.create_table(
        "local_labels",
        _word("case_id"),
        _word("use_case"),
        _at("recorded_at"),
        _word("category"),
        sa.Column("wrong", sa.Boolean(), nullable=False),
        _text("body"),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name="fk_local_labels_case_id"),
        sa.PrimaryKeyConstraint("case_id", name="pk_local_labels"),
    )
    op.create_index("ix_local_labels_use_case", "local_labels", ["use_case", "recorded_at"])
    op.create_table(
        "local_certificates",
        _word("id"),
        _word("use_case"),
        _word("category"),
        _word("versions"),
        _at("at"),
        _text("body"),
        _text("monitor"),
        sa.Column("withdrawn_at", sa.BigInteger(), nullable=True),
        sa.Column("why", sa.String(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_local_certificates"),
    )
    op.create_index("ix_local_certificates_use_case", "local_certificates", ["use_case", "at"])
