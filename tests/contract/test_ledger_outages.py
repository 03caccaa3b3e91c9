"""Outages: a ledger that can't be had says so in one sentence, and works again when it is back."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from connectors.sql.ledger import SqlLedger
from connectors.sql.migrate import migrate
from connectors.sql.tables import metadata
from countersign.errors import ConfigError, CountersignError, Transient
from tests.ledger_world import LEASE, World, firing

SHORT = timedelta(milliseconds=100)


def test_a_locked_database_is_waited_for_then_said(ledger_url: str) -> None:
    """Works, is locked by somebody else, works again; nothing of the page is lost or half there."""
    world = World(ledger_url)
    world.record(firing(1))
    impatient = SqlLedger.open(ledger_url, patience=SHORT, clock=world.clock)
    other = create_engine(ledger_url)
    with other.connect() as holder:
        holder.execute(text("UPDATE feeds SET worker = worker"))
        with pytest.raises(Transient, match="ledger") as said:
            impatient.intake.claim_feed("datadog", worker="b", lease=LEASE)
        holder.rollback()
    other.dispose()
    assert said.value.where == "ledger"
    assert "\n" not in str(said.value)
    assert "sqlalche.me" not in str(said.value)
    assert world.record(firing(1), firing(2)).alerts == 1
    impatient.close()
    world.close()


@pytest.mark.parametrize(
    "url",
    ["postgresql://nobody:secret@127.0.0.1:9/none", "sqlite:////proc/none/ledger.db"],
)
def test_an_unreachable_database_is_said(url: str) -> None:
    """One sentence without a password in it; the check of `doctor` says the same."""
    ledger = SqlLedger.open(url, patience=SHORT)
    with pytest.raises(Transient) as said:
        ledger.cases.due_cases(limit=1)
    assert "secret" not in str(said.value)
    (check,) = ledger.check()
    assert (check.ok, check.detail) == (False, str(said.value))
    ledger.close()


def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    """Somebody else's file is not touched."""
    path = tmp_path / "ledger.db"
    path.write_bytes(b"this is a letter to my aunt, not a database\n" * 50)
    before = path.read_bytes()
    ledger = SqlLedger.open(f"sqlite:///{path}")
    with pytest.raises(ConfigError, match="no SQLite database"):
        ledger.cases.due_cases(limit=1)
    with pytest.raises(ConfigError, match="no SQLite database"):
        migrate(f"sqlite:///{path}")
    assert path.read_bytes() == before
    ledger.close()


def test_a_ledger_without_tables_says_what_to_do(ledger_url: str) -> None:
    """Whoever forgot to migrate is told to; `doctor` stops there."""
    migrate(ledger_url)
    fresh = _emptied(ledger_url)
    ledger = SqlLedger.open(fresh)
    with pytest.raises(ConfigError, match="countersign migrate"):
        ledger.cases.due_cases(limit=1)
    assert [check.ok for check in ledger.check()] == [True, False]
    ledger.close()


def _emptied(url: str) -> str:
    engine = create_engine(url)
    with engine.begin() as connection:
        metadata.drop_all(connection)
        connection.execute(text("DROP TABLE alembic_version"))
    engine.dispose()
    return url


@pytest.mark.parametrize("url", ["mysql://x/y", "no url at all", "sqlite://", "sqlite:///:memory:"])
def test_a_url_that_names_no_ledger_is_refused(url: str) -> None:
    """With what to write instead."""
    with pytest.raises(ConfigError, match="write sqlite:///path"):
        SqlLedger.open(url)


def test_a_healthy_ledger_passes_its_checks(ledger_url: str) -> None:
    """Reached, up to date, writable."""
    world = World(ledger_url)
    checks = world.ledger.check()
    assert [(check.what, check.ok) for check in checks] == [
        ("ledger reachable", True),
        ("ledger up to date", True),
        ("ledger writable", True),
    ]
    world.close()


def test_what_a_database_refuses_is_one_sentence(ledger_url: str) -> None:
    """A value that breaks a rule of the tables is our mistake, said without a traceback of the library."""
    world = World(ledger_url)
    with pytest.raises(CountersignError, match="refused") as said:
        world.ledger.watch.fire_once(None, world.clock.at)  # type: ignore[arg-type]
    assert "\n" not in str(said.value)
    world.close()
