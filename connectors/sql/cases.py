"""Cases: claimed, decided, given back. A decision and all it plans are written as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, func, select, update

from connectors.sql import audit
from connectors.sql.codec import plain
from connectors.sql.engine import Database
from connectors.sql.letters import Undone, bury
from connectors.sql.loading import newest_alerts, to_case, with_ticket
from connectors.sql.tables import cases, decisions, tickets
from connectors.sql.verdicts import write_verdicts
from countersign.audit import Event
from countersign.cases import Stage
from countersign.ledger import ATTEMPTS, ClaimedCase, Closes, Judged, Verdict

HOUR = timedelta(hours=1)
DAY = timedelta(hours=24)

_DUE = (
    select(cases.c.id)
    .where(cases.c.due_at <= bindparam("now", type_=cases.c.due_at.type))
    .order_by(cases.c.due_at)
    .limit(bindparam("most"))
)
_CLAIMABLE = (
    select(cases, tickets.c.body.label("ticket_body"))
    .outerjoin(tickets, with_ticket)
    .where(
        cases.c.id.in_(bindparam("ids", expanding=True)),
        cases.c.stage == Stage.DUE.value,
        cases.c.due_at <= bindparam("now", type_=cases.c.due_at.type),
    )
    .order_by(cases.c.id)
    .with_for_update(of=cases, skip_locked=True)
)
_CLAIM = (
    update(cases)
    .where(cases.c.id.in_(bindparam("ids", expanding=True)))
    .values(
        fence=cases.c.fence + 1,
        attempts=cases.c.attempts + 1,
        worker=bindparam("by"),
        due_at=bindparam("until"),
        firing_at_claim=cases.c.firing,
    )
)
_HELD = (
    select(cases)
    .where(cases.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(cases.c.id)
    .with_for_update()
)


# Most wake-ups come late: looking first keeps them from taking their turn among the writers.
_ANY = (
    select(cases.c.id)
    .where(
        cases.c.id.in_(bindparam("ids", expanding=True)),
        cases.c.stage == Stage.DUE.value,
        cases.c.due_at <= bindparam("now", type_=cases.c.due_at.type),
    )
    .limit(1)
)
_LAST_TRIES = (
    select(cases.c.id)
    .where(cases.c.stage == Stage.DUE.value, cases.c.attempts == ATTEMPTS, cases.c.worker.is_not(None))
    .where(cases.c.due_at > bindparam("now", type_=cases.c.due_at.type))
    .limit(1)
)
_HOLDERS = (
    select(cases.c.worker)
    .where(cases.c.stage == Stage.DUE.value, cases.c.worker.is_not(None))
    .where(cases.c.due_at > bindparam("now", type_=cases.c.due_at.type))
    .distinct()
)
_END_LEASES = (
    update(cases)
    .where(cases.c.worker.in_(bindparam("workers", expanding=True)), cases.c.stage == Stage.DUE.value)
    .where(cases.c.due_at > bindparam("now", type_=cases.c.due_at.type))
    .values(due_at=bindparam("now", type_=cases.c.due_at.type))
    .returning(cases.c.id)
)


class SqlCases:
    """The CaseBook port."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def due_cases(self, *, limit: int, again: bool | None = None) -> tuple[str, ...]:
        asked = _DUE if again is None else _DUE.where((cases.c.attempts > 0) == again)
        with self._db.read() as connection:
            due = connection.execute(asked, {"now": self._db.now(connection), "most": limit})
            return tuple(due.scalars())

    def claim_cases(self, ids: Sequence[str], *, worker: str, lease: timedelta) -> tuple[ClaimedCase, ...]:
        """As the port says; a case that was claimed three times and never came back is a dead letter instead.

        What was begun before is claimed only by a message of its own, and a last try is made by one case at a time:
        whatever killed a worker takes no other case with it.
        """
        with self._db.read() as connection:
            asked = {"ids": list(ids), "now": self._db.now(connection)}
            if not ids or connection.execute(_ANY, asked).first() is None:
                return ()
        with self._db.write() as connection:
            now = self._db.now(connection)
            rows = connection.execute(_CLAIMABLE, {"ids": list(ids), "now": now}).all()
            spent = [row for row in rows if row.attempts >= ATTEMPTS]
            free = [row for row in rows if row.attempts == 0 or (len(ids) == 1 and row not in spent)]
            taken = [row for row in free if row.attempts < ATTEMPTS - 1]
            taken += self._last_try(connection, [row for row in free if row not in taken], now)
            newest = newest_alerts(connection, [row.id for row in taken]) if taken else {}
            if taken:
                connection.execute(_CLAIM, {"ids": list(newest), "by": worker, "until": now + lease})
            because = f"it was begun {ATTEMPTS} times and its worker never came back"
            self._give_up(connection, spent, because, at=now)
        return tuple(
            ClaimedCase(
                case=to_case(row, newest[row.id]),
                fence=row.fence + 1,
                attempt=row.attempts + 1,
                first_seen=not row.seen_before,
            )
            for row in taken
        )

    def _last_try(self, connection: Connection, rows: list[Row[Any]], now: datetime) -> list[Row[Any]]:
        """The one of these that may be tried for the last time now, if no other case is."""
        if not rows:
            return []
        self._db.alone(connection, "countersign last try")
        return [] if connection.execute(_LAST_TRIES, {"now": now}).first() else rows[:1]

    def end_leases(self, gone: Callable[[str], bool]) -> tuple[str, ...]:
        with self._db.read() as connection:
            holders = connection.execute(_HOLDERS, {"now": self._db.now(connection)}).scalars().all()
        if not (workers := [one for one in holders if gone(one)]):
            return ()
        with self._db.write() as connection:
            now = self._db.now(connection)
            return tuple(connection.execute(_END_LEASES, {"workers": workers, "now": now}).scalars())

    def record_verdicts(self, verdicts: Sequence[Verdict]) -> Judged:
        if not verdicts:
            return Judged(ready=(), over_limit=(), lost=())
        with self._db.write() as connection:
            rows = {row.id: row for row in connection.execute(_HELD, {"ids": [v.case_id for v in verdicts]})}
            held = {
                verdict.case_id: verdict
                for verdict in verdicts
                if _holds(rows.get(verdict.case_id), verdict.fence)
            }
            # From here on one at a time, or two workers could both use the last close that is allowed.
            audit.lock(connection)
            now = self._db.now(connection)
            over = _over_limit(connection, [(v, rows[case].use_case) for case, v in held.items()], now)
            kept = [(verdict, rows[case]) for case, verdict in held.items() if case not in over]
            ready = write_verdicts(self._db, connection, kept, at=now) if kept else ()
        lost = tuple(verdict.case_id for verdict in verdicts if verdict is not held.get(verdict.case_id))
        return Judged(ready=ready, over_limit=over, lost=lost)

    def give_back(
        self, case_id: str, fence: int, *, due_in: timedelta, error: str, count: bool = True
    ) -> None:
        """As the port says. An old fence changes nothing: the case is somebody else's now."""
        with self._db.write() as connection:
            row = connection.execute(_HELD, {"ids": [case_id]}).one_or_none()
            if row is None or not _holds(row, fence):
                return
            now = self._db.now(connection)
            if count and row.attempts >= ATTEMPTS:
                self._give_up(connection, [row], error, at=now)
                return
            connection.execute(
                update(cases)
                .where(cases.c.id == case_id)
                .values(
                    worker=None,
                    due_at=now + due_in,
                    error=plain(error),
                    attempts=row.attempts if count else row.attempts - 1,
                )
            )

    def closes(self, use_case: str) -> Closes:
        with self._db.read() as connection:
            hour, services = _closes(connection, [use_case], self._db.now(connection))
        return Closes(
            last_hour=hour.get(use_case, 0),
            by_service={service: count for (_, service), count in services.items()},
        )

    def _give_up(
        self, connection: Connection, rows: Sequence[Row[Any]], reason: str, *, at: datetime
    ) -> None:
        if not rows:
            return
        connection.execute(
            update(cases)
            .where(cases.c.id.in_([row.id for row in rows]))
            .values(stage=Stage.DEAD.value, due_at=None, worker=None, ended_at=at, error=plain(reason))
        )
        undone = [Undone(kind="case", subject=row.id, reason=reason, attempts=row.attempts) for row in rows]
        bury(self._db, connection, undone, at=at)
        events = [
            Event(
                actor=row.worker or "ledger",
                event="case.dead",
                case_id=row.id,
                subject=row.id,
                detail={"reason": reason, "attempts": row.attempts},
            )
            for row in rows
        ]
        audit.append(connection, events, at=at)


