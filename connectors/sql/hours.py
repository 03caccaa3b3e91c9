"""Hours: what models were asked and what people said and corrected, summed by the hour once an hour is over.

Both are only ever added to, with the ledger's own time, so that an hour that is over stays as it is summed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    Row,
    Select,
    String,
    Table,
    Text,
    case,
    func,
    literal_column,
    select,
    type_coerce,
)

from connectors.sql.codec import CORRECTION
from connectors.sql.engine import Database
from connectors.sql.tables import EPOCH, MICROSECOND, assessments, cases, corrections, metadata, model_calls

rollup_hours = Table(
    "rollup_hours",
    metadata,
    Column("use_case", String, primary_key=True),
    # The number of the hour since 1970, UTC. There is a row for the last one that was summed, whatever was in it.
    Column("hour", Integer, primary_key=True, autoincrement=False),
    # The whole of it, for workers of the release before; what only these have summed has nothing in the columns below.
    Column("body", Text, nullable=False),
    # Each a list in JSON: the words of a key, then how many.
    Column("models", Text),
    Column("corrections", Text),
    Column("drafts", Text),
)
HOUR = timedelta(hours=1)
# No transaction lasts so long: what is not written by then has a later time.
_SETTLED = timedelta(minutes=10)
_AT_ONCE = 24 * 7
# What people's verdicts on a draft come to.
_WORTH = {
    "approved": "accepted",
    "good": "accepted",
    "wrong": "corrected",
    "corrected": "corrected",
    "edited": "corrected",
    "rejected": "rejected",
}
# The parts of Sums, as the columns are called.
_PARTS = ("models", "corrections", "drafts")
USED = ("calls", "micro_usd", "tokens_in", "tokens_out")

Corrected = tuple[str, str, str]


@dataclass(kw_only=True, slots=True)
class Sums:
    """Calls, micro-dollars and tokens by model, how often a field was changed from what to what, and of how many
    cases people said in an hour what their draft was worth."""

    models: Counter[tuple[str, str]] = field(default_factory=Counter)
    corrections: Counter[Corrected] = field(default_factory=Counter)
    drafts: Counter[tuple[str]] = field(default_factory=Counter)

    def add(self, other: Sums) -> None:
        for name in _PARTS:
            getattr(self, name).update(getattr(other, name))

    def written(self) -> dict[str, str]:
        """As columns of an hour. The same sums give the same texts; workers of the release before cut the whole apart,
        so that its form stays as it is."""
        told = {
            name: [[*key, count] for key, count in sorted(getattr(self, name).items())] for name in _PARTS
        }
        apart = {name: json.dumps(part, ensure_ascii=False) for name, part in told.items()}
        return {"body": json.dumps(told, ensure_ascii=False), **apart}

    def add_rows(self, rows: Sequence[Row[Any]]) -> None:
        """Adds the parts that were read of each hour, as `_read` asks for them."""
        wholes = json.loads(_listed(row.whole for row in rows if row.whole is not None))
        for name in _PARTS:
            if rows and name in rows[0]._fields:
                parts = (getattr(row, name) for row in rows)
                apart = json.loads(_listed(part for part in parts if part is not None))
                self._add(name, chain(apart, (whole[name] for whole in wholes)))

    def _add(self, name: str, hours: Iterable[Sequence[Sequence[Any]]]) -> None:
        """What stands in many hours alike is counted before it is added."""
        counter: Counter[tuple[str, ...]] = getattr(self, name)
        for (*key, count), times in Counter(map(tuple, chain.from_iterable(hours))).items():
            counter[tuple(key)] += count * times


def _listed(texts: Iterable[str]) -> str:
    """Many texts of JSON as one, which is read much faster."""
    return f"[{','.join(texts)}]"


def _read(*parts: str) -> Select[Any]:
    """These parts of hours, and the whole of those that have none."""
    whole = case((rollup_hours.c.drafts.is_(None), rollup_hours.c.body)).label("whole")
    return select(*(rollup_hours.c[name] for name in parts), whole)


def sum_up(db: Database, use_case: str) -> bool:
    """Sums a week of hours that are over, from where it stopped; True if more are to be summed."""
    with db.read() as connection:
        first, end = _unsummed(connection, db, use_case)
    if first >= end:
        return False
    with db.write() as connection:
        db.alone(connection, "countersign hours")
        first, end = _unsummed(connection, db, use_case)
        until = min(end, first + _AT_ONCE)
        found = dict(by_hour(connection, use_case, _time(first), _time(until)))
        rows = [
            {"use_case": use_case, "hour": hour, **found.get(hour, Sums()).written()}
            for hour in range(first, until)
            if hour in found or hour == until - 1
        ]
        if rows:
            connection.execute(db.insert(rollup_hours).on_conflict_do_nothing(), rows)
    return until < end


def sums(connection: Connection, use_case: str, since: datetime, until: datetime) -> Sums:
    """From `since` (included) to `until` (excluded): whole hours as they were summed, the rest row by row."""
    return _total(connection, use_case, since, until, _PARTS)


def drafts(connection: Connection, use_case: str, since: datetime, until: datetime) -> Counter[tuple[str]]:
    """Of the same sums only what drafts were worth."""
    return _total(connection, use_case, since, until, ("drafts",)).drafts


def _total(
    connection: Connection,
    use_case: str,
    since: datetime,
    until: datetime,
    parts: Sequence[str],
) -> Sums:
    """Of the hours that are summed already no other parts."""
    last = connection.execute(_last(use_case)).scalar()
    first = -(-(since - EPOCH) // HOUR)
    end = min((until - EPOCH) // HOUR, -1 if last is None else last + 1)
    total = Sums()
    if first >= end:
        return _of_rows(connection, use_case, since, until)
    stored = _read(*parts).where(
        rollup_hours.c.use_case == use_case, rollup_hours.c.hour >= first, rollup_hours.c.hour < end
    )
    total.add_rows(connection.execute(stored).all())
    total.add(_of_rows(connection, use_case, since, _time(first)))
    total.add(_of_rows(connection, use_case, _time(end), until))
    return total


def differing(db: Database, use_case: str) -> Iterator[datetime]:
    """The hours whose sums are not what the rows come to."""
    with db.read() as connection:
        rows = connection.execute(
            _read(*_PARTS)
            .add_columns(rollup_hours.c.hour)
            .where(rollup_hours.c.use_case == use_case)
            .order_by(rollup_hours.c.hour)
        ).all()
        if not rows:
            return
        stored = {row.hour: _of_row(row) for row in rows}
        found = dict(by_hour(connection, use_case, EPOCH, _time(rows[-1].hour + 1)))
    for hour in sorted(stored.keys() | found.keys()):
        if stored.get(hour, Sums()) != found.get(hour, Sums()):
            yield _time(hour)


def _of_row(row: Row[Any]) -> Sums:
    found = Sums()
    found.add_rows([row])
    return found


def by_hour(
    connection: Connection, use_case: str, since: datetime, until: datetime
) -> Iterator[tuple[int, Sums]]:
    """The hours in which there was anything, in order."""
    hours: dict[int, Sums] = {}
    # Words of the statement: PostgreSQL would not see that two bound values are one.
    hour = type_coerce(model_calls.c.at, BigInteger).op("/")(literal_column(str(HOUR // MICROSECOND)))
    asked = (
        select(
            hour.label("hour"),
            model_calls.c.model,
            func.count().label("calls"),
            *(func.sum(model_calls.c[name]).label(name) for name in USED[1:]),
        )
        .where(model_calls.c.use_case == use_case, model_calls.c.at >= since, model_calls.c.at < until)
        .group_by(hour, model_calls.c.model)
    )
    for row in connection.execute(asked):
        hours.setdefault(int(row.hour), Sums()).models.update(
            {(row.model, name): int(getattr(row, name)) for name in USED}
        )
    said_of: set[tuple[int, str, str]] = set()
    for row in connection.execute(_told(since, until)):
        if row.use_case != use_case:
            continue
        of_hour = hours.setdefault((row.recorded_at - EPOCH) // HOUR, Sums())
        kind = _WORTH.get(row.verdict)
        if kind is not None:
            said_of.add(((row.recorded_at - EPOCH) // HOUR, row.case_id, kind))
        if not row.field or row.verdict == "edited":
            continue
        told = CORRECTION.load(row.body)
        said = row.category if told.field == "category" else ""
        key = told.field, told.before or said or "", told.after
        of_hour.corrections[key] += 1
    for hour_number, _, kind in said_of:
        hours[hour_number].drafts[(kind,)] += 1
    yield from sorted(hours.items())


def _of_rows(connection: Connection, use_case: str, since: datetime, until: datetime) -> Sums:
    total = Sums()
    if since >= until:
        return total
    for _, of_hour in by_hour(connection, use_case, since, until):
        total.add(of_hour)
    return total


def _told(since: datetime, until: datetime) -> Select[Any]:
    """What people said and changed, of all use cases, or SQLite would read every case of one.

    What a category was changed from is what the model had said.
    """
    return (
        select(
            cases.c.use_case,
            corrections.c.case_id,
            corrections.c.recorded_at,
            corrections.c.verdict,
            corrections.c.field,
            corrections.c.body,
            assessments.c.category,
        )
        .join(cases, cases.c.id == corrections.c.case_id)
        .outerjoin(
            assessments, (assessments.c.case_id == corrections.c.case_id) & (assessments.c.revision == 1)
        )
        .where(
            corrections.c.source == "person",
            corrections.c.recorded_at >= since,
            corrections.c.recorded_at < until,
        )
    )


def _unsummed(connection: Connection, db: Database, use_case: str) -> tuple[int, int]:
    """The first hour that is to be summed, and the first that is not over yet."""
    end = (db.now(connection) - _SETTLED - EPOCH) // HOUR
    last = connection.execute(_last(use_case)).scalar()
    if last is not None:
        return int(last) + 1, end
    began = connection.execute(
        select(func.min(model_calls.c.at)).where(model_calls.c.use_case == use_case)
    ).scalar()
    told = connection.execute(select(func.min(corrections.c.recorded_at))).scalar()
    known = [at for at in (began, told) if at is not None]
    return ((min(known) - EPOCH) // HOUR if known else end), end


def _last(use_case: str) -> Select[Any]:
    return select(func.max(rollup_hours.c.hour)).where(rollup_hours.c.use_case == use_case)


def _time(hour: int) -> datetime:
    return EPOCH + hour * HOUR
