"""Migrations: they come to exactly the tables that the code works with, however often and by however many."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect, text

from connectors.sql.ledger import SqlLedger
from connectors.sql.migrate import head_revision, migrate
from connectors.sql.tables import metadata


def test_the_migrations_come_to_the_tables_of_the_code(database_url: str) -> None:
    """A column, index or constraint that is in one and not in the other is a mistake."""
    assert migrate(database_url) == head_revision()
    engine = create_engine(database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert compare_metadata(context, metadata) == []
        partial = [index for index in inspect(connection).get_indexes("cases") if index["unique"]]
        assert [index["name"] for index in partial] == ["uq_cases_current"]
        assert f"{engine.dialect.name}_where" in partial[0]["dialect_options"]
    engine.dispose()


def test_migrating_again_changes_nothing(database_url: str) -> None:
    """A ledger in use is left as it is."""
    migrate(database_url)
    ledger = SqlLedger.open(database_url)
    ledger.controls.stop(by="ann")
    assert migrate(database_url) == head_revision()
    assert [stop.by for stop in ledger.controls.stopped()] == ["ann"]
    ledger.close()


def test_several_processes_may_migrate_at_once(database_url: str) -> None:
    """Whoever starts first makes the tables; the others wait and find them made."""
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        revisions = list(pool.map(migrate, [database_url] * 3))
    assert revisions == [head_revision()] * 3
    engine = create_engine(database_url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM audit_head")).scalar_one() == 1
    engine.dispose()


def test_the_folder_of_a_ledger_is_made(tmp_path: Path) -> None:
    """The first start on a fresh machine needs no preparation."""
    migrate(f"sqlite:///{tmp_path / 'var' / 'deep' / 'ledger.db'}")
    assert (tmp_path / "var" / "deep" / "ledger.db").is_file()
