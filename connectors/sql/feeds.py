"""Feeds: who reads a source or a desk now, and where to read on from."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, select, update

from connectors.sql.codec import plain
from connectors.sql.engine import Database
from connectors.sql.tables import MICROSECOND, feeds
from countersign.errors import LeaseLost


def claim(db: Database, feed: str, *, worker: str, lease: timedelta) -> tuple[int, str | None] | None:
    """The fence and the cursor, or None while somebody else reads it."""
    with db.write() as connection:
        connection.execute(db.insert(feeds).values(feed=feed).on_conflict_do_nothing())
        row = connection.execute(select(feeds).where(feeds.c.feed == feed).with_for_update()).one()
        now = db.now(connection)
        if row.lease_until is not None and row.lease_until > now:
            return None
        connection.execute(
            update(feeds)
            .where(feeds.c.feed == feed)
            .values(fence=row.fence + 1, worker=worker, lease_until=now + lease, lease=lease // MICROSECOND)
        )
        return row.fence + 1, row.cursor


def move(connection: Connection, feed: str, fence: int, *, cursor: str, now: datetime) -> None:
    """Moves the cursor and renews the lease. Raises LeaseLost when the fence is old or was given back."""
    row = connection.execute(select(feeds).where(feeds.c.feed == feed).with_for_update()).one_or_none()
    if row is None or row.fence != fence or row.worker is None:
        raise LeaseLost(f"Somebody else reads {feed} now; what was read here is left to them.")
    connection.execute(
        update(feeds)
        .where(feeds.c.feed == feed)
        .values(cursor=cursor, lease_until=now + row.lease * MICROSECOND, last_ok=now, last_error="")
    )


def release(db: Database, feed: str, fence: int, *, error: str) -> None:
    """Gives the lease back, with the reason if reading failed. An old fence changes nothing."""
    with db.write() as connection:
        connection.execute(
            update(feeds)
            .where(feeds.c.feed == feed, feeds.c.fence == fence, feeds.c.worker.is_not(None))
            .values(
                worker=None,
                lease_until=None,
                **(
                    {"last_error": plain(error)}
                    if error
                    else {"last_ok": db.now(connection), "last_error": ""}
                ),
            )
        )
