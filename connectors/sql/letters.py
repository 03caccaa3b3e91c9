"""Dead letters: what could not be done, kept with its reason until a person has looked at it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Row, select, update

from connectors.sql import audit as audit_rows
from connectors.sql.codec import key_text, plain
from connectors.sql.engine import Database
from connectors.sql.tables import dead_letters
from countersign.audit import Event
from countersign.errors import NotFound
from countersign.ids import as_typed, new_ids
from countersign.ledger import DeadLetter
from countersign.ports import Unreadable


@dataclass(frozen=True, kw_only=True, slots=True)
class Undone:
    """A case or an action that is given up. `cause` is the action without which it can't be done."""

    kind: str
    subject: str
    reason: str
    attempts: int
    payload: str = ""
    cause: str = ""


def bury(db: Database, connection: Connection, undone: Sequence[Undone], *, at: datetime) -> None:
    """Writes a letter for each."""
    if not undone:
        return
    ids = new_ids("d", at, len(undone))
    rows = [
        {
            "id": letter_id,
            "kind": one.kind,
            "subject": one.subject,
            "identity": letter_id,
            "cause": one.cause,
            "reason": plain(one.reason),
            "attempts": one.attempts,
            "at": at,
            "state": "open",
            "payload": plain(one.payload),
        }
        for letter_id, one in zip(ids, undone, strict=True)
    ]
    connection.execute(db.insert(dead_letters), rows)


def bury_unreadable(
    db: Database, connection: Connection, feed: str, unreadable: Sequence[Unreadable], *, at: datetime
) -> int:
    """A letter for each payload that has none yet (a page is read again in its overlap); gives how many are new."""
    if not unreadable:
        return 0
    ids = new_ids("d", at, len(unreadable))
    rows = [
        {
            "id": letter_id,
            "kind": "alert",
            "subject": key_text(f"{feed}:{one.source_id}"),
            "identity": _identity(feed, one),
            "cause": "",
            "reason": plain(one.reason),
            "attempts": 1,
            "at": at,
            "state": "open",
            "payload": plain(one.payload),
        }
        for letter_id, one in zip(ids, unreadable, strict=True)
    ]
    insert = db.insert(dead_letters).on_conflict_do_nothing(index_elements=["identity"])
    return len(connection.execute(insert.returning(dead_letters.c.id), rows).all())


def find(connection: Connection, letter_id: str, *, lock: bool = False) -> Row[Any]:
    """The letter's row; locked, nobody else resolves it before this transaction is over. Raises NotFound."""
    asked = select(dead_letters).where(dead_letters.c.id == as_typed(plain(letter_id)))
    row = connection.execute(asked.with_for_update() if lock else asked).one_or_none()
    if row is None:
        raise NotFound(f"There is no dead letter {letter_id}; `countersign dead-letters list` shows them.")
    return row


def resolve(
    connection: Connection,
    rows: Sequence[Row[Any]],
    how: Literal["replayed", "dismissed"],
    *,
    by: str,
    at: datetime,
) -> None:
    """Ends these letters, on record. Call it last: it appends to the audit log."""
    connection.execute(
        update(dead_letters)
        .where(dead_letters.c.id.in_([row.id for row in rows]))
        .values(state=how, resolved_by=plain(by), resolved_at=at)
    )
    audit_rows.append(connection, [_event(row, how, by) for row in rows], at=at)


def keep_open(connection: Connection, row: Row[Any], reason: str, *, by: str, at: datetime) -> None:
    """Counts a replay that came to nothing, with its reason, on record. Call it last, as `resolve`."""
    connection.execute(
        update(dead_letters)
        .where(dead_letters.c.id == row.id)
        .values(reason=plain(reason), attempts=dead_letters.c.attempts + 1)
    )
    audit_rows.append(connection, [_event(row, "unreadable", by)], at=at)


def to_letter(row: Row[Any]) -> DeadLetter:
    return DeadLetter(
        id=row.id,
        kind=row.kind,
        subject=row.subject,
        reason=row.reason,
        attempts=row.attempts,
        at=row.at,
        state=row.state,
        payload=row.payload,
    )


def _event(row: Row[Any], what: str, by: str) -> Event:
    return Event(actor=by, event=f"letter.{what}", case_id="", subject=row.subject, detail={"id": row.id})


def _identity(feed: str, unreadable: Unreadable) -> str:
    parts = plain("\x1f".join((feed, unreadable.source_id, unreadable.payload)))
    return hashlib.sha256(parts.encode()).hexdigest()
