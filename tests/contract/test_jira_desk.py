"""What we write into Jira: done once, found again, taken back, and never seen by a customer."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
from structlog.testing import capture_logs

from connectors.jira.client import JiraClient, JiraConfig
from connectors.jira.desk import JiraDesk
from connectors.jira.markup import document
from countersign.actions import (
    Action,
    CancelChange,
    CreateTicket,
    Detach,
    DraftChange,
    Effect,
    Note,
    RetractNote,
    Route,
    SetFields,
    inverse,
)
from countersign.errors import Denied, OutsideError, Permanent, Transient, Unsure
from countersign.tickets import Receipt, TicketRef
from sandbox.faults import Fault, Kind
from sandbox.jira_records import Issue
from sandbox.server import Sandbox
from tests.desk_effects import DRAFT, EVERYWHERE, KEY, MARKER, START, UNDO
from tests.statuses import each_status_of_a_write

pytestmark = pytest.mark.contract
EFFECTS: dict[str, Effect] = {
    **EVERYWHERE,
    "route": Route(group="tier 2", reason="theirs"),
    "fields": SetFields(fields={"category": "network", "priority": "Low"}, reason="corrected"),
    "change": DraftChange(type="normal", title="Grow the disk", description="by 100 GB", group="tier 2"),
    "ticket": CreateTicket(title="Disk", description="full", correlation="splunk:High CPU", group="NOC"),
}
# The write that carries the effect; a comment may go before it.
LAST_WRITE = {
    "note": "POST .*/comment",
    "close": "POST .*/transitions",
    "reopen": "POST .*/comment",
    "route": "PUT ",
    "fields": "PUT ",
    "change": "POST .*/issue$",
    "ticket": "POST .*/issue$",
    "file": "POST .*/attachments",
}


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(seed=7, start=START, speed=0) as box:
        yield box


@pytest.fixture
def desk(box: Sandbox) -> Iterator[JiraDesk]:
    client = JiraClient(
        JiraConfig(
            url=box.urls["jira"],
            user="countersign@example.com",
            token="secret",
            project="OPS",
            change_project="CHG",
            fields={"group": "label:team", "category": "customfield_10050", "ci": "label:ci"},
            read_s=5,
        )
    )
    yield JiraDesk(client)
    client.close()


@pytest.fixture
def ticket(box: Sandbox) -> TicketRef:
    fields = {"summary": "Disk full", "labels": ["team:NOC", "x"], "customfield_10050": "software"}
    issue = box.run(partial(box.jira.open_issue, "OPS", priority="High", **fields))
    return TicketRef(desk="jira", id=issue.id, key=issue.key)


def _action(effect: Effect, ticket: TicketRef | None, key: str = KEY) -> Action:
    return Action(key=key, case_id="c1", use_case="u", desk="jira", ticket=ticket, effect=effect)


def _issue(box: Sandbox, ticket: TicketRef) -> Issue:
    return box.jira.issue(ticket.key)


def _shown(box: Sandbox, ticket: TicketRef) -> dict[str, object]:
    fields = _issue(box, ticket).fields
    names = ("status", "priority", "customfield_10050", "resolution")
    return {name: fields[name] or None for name in names} | {"labels": sorted(fields["labels"])}


def _undo(desk: JiraDesk, effect: Effect, receipt: Receipt, ticket: TicketRef) -> Action:
    back = inverse(effect, receipt)
    assert back is not None
    undo = _action(back, ticket, UNDO)
    desk.write(undo)
    return undo


def _methods(logs: list[dict[str, object]]) -> list[object]:
    return [log["method"] for log in logs if log["event"] == "vendor.called"]


@pytest.mark.parametrize("name", EFFECTS)
def test_what_was_written_is_found_again_by_its_marker(name: str, desk: JiraDesk, ticket: TicketRef) -> None:
    """Before the write the probe finds nothing; after it, what the write gave."""
    action = _action(EFFECTS[name], ticket)
    assert desk.probe(action) is None
    receipt = desk.write(action)
    found = desk.probe(action)
    assert found is not None
    assert found.found
    assert (found.handle, found.made) == (receipt.handle, receipt.made)


@pytest.mark.parametrize("name", EFFECTS)
def test_a_write_whose_answer_was_lost_is_unsure_and_found(
    name: str, box: Sandbox, desk: JiraDesk, ticket: TicketRef
) -> None:
    """A 500 after the commit: Jira did it, so nothing may be tried again before the probe."""
    box.run(lambda: box.jira.transition(ticket.key, "dana", "Start progress"))
    box.faults.add(Fault(vendor="jira", kind="error_after_commit", match=LAST_WRITE[name]))
    action = _action(EFFECTS[name], ticket)
    with pytest.raises(Unsure):
        desk.write(action)
    assert desk.probe(action) is not None


def test_a_second_attempt_says_nothing_twice(box: Sandbox, desk: JiraDesk, ticket: TicketRef) -> None:
    """The comment went through and the transition did not: the probe says no, and only the rest is done."""
    box.faults.add(Fault(vendor="jira", kind="status", status=500, match="POST .*/transitions"))
    action = _action(EFFECTS["close"], ticket)
    with pytest.raises(Unsure):
        desk.write(action)
    assert desk.probe(action) is None
    desk.write(action)
    assert _issue(box, ticket).done
    assert len(_issue(box, ticket).comments) == 1


@pytest.mark.parametrize("name", ["route", "fields"])
def test_the_before_image_survives_a_lost_answer(
    name: str, box: Sandbox, desk: JiraDesk, ticket: TicketRef
) -> None:
    """It stands in the property of the same edit, so that the undo still knows where to go back to."""
    before = _shown(box, ticket)
    box.faults.add(Fault(vendor="jira", kind="error_after_commit", match="PUT "))
    action = _action(EFFECTS[name], ticket)
    with pytest.raises(Unsure):
        desk.write(action)
    found = desk.probe(action)
    assert found is not None
    assert _shown(box, ticket) != before
    _undo(desk, action.effect, found, ticket)
    assert _shown(box, ticket) == before


@pytest.mark.parametrize("name", ["route", "fields"])
def test_fields_go_back_to_what_they_were(name: str, box: Sandbox, desk: JiraDesk, ticket: TicketRef) -> None:
    """Labels that are nobody's stay; the undo is found again like any other action."""
    before = _shown(box, ticket)
    receipt = desk.write(_action(EFFECTS[name], ticket))
    undo = _undo(desk, EFFECTS[name], receipt, ticket)
    assert _shown(box, ticket) == before
    assert desk.probe(undo) is not None


