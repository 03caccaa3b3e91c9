"""The database behind the ledger: connections, transactions, its clock, and its errors as one clear sentence."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event, exc
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url

from connectors.sql.tables import EPOCH
from countersign.errors import ConfigError, Permanent, Transient

WHERE = "ledger"
PATIENCE = timedelta(seconds=10)

# SQLite before 3.42 has no unixepoch('subsec'); its clock has milliseconds either way.
_CLOCKS = {
    "sqlite": "SELECT CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER) * 1000",
    "postgresql": "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)",
}
_PRAGMAS = (
    "journal_mode = WAL",
    # NORMAL may lose the last commits with the power: an audit intent whose write has reached the desk.
    "synchronous = FULL",
    "foreign_keys = ON",
    "cache_size = -65536",
    "temp_store = MEMORY",
)
_SCHEMES = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}
# What a database's own words mean for whoever reads them, the first that fits.
_SAID = (
    ("locked", "is locked by another process; it is tried again, and if it stays so, end what holds it"),
    ("unable to open", "can't be opened; if it is new, run `countersign migrate`, else check its folder"),
    ("readonly", "can't be written; check the rights of its file and folder"),
    ("full", "has no disk space left; make room"),
    ("disk i/o", "can't be read from its disk; check the disk"),
    ("statement timeout", "took too long for a statement; check its load"),
    ("deadlock", "had two writers wait for each other; it is tried again"),
    ("password", "refuses the password; check the ledger's URL"),
)
_NO_TABLES = ("no such table", "no such column", "undefinedtable", "undefinedcolumn")


class Database:
    """One database, shared by the books. `clock` replaces the database's clock (tests and replays only)."""

    def __init__(
        self, url: str, *, clock: Callable[[], datetime] | None = None, patience: timedelta = PATIENCE
    ) -> None:
        self.url = checked_url(url)
        self.postgres = self.url.get_backend_name() == "postgresql"
        self.name = self.url.render_as_string(hide_password=True)
        self._clock = clock
        with self._plainly():
            self.engine = _engine(self.url, patience)
        self._writer = self.engine.execution_options(immediate=True)
        self._patience = patience
        self._turn = threading.Lock()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that writes: all of it or nothing. Raises Transient, Permanent or ConfigError."""
        with self._plainly(), self._in_turn(), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that reads. Raises as `write` does."""
        with self._plainly(), self.engine.begin() as connection:
            yield connection

    def now(self, connection: Connection) -> datetime:
        """The database's clock. One for all workers, whatever theirs say; leases live by it."""
        if self._clock is not None:
            return self._clock()
        micros = connection.exec_driver_sql(_CLOCKS[connection.dialect.name]).scalar_one()
        return EPOCH + timedelta(microseconds=micros)

    def alone(self, connection: Connection, what: str) -> None:
        """Waits until no other transaction does `what`. SQLite has one writer at a time anyway."""
        if self.postgres:
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext(%(what)s))", {"what": what})

    def insert(self, table: Table) -> postgresql.Insert | sqlite.Insert:
        """An INSERT that knows ON CONFLICT."""
        return postgresql.insert(table) if self.postgres else sqlite.insert(table)

    def forget_connections(self) -> None:
        """For a forked child: its parent's connections are not its own."""
        self.engine.dispose(close=False)
        self._turn = threading.Lock()

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        """SQLite has one writer, and lets those that wait find out by chance: threads of one process take turns."""
        if self.postgres:
            yield
            return
        # Longer than one writer waits for another process; who gets no turn then is told what SQLite would say.
        taken = self._turn.acquire(timeout=2 * self._patience.total_seconds())
        try:
            yield
        finally:
            if taken:
                self._turn.release()

    @contextmanager
    def _plainly(self) -> Iterator[None]:
        try:
            yield
        except exc.TimeoutError as error:
            raise Transient(
                f"The ledger {self.name} has no free connection; run fewer threads, or try again.",
                where=WHERE,
            ) from error
        except exc.DBAPIError as error:
            raise self._plain(error) from error
        except ModuleNotFoundError as error:
            raise ConfigError(
                "PostgreSQL needs its driver; install it with: pip install 'countersign[postgres]'"
            ) from error

    def _plain(self, error: exc.DBAPIError) -> ConfigError | Transient | Permanent:
        origin = error.orig
        said = f"{type(origin).__name__}: {origin}".lower()
        if any(words in said for words in _NO_TABLES):
            return ConfigError(f"The ledger {self.name} is not up to date; run `countersign migrate`.")
        if "not a database" in said or "malformed" in said:
            return ConfigError(f"The ledger {self.name} is no SQLite database; restore it, or name another.")
        if isinstance(error, exc.OperationalError | exc.InterfaceError) or error.connection_invalidated:
            reason = next(
                (means for words, means in _SAID if words in said), "can't be reached; check that it runs"
            )
            return Transient(f"The ledger {self.name} {reason}.", where=WHERE)
        first_line = str(origin).splitlines()[0] if str(origin) else type(origin).__name__
        return Permanent(f"The ledger {self.name} refused what was written: {first_line}.", where=WHERE)


def checked_url(url: str) -> URL:
    """The URL with the driver that we use. Raises ConfigError for one that is neither SQLite's nor PostgreSQL's."""
    try:
        parsed = make_url(url)
    except exc.ArgumentError as error:
        raise ConfigError("The ledger's URL can't be read; write sqlite:///path or postgresql://…") from error
    scheme = _SCHEMES.get(parsed.drivername)
    if scheme is None:
        raise ConfigError(
            f"The ledger can't live in {parsed.drivername}; write sqlite:///path or postgresql://…"
        )
    if scheme == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise ConfigError("The ledger needs a file, as several processes share it; write sqlite:///path.")
    return parsed.set(drivername=scheme)


def make_folder(url: URL) -> None:
    """The folder of an SQLite file, made if it is missing."""
    if url.get_backend_name() == "sqlite" and url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)


def _engine(url: URL, patience: timedelta) -> Engine:
    if url.get_backend_name() == "postgresql":
        return _postgres_engine(url, patience)
    engine = create_engine(
        url, max_overflow=59, pool_timeout=30, connect_args={"timeout": patience.total_seconds()}
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _postgres_engine(url: URL, patience: timedelta) -> Engine:
    milliseconds = int(patience.total_seconds() * 1000)
    settings = {
        "lock_timeout": milliseconds,
        "statement_timeout": 3 * milliseconds,
        "idle_in_transaction_session_timeout": 6 * milliseconds,
        # A prepared plan for any values searches an IN list once per row: 30 ms for a page instead of 4.
        "plan_cache_mode": "force_custom_plan",
    }
    return create_engine(
        url,
        pool_pre_ping=True,
        max_overflow=27,
        pool_timeout=30,
        connect_args={
            "connect_timeout": 5,
            "application_name": "countersign",
            "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
        },
    )


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver would begin transactions by itself, too late and never IMMEDIATE.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later can't wait for the lock: it fails at once. So it asks first.
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
