"""Guards and their twins: with the guard off the fault shows that it keeps away.

Here: lease, key, counting before, audit before. The others stand where what they need is: hold, probe, permit and
fence in tests/workers/test_crash_points.py, the look before taking back in tests/workers/test_rollback.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import bindparam, update

from connectors.sql import actions as claiming
from connectors.sql.tables import actions
from countersign.ledger import ATTEMPTS, ClaimedAction, Verdict
from tests.ledger_world import LEASE, NOTE, World, firing, recovery, ticket, verdict


@pytest.fixture
def world(ledger_url: str) -> Iterator[World]:
    world = World(ledger_url)
    yield world
    world.close()


def _taken_by_two(world: World, lease: timedelta) -> tuple[tuple[ClaimedAction, ...], ...]:
    """What each of two workers holds that take the same action, one right after the other."""
    world.decided(effects=[NOTE], on=ticket())
    book = world.ledger.actions
    due = book.due_actions(limit=1)
    return tuple(book.claim_actions(due, worker=name, lease=lease) for name in ("one", "other"))


def test_a_lease_keeps_the_second_worker_away(world: World) -> None:
    """Only one holds the action."""
    first, second = _taken_by_two(world, LEASE)
    assert (len(first), len(second)) == (1, 0)


def test_without_a_lease_two_hold_the_same_action(world: World) -> None:
    """The twin: a lease of no length."""
    first, second = _taken_by_two(world, timedelta(0))
    assert (len(first), len(second)) == (1, 1)


def _decided_anew(world: World, *, keys_of_the_revision: bool) -> int:
    """How many notes are done of a case that was decided twice, each time with the same note."""
    world.decided(firing(1), effects=[NOTE], on=ticket())
    world.do_all()
    world.record(recovery(2, key="key-1"))
    again = verdict(world.claim_one(), effects=[NOTE])
    world.ledger.cases.record_verdicts([_with_new_keys(again) if keys_of_the_revision else again])
    world.do_all()
    return world.ledger.reading.tally().actions["done"]


def _with_new_keys(one: Verdict) -> Verdict:
    return replace(one, actions=tuple(replace(action, key="f" * 16) for action in one.actions))


def test_a_key_makes_the_same_effect_one_action(world: World) -> None:
    """Decided again, the note is not planned again."""
    assert _decided_anew(world, keys_of_the_revision=False) == 1


def test_with_a_key_of_the_revision_the_note_comes_twice(world: World) -> None:
    """The twin: a key that the decision takes part in, as one of a prompt's version would be."""
    assert _decided_anew(world, keys_of_the_revision=True) == 2


_UNCOUNTED = (
    update(actions)
    .where(actions.c.key.in_(bindparam("keys", expanding=True)))
    .values(state="posting", fence=actions.c.fence + 1, worker=bindparam("by"), due_at=bindparam("until"))
)


def _takes(world: World) -> int:
    """How often an action is taken whose worker dies over it each time, of ten times."""
    world.decided(effects=[NOTE], on=ticket())
    taken = 0
    for _ in range(10):
        taken += len(world.take())
        world.clock.turn(LEASE)
    return taken


def test_an_attempt_is_counted_before_it_is_made(world: World) -> None:
    """Three workers have died over it; there is no fourth."""
    assert _takes(world) == ATTEMPTS


def test_uncounted_it_kills_for_ever(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin: a claim that does not count."""
    monkeypatch.setattr(claiming, "_CLAIM", _UNCOUNTED)
    assert _takes(world) == 10


def _unrecorded(world: World) -> dict[str, int]:
    """What the books say of an action that was claimed and done."""
    world.decided(effects=[NOTE], on=ticket())
    world.do_all()
    return {one.what: one.found for one in world.ledger.books.balances() if not one.even}


def test_no_action_without_its_record(world: World) -> None:
    """The books find nothing."""
    assert _unrecorded(world) == {}


def test_without_the_record_in_the_claim_the_books_are_uneven(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin: claims and outcomes that write no audit record."""
    monkeypatch.setattr("connectors.sql.actions.audit", SimpleNamespace(append=lambda *_, **__: None))
    assert _unrecorded(world)["actions done without their intent or outcome on record"] == 1
