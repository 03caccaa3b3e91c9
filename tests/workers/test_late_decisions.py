"""What the policy decided and nobody could write for a while is done only where nothing speaks against it by then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from countersign.ledger import ActionRecord
from tests.workers.house import House, house
from workers import act as acting

OTHER = "lena.fischer"
TITLE = "Certificate of mail-relay was renewed"
TEXT = "Certificate renewal finished, valid for 90 days, no action needed"
Does = Callable[[House, str], object]


@pytest.fixture(scope="module")
def house_of_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One house for all: each test has a ticket of its own."""
    folder: Path = tmp_path_factory.mktemp("late")
    with house(folder, f"sqlite:///{folder / 'ledger.db'}") as one:
        yield one.with_policy(
            limits={"closes_per_hour": 99, "closes_per_service_per_day": 99},
            escalation={"route_to": "tier-2"},
        )


@pytest.fixture
def home(house_of_all: House) -> Iterator[House]:
    """Its ledger's clock is the desk's again, and nothing is stopped when the test is over."""
    house_of_all.clock.ahead = timedelta(0)
    yield house_of_all
    house_of_all.controls.resume(by="test")


def _decided_and_stopped(home: House) -> str:
    """A ticket that is to be closed without a person, when somebody stops everything."""
    row = home.box.run(
        lambda: home.box.servicenow.open_incident(
            short_description=TITLE, description=TEXT, impact="3", urgency="3"
        )
    )
    ticket = str(row["number"])
    home.controls.stop(by="test")
    home.run("pull", "sweep")
    assert _close(home, ticket).state == "approved"
    return ticket


def _resumed(home: House, **later: float) -> None:
    home.clock.ahead += timedelta(**later)
    home.controls.resume(by="test")
    home.run("sweep")


def _close(home: House, ticket: str) -> ActionRecord:
    story = home.parts.ledger.reading.story(ticket)
    return next(one for one in story.actions if one.action.effect.kind == "close")


def _said(home: House, ticket: str) -> str:
    desk = home.box.servicenow
    return str(home.box.run(lambda: desk.journal(desk.incident(ticket)["sys_id"]))[-1]["value"])


def _comments(home: House, ticket: str) -> object:
    return home.box.servicenow.add_note(_id(home, ticket), OTHER, "It is down again, I am on it")


def _takes(home: House, ticket: str) -> object:
    return home.box.servicenow.set_fields(_id(home, ticket), OTHER, assigned_to=OTHER)


def _raises(home: House, ticket: str) -> object:
    return home.box.servicenow.set_fields(_id(home, ticket), OTHER, impact="1", urgency="1")


def _id(home: House, ticket: str) -> str:
    return str(home.box.servicenow.incident(ticket)["sys_id"])


@pytest.mark.parametrize("does", [_comments, _takes, _raises])
def test_what_people_worked_on_meanwhile_is_not_closed(home: House, does: Does) -> None:
    """Somebody works on the ticket while everything is stopped: after it the close is offered, and not done."""
    ticket = _decided_and_stopped(home)
    home.box.run(lambda: does(home, ticket))
    _resumed(home, hours=2)
    offered = _close(home, ticket)
    assert (offered.state, f"/countersign approve {offered.action.code}" in _said(home, ticket)) == (
        "planned",
        True,
    )
    assert "It was decided, but somebody has" in _said(home, ticket)


def test_what_nobody_touched_is_closed_late(home: House) -> None:
    """Nothing was lost by stopping: what still holds is done."""
    ticket = _decided_and_stopped(home)
    _resumed(home, hours=2)
    assert _close(home, ticket).state == "done"


def test_a_decision_of_the_day_before_is_nobodys_any_more(home: House) -> None:
    """As an approval, it holds as long as the policy says; then people get the ticket."""
    ticket = _decided_and_stopped(home)
    _resumed(home, hours=25)
    home.run("sweep")
    kinds = {one.action.effect.kind: one.state for one in home.parts.ledger.reading.story(ticket).actions}
    assert (kinds["close"], kinds["route"]) == ("dropped", "done")


def test_a_policy_that_asks_by_now_is_asked_under(home: House) -> None:
    """Stopped because it closed too much, given less autonomy, resumed: nothing is closed without a person."""
    ticket = _decided_and_stopped(home)
    _resumed(home.with_policy(autonomy="draft"), minutes=0)
    assert (_close(home, ticket).state, "the policy asks people first" in _said(home, ticket)) == (
        "planned",
        True,
    )


def test_without_its_policy_nothing_is_closed(home: House) -> None:
    """Its file is gone from the folder: the close waits, and goes on when that is back."""
    ticket = _decided_and_stopped(home)
    gone = {name: one for name, one in home.parts.policies.items() if name != "alert-triage"}
    _resumed(replace(home, parts=replace(home.parts, policies=gone)), minutes=0)
    close = _close(home, ticket)
    assert (close.state, "There is no policy for use case alert-triage" in close.detail) == ("approved", True)
    home.later(minutes=6)
    assert _close(home, ticket).state == "done"


def test_without_that_look_it_would_be_closed(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same hours without the guard: the ticket is closed over what somebody has written meanwhile."""
    monkeypatch.setattr(acting, "_void", lambda *_: None)
    ticket = _decided_and_stopped(home)
    home.box.run(lambda: _comments(home, ticket))
    _resumed(home, hours=2)
    assert _close(home, ticket).state == "done"


# The last, because what people did by then makes the next case like these doubtful.
def test_a_person_may_have_it_closed_all_the_same(home: House) -> None:
    """Whoever may approve and knows of it says so: it is closed."""
    ticket = _decided_and_stopped(home)
    home.box.run(lambda: _comments(home, ticket))
    _resumed(home, hours=2)
    code = _close(home, ticket).action.code
    home.box.run(
        lambda: home.box.servicenow.add_note(_id(home, ticket), "dana.okafor", f"/countersign approve {code}")
    )
    home.run("watch", "sweep")
    assert _close(home, ticket).state == "done"
