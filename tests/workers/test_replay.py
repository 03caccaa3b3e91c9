"""Replay: every decision of a night is made again from the ledger alone, and comes out the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from countersign.errors import NotFound
from countersign.ledger import Story
from countersign.policy import Policy
from countersign.replay import decision_hash, replay
from tests.workers.house import House
from workers.again import asked_again


def _stories(night: House) -> list[Story]:
    reading = night.parts.ledger.reading
    return [reading.story(line.id) for line in reading.cases(limit=1000)]


def _policy(night: House, story: Story) -> Policy:
    return night.parts.policies[story.case.use_case]


def test_every_decision_of_a_night_comes_out_the_same(night: House) -> None:
    """Equal hashes for all, from the record: nobody is asked, and no vendor is called."""
    before = len(night.box.world.writes)
    replayed = [replay(story, _policy(night, story)) for story in _stories(night)]
    assert len(replayed) > 20
    assert [one.differences for one in replayed if not one.equal] == []
    assert len(night.box.world.writes) == before


def test_another_policy_decides_otherwise_and_says_so(night: House) -> None:
    """Under a policy that only observes, what was closed is held; policy and outcome are told as differences."""
    closed = next(story for story in _stories(night) if story.decisions[-1].decision.closes)
    old = _policy(night, closed)
    observing = Policy.model_validate(old.model_dump(by_alias=True) | {"autonomy": "observe", "version": 99})
    told = {what: (then, now) for what, then, now in replay(closed, observing).differences}
    assert told["outcome"] == ("close", "hold")
    assert told["policy"][1].startswith("v99 ")


def test_another_answer_is_decided_on(night: House) -> None:
    """The recorded prompt can be put to a model again: the same one says the same."""
    story = next(one for one in _stories(night) if one.decisions[-1].decision.closes)
    policy = _policy(night, story)
    again = asked_again(night.parts, story, policy, "local", "triage/v1")
    assert replay(story, policy, again).equal
    worse = replace(again, category="security", risk=0.9)
    assert {w: n for w, _, n in replay(story, policy, worse).differences}["outcome"] == "draft_note"


def test_a_decision_without_its_ground_can_not_be_replayed(night: House) -> None:
    """Rows of a release that kept none are understood, and refused with a sentence."""
    story = _stories(night)[0]
    bare = replace(story, decisions=tuple(replace(one, facts=None) for one in story.decisions))
    with pytest.raises(NotFound, match="recorded without what it rested on"):
        replay(bare, _policy(night, story))


def test_a_hash_tells_decisions_apart(night: House) -> None:
    """One reason more is another decision."""
    decision = _stories(night)[0].decisions[-1].decision
    assert decision_hash(decision) != decision_hash(replace(decision, because=(*decision.because, "x")))
