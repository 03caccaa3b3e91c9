"""In the ticket: engineers approve, reject and correct where they read the draft, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from countersign.ledger import Story
from sandbox.faults import Fault
from tests.workers.house import House
from workers import watch as watching

LEAD, OTHER = "dana.okafor", "lena.fischer"


def _asked(home: House) -> tuple[House, str]:
    """A house that asks before it closes, and the number of a ticket in which it did."""
    home = home.with_policy(autonomy="draft")
    row = home.box.run(
        lambda: home.box.servicenow.open_incident(
            short_description="Certificate of mail-relay was renewed",
            description="Certificate renewal finished, valid for 90 days, no action needed",
            impact="3",
            urgency="3",
        )
    )
    home.once()
    return home, str(row["number"])


def _story(home: House, ticket: str) -> Story:
    return home.parts.ledger.reading.story(ticket)


def _code(home: House, ticket: str) -> str:
    return next(one.action.code for one in _story(home, ticket).actions if one.state == "planned")


def _say(home: House, ticket: str, who: str, text: str, *, internal: bool = True) -> None:
    desk = home.box.servicenow
    home.box.run(lambda: desk.add_note(desk.incident(ticket)["sys_id"], who, text, internal=internal))
    home.run("watch", "sweep")


def _said(home: House, ticket: str) -> str:
    """The newest note in the ticket."""
    desk = home.box.servicenow
    return str(home.box.run(lambda: desk.journal(desk.incident(ticket)["sys_id"]))[-1]["value"])


def _close(home: House, ticket: str) -> str:
    return next(one.state for one in _story(home, ticket).actions if one.action.effect.kind == "close")


def _open(home: House, ticket: str) -> bool:
    return home.box.run(lambda: home.box.servicenow.incident(ticket)["state"]) not in ("6", "7")


def test_the_draft_says_how_to_approve_exactly_this(home: House) -> None:
    """The note in the ticket holds the code of the close that waits, and nothing was closed."""
    home, ticket = _asked(home)
    notes = home.box.run(lambda: home.box.servicenow.journal(home.box.servicenow.incident(ticket)["sys_id"]))
    assert f"/countersign approve {_code(home, ticket)}" in notes[-1]["value"]
    assert _open(home, ticket)


def test_a_lead_approves_and_the_ticket_is_closed_once(home: House) -> None:
    """An approver's word closes the ticket; saying it twice closes it once; the ledger knows who."""
    home, ticket = _asked(home)
    code = _code(home, ticket)
    _say(home, ticket, LEAD, f"/countersign approve {code}")
    _say(home, ticket, LEAD, f"/countersign approve {code}")
    closes = [write for write in home.box.world.writes if write.kind == "close"]
    approved = [one.approved_by for one in _story(home, ticket).actions if one.action.effect.kind == "close"]
    assert (len(closes), _open(home, ticket), approved) == (1, False, [LEAD])


def test_somebody_without_the_right_approves_nothing(home: House) -> None:
    """A person outside the policy's approvers is recorded as refused, and the close goes on waiting."""
    home, ticket = _asked(home)
    _say(home, ticket, OTHER, f"/countersign approve {_code(home, ticket)}")
    assert (_close(home, ticket), _open(home, ticket)) == ("planned", True)
    assert [(one.by, one.verdict) for one in _story(home, ticket).corrections] == [(OTHER, "refused")]


def test_a_comment_that_customers_see_commands_nothing(home: House) -> None:
    """The right words by the right person in a customer-visible comment: still nothing."""
    home, ticket = _asked(home)
    _say(home, ticket, LEAD, f"/countersign approve {_code(home, ticket)}", internal=False)
    assert (_close(home, ticket), _open(home, ticket)) == ("planned", True)


def test_a_wrong_code_approves_nothing(home: House) -> None:
    """An approval is bound to the payload's hash: another code, or none, is refused."""
    home, ticket = _asked(home)
    wrong = f"{int(_code(home, ticket), 16) ^ 1:04x}"
    _say(home, ticket, LEAD, f"/countersign approve {wrong}")
    _say(home, ticket, LEAD, "/countersign approve")
    assert (_close(home, ticket), _open(home, ticket)) == ("planned", True)


