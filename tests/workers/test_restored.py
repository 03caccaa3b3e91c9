"""A ledger restored from a backup is older than the desks: what they show already is not written again."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from connectors.sql.ledger import SqlLedger
from tests.workers.house import House

TEXT = "Disk of db-3 is full"


@pytest.fixture
def backup(home: House, tmp_path: Path) -> Path:
    """The ledger of an hour ago, before two tickets were opened and worked on."""
    file = Path(home.parts.settings.ledger.get_secret_value().removeprefix("sqlite:///"))
    home.parts.ledger.close()
    shutil.copyfile(file, tmp_path / "backup.db")
    home.box.run(lambda: home.box.servicenow.open_incident(short_description=TEXT, description="It is full"))
    home.box.run(
        lambda: home.box.jira.open_issue(
            user="dana.okafor", summary=TEXT, description="It is full", issuetype="Incident"
        )
    )
    home.once()
    home.once()
    assert {write.kind for write in home.writes} >= {"note", "change"}
    return tmp_path / "backup.db"


@contextmanager
def _restored(home: House, backup: Path, started: datetime) -> Iterator[House]:
    """The house on its backup, by processes that were started then."""
    ledger = SqlLedger.open(f"sqlite:///{backup}", clock=home.clock)
    try:
        yield replace(home, parts=replace(home.parts, ledger=ledger, started=started))
    finally:
        ledger.close()


def _doubled(home: House) -> list[str]:
    """The kinds of writes of ours that a desk shows twice."""
    seen = Counter((write.vendor, write.kind, write.marker) for write in home.writes if write.marker)
    return sorted({kind for (_, kind, _), times in seen.items() if times > 1})


def test_what_tickets_show_is_not_written_again(home: House, backup: Path) -> None:
    """The alerts are read anew and decided anew; each note and change is found by its marker, and counts as done."""
    with _restored(home, backup, home.clock() + timedelta(seconds=1)) as after:
        after.once()
        after.later(minutes=10)
        assert _doubled(after) == []
        states = after.parts.ledger.reading.tally().actions
        assert states == {"done": len({write.marker for write in after.writes if write.marker})}


def test_without_looking_it_is_written_twice(home: House, backup: Path) -> None:
    """The twin, whose workers take everything for news: both tickets get all of it again."""
    with _restored(home, backup, home.parts.started) as after:
        after.once()
        after.later(minutes=10)
        assert _doubled(after) == ["change", "note"]
