"""The ledger's tables, the same in SQLite and PostgreSQL. Times are integer microseconds since 1970, UTC.

`due_at` says when a row may be claimed: it is NULL when nothing is to be done, and the end of the lease while
somebody holds the row (`worker`). `fence` rises with every claim. `body` columns hold a frozen value as JSON.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    literal_column,
)
from sqlalchemy.engine import Dialect

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Moment(TypeDecorator[datetime]):
    """An aware datetime, stored as integer microseconds."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        return None if value is None else (value - EPOCH) // MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else EPOCH + timedelta(microseconds=value)


# SQLite numbers rows by itself only for a column of exactly this type.
ROW_NUMBER = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def _text(name: str, *, index: bool = False) -> Column[str]:
    return Column(name, String, nullable=False, server_default="", index=index)


def _count(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default="0")


def _case_id() -> Column[str]:
    return Column("case_id", String, ForeignKey("cases.id"), nullable=False)


feeds = Table(
    "feeds",
    metadata,
    Column("feed", String, primary_key=True),
    Column("cursor", Text),
    _count("fence"),
    Column("lease_until", Moment),
    Column("lease", BigInteger, nullable=False, server_default="0"),
    Column("worker", String),
    Column("last_ok", Moment),
    _text("last_error"),
)

cases = Table(
    "cases",
    metadata,
    Column("id", String, primary_key=True),
    Column("use_case", String, nullable=False),
    Column("fingerprint", String, nullable=False),
    # The newest episode of its fingerprint: the only one that alerts join.
    Column("current", Boolean, nullable=False),
    _text("title"),
    # The title it was opened with, its numbers taken out.
    _text("template"),
    Column("stage", String, nullable=False),
    Column("due_at", Moment, index=True),
    _count("fence"),
    Column("worker", String),
    _count("attempts"),
    _text("error"),
    _count("alert_count"),
    _count("firing"),
    _count("firing_at_claim"),
    Column("first_at", Moment, nullable=False),
    Column("last_at", Moment, nullable=False),
    Column("heard_at", Moment, nullable=False),
    Column("episode", Integer, nullable=False, server_default="1"),
    Column("revision", Integer, nullable=False, server_default="1"),
    Column("previous", String),
    Column("seen_before", Boolean, nullable=False),
    Column("opened_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Column("decided_at", Moment),
    Column("desk", String),
    Column("ticket_id", String),
    _text("outcome"),
    _text("rule"),
    _text("category"),
)
Index(
    "uq_cases_current",
    cases.c.use_case,
    cases.c.fingerprint,
    unique=True,
    sqlite_where=cases.c.current.is_(True),
    postgresql_where=cases.c.current.is_(True),
)
Index("ix_cases_ticket", cases.c.desk, cases.c.ticket_id)
Index("ix_cases_fingerprint", cases.c.use_case, cases.c.fingerprint)
Index("ix_cases_template", cases.c.use_case, cases.c.template)

alerts = Table(
    "alerts",
    metadata,
    Column("seq", ROW_NUMBER, primary_key=True, autoincrement=True),
    Column("source", String, nullable=False),
    Column("source_id", String, nullable=False),
    Column("version", String, nullable=False),
    _case_id(),
    Column("dedup_key", String, nullable=False),
    Column("state", String, nullable=False),
    Column("occurred_at", Moment, nullable=False),
    Column("recorded_at", Moment, nullable=False),
    Column("body", Text, nullable=False),
    UniqueConstraint("source", "source_id", "version"),
    Index("ix_alerts_case", "case_id", "occurred_at"),
)

case_keys = Table(
    "case_keys",
    metadata,
    Column("case_id", String, ForeignKey("cases.id"), primary_key=True),
    Column("dedup_key", String, primary_key=True),
    Column("state", String, nullable=False),
    Column("occurred_at", Moment, nullable=False),
)

tickets = Table(
    "tickets",
    metadata,
    Column("desk", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("key", String, nullable=False, index=True),
    Column("state", String, nullable=False),
    Column("version", String, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("body", Text, nullable=False),
)

assessments = Table(
    "assessments",
    metadata,
    Column("case_id", String, ForeignKey("cases.id"), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("at", Moment, nullable=False),
    _text("category"),
    _text("severity"),
    _text("model"),
    _text("prompt"),
    _text("prompt_hash"),
    Column("confidence", Float),
    Column("risk", Float),
    Column("body", Text, nullable=False),
    Column("context", Text, nullable=False),
)

decisions = Table(
    "decisions",
    metadata,
    Column("case_id", String, ForeignKey("cases.id"), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("use_case", String, nullable=False),
    Column("policy_version", Integer, nullable=False),
    Column("policy_hash", String, nullable=False),
    Column("autonomy", String, nullable=False),
    Column("outcome", String, nullable=False),
    Column("rule", String, nullable=False),
    Column("lane", String, nullable=False),
    _text("service"),
    # True when a ticket is closed without a person.
    Column("closes", Boolean, nullable=False),
    Column("body", Text, nullable=False),
)
Index(
    "ix_decisions_closes",
    decisions.c.use_case,
    decisions.c.at,
    sqlite_where=decisions.c.closes.is_(True),
    postgresql_where=decisions.c.closes.is_(True),
)

model_calls = Table(
    "model_calls",
    metadata,
    Column("seq", ROW_NUMBER, primary_key=True, autoincrement=True),
    _case_id(),
    Column("use_case", String, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("at", Moment, nullable=False),
    Column("model", String, nullable=False),
    Column("outcome", String, nullable=False),
    _count("tokens_in"),
    _count("tokens_out"),
    Column("micro_usd", BigInteger, nullable=False, server_default="0"),
    _count("latency_ms"),
    Column("body", Text, nullable=False),
    Index("ix_model_calls_case", "case_id", "revision"),
    Index("ix_model_calls_spent", "use_case", "at"),
)

actions = Table(
    "actions",
    metadata,
    Column("key", String, primary_key=True),
    _case_id(),
    Column("use_case", String, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("kind", String, nullable=False),
    Column("desk", String, nullable=False),
    # The ticket as it was when the action was planned; NULL while an earlier action was still to create it.
    Column("ticket", Text),
    Column("state", String, nullable=False),
    Column("due_at", Moment, index=True),
    _count("fence"),
    Column("worker", String),
    _count("attempts"),
    # It may have happened: true from the first doubt until somebody has seen it done.
    Column("doubtful", Boolean, nullable=False),
    Column("needs_approval", Boolean, nullable=False),
    _text("approved_by"),
    _text("approved_change"),
    # JSON list of the ids of changes that voided approvals so far: whoever approves now was told of them.
    Column("known_changes", Text, nullable=False, server_default="[]"),
    Column("payload_hash", String, nullable=False),
    Column("code", String, nullable=False),
    Column("effect", Text, nullable=False),
    Column("receipt", Text),
    _text("detail"),
    Column("planned_at", Moment, nullable=False),
    Column("done_at", Moment),
    # The key of the action that this one takes back, and of the one that has to be settled before it.
    _text("undoes"),
    _text("waits_for"),
    Index("ix_actions_case", "case_id", "revision", "seq"),
)

# Words of the statement, not bound values, or SQLite could not tell that this index answers it.
waits_for_approval = actions.c.state == literal_column("'planned'")
Index(
    "ix_actions_planned",
    actions.c.use_case,
    actions.c.planned_at,
    sqlite_where=waits_for_approval,
    postgresql_where=waits_for_approval,
)

corrections = Table(
    "corrections",
    metadata,
    Column("case_id", String, ForeignKey("cases.id"), primary_key=True),
    Column("change_id", String, primary_key=True),
    Column("verdict", String, primary_key=True),
    Column("field", String, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("recorded_at", Moment, nullable=False, index=True),
    Column("author", String, nullable=False),
    # person, bot or bulk: what only a person says is a label.
    Column("source", String, nullable=False, server_default="person"),
    Column("body", Text, nullable=False),
)

ticket_changes = Table(
    "ticket_changes",
    metadata,
    Column("desk", String, primary_key=True),
    Column("change_id", String, primary_key=True),
    Column("ticket_id", String, nullable=False),
    _case_id(),
    Column("kind", String, nullable=False),
    Column("author", String, nullable=False),
    Column("by_us", Boolean, nullable=False),
    Column("at", Moment, nullable=False),
    Column("recorded_at", Moment, nullable=False),
    # NULL until what it means for its case is on record: approvals given, corrections written.
    Column("handled_at", Moment),
    Column("body", Text, nullable=False),
    Index("ix_ticket_changes_case", "case_id"),
    Index("ix_ticket_changes_ticket", "desk", "ticket_id", "at"),
    Index("ix_ticket_changes_author", "desk", "author", "at"),
)
Index(
    "ix_ticket_changes_unhandled",
    ticket_changes.c.desk,
    ticket_changes.c.at,
    sqlite_where=ticket_changes.c.handled_at.is_(None),
    postgresql_where=ticket_changes.c.handled_at.is_(None),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("subject", String, nullable=False),
    # What makes it the same letter when a page is read again.
    Column("identity", String, nullable=False, unique=True),
    # The action without which this one could not be done; its replay replays this one too.
    _text("cause", index=True),
    Column("reason", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("at", Moment, nullable=False),
    Column("state", String, nullable=False),
    Column("payload", Text, nullable=False),
    _text("resolved_by"),
    Column("resolved_at", Moment),
    Index("ix_dead_letters_state", "state", "id"),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Moment, nullable=False),
    Column("actor", String, nullable=False),
    Column("event", String, nullable=False),
    Column("case_id", String, nullable=False, index=True),
    Column("subject", String, nullable=False),
    Column("detail", Text, nullable=False),
    Column("previous", String, nullable=False),
    Column("hash", String, nullable=False),
)

# One row: where the chain ends. Whoever appends locks it, so the sequence has no gaps.
audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("hash", String, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
)

schedules = Table(
    "schedules",
    metadata,
    Column("name", String, primary_key=True),
    Column("fire_time", Moment, primary_key=True),
    Column("fired_at", Moment, nullable=False),
)

# What a policy said when it decided, written once, by its fingerprint.
policy_texts = Table(
    "policy_texts",
    metadata,
    Column("fingerprint", String, primary_key=True),
    Column("use_case", String, nullable=False),
    Column("at", Moment, nullable=False),
    Column("body", Text, nullable=False),
)

# A use case that must not write, or `*` for all of them.
stops = Table(
    "stops",
    metadata,
    Column("use_case", String, primary_key=True),
    Column("author", String, nullable=False),
    Column("at", Moment, nullable=False),
)