DO_NOTHING = {
    "/countersign approve": "approve needs the code of what it approves",
    "/countersign approve 0f0f0": "0f0f0 is not the code of what is offered here",
    "/countersign reject 0f0f1": "0f0f1 is not the code of what is offered here",
    "/countersign aprove {code}": '"aprove" is no command',
    "/countersign genehmigen {code}": "what waits is answered with approve or reject",
    "/countersign approve {code}\n/countersign reject {code}": "approve and reject can't both be meant",
}


def test_words_that_do_nothing_are_answered_with_what_to_type(home: House) -> None:
    """One note, whose first line says why, with the line to type; what was offered goes on waiting."""
    home, ticket = _asked(home)
    code, desk = _code(home, ticket), home.box.servicenow
    sys_id = desk.incident(ticket)["sys_id"]
    for typed in DO_NOTHING:
        home.box.run(lambda typed=typed: desk.add_note(sys_id, LEAD, typed.format(code=code)))  # type: ignore[misc]
    home.run("watch", "sweep")
    notes = [str(one["value"]) for one in home.box.run(lambda: desk.journal(sys_id))]
    answers = [note for note in notes if note.startswith("Nothing was done - ")]
    assert {note.splitlines()[0] for note in answers} == {
        f"Nothing was done - {told.format(code=code)}" for told in DO_NOTHING.values()
    }
    assert len(answers) == len(DO_NOTHING)
    assert all(f"/countersign approve {code}  - closes this ticket" in note for note in answers)
    assert {one.verdict for one in _story(home, ticket).corrections} == {"refused"}
    assert (_close(home, ticket), _open(home, ticket)) == ("planned", True)


def test_whoever_may_not_approve_is_told_who_may(home: House) -> None:
    """And not what to type."""
    home, ticket = _asked(home)
    _say(home, ticket, OTHER, f"/countersign approve {_code(home, ticket)}")
    note = _said(home, ticket)
    assert note.startswith("Nothing was done - only members of noc-leads may approve or reject here\n")
    assert "/countersign" not in note


def test_who_approves_what_has_ended_is_told(home: House) -> None:
    """Rejected before, it can't be approved any more; rejecting it again is no news."""
    home, ticket = _asked(home)
    code = _code(home, ticket)
    _say(home, ticket, LEAD, f"/countersign reject {code}")
    _say(home, ticket, LEAD, f"/countersign reject {code}")
    _say(home, ticket, LEAD, f"/countersign approve {code}")
    assert _said(home, ticket).splitlines()[0] == (
        f"Nothing was done - what was offered as {code} has ended: rejected in the ticket"
    )
    verdicts = [one.verdict for one in _story(home, ticket).corrections]
    assert verdicts == ["rejected", "rejected", "refused"]


def test_no_account_is_told_for_ever_what_to_type(home: House) -> None:
    """A program under a person's name that answers every note with the same wrong words is answered ten times."""
    home, ticket = _asked(home)
    desk = home.box.servicenow
    for _ in range(12):
        home.box.run(lambda: desk.add_note(desk.incident(ticket)["sys_id"], LEAD, "/countersign approve"))
    home.run("watch", "sweep")
    notes = home.box.run(lambda: desk.journal(desk.incident(ticket)["sys_id"]))
    assert sum(str(one["value"]).startswith("Nothing was done") for one in notes) == 10


def test_a_correction_that_is_not_understood_is_told(home: House) -> None:
    """A category that the policy does not have teaches nothing; the note lists those that it has."""
    home, ticket = _asked(home)
    _say(home, ticket, OTHER, "/countersign wrong category=netwrok")
    note = _said(home, ticket)
    assert note.startswith('Taken as wrong, but "netwrok" is no category here\n')
    assert "network" in note.replace("netwrok", "")
    assert [(one.verdict, one.field) for one in _story(home, ticket).corrections] == [("wrong", "")]


def test_a_rejection_drops_what_waits(home: House) -> None:
    """Rejected: the close is dropped for good, and approving it afterwards does nothing."""
    home, ticket = _asked(home)
    code = _code(home, ticket)
    _say(home, ticket, LEAD, f"/countersign reject {code}")
    _say(home, ticket, LEAD, f"/countersign approve {code}")
    assert (_close(home, ticket), _open(home, ticket)) == ("dropped", True)


