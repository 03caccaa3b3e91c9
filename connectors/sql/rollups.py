"""Rollups: the histories of a day as one packed row, kept up to date by marks, and checked by full scans.

The database itself marks a case, by triggers, in the transaction that changes anything its history is made of: the
decision, what people did in its ticket, how its actions went. Digesting reads the marked cases anew, packs them into
the segments of their days and forgets the marks, in one transaction. A crash in between costs nothing but the work.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from itertools import takewhile
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import (
    Column,
    Connection,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
    tuple_,
)

from connectors.sql.engine import Database
from connectors.sql.hours import differing, rollup_hours, sum_up
from connectors.sql.tables import ROW_NUMBER, cases, decisions, metadata
from countersign.ledger import Span

if TYPE_CHECKING:
    from connectors.sql.histories import Place
    from countersign.kpis.history import Histories, TicketHistory
    from countersign.kpis.segments import Segment
    from countersign.kpis.weeks import Weeks

    Told = tuple[Histories, Weeks]

# Cases whose history has changed since it was packed; a case may stand here many times.
rollup_marks = Table(
    "rollup_marks",
    metadata,
    Column("seq", ROW_NUMBER, primary_key=True, autoincrement=True),
    Column("case_id", String, nullable=False),
)
rollups = Table(
    "rollups",
    metadata,
    Column("use_case", String, primary_key=True),
    # The number of the day since 1970 (UTC) on which its cases were opened in the ledger.
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("format", Integer, nullable=False),
    Column("cases", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    # Nobody reads it any more.
    Column("core", Integer, nullable=False),
    # The ids of its cases, one a line.
    Column("ids", Text, nullable=False),
)
# Of each of these days the sums that trends are made of: however many its cases are, they take no more room.
rollup_weeks = Table(
    "rollup_weeks",
    metadata,
    Column("use_case", String, primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
)
Item = TypeVar("Item")
_FIRST_DAY = date(1970, 1, 1)
_AT_ONCE = 500


class SqlRollups:
    """The RollupBook port."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def waiting(self, *, at_most: int) -> int:
        """How many marks there are; counts no further than asked."""
        some = select(rollup_marks.c.seq).limit(at_most).subquery()
        with self._db.read() as connection:
            return int(connection.execute(select(func.count()).select_from(some)).scalar_one())

    def digest(self, *, at_most: int = _AT_ONCE) -> int:
        """Packs the cases of the oldest marks; gives how many marks that were, 0 when none is left."""
        from countersign.kpis.segments import FORMAT

        with self._db.write() as connection:
            self._db.alone(connection, "countersign rollups")
            self._renew(connection, FORMAT)
            marks = connection.execute(select(rollup_marks).order_by(rollup_marks.c.seq).limit(at_most)).all()
            if not marks or self._is_newer(connection, FORMAT):
                return 0
            self._pack(connection, sorted({mark.case_id for mark in marks}), FORMAT)
            for some in _batches([mark.seq for mark in marks]):
                connection.execute(delete(rollup_marks).where(rollup_marks.c.seq.in_(some)))
        return len(marks)

    def columns(self, use_case: str, span: Span, *, recorded: frozenset[str]) -> Told | None:
        """What reports are made of, as packed; None where the cases have to be read one by one."""
        from connectors.sql.histories import day_of
        from countersign.kpis.segments import FORMAT

        first, whole = day_of(span.first), day_of(span.whole)
        here = rollups.c.use_case == use_case, rollups.c.day >= first
        with self._db.read() as connection:
            if connection.execute(select(rollup_marks.c.seq).limit(1)).first() is not None:
                return None
            if connection.execute(select(rollups.c.day).where(*here, rollups.c.format != FORMAT)).first():
                return None
            old = select(rollup_weeks.c.day, rollup_weeks.c.body).where(
                rollup_weeks.c.use_case == use_case,
                rollup_weeks.c.day >= first,
                rollup_weeks.c.day < _unsettled(span),
            )
            sums = {row.day: bytes(row.body) for row in connection.execute(old.order_by(rollup_weeks.c.day))}
            settled, others = _settled(sums, span)
            wanted = (rollups.c.day >= whole) | rollups.c.day.in_(others)
            bodies = select(rollups.c.day, rollups.c.cases, rollups.c.body).where(*here, wanted)
            packed = {
                row.day: (row.cases, bytes(row.body))
                for row in connection.execute(bodies.order_by(rollups.c.day))
            }
        return _together(packed, settled, whole, recorded)

    def scanned(self, use_case: str, span: Span, *, recorded: frozenset[str]) -> Told:
        """What `columns` should give, from every row that it is made of."""
        from connectors.sql.histories import day_of, tell
        from countersign.kpis.segments import pack

        by_day: dict[int, list[TicketHistory]] = defaultdict(list)
        first, whole = day_of(span.first), day_of(span.whole)
        # The day before as well, so that no bound on a column decides what a day's number decides.
        chosen = cases.c.use_case == use_case, cases.c.opened_at >= span.first - timedelta(days=1)
        with self._db.read() as connection:
            for (_, day), row in tell(connection, *chosen):
                if day >= first:
                    by_day[day].append(row)
        packed = {day: pack(by_day[day]) for day in sorted(by_day)}
        sums = {day: one.weeks for day, one in packed.items() if day < _unsettled(span)}
        settled, others = _settled(sums, span)
        bodies = {
            day: (len(one.ids), one.body) for day, one in packed.items() if day >= whole or day in others
        }
        return _together(bodies, settled, whole, recorded)

    def differences(self, use_case: str) -> Iterator[str]:
        """Packs every case anew and yields a sentence for each day that is not what the ledger's rows come to."""
        from connectors.sql.histories import tell
        from countersign.kpis.segments import pack

        with self._db.read() as connection:
            stored = connection.execute(
                select(rollups.c.day, rollups.c.ids).where(rollups.c.use_case == use_case)
            ).all()
            counted = _counted(connection, use_case)
        known = {row.day: _split(row.ids) for row in stored}
        for day in sorted(counted.keys() | known.keys()):
            ids = known.get(day, ())
            with self._db.read() as connection:
                told = [row for some in _batches(ids) for _, row in tell(connection, cases.c.id.in_(some))]
                here = (rollups.c.use_case == use_case) & (rollups.c.day == day)
                body = connection.execute(select(rollups.c.body).where(here)).scalar()
                sums = connection.execute(
                    select(rollup_weeks.c.body).where(
                        rollup_weeks.c.use_case == use_case, rollup_weeks.c.day == day
                    )
                ).scalar()
            packed = pack(told)
            if len(ids) != counted.get(day, 0):
                yield f"{_named(day)}: {len(ids):,} cases are in the rollup, {counted.get(day, 0):,} in the ledger."
            elif body is not None and (packed.body, packed.weeks) != (body, sums):
                yield f"{_named(day)}: the rollup of {len(ids):,} cases says something else than their rows."
        for hour in differing(self._db, use_case):
            yield f"{hour:%Y-%m-%d %H:00} UTC: the sums of the hour say something else than its rows."

    def sum_up(self, use_case: str) -> bool:
        """As the port says."""
        return sum_up(self._db, use_case)

    def mark_all(self, use_case: str) -> None:
        """As the port says."""
        ids = select(cases.c.id).where(cases.c.use_case == use_case, cases.c.decided_at.is_not(None))
        with self._db.write() as connection:
            connection.execute(insert(rollup_marks).from_select(["case_id"], ids.order_by(cases.c.id)))
            connection.execute(delete(rollup_hours).where(rollup_hours.c.use_case == use_case))

    def _renew(self, connection: Connection, format_: int) -> None:
        """Days that an older version packed are packed anew, from all of their cases."""
        old = connection.execute(
            select(rollups.c.use_case, rollups.c.day, rollups.c.ids).where(rollups.c.format < format_)
        ).all()
        if not old:
            return
        marks = [{"case_id": name} for row in old for name in _split(row.ids)]
        connection.execute(insert(rollup_marks), marks)
        connection.execute(delete(rollups).where(rollups.c.format < format_))

    def _is_newer(self, connection: Connection, format_: int) -> bool:
        """A newer version runs beside this one: packing is left to it."""
        newer = select(rollups.c.day).where(rollups.c.format > format_).limit(1)
        return connection.execute(newer).first() is not None

    def _pack(self, connection: Connection, ids: Sequence[str], format_: int) -> None:
        from countersign.kpis.segments import pack, patch

        changed = _changed(connection, ids)
        for some in _batches(sorted(changed)):
            old = _segments(connection, some)
            packed: Mapping[Place, Segment] = {
                place: patch(old[place], changed[place]) if place in old else pack(changed[place])
                for place in some
            }
            self._write(connection, packed, format_)

    def _write(self, connection: Connection, packed: Mapping[Place, Segment], format_: int) -> None:
        rows = [
            {
                "use_case": use_case,
                "day": day,
                "format": format_,
                "cases": len(segment.ids),
                "body": segment.body,
                "core": 0,
                "ids": "\n".join(segment.ids),
            }
            for (use_case, day), segment in packed.items()
        ]
        upsert = self._db.insert(rollups)
        new = {name: upsert.excluded[name] for name in ("format", "cases", "body", "core", "ids")}
        connection.execute(upsert.on_conflict_do_update(index_elements=["use_case", "day"], set_=new), rows)
        sums = [
            {"use_case": use_case, "day": day, "body": segment.weeks}
            for (use_case, day), segment in packed.items()
        ]
        upsert = self._db.insert(rollup_weeks)
        newer = {"body": upsert.excluded["body"]}
        connection.execute(upsert.on_conflict_do_update(index_elements=["use_case", "day"], set_=newer), sums)


