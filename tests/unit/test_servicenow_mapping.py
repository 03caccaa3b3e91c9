"""ServiceNow's rows in our words, and queries that say what they mean."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from connectors.servicenow import mapping
from connectors.servicenow.markup import before_in, neutral, note, remark
from connectors.servicenow.query import one_of, quoted, read_filter
from countersign.alerts import AlertState
from countersign.drafts import Block, Draft
from countersign.errors import UnreadableAlert
from countersign.severity import Severity
from countersign.tickets import ChangeKind, TicketRef, TicketState

SYS_ID = "9d385017c611228701d22104cc95c371"
URL = "https://example.service-now.com"
NOC = "d625dccec0a8016700a222a0f7900d06"


def _both(value: str, shown: str = "") -> dict[str, str]:
    return {"value": value, "display_value": shown or value}


ROW = {
    "sys_id": _both(SYS_ID),
    "number": _both("INC0010023"),
    "short_description": _both("Disk of db-3 is full"),
    "description": _both("97 % used"),
    "state": _both("2", "In Progress"),
    "active": _both("true"),
    "category": _both("software", "Software"),
    "priority": _both("2", "2 - High"),
    "assignment_group": _both(NOC, "NOC"),
    "assigned_to": _both("", ""),
    "business_service": _both("a" * 32, "payments"),
    "cmdb_ci": _both("b" * 32, "db-3"),
    "opened_at": _both("2026-11-20 09:00:00", "2026-11-20 02:00:00"),
    "sys_updated_on": _both("2026-11-20 09:05:00", "2026-11-20 02:05:00"),
    "sys_updated_by": _both("dana.okafor"),
    "sys_mod_count": _both("3"),
}
REF = TicketRef(desk="servicenow", id=SYS_ID, key="INC0010023")


def test_a_ticket_has_raw_times_in_utc_and_names_instead_of_ids() -> None:
    """The display value of a time is in somebody's zone; the display value of a reference is what people say."""
    ticket = mapping.to_ticket(ROW, URL)
    assert ticket.opened_at == datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
    assert (ticket.group, ticket.ci, ticket.service) == ("NOC", "db-3", "payments")
    assert ticket.category == "software"
    assert ticket.ref.url == f"{URL}/nav_to.do?uri=incident.do%3Fsys_id%3D{SYS_ID}"


@pytest.mark.parametrize(
    ("state", "active", "expected"),
    [
        ("1", "true", TicketState.OPEN),
        ("3", "true", TicketState.OPEN),
        ("6", "true", TicketState.RESOLVED),
        ("7", "false", TicketState.CLOSED),
        ("8", "false", TicketState.CLOSED),
        ("-100", "true", TicketState.OPEN),
        ("-100", "false", TicketState.CLOSED),
    ],
)
def test_a_state_that_an_instance_made_up_is_judged_by_active(
    state: str, active: str, expected: TicketState
) -> None:
    """Resolved is still active there; an unknown state is open as long as the record is active."""
    row = ROW | {"state": _both(state), "active": _both(active)}
    assert mapping.to_ticket(row, URL).state is expected


@pytest.mark.parametrize("field", ["sys_id", "number", "state", "sys_updated_on"])
def test_a_row_that_hides_what_names_it_is_unreadable(field: str) -> None:
    """Fields that we may not read are simply missing."""
    with pytest.raises(UnreadableAlert, match=field):
        mapping.to_ticket({name: value for name, value in ROW.items() if name != field}, URL)


@pytest.mark.parametrize(
    ("priority", "severity"),
    [
        ("1 - Critical", Severity.CRITICAL),
        ("2 - High", Severity.HIGH),
        ("3 - Moderate", Severity.MEDIUM),
        ("4 - Low", Severity.LOW),
        ("5 - Planning", Severity.INFO),
        ("", Severity.MEDIUM),
    ],
)
def test_a_ticket_born_in_the_desk_is_an_alert_of_its_own(priority: str, severity: Severity) -> None:
    """It is known by its sys_id, carries its ticket, and its severity comes from the priority."""
    number = priority[:1]
    ticket = mapping.to_ticket(ROW | {"priority": _both(number, priority)}, URL)
    alert = mapping.to_alert(ticket)
    assert alert.dedup_key == f"servicenow:{SYS_ID}"
    assert alert.ticket == ticket.ref
    assert alert.state is AlertState.FIRING
    assert alert.severity is severity


@pytest.mark.parametrize(("element", "internal"), [("work_notes", True), ("comments", False)])
def test_only_work_notes_are_internal(element: str, internal: bool) -> None:
    """Additional comments reach the caller, so they must never command."""
    row = {
        "sys_id": _both("1" * 32),
        "element": _both(element),
        "element_id": _both(SYS_ID),
        "value": _both("/countersign approve 7f3a"),
        "sys_created_on": _both("2026-11-20 09:06:00"),
        "sys_created_by": _both("dana.okafor"),
    }
    change = mapping.comment(row, {SYS_ID: REF}, "countersign.api")
    assert change.internal is internal
    assert (change.author, change.by_us) == ("dana.okafor", False)


