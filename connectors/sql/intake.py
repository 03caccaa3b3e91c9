"""Intake: alerts come in, a page and its cursor in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from connectors.sql import feeds as feed_rows
from connectors.sql.codec import ALERT, key_text, plain
from connectors.sql.engine import Database
from connectors.sql.grouping import Group, Grouped, Known, group
from connectors.sql.letters import bury_unreadable, find, keep_open, resolve, to_letter
from connectors.sql.tables import alerts, case_keys, cases, tickets
from countersign.alerts import AlertState
from countersign.cases import Stage
from countersign.fingerprint import template
from countersign.ids import new_ids
from countersign.ledger import DeadLetter, Entry, Recorded
from countersign.ports import Unreadable
from countersign.tickets import TicketState

_SEEN = select(alerts.c.source, alerts.c.source_id, alerts.c.version).where(
    alerts.c.source.in_(bindparam("sources", expanding=True)),
    alerts.c.source_id.in_(bindparam("ids", expanding=True)),
)
_CURRENT = (
    select(cases, tickets.c.state.label("ticket_state"))
    .outerjoin(tickets, (tickets.c.desk == cases.c.desk) & (tickets.c.id == cases.c.ticket_id))
    .where(
        cases.c.current.is_(True),
        cases.c.use_case.in_(bindparam("use_cases", expanding=True)),
        cases.c.fingerprint.in_(bindparam("fingerprints", expanding=True)),
    )
    .order_by(cases.c.id)
    .with_for_update(of=cases)
)
_KEYS = select(case_keys).where(
    case_keys.c.case_id.in_(bindparam("cases", expanding=True)),
    case_keys.c.dedup_key.in_(bindparam("keys", expanding=True)),
)
_JOINED = (
    update(cases)
    .where(cases.c.id == bindparam("case"))
    .values(
        {
            name: bindparam(f"new_{name}")
            for name in ("title", "first_at", "last_at", "heard_at", "firing", "alert_count", "current")
        }
    )
)
_DUE_AGAIN = (
    update(cases)
    .where(cases.c.id.in_(bindparam("cases", expanding=True)))
    .values(
        stage=Stage.DUE.value, revision=cases.c.revision + 1, attempts=0, due_at=bindparam("now"), error=""
    )
)


class SqlIntake:
    """The Intake port. A case without news is over: decided and recovered for `reopen_after`, or, where sources
    never say that something recovered, decided without a ticket and unheard of for `quiet_after`."""

    def __init__(self, db: Database, *, reopen_after: timedelta, quiet_after: timedelta) -> None:
        self._db = db
        self._reopen_after = reopen_after
        self._quiet_after = quiet_after

    def claim_feed(self, feed: str, *, worker: str, lease: timedelta) -> tuple[int, str | None] | None:
        return feed_rows.claim(self._db, feed, worker=worker, lease=lease)

    def release_feed(self, feed: str, fence: int, *, error: str = "") -> None:
        feed_rows.release(self._db, feed, fence, error=error)

    def record_page(
        self,
        feed: str,
        fence: int,
        *,
        entries: Sequence[Entry],
        unreadable: Sequence[Unreadable],
        cursor: str,
    ) -> Recorded:
        with self._db.write() as connection:
            # One page at a time: two feeds may bring the same alert, or open the same case.
            self._db.alone(connection, "countersign intake")
            now = self._db.now(connection)
            feed_rows.move(connection, feed, fence, cursor=cursor, now=now)
            fresh, grouped = self._take_in(connection, entries, now)
            dead = bury_unreadable(self._db, connection, feed, unreadable, at=now)
        return Recorded(
            alerts=len(fresh),
            repeated=len(entries) - len(fresh),
            cases_opened=sum(known.is_new for known in grouped.cases),
            unreadable=dead,
            due=tuple(known.id for known in grouped.cases if known.is_new or known.fell_silent),
        )

    def record_replayed(self, letter_id: str, *, entries: Sequence[Entry], by: str) -> DeadLetter:
        with self._db.write() as connection:
            self._db.alone(connection, "countersign intake")
            row = find(connection, letter_id, lock=True)
            if row.state == "open":
                now = self._db.now(connection)
                self._take_in(connection, entries, now)
                resolve(connection, [row], "replayed", by=by, at=now)
            return to_letter(find(connection, letter_id))

    def record_unreadable(self, letter_id: str, *, reason: str, by: str) -> DeadLetter:
        with self._db.write() as connection:
            row = find(connection, letter_id, lock=True)
            if row.state == "open":
                keep_open(connection, row, reason, by=by, at=self._db.now(connection))
            return to_letter(find(connection, letter_id))

    def _take_in(
        self, connection: Connection, entries: Sequence[Entry], now: datetime
    ) -> tuple[list[Entry], Grouped]:
        """Records the alerts not seen before; gives these, and their cases."""
        fresh = _not_seen(connection, entries)
        grouped = self._group(connection, fresh, now)
        self._write(connection, grouped, now)
        return fresh, grouped

    def _group(self, connection: Connection, fresh: Sequence[Entry], now: datetime) -> Grouped:
        if not fresh:
            return Grouped(cases=(), placed=())
        current = self._current(connection, fresh, now)
        ids = iter(new_ids("c", now, len(fresh)))
        return group(fresh, current, lambda: next(ids))

    def _current(self, connection: Connection, fresh: Sequence[Entry], now: datetime) -> dict[Group, Known]:
        wanted = {
            "use_cases": list({entry.use_case for entry in fresh}),
            "fingerprints": list({entry.fingerprint for entry in fresh}),
        }
        found = {row.id: self._known(row, now) for row in connection.execute(_CURRENT, wanted)}
        if found:
            keys = list({key_text(entry.alert.dedup_key) for entry in fresh})
            for row in connection.execute(_KEYS, {"cases": list(found), "keys": keys}):
                recovered = row.state == AlertState.RECOVERED
                found[row.case_id].keys[row.dedup_key] = (row.occurred_at, recovered)
        return {(known.use_case, known.fingerprint): known for known in found.values()}

    def _known(self, row: Row[Any], now: datetime) -> Known:
        return Known(
            id=row.id,
            use_case=row.use_case,
            fingerprint=row.fingerprint,
            stage=row.stage,
            title=row.title,
            first_at=row.first_at,
            last_at=row.last_at,
            firing=row.firing,
            firing_before=row.firing,
            alert_count=row.alert_count,
            episode=row.episode,
            revision=row.revision,
            previous=row.previous,
            seen_before=row.seen_before,
            decided=row.decided_at is not None,
            over=self._is_over(row, now),
        )

    def _is_over(self, row: Row[Any], now: datetime) -> bool:
        if row.ticket_state is not None and row.ticket_state != TicketState.OPEN:
            return True
        if row.ended_at is None:
            return False
        recovered = row.firing == 0 and row.ended_at < now - self._reopen_after
        forgotten = row.ticket_id is None and row.heard_at < now - self._quiet_after
        return recovered or forgotten

    def _write(self, connection: Connection, grouped: Grouped, now: datetime) -> None:
        """Old cases first: the unique index allows one current case, and alerts name their case."""
        old = [known for known in grouped.cases if not known.is_new]
        new = [known for known in grouped.cases if known.is_new]
        followed = {known.previous for known in new}
        if joined := [_joined(known, followed, now) for known in old]:
            connection.execute(_JOINED, joined)
        if untouched := followed - {known.id for known in old} - {None}:
            connection.execute(update(cases).where(cases.c.id.in_(untouched)).values(current=False))
        if silent := [known.id for known in old if known.fell_silent]:
            connection.execute(_DUE_AGAIN, {"cases": silent, "now": now})
        if new:
            connection.execute(insert(cases), [_opened(known, now) for known in new])
        if grouped.placed:
            connection.execute(
                insert(alerts), [_alert_row(entry, case, now) for entry, case in grouped.placed]
            )
        self._write_keys(connection, grouped)

    def _write_keys(self, connection: Connection, grouped: Grouped) -> None:
        rows = [
            {
                "case_id": known.id,
                "dedup_key": key,
                "state": AlertState.RECOVERED.value if known.keys[key][1] else AlertState.FIRING.value,
                "occurred_at": known.keys[key][0],
            }
            for known in grouped.cases
            for key in known.heard
        ]
        if rows:
            insert_key = self._db.insert(case_keys)
            said = {"state": insert_key.excluded.state, "occurred_at": insert_key.excluded.occurred_at}
            connection.execute(
                insert_key.on_conflict_do_update(index_elements=["case_id", "dedup_key"], set_=said), rows
            )


def _not_seen(connection: Connection, entries: Sequence[Entry]) -> list[Entry]:
    """The entries whose alert is not in the ledger, each once."""
    by_name = {_name(entry): entry for entry in reversed(entries)}
    if not by_name:
        return []
    wanted = {"sources": list({name[0] for name in by_name}), "ids": list({name[1] for name in by_name})}
    for row in connection.execute(_SEEN, wanted):
        by_name.pop((row.source, row.source_id, row.version), None)
    return list(reversed(by_name.values()))


def _name(entry: Entry) -> tuple[str, str, str]:
    alert = entry.alert
    return alert.source, key_text(alert.source_id), key_text(alert.version)


def _joined(known: Known, followed: set[str | None], now: datetime) -> dict[str, object]:
    return {
        "case": known.id,
        "new_title": plain(known.title),
        "new_first_at": known.first_at,
        "new_last_at": known.last_at,
        "new_heard_at": now,
        "new_firing": known.firing,
        "new_alert_count": known.alert_count,
        "new_current": known.id not in followed,
    }


def _opened(known: Known, now: datetime) -> dict[str, object]:
    return {
        "id": known.id,
        "use_case": known.use_case,
        "fingerprint": known.fingerprint,
        "current": True,
        "title": plain(known.title),
        "template": key_text(template(known.title)),
        "stage": known.stage,
        "due_at": now + known.settle,
        "alert_count": known.alert_count,
        "firing": known.firing,
        "first_at": known.first_at,
        "last_at": known.last_at,
        "heard_at": now,
        "episode": known.episode,
        "previous": known.previous,
        "seen_before": known.seen_before,
        "opened_at": now,
    }


def _alert_row(entry: Entry, case_id: str, now: datetime) -> dict[str, object]:
    alert = entry.alert
    return {
        "source": alert.source,
        "source_id": key_text(alert.source_id),
        "version": key_text(alert.version),
        "case_id": case_id,
        "dedup_key": key_text(alert.dedup_key),
        "state": alert.state.value,
        "occurred_at": alert.occurred_at,
        "recorded_at": now,
        "body": ALERT.dump(alert),
    }
