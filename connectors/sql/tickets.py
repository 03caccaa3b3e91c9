"""Tickets as last read. A later reading replaces an earlier one, never the other way round."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, and_, or_

from connectors.sql.codec import TICKET, plain
from connectors.sql.engine import Database
from connectors.sql.tables import tickets
from countersign.tickets import Ticket


def upsert(db: Database, connection: Connection, read: Sequence[Ticket]) -> None:
    """Keeps these readings, as far as they say something new.

    The same version again says nothing new: what we know ourselves since (that we resolved it) stands. A row
    without a version is our own creation, not read yet.
    """
    rows = {
        (ticket.ref.desk, ticket.ref.id): _row(ticket) for ticket in sorted(read, key=lambda t: t.updated_at)
    }
    if not rows:
        return
    statement = db.insert(tickets)
    new = statement.excluded
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["desk", "id"],
            set_={name: new[name] for name in ("key", "state", "version", "updated_at", "body")},
            where=or_(
                tickets.c.version == "",
                and_(new.version != tickets.c.version, new.updated_at >= tickets.c.updated_at),
            ),
        ),
        list(rows.values()),
    )


def _row(ticket: Ticket) -> dict[str, object]:
    return {
        "desk": ticket.ref.desk,
        "id": ticket.ref.id,
        "key": plain(ticket.ref.key),
        "state": ticket.state.value,
        "version": plain(ticket.version),
        "updated_at": ticket.updated_at,
        "body": TICKET.dump(ticket),
    }
