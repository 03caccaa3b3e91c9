"""Approvals on both desks: void once the ticket is another than the one that was offered, and only then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import pytest

from countersign.policy import Policy
from sandbox.faults import Fault
from tests.workers.house import House, house
from workers import act as acting
from workers.tasks import STAGES

LEAD, SECOND, OTHER, CUSTOMER = "dana.okafor", "amir.haddad", "lena.fischer", "cara.customer"
# Each ticket has its own relay: what people said to one makes the next one like it doubtful.
TITLES = (f"Certificate of mail-relay-{a}{b} was renewed" for a, b in product(ascii_lowercase, repeat=2))
TEXT = "Certificate renewal finished, valid for 90 days, no action needed"
QUIET = {
    "name": "noise",
    "when": {"category": ["informational"]},
    "then": "close",
    "threshold": {"risk_below": 0.1},
}


@dataclass
class Ticket:
    """An open ticket in which a close was offered, at either desk. `said` are the notes and comments in it."""

    home: House
    vendor: str
    key: str
    note: Callable[[str, str, bool], object]
    edit: Callable[..., object]
    said: Callable[[], list[str]]
    resolve: Callable[[str], object]

    def approve(self, who: str = LEAD) -> tuple[str, str]:
        """A lead approves what is offered: what became of the close, and how the approval was recorded."""
        self.home.run("watch", "sweep")
        code = next(one.action.code for one in self._actions() if one.state in ("planned", "dropped"))
        self.note(who, f"/countersign approve {code}", True)
        self.home.run("watch", "sweep")
        story = self.home.parts.ledger.reading.story(self.key)
        verdicts = [
            one.verdict for one in story.corrections if one.verdict in ("approved", "void", "refused")
        ]
        return self.close, verdicts[-1]

    def approve_while_down(self) -> None:
        """A lead approves, and the desk goes away before the close is written: for an hour nothing is."""
        self.home.run("watch", "sweep")
        (offered,) = (one for one in self._actions() if one.state == "planned")
        self.note(LEAD, f"/countersign approve {offered.action.code}", True)
        list(STAGES["watch"](self.home.parts, [self.vendor]))
        self.home.box.faults.add(Fault(vendor=self.vendor, kind="status", status=503, times=None))
        self.home.act([offered.action.key])
        assert self.close == "approved"

    def reject(self, who: str = LEAD) -> None:
        """What was approved is rejected, in words that nobody has read yet."""
        (approved,) = (one for one in self._actions() if one.state == "approved")
        self.note(who, f"/countersign reject {approved.action.code}", True)

    def back(self, **ahead: float) -> str:
        """The desk is back, after so long: what becomes of the close."""
        self.home.box.faults.clear()
        self.home.later(**ahead)
        return self.close

    @property
    def close(self) -> str:
        return next(one.state for one in self._actions())

    @property
    def routed(self) -> list[str]:
        story = self.home.parts.ledger.reading.story(self.key)
        return [one.state for one in story.actions if one.action.effect.kind == "route"]

    def _actions(self) -> list[Any]:
        story = self.home.parts.ledger.reading.story(self.key)
        return [one for one in story.actions if one.action.effect.kind == "close"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One house for all: each test has a ticket of its own."""
    folder: Path = tmp_path_factory.mktemp("voided")
    with house(folder, f"sqlite:///{folder / 'ledger.db'}") as one:
        one.box.run(lambda: one.box.jira.add_group("ops-engineers", [LEAD, SECOND]))
        people = {"escalation": {"route_to": "tier-2"}}
        changes = {
            **people,
            "control_lane": 0.0,
            "autonomy": "draft",
            "limits": {"closes_per_service_per_day": 99},
        }
        jira = one.parts.policies["jira-triage"].model_dump(by_alias=True)
        jira |= {**changes, "rules": [QUIET, jira["rules"][-1]], "never_close": {"first_seen": False}}
        one = one.with_policy(**changes)
        policies = {**one.parts.policies, "jira-triage": Policy.model_validate(jira)}
        yield replace(one, parts=replace(one.parts, policies=policies))


@pytest.fixture(params=["servicenow", "jira"])
def ticket(home: House, request: pytest.FixtureRequest) -> Ticket:
    return {"servicenow": _incident, "jira": _issue}[request.param](home)


