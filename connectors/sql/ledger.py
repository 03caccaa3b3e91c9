"""The ledger as one thing: its books over one database, and what `doctor` asks of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import update

from connectors.sql.actions import SqlActions
from connectors.sql.books import SqlBooks
from connectors.sql.cases import SqlCases
from connectors.sql.change_ends import ended
from connectors.sql.controls import SqlControls
from connectors.sql.deliveries import SqlDeliveries
from connectors.sql.drifts import SqlDrifts
from connectors.sql.engine import PATIENCE, Database
from connectors.sql.intake import SqlIntake
from connectors.sql.local_readings import SqlLocalReadings
from connectors.sql.material import read_material
from connectors.sql.memory import SqlMemory
from connectors.sql.migrate import current_revision, head_revision
from connectors.sql.pooling import SqlPool
from connectors.sql.promising import SqlPromises
from connectors.sql.reading import SqlReading
from connectors.sql.replies import SqlReplies
from connectors.sql.results import known_until, read_results
from connectors.sql.rollups import SqlRollups
from connectors.sql.scales import SqlScales
from connectors.sql.spending import SqlSpending
from connectors.sql.tables import audit_head
from connectors.sql.trail import SqlTrail
from connectors.sql.undoing import SqlUndoing
from connectors.sql.watch import SqlWatch
from countersign.errors import CountersignError
from countersign.feedback.rows import Material
from countersign.ledger import Span
from countersign.ports import Check

if TYPE_CHECKING:
    from countersign.ended_changes import EndedChange
    from countersign.kpis.history import Histories
    from countersign.kpis.weeks import Weeks
    from countersign.results import Results

REOPEN_AFTER = timedelta(hours=1)
QUIET_AFTER = timedelta(hours=24)
# How often marked cases are packed before a report gives up on the rollups.
MOST_DIGESTS = 40


class SqlLedger:
    """The queue of record as its books: what came in, cases, actions, tickets watched, memory, spending, reading."""

    def __init__(self, db: Database, *, reopen_after: timedelta, quiet_after: timedelta) -> None:
        self._db = db
        self.intake = SqlIntake(db, reopen_after=reopen_after, quiet_after=quiet_after)
        self.cases = SqlCases(db)
        self.actions = SqlActions(db)
        self.watch = SqlWatch(db)
        self.memory = SqlMemory(db)
        self.reading = SqlReading(db)
        self.memory = SqlMemory(db)
        self.controls = SqlControls(db)
        self.deliveries = SqlDeliveries(db)
        self.drifts = SqlDrifts(db)
        self.undoing = SqlUndoing(db)
        self.trail = SqlTrail(db)
        self.books = SqlBooks(db)
        self.spending = SqlSpending(db)
        self.replies = SqlReplies(db)
        self.promises = SqlPromises(db)
        self.pool = SqlPool(db)
        self.scales = SqlScales(db)
        self.local_readings = SqlLocalReadings(db)
        self.rollups = SqlRollups(db)

    @classmethod
    def open(
        cls,
        url: str,
        *,
        clock: Callable[[], datetime] | None = None,
        reopen_after: timedelta = REOPEN_AFTER,
        quiet_after: timedelta = QUIET_AFTER,
        patience: timedelta = PATIENCE,
    ) -> SqlLedger:
        """The ledger at a URL that `migrate` has prepared; connects when it is first used.

        `clock` replaces the database's clock (tests only); `patience` is how long a lock is waited for. Raises
        ConfigError for a URL that names no ledger; the books raise Transient when the database can't be had.
        """
        db = Database(url, clock=clock, patience=patience)
        return cls(db, reopen_after=reopen_after, quiet_after=quiet_after)

    def columns(self, use_case: str, span: Span, *, recorded: frozenset[str]) -> tuple[Histories, Weeks]:
        """What the figures are computed from: decided cases as columns, and the sums of settled ones before them.

        They come from the rollups, brought up to date first. Where more has changed than can be caught up with now,
        as just after an upgrade, every row is read instead, which gives the same and takes longer.
        """
        for _ in range(MOST_DIGESTS):
            if not self.rollups.digest():
                break
        found = self.rollups.columns(use_case, span, recorded=recorded)
        return self.rollups.scanned(use_case, span, recorded=recorded) if found is None else found

    def material(self, use_case: str, *, since: datetime, answers: bool = True) -> Iterator[Material]:
        """The cases that people corrected since then; `answers`: with what their model was shown and said."""
        return read_material(self._db, use_case, since, answers=answers)

    def results(
        self, use_case: str, *, since: datetime, until: datetime, promised: Collection[str]
    ) -> Results:
        """What a report needs beside the histories; labels of the categories that are `promised` something."""
        return read_results(self._db, use_case, since=since, until=until, promised=promised)

    def ended_changes(self, use_case: str, *, since: datetime, until: datetime) -> tuple[EndedChange, ...]:
        """The change requests that we drafted and that ended in this time."""
        return ended(self._db, use_case, since, until)

    def known_until(self) -> datetime | None:
        """When the ledger last heard of anything; None while it is empty."""
        return known_until(self._db)

    def check(self) -> Sequence[Check]:
        """Reached, up to date, writable; stops at the first that fails."""
        checks: list[Check] = []
        tests: tuple[tuple[str, Callable[[], Check]], ...] = (
            ("ledger reachable", self._reachable),
            ("ledger up to date", self._up_to_date),
            ("ledger writable", self._writable),
        )
        for what, test in tests:
            try:
                check = test()
            except CountersignError as error:
                check = Check(what=what, ok=False, detail=str(error))
            checks.append(check)
            if not check.ok:
                break
        return tuple(checks)

    def forget_connections(self) -> None:
        """Call in a forked child before it uses the ledger: its parent's connections are not its own."""
        self._db.forget_connections()

    def close(self) -> None:
        self._db.close()

    def _reachable(self) -> Check:
        with self._db.read() as connection:
            version = ".".join(str(part) for part in connection.dialect.server_version_info or ())
            name = f"{connection.dialect.name} {version}"
        return Check(what="ledger reachable", ok=True, detail=f"{name} at {self._db.name}")

    def _up_to_date(self) -> Check:
        with self._db.read() as connection:
            at, head = current_revision(connection) or "no tables", head_revision()
        detail = f"at {at}" if at == head else f"at {at}, wants {head}: run `countersign migrate`"
        return Check(what="ledger up to date", ok=at == head, detail=detail)

    def _writable(self) -> Check:
        with self._db.write() as connection:
            connection.execute(update(audit_head).values(seq=audit_head.c.seq))
        return Check(what="ledger writable", ok=True, detail="a transaction was written")
