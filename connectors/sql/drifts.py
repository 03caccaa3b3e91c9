"""Drifts: what came in by day and kind, counted with every decision, and the control lanes that drift has raised."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import (
    Column,
    Connection,
    Integer,
    String,
    Table,
    Text,
    and_,
    func,
    insert,
    select,
    update,
)

from connectors.sql import audit
from connectors.sql.codec import key_text, plain
from connectors.sql.engine import Database
from connectors.sql.hours import drafts
from connectors.sql.tables import Moment, metadata, schedules
from countersign.audit import Event
from countersign.signals import ACCEPTED, OTHER_MODEL, RAISED_FOR, Counts, Raised

signals = Table(
    "signals",
    metadata,
    Column("use_case", String, primary_key=True),
    # As 2026-11-21, UTC.
    Column("day", String, primary_key=True),
    Column("signal", String, primary_key=True),
    Column("kind", String, primary_key=True),
    Column("count", Integer, nullable=False),
)
raised_lanes = Table(
    "raised_lanes",
    metadata,
    Column("use_case", String, primary_key=True),
    Column("since", Moment, primary_key=True),
    Column("until", Moment, nullable=False),
    Column("why", Text, nullable=False),
    Column("ended_at", Moment, nullable=True),
)


def count_signals(
    db: Database,
    connection: Connection,
    decided: Iterable[tuple[str, Sequence[tuple[str, str]]]],
    *,
    at: datetime,
) -> None:
    """Adds what decisions are counted by, as (signal, kind), each decision with its use case."""
    day = at.astimezone(UTC).date().isoformat()
    counted = Counter((use_case, name, key_text(kind)) for use_case, pairs in decided for name, kind in pairs)
    if not counted:
        return
    # In order, so that two workers can't wait for each other.
    rows = [
        {"use_case": use_case, "day": day, "signal": name, "kind": kind, "count": count}
        for (use_case, name, kind), count in sorted(counted.items())
    ]
    new = db.insert(signals)
    more = new.on_conflict_do_update(
        index_elements=["use_case", "day", "signal", "kind"],
        set_={"count": signals.c.count + new.excluded["count"]},
    )
    connection.execute(more, rows)


class SqlDrifts:
    """The DriftBook port."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def counts(self, use_case: str, *, since: date, until: date) -> Counts:
        asked = (
            select(signals.c.signal, signals.c.kind, func.sum(signals.c.count))
            .where(
                signals.c.use_case == use_case,
                signals.c.day >= since.isoformat(),
                signals.c.day < until.isoformat(),
            )
            .group_by(signals.c.signal, signals.c.kind)
        )
        found: dict[str, dict[str, int]] = defaultdict(dict)
        with self._db.read() as connection:
            for name, kind, count in connection.execute(asked):
                found[name][kind] = int(count)
            told = drafts(connection, use_case, _midnight(since), _midnight(until))
            for (kind,), count in told.items():
                found[ACCEPTED][kind] = count
        return found

    def due(self, use_case: str) -> date | None:
        with self._db.read() as connection:
            today = self._db.now(connection).astimezone(UTC).date()
            looked = select(schedules.c.name).where(
                schedules.c.name == _schedule(use_case), schedules.c.fire_time == _midnight(today)
            )
            return None if connection.execute(looked).first() is not None else today

    def judge(self, use_case: str, day: date, why: str, *, share: float) -> Raised | None:
        with self._db.write() as connection:
            now = self._db.now(connection)
            fired = {"name": _schedule(use_case), "fire_time": _midnight(day), "fired_at": now}
            first = self._db.insert(schedules).values(fired).on_conflict_do_nothing()
            standing = _standing(connection, use_case, now)
            if connection.execute(first.returning(schedules.c.name)).first() is None:
                return standing
            if why and standing is None:
                standing = Raised(since=now, until=now + RAISED_FOR, why=plain(why))
                row = {"since": now, "until": standing.until, "why": standing.why}
                connection.execute(insert(raised_lanes).values(use_case=use_case, **row))
                _record(connection, use_case, "lane.raised", standing, now, share=share)
            elif why and standing is not None:
                standing = _moved(connection, use_case, standing, until=now + RAISED_FOR, why=plain(why))
                _record(connection, use_case, "lane.kept_raised", standing, now, share=share)
            elif standing is not None:
                _moved(connection, use_case, standing, until=now, why=standing.why, ended=now)
                _record(connection, use_case, "lane.lowered", standing, now)
                standing = None
            return standing

    def begun(self, *, within: timedelta) -> Mapping[str, Raised]:
        with self._db.read() as connection:
            now = self._db.now(connection)
            begun = raised_lanes.c.since > now - within, raised_lanes.c.ended_at.is_(None)
            asked = select(raised_lanes).where(*begun, raised_lanes.c.until > now)
            return {
                row.use_case: Raised(since=row.since, until=row.until, why=row.why)
                for row in connection.execute(asked)
            }

    def raised(self, use_case: str) -> bool:
        with self._db.read() as connection:
            return _standing(connection, use_case, self._db.now(connection)) is not None

    def lanes(self, use_case: str, *, since: datetime, until: datetime) -> tuple[Raised, ...]:
        asked = (
            select(raised_lanes)
            .where(
                raised_lanes.c.use_case == use_case,
                raised_lanes.c.since < until,
                raised_lanes.c.until > since,
            )
            .order_by(raised_lanes.c.since)
        )
        with self._db.read() as connection:
            return tuple(
                Raised(since=row.since, until=row.until, why=row.why, ended=row.ended_at)
                for row in connection.execute(asked)
            )

    def others(self, *, since: date) -> Mapping[str, Mapping[str, int]]:
        asked = (
            select(signals.c.use_case, signals.c.kind, func.sum(signals.c.count))
            .where(signals.c.signal == OTHER_MODEL, signals.c.day >= since.isoformat())
            .group_by(signals.c.use_case, signals.c.kind)
            .order_by(signals.c.use_case, signals.c.kind)
        )
        found: dict[str, dict[str, int]] = defaultdict(dict)
        with self._db.read() as connection:
            for use_case, kind, count in connection.execute(asked):
                found[use_case][kind] = int(count)
        return found


def _standing(connection: Connection, use_case: str, now: datetime) -> Raised | None:
    asked = select(raised_lanes).where(
        raised_lanes.c.use_case == use_case, raised_lanes.c.ended_at.is_(None), raised_lanes.c.until > now
    )
    row = connection.execute(asked.order_by(raised_lanes.c.since.desc()).limit(1)).first()
    return None if row is None else Raised(since=row.since, until=row.until, why=row.why)


def _moved(
    connection: Connection,
    use_case: str,
    raised: Raised,
    *,
    until: datetime,
    why: str,
    ended: datetime | None = None,
) -> Raised:
    which = and_(raised_lanes.c.use_case == use_case, raised_lanes.c.since == raised.since)
    connection.execute(update(raised_lanes).where(which).values(until=until, why=why, ended_at=ended))
    return Raised(since=raised.since, until=until, why=why, ended=ended)


def _record(
    connection: Connection,
    use_case: str,
    event: str,
    raised: Raised,
    now: datetime,
    *,
    share: float | None = None,
) -> None:
    detail: dict[str, object] = {"why": raised.why, "until": raised.until.isoformat()}
    if share is not None:
        detail["share"] = share
    told = Event(actor="drift", event=event, case_id="", subject=use_case, detail=detail)
    audit.append(connection, [told], at=now)


def _schedule(use_case: str) -> str:
    return f"drift {use_case}"


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