def _incident(home: House) -> Ticket:
    desk, title = home.box.servicenow, next(TITLES)
    row = home.box.run(
        lambda: desk.open_incident(short_description=title, description=TEXT, impact="3", urgency="3")
    )
    home.once()
    sys_id = str(row["sys_id"])
    fields = {"description": "description", "assignee": "assigned_to"}
    return Ticket(
        home=home,
        vendor="servicenow",
        key=str(row["number"]),
        resolve=lambda who: home.box.run(
            lambda: desk.set_fields(
                sys_id, who, state="6", close_code="Resolved by caller", close_notes="looked at it"
            )
        ),
        said=lambda: home.box.run(lambda: [str(one["value"]) for one in desk.journal(sys_id)]),
        note=lambda who, text, internal: home.box.run(
            lambda: desk.add_note(sys_id, who, text, internal=internal)
        ),
        edit=lambda who, **new: home.box.run(
            lambda: desk.set_fields(
                sys_id, who, **{fields.get(name, name): text for name, text in new.items()}
            )
        ),
    )


def _issue(home: House) -> Ticket:
    desk, title = home.box.jira, next(TITLES)
    issue = home.box.run(
        lambda: desk.open_issue(user="monitoring", summary=title, description=TEXT, issuetype="Incident")
    )
    home.once()
    return Ticket(
        home=home,
        vendor="jira",
        key=issue.key,
        resolve=lambda who: home.box.run(
            lambda: [
                desk.transition(issue.key, who, "Start progress"),
                desk.transition(issue.key, who, "Resolve", resolution="Done"),
            ]
        ),
        said=lambda: home.box.run(lambda: [one.body.text for one in issue.comments]),
        note=lambda who, text, internal: home.box.run(
            lambda: desk.add_comment(issue.key, who, text, internal=internal)
        ),
        edit=lambda who, **new: home.box.run(lambda: desk.set_fields(issue.key, who, **new)),
    )


def test_an_untouched_ticket_is_closed_by_its_approval(ticket: Ticket) -> None:
    """Nothing happened since: the close is done."""
    assert ticket.approve() == ("done", "approved")


def test_another_description_voids_it(ticket: Ticket) -> None:
    """Whatever the ticket says now, it is not what was offered."""
    ticket.edit(OTHER, description="It is down again")
    assert ticket.approve() == ("planned", "void")


def test_a_comment_by_somebody_else_voids_it(ticket: Ticket) -> None:
    """A colleague may have said why not to close, in words that nobody has to parse."""
    ticket.note(OTHER, "Hold on, I still see errors", True)
    assert ticket.approve() == ("planned", "void")


def test_a_customers_comment_voids_it(ticket: Ticket) -> None:
    """So does what a customer writes, even in the words of a question to us."""
    ticket.note(CUSTOMER, "/countersign why is my mail still broken?", False)
    assert ticket.approve() == ("planned", "void")


def test_a_disagreement_by_command_voids_it(ticket: Ticket) -> None:
    """`wrong` by a colleague is no question: the lead has to look again."""
    ticket.note(OTHER, "/countersign wrong category=security", True)
    assert ticket.approve() == ("planned", "void")


def test_taking_the_ticket_does_not_void_it(ticket: Ticket) -> None:
    """The engineer who approves may take the ticket first."""
    ticket.edit(LEAD, assignee=LEAD)
    assert ticket.approve() == ("done", "approved")


def test_questions_and_the_approvers_own_words_do_not_void_it(ticket: Ticket) -> None:
    """A colleague asks us why, and the lead notes what was looked at: the offer stands."""
    ticket.note(OTHER, "/countersign why\n/countersign good", True)
    ticket.note(LEAD, "Looked at the relay, it is fine", True)
    assert ticket.approve() == ("done", "approved")


def test_what_was_voided_is_asked_for_again_in_the_ticket(ticket: Ticket) -> None:
    """A note names who did what and how to approve all the same; whoever approves after it is heard."""
    ticket.note(OTHER, "Hold on, I still see errors", True)
    assert ticket.approve() == ("planned", "void")
    note = ticket.said()[-1]
    assert "has commented since it was offered" in note
    assert "/countersign approve" in note
    assert ticket.approve(SECOND) == ("done", "approved")


def test_what_changes_after_that_voids_the_next_approval_too(ticket: Ticket) -> None:
    """Only what was told of is known: another comment has to be told of again."""
    ticket.note(OTHER, "Hold on, I still see errors", True)
    ticket.approve()
    ticket.note(OTHER, "And now it is worse", True)
    assert ticket.approve() == ("planned", "void")


