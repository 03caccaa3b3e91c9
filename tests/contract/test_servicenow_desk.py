"""What we write into ServiceNow: done once, found again, taken back, and never seen by a customer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial

import pytest
from structlog.testing import capture_logs

from connectors.servicenow.client import ServiceNowClient, ServiceNowConfig
from connectors.servicenow.desk import ServiceNowDesk
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
from countersign.errors import Denied, OutsideError, Permanent, Unsure
from countersign.tickets import TicketRef
from sandbox import servicenow_tables as tables
from sandbox.faults import Fault, Kind
from sandbox.server import Sandbox
from tests.desk_effects import DRAFT, EVERYWHERE, KEY, MARKER, START, UNDO
from tests.statuses import each_status_of_a_write
from tests.unkind import Unkind, answer

pytestmark = pytest.mark.contract
EFFECTS: dict[str, Effect] = {
    **EVERYWHERE,
    "retract": RetractNote(handle="countersign:aa", reason="rolled back"),
    "route": Route(group="tier-2", reason="theirs"),
    "fields": SetFields(fields={"category": "network", "priority": "high"}, reason="corrected"),
    "change": DraftChange(type="normal", title="Grow the disk", description="by 100 GB", group="tier-2"),
    "standard": DraftChange(type="standard", title="Reboot", description="as ever", template="5" * 32),
    "emergency": DraftChange(type="emergency", title="Fail over", description="now", ci="db-3"),
    "ticket": CreateTicket(title="Disk", description="full", correlation="datadog:7:a,b", group="NOC"),
}
SHOWS_STATE = {"state", "category", "assignment_group", "impact", "urgency", "active"}


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(seed=7, start=START, speed=0) as box:
        box.run(partial(box.servicenow.add_user, "countersign.api"))
        box.run(partial(box.servicenow.add_group, "NOC", ["dana.okafor"]))
        box.run(partial(box.servicenow.add_group, "tier-2", []))
        box.run(partial(box.servicenow.add_ci, "db-3"))
        yield box


@pytest.fixture
def desk(box: Sandbox) -> Iterator[ServiceNowDesk]:
    config = ServiceNowConfig(url=box.urls["servicenow"], user="countersign.api", password="secret", read_s=5)
    client = ServiceNowClient(config)
    yield ServiceNowDesk(client)
    client.close()


@pytest.fixture
def ticket(box: Sandbox) -> TicketRef:
    row = box.run(
        partial(
            box.servicenow.open_incident,
            short_description="Disk full",
            assignment_group="NOC",
            category="software",
            impact="2",
            urgency="2",
        )
    )
    return TicketRef(desk="servicenow", id=row["sys_id"], key=row["number"])


def _action(effect: Effect, ticket: TicketRef | None, key: str = KEY) -> Action:
    return Action(key=key, case_id="c1", use_case="u", desk="servicenow", ticket=ticket, effect=effect)


def _row(box: Sandbox, ticket: TicketRef) -> dict[str, str]:
    return box.run(lambda: dict(box.servicenow.incident(ticket.id)))


def _shown(box: Sandbox, ticket: TicketRef) -> dict[str, str]:
    return {name: value for name, value in _row(box, ticket).items() if name in SHOWS_STATE}


def _journal(box: Sandbox, ticket: TicketRef) -> list[tuple[str, str]]:
    return box.run(lambda: [(row["element"], row["value"]) for row in box.servicenow.journal(ticket.id)])


def _calls(logs: list[dict[str, object]]) -> list[object]:
    return [log["method"] for log in logs if log["event"] == "vendor.called"]


@pytest.mark.parametrize("name", EFFECTS)
def test_what_was_written_is_found_again_by_its_marker(
    name: str, box: Sandbox, desk: ServiceNowDesk, ticket: TicketRef
) -> None:
    """Before the write the probe finds nothing; after it, what the write gave."""
    action = _action(EFFECTS[name], ticket)
    assert desk.probe(action) is None
    receipt = desk.write(action)
    found = desk.probe(action)
    assert found is not None
    assert found.found
    assert (found.handle, found.made) == (receipt.handle, receipt.made)
    assert [write.marker for write in box.world.writes] == [action.marker]


@pytest.mark.parametrize("name", EFFECTS)
def test_a_write_whose_answer_was_lost_is_unsure_and_found(
    name: str, box: Sandbox, desk: ServiceNowDesk, ticket: TicketRef
) -> None:
    """A 500 after the commit: the vendor did it, so nothing may be tried again before the probe."""
    box.faults.add(Fault(vendor="servicenow", kind="error_after_commit", match="^(POST|PATCH)"))
    action = _action(EFFECTS[name], ticket)
    with pytest.raises(Unsure):
        desk.write(action)
    assert desk.probe(action) is not None
    assert len(box.world.writes) == 1


@pytest.mark.parametrize("name", ["route", "fields"])
def test_the_before_image_survives_a_lost_answer(
    name: str, box: Sandbox, desk: ServiceNowDesk, ticket: TicketRef
) -> None:
    """It stands in the work note of the same update, so that the undo still knows where to go back to."""
    before = _shown(box, ticket)
    box.faults.add(Fault(vendor="servicenow", kind="error_after_commit", match="^PATCH"))
    action = _action(EFFECTS[name], ticket)
    with pytest.raises(Unsure):
        desk.write(action)
    found = desk.probe(action)
    assert found is not None
    back = inverse(action.effect, found)
    assert back is not None
    desk.write(_action(back, ticket, UNDO))
    assert _shown(box, ticket) == before


def test_a_note_is_one_call_and_looks_like_this(
    box: Sandbox, desk: ServiceNowDesk, ticket: TicketRef
) -> None:
    """One PATCH, no read before it; an internal work note with the marker in the last line."""
    with capture_logs() as logs:
        desk.write(_action(Note(draft=DRAFT), ticket))
    assert _calls(logs) == ["PATCH"]
    assert _journal(box, ticket) == [
        (
            "work_notes",
            f"Disk of db-3 is full\n\nLIKELY CAUSE\n  logs grew\n\npolicy alert-triage v3 · {MARKER}",
        )
    ]


def test_customers_never_see_what_we_write(box: Sandbox, desk: ServiceNowDesk, ticket: TicketRef) -> None:
    """Every effect goes to the work notes; none to the comments."""
    for number, effect in enumerate(EFFECTS.values()):
        desk.write(_action(effect, ticket, f"{number:016x}"))
    assert {element for element, _ in _journal(box, ticket)} == {"work_notes"}


def test_a_note_is_taken_back_by_a_note(box: Sandbox, desk: ServiceNowDesk, ticket: TicketRef) -> None:
    """A journal forgets nothing, so a second note says that the first no longer holds."""
    receipt = desk.write(_action(Note(draft=DRAFT), ticket))
    back = inverse(Note(draft=DRAFT), receipt)
    assert back is not None
    desk.write(_action(back, ticket, UNDO))
    (_, _), (_, text) = _journal(box, ticket)
    assert text == f"The note {KEY} no longer holds: rolled back.\ncountersign:{UNDO}"


def test_a_close_resolves_with_code_and_notes_in_one_update(
    box: Sandbox, desk: ServiceNowDesk, ticket: TicketRef
) -> None:
    """Resolved, not closed: it can be taken back. The state before stands in the receipt."""
    with capture_logs() as logs:
        receipt = desk.write(_action(EFFECTS["close"], ticket))
    assert _calls(logs) == ["GET", "PATCH"]
    row = _row(box, ticket)
    assert (row["state"], row["close_code"], row["close_notes"]) == ("6", "No resolution provided", "noise")
    assert receipt.before == {"state": "1"}
    back = inverse(EFFECTS["close"], receipt)
    assert back is not None
    desk.write(_action(back, ticket, UNDO))
    assert _row(box, ticket)["state"] == "2"


def test_what_people_ended_is_not_closed_again(box: Sandbox, desk: ServiceNowDesk, ticket: TicketRef) -> None:
    """Closing a closed incident would make it resolved again."""
    end = partial(box.servicenow.set_fields, state="7", close_code="x", close_notes="y")
    box.run(lambda: end(ticket.id, "dana.okafor"))
    with pytest.raises(Permanent, match="closed already"):
        desk.write(_action(EFFECTS["close"], ticket))
    assert box.world.writes == []


def test_a_reopen_leaves_the_state_that_a_person_chose(
    box: Sandbox, desk: ServiceNowDesk, ticket: TicketRef
) -> None:
    """A ticket that is open already only gets the note."""
    box.run(lambda: box.servicenow.set_fields(ticket.id, "dana.okafor", state="3"))
    desk.write(_action(EFFECTS["reopen"], ticket))
    assert _row(box, ticket)["state"] == "3"


def test_a_route_goes_to_the_group_and_back(box: Sandbox, desk: ServiceNowDesk, ticket: TicketRef) -> None:
    """By name in both directions; what was before stands in the receipt."""
    before = _shown(box, ticket)
    receipt = desk.write(_action(EFFECTS["route"], ticket))
    assert receipt.before == {"group": "NOC"}
    assert _shown(box, ticket) != before
    back = inverse(EFFECTS["route"], receipt)
    assert back is not None
    desk.write(_action(back, ticket, UNDO))
    assert _shown(box, ticket) == before


def test_a_route_to_nobody_known_is_refused_before_anything_is_written(
    box: Sandbox, desk: ServiceNowDesk, ticket: TicketRef
) -> None:
    """The instance would empty the field and say nothing."""
    with pytest.raises(Permanent, match='no group named "tier-9"'):
        desk.write(_action(Route(group="tier-9", reason="x"), ticket))
    assert box.world.writes == []


def test_a_priority_is_taken_back_to_what_it_was_computed_from(
    box: Sandbox, desk: ServiceNowDesk, ticket: TicketRef
) -> None:
    """ServiceNow computes it from impact and urgency; the same priority has several such pairs."""
    before = _shown(box, ticket)
    receipt = desk.write(_action(EFFECTS["fields"], ticket))
    assert _row(box, ticket)["priority"] == "2"
    assert receipt.before == {"category": "software", "impact": "2", "urgency": "2"}
    back = inverse(EFFECTS["fields"], receipt)
    assert back is not None
    desk.write(_action(back, ticket, UNDO))
    assert _shown(box, ticket) == before


@pytest.mark.parametrize("kind", ["normal", "emergency", "standard"])
def test_a_change_request_is_a_draft_with_its_incident_as_parent(
    kind: str, box: Sandbox, desk: ServiceNowDesk, ticket: TicketRef
) -> None:
    """State New, correlated by the marker; cancelled by its inverse."""
    effect = DraftChange.model_validate(
        {"type": kind, "title": "Grow", "description": "d", "group": "tier-2", "template": "a" * 32}
    )
    receipt = desk.write(_action(effect, ticket))
    assert receipt.made is not None
    rows = box.servicenow.records.rows["change_request"]
    row = rows[receipt.made.id]
    assert (row["state"], row["type"], row["parent"]) == ("-5", kind, ticket.id)
    assert (row["correlation_id"], row["approval"]) == (MARKER, "not requested")
    assert receipt.handle == row["number"]
    back = inverse(effect, receipt)
    assert back is not None
    undo = _action(back, ticket, UNDO)
    assert desk.probe(undo) is None
    desk.write(undo)
    assert row["state"] == "4"
    assert desk.probe(undo) is not None


def test_a_change_that_people_took_on_is_not_cancelled(
    box: Sandbox, desk: ServiceNowDesk, ticket: TicketRef
) -> None:
    """Compensation never overwrites what a person has changed since."""
    receipt = desk.write(_action(EFFECTS["change"], ticket))
    assert receipt.made is not None
    box.servicenow.records.rows["change_request"][receipt.made.id]["state"] = "-4"
    with pytest.raises(Permanent, match="is no draft any more"):
        desk.write(_action(CancelChange(handle=receipt.handle, reason="x"), ticket, UNDO))


def test_a_standard_change_needs_its_template(desk: ServiceNowDesk, ticket: TicketRef) -> None:
    """And says where to write it."""
    with pytest.raises(Permanent, match=r"change\.template"):
        desk.write(_action(DraftChange(type="standard", title="t", description="d"), ticket))


def test_an_ignored_correlation_is_noticed(
    desk: ServiceNowDesk, ticket: TicketRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change API lists what it did not take; without the marker the draft could not be found again."""
    monkeypatch.setattr(tables, "READ_ONLY", tables.READ_ONLY | {"correlation_id"})
    with pytest.raises(Permanent, match=r"made CHG\d+ but ignored correlation_id"):
        desk.write(_action(EFFECTS["change"], ticket))


