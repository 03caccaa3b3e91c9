"""Clocks: a worker whose clock is hours off neither loses nor doubles, since leases live by the ledger's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sandbox.jira import Jira
from sandbox.servicenow import ServiceNow
from tests.workers.house import House, house
from workers.wiring import open_parts

TICKETS = 6


@pytest.fixture
def either(tmp_path: Path, ledger_url: str) -> Iterator[House]:
    """A house on each kind of ledger."""
    with house(tmp_path, ledger_url) as one:
        yield one


def _off(home: House, by: timedelta, monkeypatch: pytest.MonkeyPatch) -> House:
    """Another worker on the same ledger, whose clock is off: its own and that of each of its connections."""
    clock = lambda: datetime.now(UTC) + by  # noqa: E731
    monkeypatch.setattr("workers.wiring.now", clock)
    opened = open_parts(home.parts.settings)
    opened.ledger.close()
    return replace(
        home, parts=replace(opened, ledger=home.parts.ledger, policies=home.parts.policies, worker="off")
    )


def _open(home: House, number: int) -> None:
    home.box.run(
        lambda: home.box.servicenow.open_incident(
            short_description=f"Report {'abcdefghijkl'[number]} of the night run is late",
            description="The job took longer", impact="2", urgency="2",
        )
    )  # fmt: skip


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_worker_whose_clock_is_hours_off_neither_loses_nor_doubles(
    either: House, hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It and a right one take turns: what it has read, holds or has done is neither read, taken nor done again."""
    off = _off(either, timedelta(hours=hours), monkeypatch)
    for number in range(TICKETS):
        _open(either, number)
        off.run_only("pull")
        either.run_only("pull", "sweep", "assess")
    due = either.ledger.actions.due_actions(limit=TICKETS)
    held = off.ledger.actions.claim_actions(due[:2], worker="off", lease=timedelta(minutes=2))
    either.run("watch", "sweep")
    assert (len(held), len(_notes(either))) == (2, TICKETS - 2)
    either.clock.ahead += timedelta(minutes=10)
    off.run("pull", "sweep", "watch", "sweep")
    either.run("pull", "sweep", "watch", "sweep")
    assert set(_notes(either).values()) == {1}
    assert either.parts.ledger.reading.tally().actions == {"done": TICKETS}
    assert all(balance.even for balance in either.ledger.books.balances())


def _notes(home: House) -> Counter[str]:
    return Counter(write.marker for write in home.writes if write.marker)


def test_a_record_from_the_future_hides_nothing_that_changes_until_then(home: House) -> None:
    """An import or a wrong clock has dated a record of each desk ahead by years: what comes next is read too."""
    later, desk, board = timedelta(days=2000), home.box.servicenow, home.box.jira
    home.box.run(lambda: _ahead(desk, board, later))
    home.once()
    before = home.parts.ledger.reading.tally().alerts
    _open(home, 1)
    issue = home.box.run(
        lambda: board.open_issue(
            user="monitoring", summary="Printer jams", description="", issuetype="Incident"
        )
    )
    home.once()
    home.box.run(lambda: board.add_comment(issue.key, "lena.fischer", "/countersign wrong", internal=True))
    home.run("watch")
    assert (before, home.parts.ledger.reading.tally().alerts) == (2, 4)
    assert [one.verdict for one in home.parts.ledger.reading.story(issue.key).corrections] == ["wrong"]


def _ahead(desk: ServiceNow, board: Jira, by: timedelta) -> None:
    row = desk.open_incident(short_description="VPN is slow", description="", impact="2", urgency="2")
    row["sys_updated_on"] = f"{datetime.now(UTC) + by:%Y-%m-%d %H:%M:%S}"
    issue = board.open_issue(user="monitoring", summary="VPN is slow", description="", issuetype="Incident")
    issue.updated += by
    issue.indexed[-1][1]["updated"] = issue.updated
