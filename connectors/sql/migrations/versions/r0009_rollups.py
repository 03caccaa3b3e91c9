"""Rollups: histories packed by day, triggers that mark a case whenever its history changes, and sums by the hour.

Revision 0009, after 0008. Workers of the release before go on: the tables are new, and the database itself marks what
they write. Every case that was decided before is marked, so that it is packed in the background.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_DECIDED = "NEW.decided_at IS NOT NULL"
_CASE_COLUMNS = ("decided_at", "alert_count", "first_at", "category", "desk", "ticket_id")
_OF_CASE, _OF_ROW = "VALUES (NEW.id)", "VALUES (NEW.case_id)"
_OF_TICKET = "SELECT id FROM cases WHERE desk = NEW.desk AND ticket_id = NEW.id AND decided_at IS NOT NULL"
_IS_DONE = "(NEW.state = 'done') <> (OLD.state = 'done')"
# Name, table, when, under which condition ({differ} says that a column's old and new value differ), what is marked.
_TRIGGERS = (
    (
        "rollup_case",
        "cases",
        f"UPDATE OF {', '.join(_CASE_COLUMNS)}",
        f"{_DECIDED} AND ({' OR '.join('{differ:' + name + '}' for name in _CASE_COLUMNS)})",
        _OF_CASE,
    ),
    ("rollup_ticket", "tickets", "UPDATE OF body", "{differ:body}", _OF_TICKET),
    ("rollup_new_ticket", "tickets", "INSERT", "", _OF_TICKET),
    ("rollup_action", "actions", "UPDATE OF state", _IS_DONE, _OF_ROW),
    ("rollup_correction", "corrections", "INSERT", "", _OF_ROW),
)


class _Differ:
    """Writes {differ:name} as a dialect has it: NULL differs from a value and not from NULL."""

    def __init__(self, words: str) -> None:
        self.words = words

    def __format__(self, name: str) -> str:
        return f"OLD.{name} {self.words} NEW.{name}"


def upgrade() -> None:
    op.create_table(
        "rollup_marks",
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("case_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_rollup_marks"),
    )
    op.create_table(
        "rollups",
        sa.Column("use_case", sa.String(), nullable=False),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("format", sa.Integer(), nullable=False),
        sa.Column("cases", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("core", sa.Integer(), nullable=False),
        sa.Column("ids", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("use_case", "day", name="pk_rollups"),
    )
    op.create_table(
        "rollup_hours",
        sa.Column("use_case", sa.String(), nullable=False),
        sa.Column("hour", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("use_case", "hour", name="pk_rollup_hours"),
    )
    op.create_index("ix_corrections_recorded_at", "corrections", ["recorded_at"])
    # It answers how many labels of each category there were by some time.
    op.create_index("ix_labels_counted", "labels", ["use_case", "category", "wrong", "recorded_at"])
    connection = op.get_bind()
    postgres = connection.dialect.name == "postgresql"
    for trigger in _TRIGGERS:
        for statement in (_postgres if postgres else _sqlite)(*trigger):
            connection.exec_driver_sql(statement)
    if postgres:
        # Compressing what is compact already costs more than it saves, at each report.
        connection.exec_driver_sql("ALTER TABLE rollups ALTER COLUMN body SET STORAGE EXTERNAL")
    connection.exec_driver_sql(
        "INSERT INTO rollup_marks (case_id) SELECT id FROM cases WHERE decided_at IS NOT NULL ORDER BY id"
    )


def _sqlite(name: str, table: str, when: str, condition: str, marked: str) -> tuple[str, ...]:
    only = f"WHEN {condition.format(differ=_Differ('IS NOT'))}" if condition else ""
    return (
        f"CREATE TRIGGER {name} AFTER {when} ON {table} {only} "
        f"BEGIN INSERT INTO rollup_marks (case_id) {marked}; END",
    )


def _postgres(name: str, table: str, when: str, condition: str, marked: str) -> tuple[str, ...]:
    only = f"WHEN ({condition.format(differ=_Differ('IS DISTINCT FROM'))})" if condition else ""
    return (
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ "
        f"BEGIN INSERT INTO rollup_marks (case_id) {marked}; RETURN NULL; END $$",
        f"CREATE TRIGGER {name} AFTER {when} ON {table} FOR EACH ROW {only} EXECUTE FUNCTION {name}()",
    )
