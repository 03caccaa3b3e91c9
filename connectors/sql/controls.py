"""Controls: the switch that keeps a use case, or all of them, from writing anywhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select

from connectors.sql import audit
from connectors.sql.codec import plain
from connectors.sql.engine import Database
from connectors.sql.order import ALL_USE_CASES
from connectors.sql.tables import stops
from countersign.audit import Event
from countersign.rights import Warrant


@dataclass(frozen=True, kw_only=True, slots=True)
class Stop:
    """A use case that must not write; `*` stands for all of them."""

    use_case: str
    by: str
    at: datetime


class SqlControls:
    """Stopping keeps all work: what is planned stays planned, and goes on after `resume`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def stop(self, use_case: str = ALL_USE_CASES, *, by: str) -> None:
        """No action of the use case is claimed from now on. What is being posted this moment is finished."""
        with self._db.write() as connection:
            now = self._db.now(connection)
            row = self._db.insert(stops).values(use_case=use_case, author=plain(by), at=now)
            if connection.execute(row.on_conflict_do_nothing().returning(stops.c.use_case)).first():
                stopped = Event(actor=by, event="use_case.stopped", case_id="", subject=use_case, detail={})
                audit.append(connection, [stopped], at=now)

    def resume(self, use_case: str = ALL_USE_CASES, *, by: str) -> bool:
        """False if that was not stopped. Resuming `*` leaves use cases stopped that were stopped by name."""
        with self._db.write() as connection:
            lifted = connection.execute(delete(stops).where(stops.c.use_case == use_case)).rowcount > 0
            if lifted:
                resumed = Event(actor=by, event="use_case.resumed", case_id="", subject=use_case, detail={})
                audit.append(connection, [resumed], at=self._db.now(connection))
            return lifted

    def warranted(self, warrants: Iterable[Warrant]) -> None:
        """Records that somebody used a right, before what it is for begins."""
        with self._db.write() as connection:
            audit.append(connection, [one.event for one in warrants], at=self._db.now(connection))

    def stopped(self) -> tuple[Stop, ...]:
        with self._db.read() as connection:
            rows = connection.execute(select(stops).order_by(stops.c.use_case))
            return tuple(Stop(use_case=row.use_case, by=row.author, at=row.at) for row in rows)

    def is_stopped(self, use_case: str) -> bool:
        return any(stop.use_case in (use_case, ALL_USE_CASES) for stop in self.stopped())
