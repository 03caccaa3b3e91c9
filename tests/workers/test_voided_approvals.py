"""Approvals on both desks: void once the ticket is another than the one that was offered, and only then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from countersign.policy import Policy
from tests.workers.house import House, house

LEAD, OTHER, CUSTOMER = "dana.okafor", "lena.fischer", "cara.customer"
TITLE = "Certificate of mail-relay was renewed"
TEXT = "Certificate renewal finished, valid for 90 days, no action needed"
QUIET = {
    "name": "noise",
    "when": {"category": ["informational"]},
    "then": "close",
    "threshold": {"risk_below": 0.1},
}


@dataclass
class Ticket:
    """An open ticket in which a close was offered, at either desk."""

    home: House
    key: str
    note: Callable[[str, str, bool], object]
    edit: Callable[..., object]

    def approve(self) -> tuple[str, str]:
        """The lead approves what is offered: what became of the close, and how the approval was recorded."""
        self.home.run("watch", "sweep")
        code = next(one.action.code for one in self._actions() if one.state == "planned")
        self.note(LEAD, f"/countersign approve {code}", True)
        self.home.run("watch", "sweep")
        story = self.home.parts.ledger.reading.story(self.key)
        verdicts = [one.verdict for one in story.corrections if one.by == self._lead and one.verdict != "why"]
        return next(one.state for one in self._actions()), verdicts[-1]

    @property
    def _lead(self) -> str:
        return (
            self.home.box.run(lambda: self.home.box.jira.records.account_of(LEAD))
            if "-" in self.key
            else LEAD
        )

    def _actions(self) -> list[Any]:
        story = self.home.parts.ledger.reading.story(self.key)
        return [one for one in story.actions if one.action.effect.kind == "close"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One house for all: each test has a ticket of its own."""
    folder: Path = tmp_path_factory.mktemp("voided")
    with house(folder, f"sqlite:///{folder / 'ledger.db'}") as one:
        one.box.run(lambda: one.box.jira.add_group("ops-engineers", [LEAD]))
        changes = {"control_lane": 0.0, "autonomy": "draft", "limits": {"closes_per_service_per_day": 99}}
        jira = one.parts.policies["jira-triage"].model_dump(by_alias=True)
        jira |= {**changes, "rules": [QUIET, jira["rules"][-1]], "never_close": {"first_seen": False}}
        one = one.with_policy(**changes)
        policies = {**one.parts.policies, "jira-triage": Policy.model_validate(jira)}
        yield replace(one, parts=replace(one.parts, policies=policies))


@pytest.fixture(params=["servicenow", "jira"])
def ticket(home: House, request: pytest.FixtureRequest) -> Ticket:
    return {"servicenow": _incident, "jira": _issue}[request.param](home)


def _incident(home: House) -> Ticket:
    desk = home.box.servicenow
    row = home.box.run(
        lambda: desk.open_incident(short_description=TITLE, description=TEXT, impact="3", urgency="3")
    )
    home.once()
    sys_id = str(row["sys_id"])
    fields = {"description": "description", "assignee": "assigned_to"}
    return Ticket(
        home=home,
        key=str(row["number"]),
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
    desk = home.box.jira
    issue = home.box.run(
        lambda: desk.open_issue(user="monitoring", summary=TITLE, description=TEXT, issuetype="Incident")
    )
    home.once()
    return Ticket(
        home=home,
        key=issue.key,
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
    assert ticket.approve() == ("dropped", "void")


def test_a_comment_by_somebody_else_voids_it(ticket: Ticket) -> None:
    """A colleague may have said why not to close, in words that nobody has to parse."""
    ticket.note(OTHER, "Hold on, I still see errors", True)
    assert ticket.approve() == ("dropped", "void")


def test_a_customers_comment_voids_it(ticket: Ticket) -> None:
    """So does what a customer writes, even in the words of a question to us."""
    ticket.note(CUSTOMER, "/countersign why is my mail still broken?", False)
    assert ticket.approve() == ("dropped", "void")


def test_a_disagreement_by_command_voids_it(ticket: Ticket) -> None:
    """`wrong` by a colleague is no question: the lead has to look again."""
    ticket.note(OTHER, "/countersign wrong category=security", True)
    assert ticket.approve() == ("dropped", "void")


def test_taking_the_ticket_does_not_void_it(ticket: Ticket) -> None:
    """The engineer who approves may take the ticket first."""
    ticket.edit(LEAD, assignee=LEAD)
    assert ticket.approve() == ("done", "approved")


def test_questions_and_the_approvers_own_words_do_not_void_it(ticket: Ticket) -> None:
    """A colleague asks us why, and the lead notes what was looked at: the offer stands."""
    ticket.note(OTHER, "/countersign why\n/countersign good", True)
    ticket.note(LEAD, "Looked at the relay, it is fine", True)
    assert ticket.approve() == ("done", "approved")