def test_a_note_is_one_call_and_looks_like_this(box: Sandbox, desk: JiraDesk, ticket: TicketRef) -> None:
    """One POST, no read before it: an Atlassian document, internal, with its marker as a property."""
    with capture_logs() as logs:
        desk.write(_action(Note(draft=DRAFT), ticket))
    assert _methods(logs) == ["POST"]
    (write,) = box.world.writes
    assert write.body == {
        "body": document(DRAFT, MARKER),
        "properties": [
            {"key": "sd.public.comment", "value": {"internal": True}},
            {"key": "countersign", "value": {"marker": MARKER}},
        ],
    }


def test_customers_never_see_what_we_write(box: Sandbox, desk: JiraDesk, ticket: TicketRef) -> None:
    """Every comment of every effect is internal, from the call on that makes it."""
    for number, effect in enumerate(EFFECTS.values()):
        desk.write(_action(effect, ticket, f"{number:016x}"))
    comments = [comment for issue in box.jira.records.issues.values() for comment in issue.comments]
    assert len(comments) == 5
    assert all(comment.internal for comment in comments)


def test_a_note_is_deleted_to_take_it_back(box: Sandbox, desk: JiraDesk, ticket: TicketRef) -> None:
    """Twice does no harm: what is gone is gone."""
    receipt = desk.write(_action(Note(draft=DRAFT), ticket))
    retract = RetractNote(handle=receipt.handle, reason="x")
    assert desk.probe(_action(retract, ticket, UNDO)) is None
    undo = _undo(desk, Note(draft=DRAFT), receipt, ticket)
    assert _issue(box, ticket).comments == []
    assert desk.probe(undo) is not None
    assert desk.write(undo).handle == receipt.handle


def test_a_close_finds_its_way_and_back(box: Sandbox, desk: JiraDesk, ticket: TicketRef) -> None:
    """Done lies behind In Progress here, and its screen insists on a resolution; the inverse reopens."""
    receipt = desk.write(_action(EFFECTS["close"], ticket))
    assert _issue(box, ticket).done
    assert _issue(box, ticket).fields["resolution"] == "10100"
    assert receipt.before == {"state": "To Do"}
    undo = _undo(desk, EFFECTS["close"], receipt, ticket)
    assert not _issue(box, ticket).done
    assert desk.probe(undo) is not None