def test_an_approved_close_that_is_late_is_done_when_nothing_has_changed(ticket: Ticket) -> None:
    """The desk was away for an hour: its return is enough."""
    ticket.approve_while_down()
    assert ticket.back(hours=1) == "done"


def test_a_change_between_approval_and_a_late_close_voids_it(ticket: Ticket) -> None:
    """What happens in the ticket meanwhile is looked at before the close is written: it is asked for again instead."""
    ticket.approve_while_down()
    ticket.note(OTHER, "It has come back, leave it open", True)
    assert ticket.back(hours=1) == "planned"
    assert "has commented since it was offered" in ticket.said()[-1]
    assert not any("Closed after an approval" in said for said in ticket.said())
    assert ticket.approve() == ("done", "approved")


def test_a_worker_that_dies_over_it_tells_of_it_once(ticket: Ticket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after the note was planned and before the close was given back: it is given back, with one note."""
    ticket.approve_while_down()
    ticket.note(OTHER, "It has come back, leave it open", True)
    with monkeypatch.context() as dying:
        dying.setattr(type(ticket.home.parts.ledger.actions), "settle", _die)
        with pytest.raises(SystemExit):
            ticket.back(hours=1)
    assert ticket.back(minutes=10) == "planned"
    assert sum("does not hold" in said for said in ticket.said()) == 1


def _die(*_: object, **__: object) -> None:
    raise SystemExit("killed")


def test_an_edit_between_approval_and_a_late_close_voids_it(ticket: Ticket) -> None:
    """A field that somebody sets is such a change too."""
    ticket.approve_while_down()
    ticket.edit(OTHER, description="It is down again")
    assert ticket.back(hours=1) == "planned"


def test_without_that_look_it_would_be_closed(ticket: Ticket, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same evening without the guard: the ticket is closed over what somebody has written meanwhile."""
    monkeypatch.setattr(acting, "_void", lambda *_: None)
    ticket.approve_while_down()
    ticket.note(OTHER, "It has come back, leave it open", True)
    assert ticket.back(hours=1) == "done"


def test_an_approval_that_has_expired_is_not_used_late(ticket: Ticket) -> None:
    """The desk was away for longer than an offer holds: the close is dropped, and a note says so."""
    ticket.approve_while_down()
    assert ticket.back(hours=25) == "planned"
    assert "is not offered again" in ticket.said()[-1]
    ticket.home.run("sweep")
    assert ticket.close == "dropped"


def test_what_nobody_approves_goes_to_the_policys_people(ticket: Ticket) -> None:
    """`approvals.then: route`: the group of `escalation.route_to` gets the ticket."""
    ticket.home.run("watch", "sweep")
    ticket.back(hours=25)
    assert (ticket.close, ticket.routed) == ("dropped", ["done"])


def test_a_sweeper_that_dies_over_it_is_followed_by_one_that_passes_it_on(
    ticket: Ticket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the two things that it does with an offer of yesterday: both are done by the next."""
    ticket.home.run("watch", "sweep")
    with monkeypatch.context() as dying:
        dying.setattr(type(ticket.home.parts.ledger.replies), "plan", _die)
        with pytest.raises(SystemExit):
            ticket.back(hours=25)
    ticket.home.run("sweep")
    assert (ticket.close, ticket.routed) == ("dropped", ["done"])


def test_a_ticket_that_somebody_has_is_not_passed_on(ticket: Ticket) -> None:
    """Who took it is who looks at it."""
    ticket.edit(OTHER, assignee=OTHER)
    ticket.home.run("watch", "sweep")
    ticket.back(hours=25)
    assert (ticket.close, ticket.routed) == ("dropped", [])


def test_what_a_person_resolves_is_offered_no_more(ticket: Ticket) -> None:
    """By its state or a transition a person has done what was offered: there is nothing left to approve."""
    ticket.home.run("watch", "sweep")
    assert ticket.close == "planned"
    ticket.resolve(OTHER)
    ticket.home.run("watch", "sweep")
    assert ticket.close == "dropped"


def test_a_rejection_that_was_not_read_yet_is_seen_before_the_write(ticket: Ticket) -> None:
    """The look right before the close finds the approver's own rejection; once it is read, the close is dropped."""
    ticket.approve_while_down()
    ticket.reject()
    assert ticket.back(hours=1) == "planned"
    assert "has rejected it since it was offered" in ticket.said()[-1]
    ticket.home.run("watch")
    assert ticket.close == "dropped"