def _holds(row: Row[Any] | None, fence: int) -> bool:
    """The lease may have run out; it counts until somebody else has taken it or it was given back."""
    return row is not None and row.fence == fence and row.worker is not None and row.stage == Stage.DUE


def _closes(
    connection: Connection, use_cases: Sequence[str], now: datetime
) -> tuple[dict[str, int], dict[tuple[str, str], int]]:
    """Closes without a person: of the last hour by use case, of the last day by use case and service."""
    rows = connection.execute(
        select(
            decisions.c.use_case,
            decisions.c.service,
            func.count().label("day"),
            func.count().filter(decisions.c.at > now - HOUR).label("hour"),
        )
        .where(
            and_(
                decisions.c.closes.is_(True),
                decisions.c.use_case.in_(use_cases),
                decisions.c.at > now - DAY,
            )
        )
        .group_by(decisions.c.use_case, decisions.c.service)
    ).all()
    hour: dict[str, int] = {}
    for row in rows:
        hour[row.use_case] = hour.get(row.use_case, 0) + row.hour
    return hour, {(row.use_case, row.service): row.day for row in rows}


def _over_limit(
    connection: Connection, judged: Sequence[tuple[Verdict, str]], now: datetime
) -> tuple[str, ...]:
    """The cases whose close would be one too many, counting those before it in the same batch."""
    closing = [(verdict, use_case) for verdict, use_case in judged if verdict.decision.closes]
    if not closing:
        return ()
    hour, day = _closes(connection, [use_case for _, use_case in closing], now)
    over: list[str] = []
    for verdict, use_case in closing:
        limits, service = verdict.limits, (use_case, plain(verdict.service))
        if hour.get(use_case, 0) >= limits.per_hour or day.get(service, 0) >= limits.per_service_per_day:
            over.append(verdict.case_id)
            continue
        hour[use_case] = hour.get(use_case, 0) + 1
        day[service] = day.get(service, 0) + 1
    return tuple(over)
