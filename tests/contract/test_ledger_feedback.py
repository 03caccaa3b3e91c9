"""Corrections in the ledger, on both databases: what they are about, who they come from, and labels made anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from connectors.sql.promises import labels
from countersign.circumstances import Circumstances
from countersign.decision import Facts
from countersign.labels import Versions
from countersign.lanes import Lane
from countersign.ledger import Correction, Grounds
from countersign.ports import Firing
from countersign.promises import Relabelled
from countersign.tickets import ChangeKind, Ticket
from tests.ledger_world import NOTE, START, USE_CASE, World, assessed, change, firing, page, ticket, verdict
from workers.learn import relabel

DAY = timedelta(days=1)
VERSIONS = Versions(policy="p1", prompt="q1", model="local")


class Told(World):
    """A world that hears what people do at a desk."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        claimed = self.ledger.intake.claim_feed("watch:jira", worker="watcher", lease=DAY)
        assert claimed is not None
        self.watch_fence = claimed[0]

    def case_of(self, number: int) -> tuple[str, Ticket]:
        """A case with a note in its ticket, which a close was wanted for."""
        on = ticket(number)
        claimed = self.case(firing(number, rule=f"rule {number}"))
        facts = Facts(now=START, lane=Lane.TREATED, control_share=0.1, firing=Firing.NO)
        grounds = Grounds(
            facts=facts, circumstances=Circumstances.of(claimed.case, assessed(), facts), alerts=1, risk=0.04,
            wanted=True, alone=False, versions=VERSIONS,
        )  # fmt: skip
        made = verdict(claimed, effects=[NOTE], on=on)
        self.ledger.cases.record_verdicts([replace(made, grounds=grounds)])
        self.do_all()
        return claimed.case.id, on

    def recategorised(self, numbers: Sequence[int], *, every: float) -> dict[int, str]:
        """Ann gives the tickets of so many cases another category, one every so many seconds; cases by number."""
        found = {number: self.case_of(number) for number in numbers}
        for order, (number, (case_id, on)) in enumerate(found.items()):
            at = self.clock.at + timedelta(seconds=60 + order * every)
            one = replace(change(number, on, kind=ChangeKind.FIELD), at=at, field="category", after="network")
            self.ledger.watch.record_changes("watch:jira", self.watch_fence, page(one))
            told = Correction(
                case_id=case_id, change_id=one.id, verdict="corrected", by="ann", at=at, field="category",
                after="network",
            )  # fmt: skip
            self.ledger.watch.record_corrections([told])
        return {number: case_id for number, (case_id, _) in found.items()}

    def sources(self, case_ids: Sequence[str]) -> list[str]:
        return [one.source for case in case_ids for one in self.ledger.reading.story(case).corrections]

    def relabel(self) -> Relabelled:
        return relabel(self.ledger, USE_CASE).answers


@pytest.fixture
def world(ledger_url: str) -> Iterator[Told]:
    world = Told(ledger_url)
    yield world
    world.close()


def _said(case_id: str, *, minutes: float, verdict: str = "wrong") -> Correction:
    return Correction(
        case_id=case_id, change_id=f"at {minutes}", verdict=verdict, by="ann",
        at=START + timedelta(minutes=minutes),
    )  # fmt: skip


def test_a_correction_says_what_it_is_about(world: Told) -> None:
    """The decision that stood, its versions, both scores, lane, cluster, and whether the note had been read."""
    world.clock.turn(timedelta(minutes=10))
    case_id, _ = world.case_of(7)
    world.ledger.watch.record_corrections([_said(case_id, minutes=5), _said(case_id, minutes=11)])
    before, after = (one.about for one in world.ledger.reading.story(case_id).corrections)
    assert after is not None
    assert (after.decision, after.versions, after.policy_version) == (f"{case_id}/1", VERSIONS, 3)
    assert (after.category, after.confidence, after.risk) == ("informational", 0.9, 0.04)
    assert (after.lane, after.cluster, after.seen) == ("treated", "rule 7", True)
    assert before is not None
    assert before.seen is False


def test_one_update_of_many_tickets_is_marked_with_those_that_came_before(world: Told) -> None:
    """The tenth tells: the nine before it are marked too; the same done slowly is ten people's choices."""
    fast = world.recategorised(range(10), every=0.5)
    world.clock.turn(DAY)
    slow = world.recategorised(range(20, 30), every=30)
    assert world.sources(list(fast.values())) == ["bulk"] * 10
    assert world.sources(list(slow.values())) == ["person"] * 10


def test_labels_are_made_anew_the_same_each_time(world: Told) -> None:
    """From nothing, twice the same; a label of older rules is brought up to these, and the log has what it was."""
    (case_id,) = world.recategorised([1], every=1).values()
    first, second = world.relabel(), world.relabel()
    (label,) = world.ledger.promises.labels(USE_CASE)
    assert (first, second) == (Relabelled(new=1), Relabelled(same=1))
    with world.ledger._db.write() as connection:
        connection.execute(update(labels).values(rule_version=1, wrong=False))
    assert world.relabel() == Relabelled(changed=1)
    assert world.ledger.promises.labels(USE_CASE) == (label,)
    (event,) = [one for one in world.ledger.reading.story(case_id).audit if one.event == "label.changed"]
    was = event.detail["was"]
    assert isinstance(was, dict)
    assert (was["wrong"], was["rule_version"]) == (False, 1)


def test_what_turns_out_to_be_bulk_labels_nothing_any_more(world: Told) -> None:
    """Nine labels of a run whose tenth change comes later are withdrawn, each with its record."""
    nine = world.recategorised(range(9), every=0.1)
    assert world.relabel() == Relabelled(new=9)
    world.recategorised([9], every=0.1)
    assert world.relabel() == Relabelled(withdrawn=9)
    assert world.ledger.promises.labels(USE_CASE) == ()
    assert "label.withdrawn" in world.events(nine[0])
