"""Watching: what people did in our tickets, remembered once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, func, select, tuple_, update

from connectors.sql import audit, change_ends
from connectors.sql import feeds as feed_rows
from connectors.sql import tickets as ticket_rows
from connectors.sql.approvals import known_of, offered_at
from connectors.sql.codec import TICKET_CHANGE, key_text, plain
from connectors.sql.corrections import complete, row_of, set_apart
from connectors.sql.engine import Database
from connectors.sql.tables import (
    actions,
    cases,
    corrections,
    schedules,
    ticket_changes,
    waits_for_approval,
)
from countersign.actions import ActionState
from countersign.audit import Event
from countersign.ledger import Correction, Watched
from countersign.tickets import TicketChange, TicketPage

Owner = tuple[str, str]
_AT_ONCE = 1_000
_DRAFTS = ("note", "close", "draft_change")


class SqlWatch:
    """The WatchBook port."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def record_changes(self, feed: str, fence: int, page: TicketPage) -> tuple[Watched, ...]:
        """As the port says. Changes by ourselves are remembered, not given. Raises LeaseLost on an old fence."""
        with self._db.write() as connection:
            now = self._db.now(connection)
            feed_rows.move(connection, feed, fence, cursor=page.cursor, now=now)
            named = {(ticket.ref.desk, ticket.ref.id) for ticket in page.tickets}
            named |= {(change.ref.desk, change.ref.id) for change in page.changes}
            owners = _owners(connection, named)
            drafted = _drafted(connection, {change.marker for change in page.changes if change.marker})
            ours = [ticket for ticket in page.tickets if (ticket.ref.desk, ticket.ref.id) in owners]
            ticket_rows.upsert(self._db, connection, ours)
            change_ends.record(self._db, connection, page.ends, now)
            belongs = {
                (change.ref.desk, key_text(change.id)): owner
                for change in page.changes
                if (owner := drafted.get(change.marker) or owners.get((change.ref.desk, change.ref.id)))
            }
            return self._remember(connection, page.changes, belongs, now)

    def unhandled(self, desk: str, use_cases: Collection[str]) -> tuple[Watched, ...]:
        """As the port says. A change belongs to the case that its ticket had when it was recorded."""
        asked = (
            select(ticket_changes.c.body, cases.c.id, cases.c.use_case)
            .join(cases, cases.c.id == ticket_changes.c.case_id)
            .where(ticket_changes.c.desk == desk, ticket_changes.c.handled_at.is_(None))
            .where(cases.c.use_case.in_(list(use_cases)))
            .order_by(ticket_changes.c.at)
            .limit(_AT_ONCE)
        )
        with self._db.read() as connection:
            return tuple(
                Watched(case_id=row.id, use_case=row.use_case, change=TICKET_CHANGE.load(row.body))
                for row in connection.execute(asked)
            )

    def mark_handled(self, watched: Sequence[Watched]) -> None:
        names = {(one.change.ref.desk, key_text(one.change.id)) for one in watched}
        if not names:
            return
        with self._db.write() as connection:
            connection.execute(
                update(ticket_changes)
                .where(tuple_(ticket_changes.c.desk, ticket_changes.c.change_id).in_(sorted(names)))
                .values(handled_at=self._db.now(connection))
            )

    def record_corrections(self, given: Sequence[Correction]) -> tuple[str, ...]:
        """As the port says; the same change with the same verdict and field is passed over."""
        if not given:
            return ()
        with self._db.write() as connection:
            now = self._db.now(connection)
            told = complete(connection, given)
            rows = {tuple(row.values())[:4]: row for row in (row_of(one, now) for one in told)}
            new = connection.execute(
                self._db.insert(corrections)
                .on_conflict_do_nothing()
                .returning(
                    corrections.c.case_id, corrections.c.change_id, corrections.c.verdict, corrections.c.field
                ),
                list(rows.values()),
            ).all()
            audit.append(connection, [_corrected(rows[tuple(row)]) for row in new], at=now)
            return set_apart(connection, told)

    def overdue(self, use_case: str, *, older_than: timedelta) -> tuple[str, ...]:
        with self._db.read() as connection:
            late = _overdue(use_case, self._db.now(connection) - older_than)
            return tuple(
                sorted(connection.execute(select(actions.c.case_id).where(*late).distinct()).scalars())
            )

    def expire_approvals(self, use_case: str, *, older_than: timedelta) -> tuple[str, ...]:
        with self._db.write() as connection:
            now = self._db.now(connection)
            why = "it was not approved and done in time"
            expired = connection.execute(
                update(actions)
                .where(*_overdue(use_case, now - older_than))
                .values(state=ActionState.DROPPED.value, due_at=None, detail=why)
                .returning(actions.c.key, actions.c.case_id)
            ).all()
            events = [
                Event(
                    actor="policy",
                    event="action.dropped",
                    case_id=row.case_id,
                    subject=row.key,
                    detail={"why": why},
                )
                for row in expired
            ]
            audit.append(connection, events, at=now)
        return tuple(sorted({row.case_id for row in expired}))

    def changes_since_offer(self, case_id: str, code: str) -> tuple[tuple[TicketChange, ...], frozenset[str]]:
        """As the port says."""
        code = plain(code).strip().lower()
        planned = select(actions.c.planned_at, actions.c.known_changes).where(
            actions.c.case_id == case_id,
            actions.c.code == code,
            actions.c.state == ActionState.PLANNED.value,
        )
        with self._db.read() as connection:
            rows = connection.execute(planned).all()
            if not rows:
                return (), frozenset()
            since = offered_at(connection, case_id, code, min(row.planned_at for row in rows))
            later = (
                select(ticket_changes.c.body)
                .where(
                    ticket_changes.c.case_id == case_id,
                    ticket_changes.c.by_us.is_(False),
                    ticket_changes.c.at >= since,
                )
                .order_by(ticket_changes.c.at)
                .limit(_AT_ONCE)
            )
            changes = tuple(TICKET_CHANGE.load(body) for body in connection.execute(later).scalars())
            return changes, frozenset(known for row in rows for known in known_of(row.known_changes))

    def fire_once(self, name: str, fire_time: datetime) -> bool:
        with self._db.write() as connection:
            row = {"name": name, "fire_time": fire_time, "fired_at": self._db.now(connection)}
            insert = self._db.insert(schedules).values(row).on_conflict_do_nothing()
            return connection.execute(insert.returning(schedules.c.name)).first() is not None

    def _remember(
        self,
        connection: Connection,
        changes: Sequence[TicketChange],
        belongs: dict[Owner, Owner],
        now: datetime,
    ) -> tuple[Watched, ...]:
        ours = {
            (change.ref.desk, key_text(change.id)): change
            for change in reversed(changes)
            if (change.ref.desk, key_text(change.id)) in belongs
        }
        if not ours:
            return ()
        rows = [_change(change, belongs[name][0], now) for name, change in reversed(ours.items())]
        new = connection.execute(
            self._db.insert(ticket_changes)
            .on_conflict_do_nothing()
            .returning(ticket_changes.c.desk, ticket_changes.c.change_id),
            rows,
        )
        found = sorted((ours[(row.desk, row.change_id)] for row in new), key=lambda change: change.at)
        return tuple(
            Watched(case_id=case_id, use_case=use_case, change=change)
            for change in found
            for case_id, use_case in (belongs[change.ref.desk, key_text(change.id)],)
            if not change.by_us
        )


