"""Dead letters: what could not be done, kept with its reason until a person has looked at it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from connectors.sql.codec import key_text, plain
from connectors.sql.engine import Database
from connectors.sql.tables import dead_letters
from countersign.ids import new_ids
from countersign.ports import Unreadable

# How often a case or an action is tried before people get it.
ATTEMPTS = 3


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


def _identity(feed: str, unreadable: Unreadable) -> str:
    parts = plain("\x1f".join((feed, unreadable.source_id, unreadable.payload)))
    return hashlib.sha256(parts.encode()).hexdigest()
