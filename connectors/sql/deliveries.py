"""Deliveries: reports that are due, fired once for all schedulers, and on their way until they have arrived."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    Row,
    String,
    Table,
    and_,
    exists,
    func,
    insert,
    select,
    update,
)

from connectors.sql import audit
from connectors.sql.codec import plain
from connectors.sql.engine import Database
from connectors.sql.order import ALL_USE_CASES
from connectors.sql.tables import EPOCH, Moment, metadata, schedules, stops
from countersign.audit import Event
from countersign.deliveries import Delivery, Outcome, TakenBack, Target
from countersign.schedules import last_due, missed
from countersign.undo import Review

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", String, primary_key=True),
    Column("use_case", String, nullable=False),
    Column("fire_time", Moment, nullable=False),
    Column("channel", String, nullable=False),
    Column("target", String, nullable=False),
    Column("note", String, nullable=False),
    # planned, sending, sent, unsure (it may have arrived; nobody can look), dead, dropped; undoing, taken_back.
    Column("state", String, nullable=False),
    Column("due_at", Moment, nullable=True),
    Column("fence", Integer, nullable=False, server_default="0"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("detail", String, nullable=False, server_default=""),
    Column("done_at", Moment, nullable=True),
    Index("ix_deliveries_due_at", "due_at"),
)
_ENDS = {
    "sent": "sent", "retry": "planned", "dead": "dead", "unsure": "unsure", "taken_back": "taken_back",
}  # fmt: skip
_LATE = timedelta(hours=1)
_MAILED = "It was mailed, and a mail can't be taken back; tell whoever read it what no longer holds."
_UNDER_WAY = "It is being sent this moment; run the rollback again."
_stopped = exists(select(1).where(stops.c.use_case.in_([deliveries.c.use_case, ALL_USE_CASES])))


class SqlDeliveries:
    """The DeliveryBook port."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def fire(self, use_case: str, *, when: str, zone: str, targets: Sequence[Target]) -> datetime | None:
        # Another time or zone is another schedule, which begins when it is first seen.
        name = f"report {use_case} {when} {zone}"
        known = select(func.max(schedules.c.fire_time)).where(schedules.c.name == name)
        with self._db.read() as connection:
            fire_time = last_due(when, zone, self._db.now(connection))
            newest = connection.execute(known).scalar_one()
        if newest is not None and newest >= fire_time:
            return None
        with self._db.write() as connection:
            self._db.alone(connection, name)
            newest = connection.execute(known).scalar_one()
            if newest is not None and newest >= fire_time:
                return None
            now = self._db.now(connection)
            connection.execute(insert(schedules).values(name=name, fire_time=fire_time, fired_at=now))
            if newest is None or not targets:
                return None
            note = _note(when, zone, newest, fire_time, now)
            rows = [_planned(use_case, fire_time, target, note, now) for target in targets]
            connection.execute(self._db.insert(deliveries).on_conflict_do_nothing(), rows)
            audit.append(connection, [_event(row, "report.planned", {"note": note}) for row in rows], at=now)
        return fire_time

    def tell(self, use_case: str, event: str, *, to: str, text: str) -> bool:
        name = "\x1f".join((use_case, event, "notice", to))
        with self._db.write() as connection:
            now = self._db.now(connection)
            row = _planned(use_case, now, Target(channel="notice", target=to), plain(text), now)
            row["id"] = hashlib.sha256(name.encode()).hexdigest()[:16]
            new = self._db.insert(deliveries).values(row).on_conflict_do_nothing().returning(deliveries.c.id)
            if connection.execute(new).first() is None:
                return False
            audit.append(connection, [_event(row, "report.planned", {"event": event})], at=now)
        return True

    def due(self, *, limit: int) -> tuple[str, ...]:
        with self._db.read() as connection:
            asked = select(deliveries.c.id).where(self._free(self._db.now(connection)))
            return tuple(connection.execute(asked.order_by(deliveries.c.due_at).limit(limit)).scalars())

    def claim(self, ids: Sequence[str], *, lease: timedelta) -> tuple[Delivery, ...]:
        with self._db.write() as connection:
            now = self._db.now(connection)
            rows = connection.execute(
                update(deliveries)
                .where(deliveries.c.id.in_(ids), self._free(now))
                .values(due_at=now + lease, fence=deliveries.c.fence + 1)
                .returning(deliveries)
            )
            return tuple(_delivery(row) for row in sorted(rows, key=lambda row: str(row.id)))

    def begin(self, delivery: Delivery) -> bool:
        with self._db.write() as connection:
            begun = connection.execute(
                update(deliveries)
                .where(deliveries.c.id == delivery.id, deliveries.c.fence == delivery.fence, ~_stopped)
                .values(state="undoing" if delivery.back else "sending", attempts=delivery.attempt)
                .returning(deliveries)
            ).first()
            if begun is None:
                return False
            event = _event(begun._asdict(), "report.sending", {"attempt": delivery.attempt})
            audit.append(connection, [event], at=self._db.now(connection))
            return True

    def settle(
        self, delivery: Delivery, outcome: Outcome, *, detail: str = "", again_in: timedelta = timedelta(0)
    ) -> None:
        with self._db.write() as connection:
            now = self._db.now(connection)
            again = outcome == "retry"
            row = connection.execute(
                update(deliveries)
                .where(deliveries.c.id == delivery.id, deliveries.c.fence == delivery.fence)
                .values(
                    state="undoing" if again and delivery.back else _ENDS[outcome],
                    due_at=now + again_in if again else None,
                    done_at=None if again else now,
                    detail=plain(detail),
                )
                .returning(deliveries)
            ).first()
            if row is not None:
                event = _event(row._asdict(), f"report.{outcome}", {"detail": plain(detail)})
                audit.append(connection, [event], at=now)

    def take_back(self, use_case: str, *, since: datetime, by: str, dry_run: bool = False) -> TakenBack:
        # What an owner was told of stays told.
        chosen = [deliveries.c.channel != "notice"]
        chosen += [deliveries.c.use_case == use_case] if use_case else []
        arrived = deliveries.c.state.in_(("sent", "unsure")), deliveries.c.done_at >= since
        waiting = deliveries.c.state == "planned", deliveries.c.fire_time >= since
        with self._db.write() as connection:
            now = self._db.now(connection)
            sent = connection.execute(select(deliveries).where(*chosen, *arrived)).all()
            files = [row for row in sent if row.channel == "record"]
            late = connection.execute(select(deliveries).where(*chosen, *waiting)).all()
            now_sent = connection.execute(
                select(deliveries).where(*chosen, deliveries.c.state == "sending")
            ).all()
            if not dry_run:
                begin = {"state": "undoing", "due_at": now, "attempts": 0, "done_at": None}
                _set(connection, files, begin, "report.undoing", by, now)
                _set(connection, late, {"state": "dropped", "due_at": None}, "report.dropped", by, now)
        mails = (_for_people(row, _MAILED) for row in sent if row.channel == "mail")
        under_way = (_for_people(row, _UNDER_WAY) for row in now_sent)
        return TakenBack(planned=len(files), dropped=len(late), review=(*mails, *under_way))

    @staticmethod
    def _free(now: datetime) -> ColumnElement[bool]:
        return and_(deliveries.c.due_at <= now, ~_stopped)


