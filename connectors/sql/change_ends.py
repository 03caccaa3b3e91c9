"""Change ends: how the change requests that we drafted ended, one row for each draft that has."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Boolean, Column, Connection, Index, String, Table, delete, select

from connectors.sql.codec import plain
from connectors.sql.engine import Database
from connectors.sql.tables import Moment, actions, metadata
from countersign.ended_changes import EndedChange
from countersign.tickets import ChangeEnd

_MARK = "countersign:"
_LONGEST_CODE = 200

change_ends = Table(
    "change_ends",
    metadata,
    Column("action_key", String, primary_key=True),
    Column("use_case", String, nullable=False),
    Column("key", String, nullable=False),
    Column("at", Moment, nullable=False),
    Column("code", String, nullable=False, server_default=""),
    # NULL where its desk does not say how it ended.
    Column("failed", Boolean),
    Column("cancelled", Boolean, nullable=False),
    Column("recorded_at", Moment, nullable=False),
    Index("ix_change_ends_use_case", "use_case", "at"),
)


def record(db: Database, connection: Connection, told: Sequence[ChangeEnd], now: datetime) -> None:
    """What a desk tells of its changes, as far as we drafted them. The newest word holds; one may be open again."""
    newest = {one.marker.removeprefix(_MARK): one for one in told if one.marker.startswith(_MARK)}
    if not newest:
        return
    asked = select(actions.c.key, actions.c.use_case).where(
        actions.c.key.in_(sorted(newest)), actions.c.kind == "draft_change"
    )
    ours = {row.key: row.use_case for row in connection.execute(asked)}
    if opened := [key for key in ours if newest[key].at is None]:
        connection.execute(delete(change_ends).where(change_ends.c.action_key.in_(sorted(opened))))
    rows = [
        _row(key, use_case, newest[key], now) for key, use_case in ours.items() if newest[key].at is not None
    ]
    if not rows:
        return
    statement = db.insert(change_ends)
    told_now = {name: statement.excluded[name] for name in ("key", "at", "code", "failed", "cancelled")}
    connection.execute(statement.on_conflict_do_update(index_elements=["action_key"], set_=told_now), rows)


def ended(db: Database, use_case: str, since: datetime, until: datetime) -> tuple[EndedChange, ...]:
    """Those that ended from `since` (included) to `until` (excluded), by the clock of their desk."""
    asked = (
        select(change_ends)
        .where(change_ends.c.use_case == use_case, change_ends.c.at >= since, change_ends.c.at < until)
        .order_by(change_ends.c.at, change_ends.c.action_key)
    )
    with db.read() as connection:
        return tuple(
            EndedChange(id=row.action_key, at=row.at, failed=row.failed, cancelled=row.cancelled)
            for row in connection.execute(asked)
        )


def _row(key: str, use_case: str, told: ChangeEnd, now: datetime) -> dict[str, object]:
    return {
        "action_key": key,
        "use_case": use_case,
        "key": plain(told.ref.key),
        "at": told.at,
        "code": plain(told.code)[:_LONGEST_CODE],
        "failed": told.failed,
        "cancelled": told.cancelled,
        "recorded_at": now,
    }