def _overdue(use_case: str, planned_before: datetime) -> tuple[ColumnElement[bool], ...]:
    return actions.c.use_case == use_case, waits_for_approval, actions.c.planned_at < planned_before


def _owners(connection: Connection, named: set[Owner]) -> dict[Owner, Owner]:
    """The case of each ticket, as (case id, use case): the newest, where several were linked to it."""
    if not named:
        return {}
    newest = (
        select(func.max(cases.c.id))
        .where(tuple_(cases.c.desk, cases.c.ticket_id).in_(sorted(named)))
        .group_by(cases.c.desk, cases.c.ticket_id)
    )
    rows = connection.execute(select(cases).where(cases.c.id.in_(newest)))
    return {(row.desk, row.ticket_id): (row.id, row.use_case) for row in rows}


def _drafted(connection: Connection, markers: set[str]) -> dict[str, Owner]:
    """The case of each draft of ours that somebody wrote over, by its marker, as (case id, use case)."""
    keys = [marker.removeprefix("countersign:") for marker in sorted(markers)]
    if not keys:
        return {}
    asked = select(actions.c.key, actions.c.case_id, actions.c.use_case).where(
        actions.c.key.in_(keys), actions.c.kind.in_(_DRAFTS)
    )
    return {f"countersign:{row.key}": (row.case_id, row.use_case) for row in connection.execute(asked)}


def _change(change: TicketChange, case_id: str, now: datetime) -> dict[str, object]:
    return {
        "desk": change.ref.desk,
        "change_id": key_text(change.id),
        "ticket_id": change.ref.id,
        "case_id": case_id,
        "kind": change.kind.value,
        "author": plain(change.author),
        "by_us": change.by_us,
        "at": change.at,
        "recorded_at": now,
        "handled_at": now if change.by_us else None,
        "body": TICKET_CHANGE.dump(change),
    }


def _corrected(row: dict[str, object]) -> Event:
    return Event(
        actor=str(row["author"]),
        event="case.corrected",
        case_id=str(row["case_id"]),
        subject=str(row["change_id"]),
        detail={"verdict": row["verdict"], "field": row["field"], "source": row["source"]},
    )