def _unsettled(span: Span) -> int:
    """The first day of which the sums are not settled at the end of a span."""
    from connectors.sql.histories import day_of
    from countersign.kpis.weeks import unsettled_since

    return max(day_of(unsettled_since(span.until)), day_of(span.whole))


def _settled(sums: Mapping[int, bytes], span: Span) -> tuple[Mapping[int, Weeks], list[int]]:
    """The sums of days, as far as they are right as of the end of the span, and the days of which they are not."""
    from countersign.kpis.weeks import read

    told = {day: read(body) for day, body in sums.items()}
    end = span.until.timestamp()
    settled = {day: weeks for day, weeks in told.items() if weeks.settled(end)}
    return settled, [day for day in told if day not in settled]


def _together(
    packed: Mapping[int, tuple[int, bytes]],
    settled: Mapping[int, Weeks],
    whole: int,
    recorded: frozenset[str],
) -> Told:
    """Days by how many tickets they have and their columns, and the sums of days.

    Of the days that are read ticket by ticket, the first from `whole` on may have their sums as well.
    """
    from countersign.kpis import segments, weeks

    both = list(takewhile(settled.__contains__, (day for day in packed if day >= whole)))
    start = sum(count for day, (count, _) in packed.items() if day < whole)
    among = start, start + sum(packed[day][0] for day in both)
    sums = [of_day for day, of_day in settled.items() if day < whole or day in both]
    bodies = [body for _, body in packed.values()]
    return segments.together(bodies, recorded=recorded), weeks.together(sums, among=among)