def test_a_field_that_was_silently_kept_is_noticed(
    box: Sandbox, desk: ServiceNowDesk, ticket: TicketRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Table API answers 200 although access rules dropped a field."""
    monkeypatch.setattr(tables, "READ_ONLY", tables.READ_ONLY | {"category"})
    with pytest.raises(Permanent, match="kept category"):
        desk.write(_action(SetFields(fields={"category": "network"}, reason="x"), ticket))


def test_a_created_ticket_is_found_by_its_alert_and_cancelled(box: Sandbox, desk: ServiceNowDesk) -> None:
    """The alert's key is its correlation, the marker stands beside it; the inverse cancels it."""
    receipt = desk.write(_action(EFFECTS["ticket"], None))
    assert receipt.made is not None
    assert desk.find(["datadog:7:a,b"])["datadog:7:a,b"].ref == receipt.made
    assert _shown(box, receipt.made)["assignment_group"] != ""
    back = inverse(EFFECTS["ticket"], receipt)
    assert back is not None
    desk.write(_action(back, receipt.made, UNDO))
    assert _row(box, receipt.made)["state"] == "8"
    assert desk.find(["datadog:7:a,b"]) == {}


@each_status_of_a_write
def test_each_status_of_a_write_means_one_thing(
    status: int, kind: type[OutsideError], box: Sandbox, desk: ServiceNowDesk, ticket: TicketRef
) -> None:
    """pysnow's own calls return normally here; ours never do."""
    box.faults.add(Fault(vendor="servicenow", kind="status", status=status))
    with pytest.raises(kind) as raised:
        desk.write(_action(Note(draft=DRAFT), ticket))
    assert type(raised.value) is kind
    assert raised.value.status == status
    assert box.faults.taken == {"status": 1}


@pytest.mark.parametrize("fault", ["reset_after", "truncated", "nonsense", "empty"])
def test_a_broken_answer_to_a_write_is_unsure(
    fault: Kind, box: Sandbox, desk: ServiceNowDesk, ticket: TicketRef
) -> None:
    """And is never sent again by the SDK."""
    box.faults.add(Fault(vendor="servicenow", kind=fault))
    with pytest.raises(Unsure):
        desk.write(_action(Note(draft=DRAFT), ticket))
    assert sum(box.faults.taken.values()) == 1


def test_a_refusal_by_a_data_policy_is_about_the_record(box: Sandbox, ticket: TicketRef) -> None:
    """A 403 like this one must not take the whole connection out of use."""
    config = ServiceNowConfig(
        url=box.urls["servicenow"], user="countersign.api", password="x", close_code="", read_s=5
    )
    client = ServiceNowClient(config)
    with pytest.raises(Permanent, match="Data Policy") as raised:
        ServiceNowDesk(client).write(_action(EFFECTS["close"], ticket))
    assert raised.value.status == 403
    client.close()


def test_a_ticket_that_is_gone_is_permanent(desk: ServiceNowDesk) -> None:
    """With a sentence; and what is no sys_id never reaches a path."""
    gone = TicketRef(desk="servicenow", id="f" * 32, key="INC1")
    with pytest.raises(Permanent, match="404"):
        desk.write(_action(Note(draft=DRAFT), gone))
    with pytest.raises(Permanent, match="is not a sys_id"):
        desk.write(_action(Note(draft=DRAFT), TicketRef(desk="servicenow", id="../x", key="INC1")))
    with pytest.raises(Permanent, match="has no ticket"):
        desk.write(_action(Note(draft=DRAFT), None))


def test_a_marker_that_a_person_quotes_is_not_ours(
    box: Sandbox, desk: ServiceNowDesk, ticket: TicketRef
) -> None:
    """Else somebody could keep us from writing."""
    box.run(lambda: box.servicenow.add_note(ticket.id, "dana.okafor", f"see {MARKER}"))
    assert desk.probe(_action(Note(draft=DRAFT), ticket)) is None


def test_a_file_is_attached_in_one_call_and_taken_off_again(
    box: Sandbox, desk: ServiceNowDesk, ticket: TicketRef
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
    return box.run(
        lambda: [row["file_name"] for row in box.servicenow.records.related("sys_attachment", ticket.id)]
    )


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("change", "/change/normal"),
        ("standard", f"/change/standard/{'5' * 32}"),
        ("emergency", "/change/emergency"),
    ],
)
def test_each_type_of_change_is_a_draft_that_nobody_has_approved(
    name: str, path: str, box: Sandbox, desk: ServiceNowDesk, ticket: TicketRef
) -> None:
    """One POST to the path of its type; it is New, belongs to its incident, and no approval was asked for or given."""
    with capture_logs() as logs:
        receipt = desk.write(_action(EFFECTS[name], ticket))
    posts = [log["path"] for log in logs if log.get("method") == "POST"]
    assert [str(one).endswith(path) for one in posts] == [True]
    assert receipt.made is not None
    row = box.run(lambda: dict(box.servicenow.records.rows["change_request"][receipt.made.id]))
    assert (row["state"], row["approval"], row["parent"]) == ("-5", "not requested", ticket.id)
    assert row["type"] == path.split("/")[2]
    assert row["correlation_id"] == MARKER


