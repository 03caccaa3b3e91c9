"""Burial: an action is given up, and with it whatever makes no sense without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, select, update

from connectors.sql.codec import plain
from connectors.sql.engine import Database
from connectors.sql.letters import Undone, bury
from connectors.sql.order import BLOCKERS, UNDER_WAY
from connectors.sql.tables import actions
from countersign.actions import ActionState
from countersign.audit import Event
from countersign.redaction import redact


@dataclass(frozen=True, kw_only=True, slots=True)
class Grave:
    """An action's row that is given up, and why. `cause` is the key of the action it needed."""

    row: Row[Any]
    reason: str
    cause: str = ""


def bury_actions(
    db: Database, connection: Connection, graves: Sequence[Grave], *, at: datetime
) -> list[Event]:
    """Makes dead letters of these actions and of those that need them; gives what to put on record."""
    followers = [follower for grave in graves for follower in _followers(connection, grave)]
    return _bury(db, connection, [*graves, *followers], at)


def bury_needing(db: Database, connection: Connection, keys: Sequence[str], *, at: datetime) -> list[Event]:
    """The same for what was planned anew although the ticket it needs was given up: one of these keys."""
    gone = connection.execute(
        select(actions).where(
            actions.c.key.in_(keys),
            actions.c.kind == "create_ticket",
            actions.c.state.in_((ActionState.DEAD.value, ActionState.DROPPED.value)),
        )
    ).all()
    graves = [one for row in gone for one in _followers(connection, Grave(row=row, reason=row.detail))]
    return _bury(db, connection, graves, at)


def _bury(db: Database, connection: Connection, graves: Sequence[Grave], at: datetime) -> list[Event]:
    if not graves:
        return []
    unique = list({grave.row.key: grave for grave in reversed(graves)}.values())
    for grave in unique:
        connection.execute(
            update(actions)
            .where(actions.c.key == grave.row.key)
            .values(state=ActionState.DEAD.value, due_at=None, worker=None, detail=plain(grave.reason))
        )
    bury(db, connection, [_undone(grave) for grave in unique], at=at)
    return [_event(grave) for grave in unique]


def _followers(connection: Connection, grave: Grave) -> list[Grave]:
    """Without its ticket nothing of a case can be written; without its change the note would name none."""
    dead = grave.row
    if dead.kind not in BLOCKERS:
        return []
    in_order = and_(actions.c.revision == dead.revision, actions.c.seq > dead.seq)
    needs_it = actions.c.ticket.is_(None) if dead.kind == "create_ticket" else in_order
    rows = connection.execute(
        select(actions).where(
            actions.c.case_id == dead.case_id,
            actions.c.key != dead.key,
            actions.c.state.in_((*UNDER_WAY, ActionState.PLANNED.value)),
            needs_it,
        )
    )
    reason = f"it needs {dead.kind} {dead.key}, which was given up: {grave.reason}"
    return [Grave(row=row, reason=reason, cause=dead.key) for row in rows]


def _undone(grave: Grave) -> Undone:
    row = grave.row
    return Undone(
        kind="action",
        subject=row.key,
        reason=grave.reason,
        attempts=row.attempts,
        # What an engineer may read in the ticket is not for who looks through what failed.
        payload=redact(row.effect).text,
        cause=grave.cause,
    )


def _event(grave: Grave) -> Event:
    row = grave.row
    return Event(
        actor=row.worker or "ledger",
        event="action.dead",
        case_id=row.case_id,
        subject=row.key,
        detail={"kind": row.kind, "reason": grave.reason, "attempts": row.attempts},
    )