def _changed(connection: Connection, ids: Sequence[str]) -> Mapping[Place, Sequence[TicketHistory]]:
    """The marked cases by place, as they are now."""
    from connectors.sql.histories import tell

    found: dict[Place, list[TicketHistory]] = defaultdict(list)
    for some in _batches(ids):
        for place, row in tell(connection, cases.c.id.in_(some)):
            found[place].append(row)
    return found


def _segments(connection: Connection, places: Sequence[Place]) -> Mapping[Place, Segment]:
    from countersign.kpis.segments import Segment

    rows = connection.execute(
        select(rollups).where(tuple_(rollups.c.use_case, rollups.c.day).in_(list(places)))
    )
    return {(row.use_case, row.day): Segment(ids=_split(row.ids), body=row.body, weeks=b"") for row in rows}


def _counted(connection: Connection, use_case: str) -> Mapping[int, int]:
    """The decided cases of each day."""
    from connectors.sql.histories import day_of

    opened = (
        select(cases.c.opened_at)
        .join(decisions, (decisions.c.case_id == cases.c.id) & (decisions.c.revision == 1))
        .where(cases.c.use_case == use_case)
    )
    found: dict[int, int] = defaultdict(int)
    for at in connection.execute(opened).scalars():
        found[day_of(at)] += 1
    return found


def _split(ids: str) -> tuple[str, ...]:
    return tuple(ids.split("\n")) if ids else ()


def _named(day: int) -> str:
    return (_FIRST_DAY + timedelta(days=day)).isoformat()


def _batches(values: Sequence[Item]) -> Iterator[Sequence[Item]]:
    return (values[first : first + _AT_ONCE] for first in range(0, len(values), _AT_ONCE))
