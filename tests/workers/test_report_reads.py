"""What a report reads: as much of the database for many tickets as for few, over the same days."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from benchmarks.report import END, START, USE_CASE, fill, policy
from connectors.sql.ledger import SqlLedger
from connectors.sql.migrate import migrate
from countersign.composition import Period
from workers.figures import RECORDED, report_of
from workers.reporting import SHOWN

PERIOD = Period(since=END - SHOWN, until=END)
HOURS = range(int(START.timestamp()) // 3600, int(END.timestamp()) // 3600)
_EMPTY_HOURS = (
    "INSERT OR IGNORE INTO rollup_hours (use_case, hour, body, models, corrections, drafts) "
    f"VALUES ('{USE_CASE}', :hour, '', '[]', '[]', '[]')"
)


class Steps:
    """How many hundreds of steps SQLite's machine took on connections opened since: rows it looks at are steps."""

    def __init__(self) -> None:
        self.count = 0

    def watch(self, connection: sqlite3.Connection, _: object) -> None:
        connection.set_progress_handler(self._stepped, 100)

    def _stepped(self) -> int:
        self.count += 1
        return 0


@pytest.fixture
def steps() -> Iterator[Steps]:
    found = Steps()
    sa.event.listen(sa.Engine, "connect", found.watch)
    yield found
    sa.event.remove(sa.Engine, "connect", found.watch)


def ledger_of(folder: Path, count: int) -> SqlLedger:
    """So many tickets over 200 days, packed; something in each hour, and no labels, which an index counts."""
    url = f"sqlite:///{folder / f'{count}.db'}"
    migrate(url)
    fill(url, count)
    ledger = SqlLedger.open(url)
    while ledger.rollups.digest(at_most=10_000) or ledger.rollups.sum_up(USE_CASE):
        pass
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM labels"))
        connection.execute(sa.text(_EMPTY_HOURS), [{"hour": hour} for hour in HOURS])
    engine.dispose()
    return ledger


def test_a_report_looks_at_as_many_rows_for_ten_times_the_tickets(tmp_path: Path, steps: Steps) -> None:
    """Days, hours and kinds, never cases: nothing that a report is made of is a scan in disguise."""
    found = []
    for count in (600, 6_000):
        ledger = ledger_of(tmp_path, count)
        before = steps.count
        report = report_of(policy(), ledger, PERIOD)
        found.append(steps.count - before)
        ledger.close()
        assert report.figures[0].n + sum(left.count for left in report.figures[0].excluded) > count / 10
    few, many = found
    assert few > 20
    assert many < 1.2 * few


def test_of_weeks_that_are_settled_no_ticket_is_read(tmp_path: Path) -> None:
    """Only the tickets of the two periods are, of 200 days; the trend's older weeks come from sums."""
    ledger = ledger_of(tmp_path, 600)
    tickets, past = ledger.columns(USE_CASE, PERIOD.span, recorded=RECORDED)
    ledger.close()
    assert tickets.opened.min() >= (END - 2 * SHOWN - timedelta(days=1)).timestamp()
    assert past.sums[0].sum() > 2 * len(tickets) > 0