def test_what_people_ended_is_not_closed_again(box: Sandbox, desk: JiraDesk, ticket: TicketRef) -> None:
    """And nothing is said in it."""
    box.run(lambda: box.jira.transition(ticket.key, "dana", "Start progress"))
    box.run(lambda: box.jira.transition(ticket.key, "dana", "Resolve", resolution="Done"))
    with pytest.raises(Permanent, match="done already"):
        desk.write(_action(EFFECTS["close"], ticket))
    assert box.world.writes == []


def test_a_workflow_without_a_way_is_said(
    desk: JiraDesk, ticket: TicketRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transition may not exist, or not for us."""
    monkeypatch.setattr("sandbox.jira_records.TRANSITIONS", ())
    with pytest.raises(Permanent, match="No transition of OPS-1 that we may use leads to a done status"):
        desk.write(_action(EFFECTS["close"], ticket))


def test_a_change_is_an_issue_in_its_first_status_linked_to_its_ticket(
    box: Sandbox, desk: JiraDesk, ticket: TicketRef
) -> None:
    """Of the configured type and project, marked in the call that makes it; never moved on."""
    receipt = desk.write(_action(EFFECTS["change"], ticket))
    assert receipt.made is not None
    change = _issue(box, receipt.made)
    assert (change.project, change.fields["issuetype"], change.fields["status"]) == ("CHG", "10012", "10000")
    assert change.fields["labels"] == [f"countersign-{KEY}", "change-normal", "team:tier%202"]
    assert change.properties[f"countersign-{KEY}"] == {"marker": MARKER, "before": {}}
    assert box.jira.links == [("Relates", ticket.key, change.key)]
    assert receipt.handle == change.key


def test_a_draft_stays_a_draft_when_it_can_not_be_linked(
    box: Sandbox, desk: JiraDesk, ticket: TicketRef
) -> None:
    """The link is a courtesy; the note names the change."""
    box.faults.add(Fault(vendor="jira", kind="status", status=404, match="issueLink"))
    with capture_logs() as logs:
        receipt = desk.write(_action(EFFECTS["change"], ticket))
    assert receipt.made is not None
    assert "jira.change_not_linked" in [log["event"] for log in logs]


def test_a_draft_is_called_off_unless_people_took_it_on(
    box: Sandbox, desk: JiraDesk, ticket: TicketRef
) -> None:
    """Without a way to done from its first status it says so in a comment; in progress it is theirs."""
    receipt = desk.write(_action(EFFECTS["change"], ticket))
    undo = _undo(desk, EFFECTS["change"], receipt, ticket)
    assert desk.probe(undo) is not None
    assert "No longer wanted" in box.jira.issue(receipt.handle).comments[0].body.text
    box.run(lambda: box.jira.transition(receipt.handle, "dana", "Start progress"))
    with pytest.raises(Permanent, match="no draft any more"):
        desk.write(_action(CancelChange(handle=receipt.handle, reason="x"), ticket, "a" * 16))


def test_a_created_ticket_is_found_by_its_alert_and_cancelled(box: Sandbox, desk: JiraDesk) -> None:
    """By the label of its key, which no label could hold as it is; the inverse ends it."""
    receipt = desk.write(_action(EFFECTS["ticket"], None))
    assert receipt.made is not None
    assert desk.find(["splunk:High CPU"])["splunk:High CPU"].ref == receipt.made
    undo = _undo(desk, EFFECTS["ticket"], receipt, receipt.made)
    assert _issue(box, receipt.made).fields["resolution"] == "10101"
    assert desk.probe(undo) is not None
    assert desk.find(["splunk:High CPU"]) == {}


@each_status_of_a_write
def test_each_status_of_a_write_means_one_thing(
    status: int, kind: type[OutsideError], box: Sandbox, desk: JiraDesk, ticket: TicketRef
) -> None:
    """And is asked for once: python-jira would send a 429 and a 503 four times."""
    box.faults.add(Fault(vendor="jira", kind="status", status=status))
    with pytest.raises(kind) as raised:
        desk.write(_action(Note(draft=DRAFT), ticket))
    assert type(raised.value) is kind
    assert raised.value.status == status
    assert box.world.writes == []


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ("reset_after", "note"),
        ("reset_after", "route"),
        ("truncated", "note"),
        ("nonsense", "note"),
        ("nonsense", "route"),
        ("empty", "note"),
        ("empty", "route"),
    ],
)
def test_a_broken_answer_to_a_write_is_unsure(
    fault: Kind, name: str, box: Sandbox, desk: JiraDesk, ticket: TicketRef
) -> None:
    """Also where the right answer has no body: a proxy's page is no proof that anything was done."""
    box.faults.add(Fault(vendor="jira", kind=fault, match=LAST_WRITE[name]))
    with pytest.raises(Unsure):
        desk.write(_action(EFFECTS[name], ticket))
    assert sum(box.faults.taken.values()) == 1


def test_a_ticket_that_is_gone_is_permanent(desk: JiraDesk) -> None:
    """With a sentence; and what is no key never reaches a path."""
    with pytest.raises(Permanent, match="404"):
        desk.write(_action(Note(draft=DRAFT), TicketRef(desk="jira", id="1", key="OPS-99")))
    with pytest.raises(Permanent, match="is not an issue"):
        desk.write(_action(EFFECTS["close"], TicketRef(desk="jira", id="1", key="../../x")))
    with pytest.raises(Permanent, match="is not an issue"):
        desk.write(_action(EFFECTS["note"], TicketRef(desk="jira", id="1", key="../../x")))
    with pytest.raises(Permanent, match="has no ticket"):
        desk.write(_action(Note(draft=DRAFT), None))


def test_a_marker_that_a_person_quotes_is_not_ours(box: Sandbox, desk: JiraDesk, ticket: TicketRef) -> None:
    """Else somebody could keep us from writing."""
    box.run(lambda: box.jira.add_comment(ticket.key, "dana", f"see {MARKER}"))
    assert desk.probe(_action(Note(draft=DRAFT), ticket)) is None
    box.run(lambda: box.jira.add_comment(ticket.key, "countersign", f"see {MARKER}"))
    assert desk.probe(_action(Note(draft=DRAFT), ticket)) is not None


def test_a_file_is_attached_in_one_call_and_taken_off_again(
    box: Sandbox, desk: JiraDesk, ticket: TicketRef
) -> None:
    """It carries the action's key in its name and the marker in its last line; taking it off twice is no error."""
    action = _action(EFFECTS["file"], ticket)
    with capture_logs() as logs:
        receipt = desk.write(action)
    assert [log["method"] for log in logs if log["event"] == "vendor.called"] == ["POST"]
    assert _files(box, ticket) == [f"countersign-{KEY}-timeline.md"]
    assert [write.marker for write in box.world.writes] == [MARKER]
    back = inverse(action.effect, receipt)
    assert back == Detach(handle=receipt.handle, reason="rolled back")
    undo = _action(back, ticket, UNDO)
    assert desk.probe(undo) is None
    assert desk.write(undo).handle == desk.write(undo).handle == receipt.handle
    assert _files(box, ticket) == []
    assert desk.probe(undo) is not None
    assert desk.probe(action) is None


def _files(box: Sandbox, ticket: TicketRef) -> list[object]:
    return box.run(lambda: [entry["filename"] for entry in _issue(box, ticket).attachments])


def test_a_close_that_went_halfway_says_its_words_once_however_many_there_are(
    box: Sandbox, desk: JiraDesk, ticket: TicketRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An issue comes with some of its comments; the one of the first attempt may not be among them."""
    monkeypatch.setattr("sandbox.jira_shapes.MOST_COMMENTS", 1)
    box.run(lambda: box.jira.add_comment(ticket.key, "dana", "first"))
    box.faults.add(Fault(vendor="jira", kind="status", status=429, match="POST .*/transitions"))
    action = _action(EFFECTS["close"], ticket)
    with pytest.raises(Transient):
        desk.write(action)
    desk.write(action)
    assert [comment.author for comment in _issue(box, ticket).comments] == ["dana", "countersign"]


def test_an_expired_token_keeps_the_work(box: Sandbox, desk: JiraDesk, ticket: TicketRef) -> None:
    """To anybody Jira says that there is no such issue, which would be the end of the action."""
    box.jira.expired = True
    with pytest.raises(Denied):
        desk.write(_action(EFFECTS["close"], ticket))


def test_a_proxy_that_lost_jira_over_a_comment_writes_no_second_one(
    box: Sandbox, desk: JiraDesk, ticket: TicketRef
) -> None:
    """It says 503 as if nobody had been there, although it had passed the comment on."""
    box.faults.add(Fault(vendor="jira", kind="error_after_commit", status=503, match="POST .*/comment"))
    action = _action(EFFECTS["note"], ticket)
    with pytest.raises(Unsure):
        desk.write(action)
    assert desk.probe(action) is not None
