"""Notes: every sentence is true of what was decided."""

from __future__ import annotations

from dataclasses import replace

from countersign.actions import Close, Note
from countersign.decision import Facts, decide
from countersign.drafts import plain
from countersign.notes import turn
from countersign.plans import plan
from countersign.ports import Firing
from tests.unit.builders import ASSESSMENT, CALM, CASE, TICKET, shipped

WITH_TICKET = replace(CASE, ticket=TICKET)
ASKED_AGAIN = "was asked again and says that nothing fires"


def _told(facts: Facts) -> dict[str, str]:
    """The words of each draft that is planned, by the kind of its action."""
    decision = decide(WITH_TICKET, ASSESSMENT, shipped(), facts)
    effects = [action.effect for action in plan(WITH_TICKET, ASSESSMENT, decision, shipped())]
    return {effect.kind: plain(effect.draft, "") for effect in effects if isinstance(effect, Note | Close)}


def test_what_is_closed_alone_says_so_and_how_to_take_it_back() -> None:
    """The source's own word is in it; a reopening is not told as counting against the close, which it does not."""
    told = _told(CALM)["close"]
    assert told.startswith("Closed by policy - informational")
    assert ASKED_AGAIN in told
    assert "Reopen the ticket: that takes it back" in told
    assert "counted" not in told


def test_what_a_person_has_to_approve_is_not_told_as_closed_by_policy() -> None:
    """Nor as confirmed by a source that could not say anything."""
    told = _told(replace(CALM, firing=Firing.UNKNOWN))
    assert told["close"].startswith("Closed after an approval - informational")
    assert ASKED_AGAIN not in told["close"]
    against = f"because {CASE.lead.source} could not say whether it still fires."
    assert f"Not closed without a person {against}" in told["close"]
    assert f"Not closed by itself {against}" in told["note"]
    assert 'Rule "noise": it may be closed once a person approves.' in told["note"]


def test_a_rule_that_only_drafts_says_why_it_asks() -> None:
    """What it has lost is told where it asks for an approval."""
    told = _told(replace(CALM, demoted=frozenset({"noise"})))["note"]
    assert 'Not closed by itself because rule "noise" has lost its autonomy' in told


def test_what_can_be_typed_instead_is_listed_where_it_can_be_read() -> None:
    """All other categories of the policy; a hundred of them are not."""
    policy = shipped()
    lines = turn((), policy, said="other").lines
    assert lines[0].endswith(f": {', '.join(one for one in policy.categories if one != 'other')}")
    many = policy.model_copy(update={"categories": tuple(f"c{n}" for n in range(100))})
    assert turn((), many, said="c1").lines[0] == "/countersign wrong category=...  - says what it really is"