HIDING = {
    "note": "sys_journal_field",
    "file": "sys_attachment",
    "change": "change_request",
    "ticket": "incident",
}


@pytest.mark.parametrize("name", HIDING)
def test_what_is_hidden_is_not_taken_for_undone(
    name: str, box: Sandbox, desk: ServiceNowDesk, ticket: TicketRef
) -> None:
    """Access rules hide a row without a word. The action waits for the right; done again, it would be there twice."""
    action = _action(EFFECTS[name], ticket)
    desk.write(action)
    written = list(box.servicenow.records.rows[HIDING[name]])[-1]
    box.servicenow.hidden.add(written)
    with pytest.raises(Denied, match=f"withholds rows or fields of {HIDING[name]}"):
        desk.probe(action)
    box.servicenow.hidden.clear()
    assert desk.probe(action) is not None


def test_a_field_that_is_not_shown_proves_nothing(
    box: Sandbox, desk: ServiceNowDesk, ticket: TicketRef
) -> None:
    """A note whose words we may not read may be ours."""
    action = _action(EFFECTS["note"], ticket)
    desk.write(action)
    box.servicenow.unreadable.add("sys_journal_field.value")
    with pytest.raises(Denied, match="sys_journal_field"):
        desk.probe(action)


def test_a_close_that_a_rule_took_back_is_not_taken_for_done(
    box: Sandbox, desk: ServiceNowDesk, ticket: TicketRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one update the instance kept the note and dropped the state, and its answer was lost."""
    monkeypatch.setattr(tables, "READ_ONLY", tables.READ_ONLY | {"state"})
    box.faults.add(Fault(vendor="servicenow", kind="error_after_commit", match="^PATCH"))
    action = _action(EFFECTS["close"], ticket)
    with pytest.raises(Unsure):
        desk.write(action)
    with pytest.raises(Permanent, match="has our note and is open"):
        desk.probe(action)


def test_a_closed_ticket_that_nobody_may_write_is_no_lack_of_rights(
    box: Sandbox, desk: ServiceNowDesk, ticket: TicketRef
) -> None:
    """Kept for later, its note would be refused again for ever; an open one's waits until the right is granted."""
    box.faults.add(Fault(vendor="servicenow", kind="revoked", match="^PATCH", times=None))
    with pytest.raises(Denied):
        desk.write(_action(EFFECTS["note"], ticket))
    closed = {"state": "7", "close_code": "Solved", "close_notes": "x"}
    box.run(lambda: box.servicenow.set_fields(ticket.id, "dana.okafor", **closed))
    with pytest.raises(Permanent, match="is closed, and ServiceNow lets us write nothing there"):
        desk.write(_action(EFFECTS["note"], ticket))


def test_an_answer_without_the_record_leaves_us_unsure(ticket: TicketRef) -> None:
    """An empty result says nothing about what was done."""
    with Unkind(answer(200, b'{"result": []}')) as server:
        client = ServiceNowClient(ServiceNowConfig(url=server.url, user="u", password="p"))
        with pytest.raises(Unsure):
            ServiceNowDesk(client).write(_action(EFFECTS["note"], ticket))
        client.close()


def test_our_user_may_be_written_in_either_case(box: Sandbox, ticket: TicketRef) -> None:
    """One logs in as Countersign.API, and the records name countersign.api: it is us, and nothing is done twice."""
    config = ServiceNowConfig(url=box.urls["servicenow"], user="Countersign.API", password="x", read_s=5)
    client = ServiceNowClient(config)
    desk, action = ServiceNowDesk(client, clock=lambda: START), _action(EFFECTS["close"], ticket)
    assert desk.check()[0].ok
    desk.write(action)
    assert desk.probe(action) is not None
    assert [change.by_us for change in desk.changes_in(ticket, START - timedelta(hours=1))] == [
        True,
        True,
        True,
    ]
    client.close()