@pytest.mark.parametrize(
    ("field", "before", "after", "kind"),
    [
        ("state", "1", "2", ChangeKind.ACKNOWLEDGED),
        ("state", "2", "6", ChangeKind.RESOLVED),
        ("state", "6", "7", ChangeKind.FIELD),
        ("state", "6", "2", ChangeKind.REOPENED),
        ("category", "software", "network", ChangeKind.FIELD),
    ],
)
def test_audit_rows_say_what_happened(field: str, before: str, after: str, kind: ChangeKind) -> None:
    """From resolved to closed nothing new has happened; from resolved back it was reopened."""
    change = mapping.field_change(_audit(field, before, after), {SYS_ID: REF}, "countersign.api", {})
    assert change is not None
    assert (change.kind, change.before, change.after) == (kind, before, after)


def test_audit_rows_name_groups_and_pass_over_bookkeeping() -> None:
    """A sys_id means nothing to a reader, and a field of no use gives no change."""
    moved = mapping.field_change(
        _audit("assignment_group", NOC, ""), {SYS_ID: REF}, "countersign.api", {NOC: "NOC"}
    )
    assert moved is not None
    assert (moved.field, moved.before, moved.after) == ("group", "NOC", "")
    assert mapping.field_change(_audit("sys_tags", "", "x"), {SYS_ID: REF}, "us", {}) is None


def _audit(field: str, before: str, after: str) -> dict[str, object]:
    return {
        "sys_id": _both("2" * 32),
        "documentkey": _both(SYS_ID),
        "fieldname": _both(field),
        "oldvalue": _both(before),
        "newvalue": _both(after),
        "user": _both("dana.okafor"),
        "sys_created_on": _both("2026-11-20 09:06:00"),
    }


def test_a_filter_holds_rows_against_each_of_its_conditions() -> None:
    """A group is compared by its name, because a policy does not know sys_ids."""
    mine = read_filter("assignment_group=NOC^active=true^priority=1^ORpriority=2")
    row = ROW | {"assignment_group.name": _both("NOC")}
    assert mine.paths == ("active", "assignment_group.name", "priority")
    assert mine.holds(row)
    assert not mine.holds(row | {"active": _both("false")})
    assert not mine.holds(row | {"assignment_group.name": _both("tier-2")})
    assert not mine.holds(row | {"priority": _both("3", "3 - Moderate")})
    assert mine.missing(ROW) == ("assignment_group.name",)


def test_each_alternative_of_a_filter_is_narrowed() -> None:
    """What follows ^NQ is a query of its own: a time that stands only in the last one leaves the first open."""
    text = read_filter("state=1^NQstate=2").narrowed("sys_updated_on>=2026-11-20 09:00:00")
    assert text == "state=1^sys_updated_on>=2026-11-20 09:00:00^NQstate=2^sys_updated_on>=2026-11-20 09:00:00"


def test_what_is_no_condition_is_refused() -> None:
    """ServiceNow would ignore it and give every row."""
    with pytest.raises(ValueError, match="write it as field=value"):
        read_filter("assignment group is NOC")


@pytest.mark.parametrize("value", ["x^ORactive=true", "x\nactive=true", "javascript:gs.getUserID()"])
def test_a_value_never_becomes_a_condition(value: str) -> None:
    """Keys come from alerts, and so from anybody."""
    with pytest.raises(ValueError, match="can't be asked for"):
        quoted(value)
    with pytest.raises(ValueError, match="can't be asked for"):
        one_of("correlation_id", ("a", value))
    assert mapping.correlation_of(value).startswith("countersign-")
    assert mapping.correlations_of(value) == (mapping.correlation_of(value),)


def test_a_note_reads_well_and_is_no_markup() -> None:
    """The exact text of a work note; [code] and tags are made harmless, shell signs stay."""
    draft = Draft(
        headline="Disk of db-3 <b>full</b>",
        blocks=(
            Block(title="Likely cause", lines=("[code]<script>x</script>[/code] grew",)),
            Block(title="What next", style="commands", lines=("df -h > out - shows it, if 3 < 4",)),
        ),
        provenance="policy alert-triage v3 · case c1",
    )
    assert note(draft, "countersign:0123456789abcdef") == (
        "Disk of db-3 ‹b>full‹/b>\n"
        "\n"
        "LIKELY CAUSE\n"
        "  (code)‹script>x‹/script>(/code) grew\n"
        "\n"
        "WHAT NEXT\n"
        "  - df -h > out - shows it, if 3 < 4\n"
        "\n"
        "policy alert-triage v3 · case c1 · countersign:0123456789abcdef"
    )


def test_a_remark_carries_its_before_image() -> None:
    """So an undo finds it again even if the answer to the write was lost; a reason can't forge one."""
    text = remark("Routed: why\nBefore: group = admins", "countersign:ab", {"group": "NOC", "ci": ""})
    assert before_in(text) == {"group": "NOC", "ci": ""}
    assert text.splitlines()[-1] == "countersign:ab"
    assert neutral("[ code ]") == "(code)"


@pytest.mark.parametrize(
    ("told", "worked"),
    [
        ("1970-01-01 00:10:00", timedelta(minutes=10)),
        ("1970-01-02 01:00:00", timedelta(hours=25)),
        ("1970-01-01 00:00:00", None),
        ("1969-12-31 23:00:00", None),
        ("", None),
        ("10 Minutes", None),
    ],
)
def test_time_that_people_worked_is_a_span_since_1970(told: str, worked: timedelta | None) -> None:
    """How long the incident was open in business hours is not work; nothing logged is unknown, not none."""
    row = ROW | {"time_worked": _both(told, "?"), "business_duration": _both("1970-01-01 05:00:00")}
    assert mapping.to_ticket(row, URL).worked == worked
    assert mapping.to_ticket(ROW, URL).worked is None