def test_what_is_said_while_the_policy_is_gone_is_heard_when_it_is_back(home: House) -> None:
    """Its file is not there for a moment: the approval waits, and is not lost."""
    home, ticket = _asked(home)
    gone = {name: one for name, one in home.parts.policies.items() if name != "alert-triage"}
    without = replace(home, parts=replace(home.parts, policies=gone))
    _say(without, ticket, LEAD, f"/countersign approve {_code(home, ticket)}")
    assert _close(home, ticket) == "planned"
    home.run("watch", "sweep")
    assert _close(home, ticket) == "done"


def test_an_approval_is_void_once_the_ticket_has_changed(home: House) -> None:
    """Somebody raises the impact after the close was offered: the approval closes nothing, and says why."""
    home, ticket = _asked(home)
    code, desk = _code(home, ticket), home.box.servicenow
    home.box.run(lambda: desk.set_fields(desk.incident(ticket)["sys_id"], OTHER, category="network"))
    _say(home, ticket, LEAD, f"/countersign approve {code}")
    story = _story(home, ticket)
    assert (_close(home, ticket), _open(home, ticket)) == ("planned", True)
    assert [one.verdict for one in story.corrections if one.by == LEAD] == ["void"]
    assert any("void: lena.fischer has changed category" in str(one.detail) for one in story.audit)


def test_a_correction_is_kept_as_data(home: House) -> None:
    """`wrong category=…` becomes a correction with the field and who said so."""
    home, ticket = _asked(home)
    _say(home, ticket, OTHER, "/countersign wrong category=security because it was revoked")
    corrections = _story(home, ticket).corrections
    assert ("wrong", "category", "security", OTHER) in [
        (c.verdict, c.field, c.after, c.by) for c in corrections
    ]


def test_an_approval_that_nobody_gives_expires(home: House) -> None:
    """After the policy's time the close is dropped; the ticket stays with the people who have it."""
    home, ticket = _asked(home)
    home.later(hours=25)
    _say(home, ticket, LEAD, "/countersign approve")
    assert (_close(home, ticket), _open(home, ticket)) == ("dropped", True)


def test_what_we_wrote_ourselves_commands_nothing(home: House) -> None:
    """Our own note quotes the command; reading it back approves nothing."""
    home, ticket = _asked(home)
    home.run("watch", "sweep")
    assert (_close(home, ticket), _story(home, ticket).corrections) == ("planned", ())


def test_an_approval_outlives_the_worker_that_read_it(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after the page with the approval was recorded and before it was obeyed: the next look obeys it."""
    home, ticket = _asked(home)
    code = _code(home, ticket)
    with monkeypatch.context() as dying:
        dying.setattr(watching, "read_commands", _die)
        with pytest.raises(SystemExit):
            _say(home, ticket, LEAD, f"/countersign approve {code}")
    assert _open(home, ticket)
    home.later(minutes=3)
    home.run("watch", "sweep")
    assert (_open(home, ticket), _close(home, ticket)) == (False, "done")


def test_an_approval_heard_twice_is_no_refusal(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after obeying and before marking: the second hearing approves the same and nobody reads 'refused'."""
    home, ticket = _asked(home)
    books = type(home.parts.ledger.watch)
    code = _code(home, ticket)
    with monkeypatch.context() as dying:
        dying.setattr(books, "record_corrections", _die)
        with pytest.raises(SystemExit):
            _say(home, ticket, LEAD, f"/countersign approve {code}")
    home.later(minutes=3)
    home.run("watch", "sweep")
    verdicts = [one.verdict for one in _story(home, ticket).corrections if one.by == LEAD]
    assert (verdicts, _close(home, ticket)) == (["approved"], "done")


def test_what_a_silent_directory_keeps_from_being_heard_is_heard_later(home: House) -> None:
    """While nobody can say who is an approver, the approval waits; it counts when the directory is back."""
    home, ticket = _asked(home)
    home.box.faults.add(Fault(vendor="servicenow", kind="status", match="sys_user", status=503, times=None))
    _say(home, ticket, LEAD, f"/countersign approve {_code(home, ticket)}")
    assert _close(home, ticket) == "planned"
    home.box.faults.clear()
    home.run("watch", "sweep")
    assert _close(home, ticket) == "done"


def _die(*_: object) -> None:
    raise SystemExit("killed")
