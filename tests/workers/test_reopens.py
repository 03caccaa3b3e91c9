"""The trip-wire on reopens: many at once are told where people work, and are no label."""

from __future__ import annotations

from tests.workers.house import House

WHO = "lena.fischer"


def _closed(home: House, number: int) -> list[str]:
    """So many tickets that the policy has closed alone."""
    desk = home.box.servicenow
    opened = [
        home.box.run(
            lambda host=host: desk.open_incident(  # type: ignore[misc]
                short_description=f"Certificate of mail-{host} was renewed",
                description="Certificate renewal finished, valid for 90 days, no action needed",
                impact="3",
                urgency="3",
            )
        )
        for host in range(number)
    ]
    home.once()
    return [str(row["sys_id"]) for row in opened]


def _reopen(home: House, tickets: list[str]) -> None:
    for ticket in tickets:
        home.box.run(lambda ticket=ticket: home.box.servicenow.set_fields(ticket, WHO, state="2"))  # type: ignore[misc]
    home.run("watch", "sweep")


def _notes(home: House) -> int:
    stories = (home.parts.ledger.reading.story(line.id) for line in home.parts.ledger.reading.cases(limit=50))
    return sum("are reopened" in str(one.action.effect) for story in stories for one in story.actions)


def test_many_reopens_are_told_once_a_day_and_are_no_label(home: House) -> None:
    """One of six is usual; all six are not: one note, however many, and no label from any of them."""
    home = home.with_policy(control_lane=0.0)
    tickets = _closed(home, 6)
    _reopen(home, tickets[:1])
    assert _notes(home) == 0
    _reopen(home, tickets[1:4])
    _reopen(home, tickets[4:])
    assert _notes(home) == 1
    assert home.parts.ledger.promises.labels("alert-triage") == ()
