"""Upgrades: two versions side by side leave each other's work alone, and migrations run while workers do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from structlog.testing import capture_logs

from connectors.sql.engine import Database
from connectors.sql.migrate import migrate
from tests.workers.house import House, house

TICKETS = 12


@pytest.fixture
def either(tmp_path: Path, ledger_url: str) -> Iterator[House]:
    """A house on each kind of ledger, with tickets that wait."""
    with house(tmp_path, ledger_url) as one:
        for number in range(TICKETS):
            _open(one, f"Report {'abcdefghijkl'[number]} of the night run is late")
        yield one


def _open(home: House, title: str) -> None:
    desk = home.box.servicenow
    home.box.run(
        lambda: desk.open_incident(short_description=title, description="Late", impact="2", urgency="2")
    )


def _run(home: House, *statements: str) -> None:
    engine = create_engine(home.parts.settings.ledger.get_secret_value())
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def test_what_a_newer_version_has_planned_is_left_to_it(either: House) -> None:
    """An action of an unknown kind is neither done nor buried, and the log says why it waits; the rest goes on."""
    either.run_only("pull", "assess")
    key = either.ledger.actions.due_actions(limit=1)[0]
    _run(
        either,
        f"UPDATE actions SET kind = 'page_somebody', effect = '{{\"kind\": \"page_somebody\"}}' WHERE key = '{key}'",
    )
    with capture_logs() as logs:
        either.run("sweep")
    states = either.parts.ledger.reading.tally().actions
    assert states == {"done": TICKETS - 1, "approved": 1}
    assert ("page_somebody",) in [line.get("kinds") for line in logs]
    assert either.parts.ledger.reading.dead_letters(limit=1) == ()


def test_a_field_of_a_newer_version_is_passed_over(either: House) -> None:
    """A ticket and an alert that a newer version has written are read all the same."""
    either.run_only("pull")
    for table in ("alerts", "tickets"):
        _run(
            either,
            f"UPDATE {table} SET body = replace(body, '{{', '{{\"of_tomorrow\": 1, ') WHERE body NOT LIKE '%{{%{{%'",
        )
    either.run("sweep")
    assert either.parts.ledger.reading.tally().actions == {"done": TICKETS}


def test_the_next_version_s_columns_come_while_workers_run(either: House) -> None:
    """What a migration does, in the transaction and under the lock that it takes, in the middle of the work."""
    url = either.parts.settings.ledger.get_secret_value()
    working = threading.Thread(target=either.once)
    working.start()
    for number in range(4):
        _migration(url, number)
    working.join()
    either.later(minutes=10)
    assert either.parts.ledger.reading.tally().actions == {"done": TICKETS}
    assert all(balance.even for balance in either.ledger.books.balances())


def _migration(url: str, number: int) -> None:
    migrate(url)
    db = Database(url)
    with db.write() as connection:
        db.alone(connection, "countersign migration")
        connection.execute(
            text(f"ALTER TABLE actions ADD COLUMN tomorrow_{number} VARCHAR DEFAULT '' NOT NULL")
        )
        connection.execute(text(f"CREATE INDEX ix_tomorrow_{number} ON actions (tomorrow_{number})"))
    db.close()


def test_changes_that_the_release_before_recorded_are_handled(either: House) -> None:
    """Its workers don't mark what they have handled; hearing it again changes nothing."""
    either.once()
    _run(either, "UPDATE ticket_changes SET handled_at = NULL")
    before = either.parts.ledger.reading.tally()
    either.run("watch")
    assert either.parts.ledger.reading.tally() == before
    assert either.ledger.watch.unhandled("servicenow", either.parts.policies) == ()
