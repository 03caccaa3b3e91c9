"""Sources: what people do by hand is told from bots and from one update of many tickets."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from countersign.feedback.sources import BULK_TICKETS, Sighting, in_bulk, is_bot, sighting
from countersign.tickets import ChangeKind, TicketChange, TicketRef
from tests.unit.builders import NOW

CHANGE = TicketChange(
    id="c1",
    ref=TicketRef(desk="jira", id="1", key="OPS-1"),
    kind=ChangeKind.FIELD,
    author="lena",
    at=NOW,
    field="category",
    after="network",
)


def _changes(number: int, *, every: float = 0.0, **other: object) -> list[Sighting]:
    """So many tickets given the same category, one every so many seconds."""
    return [
        sighting(
            replace(
                CHANGE,
                id=f"c{n}",
                ref=TicketRef(desk="jira", id=str(n), key=f"OPS-{n}"),
                at=NOW + timedelta(seconds=n * every),
                **other,  # type: ignore[arg-type]
            )
        )
        for n in range(number)
    ]


def test_one_update_of_many_tickets_is_bulk() -> None:
    """Ten alike within ten seconds, all of them, whatever their order; a change apart from them is not."""
    apart = sighting(replace(CHANGE, id="later", at=NOW + timedelta(minutes=5)))
    found = in_bulk([apart, *reversed(_changes(BULK_TICKETS, every=1))])
    assert found == {f"c{n}" for n in range(BULK_TICKETS)}


@pytest.mark.parametrize(
    "changes",
    [
        _changes(BULK_TICKETS - 1),
        _changes(40, every=1.2),
        [replace(one, ticket="1") for one in _changes(BULK_TICKETS)],
        [replace(one, author=f"person {one.id}") for one in _changes(BULK_TICKETS)],
        [replace(one, like=one.id) for one in _changes(BULK_TICKETS)],
    ],
    ids=["few", "slowly", "one ticket", "many people", "all different"],
)
def test_what_a_person_may_do_by_hand_is_not_bulk(changes: list[Sighting]) -> None:
    """Few, slowly, in one ticket, by many people, or different things."""
    assert in_bulk(changes) == frozenset()


@pytest.mark.parametrize(
    ("change", "bot"),
    [
        (CHANGE, False),
        (replace(CHANGE, by_bot=True), True),
        (replace(CHANGE, author="SYSTEM"), True),
        (replace(CHANGE, author="svc-sync"), True),
    ],
)
def test_a_bot_is_known_by_the_desk_or_by_its_account(change: TicketChange, bot: bool) -> None:
    """The desk says so, it is the desk's own machinery, or the configuration names it."""
    assert is_bot(change, ["Svc-Sync"]) is bot
