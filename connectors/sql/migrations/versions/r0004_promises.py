"""Promises: what decisions rested on, labels, certificates, and the last good policies.

Revision 0004, after 0003. Workers of the release before go on: every table is new.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
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
        "grounds",
        _word("case_id"),
        sa.Column("revision", sa.Integer(), nullable=False),
        _word("use_case"),
        _at("at"),
        sa.Column("risk", sa.Float(), nullable=True),
        sa.Column("alerts", sa.Integer(), nullable=False),
        _word("kind"),
        _word("category"),
        _word("rule"),
        _word("lane"),
        sa.Column("control_share", sa.Float(), nullable=False),
        sa.Column("wanted", sa.Boolean(), nullable=False),
        sa.Column("alone", sa.Boolean(), nullable=False),
        _word("versions"),
        _text("facts"),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name="fk_grounds_case_id"),
        sa.PrimaryKeyConstraint("case_id", "revision", name="pk_grounds"),
    )
    op.create_index("ix_grounds_use_case", "grounds", ["use_case", "at"])
    op.create_table(
        "circumstances",
        _word("kind"),
        _text("body"),
        sa.PrimaryKeyConstraint("kind", name="pk_circumstances"),
    )
    op.create_table(
        "labels",
        _word("case_id"),
        _word("use_case"),
        _at("recorded_at"),
        _word("category"),
        sa.Column("wrong", sa.Boolean(), nullable=False),
        _text("body"),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name="fk_labels_case_id"),
        sa.PrimaryKeyConstraint("case_id", name="pk_labels"),
    )
    op.create_index("ix_labels_use_case", "labels", ["use_case", "recorded_at"])
    op.create_table(
        "certificates",
        _word("id"),
        _word("use_case"),
        _word("category"),
        _word("rule"),
        _word("versions"),
        _at("at"),
        _text("body"),
        _text("monitor"),
        sa.Column("withdrawn_at", sa.BigInteger(), nullable=True),
        sa.Column("why", sa.String(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_certificates"),
    )
    op.create_index("ix_certificates_use_case", "certificates", ["use_case", "at"])
    op.create_table(
        "certifications",
        _word("use_case"),
        sa.Column("tuning", sa.Integer(), nullable=False),
        _at("at"),
        sa.PrimaryKeyConstraint("use_case", "tuning", name="pk_certifications"),
    )
    op.create_table(
        "good_policies",
        _word("use_case"),
        sa.Column("version", sa.Integer(), nullable=False),
        _word("content_hash"),
        _at("at"),
        _text("body"),
        sa.PrimaryKeyConstraint("use_case", "version", "content_hash", name="pk_good_policies"),
    )