def _note(when: str, zone: str, newest: datetime, fire_time: datetime, now: datetime) -> str:
    if now - fire_time < _LATE:
        return ""
    left_out = missed(when, zone, after=newest, before=fire_time)
    late = f"This report was due at {fire_time:%Y-%m-%d %H:%M} UTC and is late, as nothing ran then."
    return f"{late} {left_out} before it fell into the same time and are left out." if left_out else late


def _planned(
    use_case: str, fire_time: datetime, target: Target, note: str, now: datetime
) -> dict[str, object]:
    moment = str((fire_time - EPOCH) // timedelta(seconds=1))
    name = "\x1f".join((use_case, moment, target.channel, target.target))
    return {
        "id": hashlib.sha256(name.encode()).hexdigest()[:16],
        "use_case": use_case,
        "fire_time": fire_time,
        "channel": target.channel,
        "target": target.target,
        "note": note,
        "state": "planned",
        "due_at": now,
    }


def _set(
    connection: Connection,
    rows: Sequence[Row[Any]],
    values: dict[str, object],
    event: str,
    by: str,
    now: datetime,
) -> None:
    which = deliveries.c.id.in_([row.id for row in rows])
    # A new fence: whoever is at it now has lost it.
    connection.execute(update(deliveries).where(which).values(fence=deliveries.c.fence + 1, **values))
    told = [replace(_event(row._asdict(), event, {}), actor=by) for row in rows]
    audit.append(connection, told, at=now)


def _for_people(row: Row[Any], why: str) -> Review:
    desk = "mail" if row.channel == "mail" else row.target.partition(":")[0]
    return Review(key=row.id, case_id="", desk=desk, ticket=row.target, kind="report", why=why)


def _event(row: dict[str, object], event: str, detail: dict[str, object]) -> Event:
    about = {"channel": row["channel"], "target": row["target"], "use_case": row["use_case"]}
    return Event(actor="report", event=event, case_id="", subject=str(row["id"]), detail={**about, **detail})


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        id=row.id, use_case=row.use_case, fire_time=row.fire_time, channel=row.channel, target=row.target,
        note=row.note, fence=row.fence, attempt=row.attempts + 1, in_doubt=row.state == "sending",
        back=row.state == "undoing",
    )  # fmt: skip
