"""PagerDuty's incidents as tickets: found, noted, acknowledged, closed, and read for what people did."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.cursor import Pace
from connectors.pagerduty.client import PagerDutyClient, PagerDutyConfig
from connectors.pagerduty.desk import PagerDutyDesk
from countersign.actions import (
    Action,
    Attach,
    Close,
    CreateTicket,
    Effect,
    Note,
    Reopen,
    RetractNote,
    Route,
    SetFields,
)
from countersign.drafts import Block, Draft, plain
from countersign.errors import OutsideError, Permanent, Unsure
from countersign.tickets import ChangeKind, TicketRef, TicketState
from sandbox.faults import Fault
from sandbox.pagerduty import BOT_EMAIL, TOKEN
from sandbox.server import Sandbox
from tests.statuses import each_status_of_a_write

pytestmark = pytest.mark.contract
START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
DRAFT = Draft(
    headline="Likely cause: a full disk", blocks=(Block(lines=("db1 is at 98 %",)),), provenance="noise v1"
)
ACKNOWLEDGE = SetFields(fields={"state": "acknowledged"}, reason="seen")
ENGINEER = "ada@example.com"


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(seed=7, start=START, speed=0) as box:
        yield box


@pytest.fixture
def incident(box: Sandbox) -> dict[str, Any]:
    def fire() -> dict[str, Any]:
        box.pagerduty.add_user("Ada", ENGINEER)
        incident_id = box.pagerduty.fire(
            "Disk full", "database", "error", "k", {}, START - timedelta(seconds=60)
        )
        found: dict[str, Any] = box.pagerduty.incidents[incident_id]
        return found

    return box.run(fire)


def _desk(box: Sandbox, *, email: str = BOT_EMAIL) -> PagerDutyDesk:
    config = PagerDutyConfig(api_key=TOKEN, from_email=email, url=box.urls["pagerduty"])
    return PagerDutyDesk(
        client=PagerDutyClient(config), clock=box.world.clock.now, pace=Pace(settle=timedelta(0))
    )


def _action(incident: dict[str, Any], effect: Effect) -> Action:
    ref = TicketRef(desk="pagerduty", id=incident["id"], key="#1", url=incident["html_url"])
    return Action(key="00ff" * 4, case_id="c", use_case="noise", desk="pagerduty", ticket=ref, effect=effect)


def _notes(box: Sandbox, incident: dict[str, Any]) -> list[str]:
    return [note["content"] for note in box.pagerduty.notes.get(incident["id"], [])]


def test_a_note_is_written_with_its_marker_in_our_name(box: Sandbox, incident: dict[str, Any]) -> None:
    """The note is plain text, ends with the marker, and is found again by it."""
    desk, action = _desk(box), _action(incident, Note(draft=DRAFT))
    assert desk.probe(action) is None
    receipt = desk.write(action)
    assert _notes(box, incident) == [plain(DRAFT, action.marker)]
    assert box.pagerduty.notes[incident["id"]][0]["user"]["summary"] == "Countersign"
    found = desk.probe(action)
    assert found is not None
    assert (found.handle, found.found) == (receipt.handle, True)


def test_a_close_resolves_and_then_leaves_the_marked_note(box: Sandbox, incident: dict[str, Any]) -> None:
    """The receipt knows the state before; the marker is there only when all was done."""
    desk, action = _desk(box), _action(incident, Close(draft=DRAFT, reason="recovered"))
    receipt = desk.write(action)
    assert incident["status"] == "resolved"
    assert receipt.before == {"state": "triggered"}
    assert action.marker in _notes(box, incident)[0]


@pytest.mark.parametrize("kind", ["reset_after", "error_after_commit", "reset_before", "hang"])
@pytest.mark.parametrize("match", ["^PUT", "^POST"])
@pytest.mark.parametrize("effect", [Close(draft=DRAFT, reason="recovered")])
def test_a_close_that_may_have_happened_is_finished_once(
    box: Sandbox, incident: dict[str, Any], kind: Any, match: str, effect: Effect
) -> None:
    """Works, breaks, recovers: Unsure; then the probe, and if it finds nothing one more try, leave one note."""
    config = PagerDutyConfig(api_key=TOKEN, from_email=BOT_EMAIL, url=box.urls["pagerduty"], read_s=0.3)
    desk = PagerDutyDesk(client=PagerDutyClient(config), clock=box.world.clock.now)
    action = _action(incident, effect)
    box.run(lambda: box.faults.add(Fault(vendor="pagerduty", kind=kind, match=match, seconds=2)))
    with pytest.raises(Unsure):
        desk.write(action)
    found = desk.probe(action) or desk.write(action)
    assert found.handle
    assert incident["status"] == "resolved"
    assert len(_notes(box, incident)) == 1


@each_status_of_a_write
def test_each_status_of_a_write_becomes_our_error(
    box: Sandbox, incident: dict[str, Any], status: int, kind: type[OutsideError]
) -> None:
    """A write that failed inside PagerDuty may have happened; a refused one has not."""
    box.run(lambda: box.faults.add(Fault(vendor="pagerduty", kind="status", status=status)))
    with pytest.raises(OutsideError) as raised:
        _desk(box).write(_action(incident, Note(draft=DRAFT)))
    assert type(raised.value) is kind
    assert _notes(box, incident) == []


def test_an_answer_that_is_no_note_leaves_us_unsure(box: Sandbox, incident: dict[str, Any]) -> None:
    """A page of HTML after a write does not say whether it happened."""
    box.run(lambda: box.faults.add(Fault(vendor="pagerduty", kind="nonsense", match="^POST")))
    with pytest.raises(Unsure):
        _desk(box).write(_action(incident, Note(draft=DRAFT)))


def test_an_incident_can_be_acknowledged(box: Sandbox, incident: dict[str, Any]) -> None:
    """Its state is its own marker."""
    desk, action = _desk(box), _action(incident, ACKNOWLEDGE)
    assert desk.probe(action) is None
    assert desk.write(action).before == {"state": "triggered"}
    assert incident["status"] == "acknowledged"
    assert desk.probe(action) is not None


def test_what_people_resolved_stays_resolved(box: Sandbox, incident: dict[str, Any]) -> None:
    """An acknowledgement that comes late does not open an incident again."""
    box.run(lambda: box.pagerduty.recover("k"))
    _desk(box).write(_action(incident, ACKNOWLEDGE))
    assert incident["status"] == "resolved"


def test_a_note_is_taken_back_by_deleting_it(box: Sandbox, incident: dict[str, Any]) -> None:
    """Twice is as good as once, and the probe sees that it is gone."""
    desk = _desk(box)
    handle = desk.write(_action(incident, Note(draft=DRAFT))).handle
    retraction = _action(incident, RetractNote(handle=handle, reason="rolled back"))
    assert desk.probe(retraction) is None
    desk.write(retraction)
    desk.write(retraction)
    assert _notes(box, incident) == []
    assert desk.probe(retraction) is not None


@pytest.mark.parametrize(
    ("effect", "sentence"),
    [
        (Reopen(reason="rolled back"), "ask a person"),
        (Route(group="DBA", reason="theirs"), "another desk"),
        (SetFields(fields={"priority": "P1"}, reason="worse"), "another desk"),
        (CreateTicket(title="t", description="d", correlation="x"), "another desk"),
        (Attach(name="timeline.txt", text="02:00 CPU high"), "another desk"),
    ],
)
def test_what_pagerduty_can_not_do_is_refused(
    box: Sandbox, incident: dict[str, Any], effect: Effect, sentence: str
) -> None:
    """Reopening pages people and is theirs; the rest does not exist there. Nothing is sent."""
    with pytest.raises(Permanent, match=sentence):
        _desk(box).write(_action(incident, effect))
    assert box.world.writes == []


def test_without_a_user_to_write_as_nothing_is_written(box: Sandbox, incident: dict[str, Any]) -> None:
    """PagerDuty needs From; the sentence names the setting, before a write and in doctor."""
    with pytest.raises(Permanent, match="COUNTERSIGN_PAGERDUTY__SENDER"):
        _desk(box, email="").write(_action(incident, Note(draft=DRAFT)))
    for email in ("", "nobody@example.com"):
        assert [
            "COUNTERSIGN_PAGERDUTY__SENDER" in check.detail for check in _desk(box, email=email).check()
        ] == [
            False,
            True,
        ]
    assert all(check.ok for check in _desk(box).check())


def test_open_incidents_are_found_by_what_an_alert_knows(box: Sandbox, incident: dict[str, Any]) -> None:
    """By dedup key, address or id; other keys are not asked for, and a resolved incident is not open."""
    desk, key = _desk(box), f"pagerduty:{incident['id']}"
    keys = [
        key,
        incident["html_url"],
        incident["id"],
        "pagerduty:Q0000000000000",
        "INC0010023",
        "datadog:1:x",
        "../x",
    ]
    found = desk.find(keys)
    assert set(found) == {key, incident["html_url"], incident["id"]}
    assert (found[key].ref.key, found[key].state) == ("#1", TicketState.OPEN)
    box.run(lambda: box.pagerduty.recover("k"))
    assert desk.find(keys) == {}


def test_what_people_did_is_read_and_what_machines_did_is_not(box: Sandbox, incident: dict[str, Any]) -> None:
    """Notes and resolutions with their author's email, ours marked as ours, a service's left out."""

    def people() -> None:
        box.pagerduty.add_note(incident["id"], ENGINEER, "/countersign approve 7f3a")
        box.pagerduty.recover("k")

    desk = _desk(box)
    desk.write(_action(incident, Note(draft=DRAFT)))
    box.run(people)
    box.run(lambda: box.world.clock.step(timedelta(seconds=2)))
    pages = list(desk.changes(None))
    changes = [change for page in pages for change in page.changes]
    assert [(change.kind, change.author, change.by_us) for change in changes] == [
        (ChangeKind.COMMENT, BOT_EMAIL, True),
        (ChangeKind.COMMENT, ENGINEER, False),
    ]
    assert changes[1].text == "/countersign approve 7f3a"
    assert {ticket.ref.id for page in pages for ticket in page.tickets} == {incident["id"]}
    assert [change.id for page in desk.changes(pages[-1].cursor) for change in page.changes] == [
        change.id for change in changes
    ]


def test_what_was_done_in_one_incident_is_read_alone(box: Sandbox, incident: dict[str, Any]) -> None:
    """By its own log entries, from a time on: what approvals are held against before a late write."""

    def people() -> None:
        other = box.pagerduty.fire("Disk full", "reporting", "error", "another", {}, box.world.clock.now())
        for one, text in ((incident["id"], "before"), (other, "elsewhere")):
            box.pagerduty.add_note(one, ENGINEER, text)
        box.world.clock.step(timedelta(minutes=5))
        box.pagerduty.add_note(incident["id"], ENGINEER, "hold on")
        box.world.clock.step(timedelta(seconds=2))

    box.run(people)
    desk, ref = _desk(box), _action(incident, Note(draft=DRAFT)).ticket
    assert ref is not None
    since_then = [
        [one.text for one in desk.changes_in(ref, START + after)]
        for after in (timedelta(0), timedelta(minutes=1))
    ]
    assert since_then == [["before", "hold on"], ["hold on"]]


def test_a_persons_resolution_and_acknowledgement_are_changes(box: Sandbox, incident: dict[str, Any]) -> None:
    """Kinds of change are told apart."""
    desk = _desk(box)
    desk.write(_action(incident, ACKNOWLEDGE))
    desk.write(_action(incident, Close(draft=DRAFT, reason="recovered")))
    box.run(lambda: box.world.clock.step(timedelta(seconds=2)))
    kinds = [change.kind for page in desk.changes(None) for change in page.changes]
    assert kinds == [ChangeKind.ACKNOWLEDGED, ChangeKind.RESOLVED, ChangeKind.COMMENT]


def test_what_somebody_did_who_was_deleted_since_holds_nothing_up(
    box: Sandbox, incident: dict[str, Any]
) -> None:
    """The log names them by an id that nobody has any more; their words are read, and command nothing."""

    def leave() -> None:
        gone = box.pagerduty.add_user("Gone", "gone@example.com")
        box.pagerduty.add_note(incident["id"], "gone@example.com", "mine")
        box.pagerduty.delete_user(gone)
        box.pagerduty.add_note(incident["id"], ENGINEER, "hers")

    box.run(leave)
    box.run(lambda: box.world.clock.step(timedelta(minutes=1)))
    changes = [change for page in _desk(box).changes(None) for change in page.changes]
    assert {(change.author, change.text) for change in changes} == {("", "mine"), (ENGINEER, "hers")}
