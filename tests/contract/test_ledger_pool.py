"""The pool in the ledger, on both databases: votes out of corrections, versions, going back, and what is retrieved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from countersign.errors import NotFound
from countersign.feedback.pool import Caps, PoolVersion, select
from countersign.ledger import Correction
from tests.ledger_world import USE_CASE, World, firing, ticket

KNOWN = frozenset({"network", "data", "informational"})


class Taught(World):
    """A world in which people say what cases are."""

    def said(self, number: int, category: str, *who: str, rule: str = "disk", **more: object) -> str:
        """A case of this rule, of which these people say what it is; gives its id."""
        case_id = self.decided(firing(number, rule=rule), on=ticket(number))
        for person in who:
            told = Correction(
                case_id=case_id, change_id=f"{number} {person}", verdict="wrong", by=person, at=self.clock.at,
                field="category", after=category,
            )  # fmt: skip
            self.ledger.watch.record_corrections([replace(told, **more)])  # type: ignore[arg-type]
        return case_id

    def build(self) -> PoolVersion:
        pool = self.ledger.pool
        return pool.build(USE_CASE, select(pool.votes(USE_CASE), Caps(), known=KNOWN), by="ann")

    def in_force(self) -> list[str]:
        return [one.category for one in self.ledger.pool.taught()]


@pytest.fixture
def world(ledger_url: str) -> Iterator[Taught]:
    world = Taught(ledger_url)
    yield world
    world.close()


def test_a_version_never_changes_and_is_in_force_when_it_is_activated(world: Taught) -> None:
    """Built twice of the same words it is one version; each activation is in the audit log, and so is going back."""
    world.said(1, "Network ", "ann", "bob")
    first = world.build()
    assert (first, len(first.entries), world.in_force()) == (world.build(), 1, [])
    pool = world.ledger.pool
    pool.activate(USE_CASE, first.version, by="ann")
    world.said(2, "data", "ann", "bob", rule="link")
    second = world.build()
    assert (second.version, len(second.entries), pool.active(USE_CASE)) == (2, 2, 1)
    pool.activate(USE_CASE, 2, by="ann")
    assert sorted(world.in_force()) == ["data", "network"]
    pool.activate(USE_CASE, 1, by="bob")
    assert (world.in_force(), pool.entries(USE_CASE, 1)[0].text) == (["network"], "disk full")
    assert pool.versions(USE_CASE) == (first, second)
    with pytest.raises(NotFound, match="no version 9"):
        pool.activate(USE_CASE, 9, by="eve")
    told = [json.loads(line) for line in world.ledger.trail.export()]
    assert [
        (one["actor"], one["detail"]["version"], one["detail"]["was"])
        for one in told
        if one["event"] == "pool.activated"
    ] == [("ann", 1, 0), ("ann", 2, 1), ("bob", 1, 2)]


def test_bots_and_bulk_have_no_vote_and_five_hundred_words_of_one_person_change_nothing(
    world: Taught,
) -> None:
    """What was learnt before is what is learnt after."""
    world.said(1, "network", "ann", "bob")
    before = world.build()
    world.said(2, "data", "sync", "mirror", rule="x", source="bot")
    world.said(3, "data", "cy", "dee", rule="y", source="bulk")
    flood = world.said(4, "data", "eve", rule="z")
    told = world.ledger.reading.story(flood).corrections[0]
    world.ledger.watch.record_corrections([replace(told, change_id=f"again {n}") for n in range(499)])
    assert world.build().entries == before.entries
    assert len(world.ledger.pool.votes(USE_CASE)) == 502


def test_a_case_is_shown_what_people_settled_for_its_like(world: Taught) -> None:
    """First of what is similar, once, in the active version's words; nothing of it while no version is in force."""
    world.said(1, "network", "ann", "bob")
    made = world.build()
    claimed = world.case(firing(3, rule="of the same words"))
    memory = world.ledger.memory
    before = memory.similar([claimed.case], limit=3)[claimed.case.id]
    world.ledger.pool.activate(USE_CASE, made.version, by="ann")
    after = memory.similar([claimed.case], limit=3)[claimed.case.id]
    assert [(one.settled, one.category) for one in before] == [(False, "informational")]
    assert [(one.settled, one.category) for one in after] == [(True, "network")]
    assert after[0].resolution == "2 people said that it is network"


def test_the_word_of_who_finds_the_draft_right_is_heard(world: Taught) -> None:
    """`good` votes for what the model said, so that it stands against a correction."""
    case_id = world.said(1, "network", "ann", approver=True)
    assert len(world.build().entries) == 1
    good = Correction(case_id=case_id, change_id="g", verdict="good", by="bob", at=world.clock.at)
    world.ledger.watch.record_corrections([good])
    disputed = world.build()
    assert (disputed.entries, disputed.disputes[0].said) == ((), (("informational", 1), ("network", 1)))
