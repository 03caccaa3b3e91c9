"""Jira's issues in our words, whatever its fields are called there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from connectors.jira import mapping
from connectors.jira.client import both, quoted
from connectors.jira.fields import before_of, edit_of
from countersign.alerts import AlertState
from countersign.errors import Permanent, UnreadableAlert
from countersign.severity import Severity
from countersign.tickets import ChangeKind, TicketRef, TicketState

URL = "https://example.atlassian.net"
PLACES = {
    "group": "label:team",
    "category": "option:customfield_1",
    "ci": "customfield_2",
    "service": "components",
}
REF = TicketRef(desk="jira", id="10001", key="OPS-7")


def _status(category: str) -> dict[str, object]:
    return {"id": "3", "name": "x", "statusCategory": {"key": category}}


FIELDS = {
    "summary": "Disk of db-3 is full",
    "description": {
        "type": "doc",
        "content": [{"type": "paragraph", "content": [{"type": "text", "text": "97 %"}]}],
    },
    "status": _status("new"),
    "created": "2026-11-20T02:00:00.000-0700",
    "updated": "2026-11-20T02:05:00.123-0700",
    "labels": ["team:Service%20Desk", "datadog:7:host:db-3"],
    "components": [{"name": "payments"}],
    "priority": {"name": "Highest"},
    "customfield_1": {"value": "capacity"},
    "customfield_2": "db-3",
}
ISSUE = {"id": "10001", "key": "OPS-7", "fields": FIELDS}


def test_our_fields_are_read_where_the_configuration_says_they_live() -> None:
    """Labels, select lists, text fields and components; times in UTC."""
    ticket = mapping.to_ticket(ISSUE, URL, PLACES)
    assert (ticket.group, ticket.category, ticket.ci, ticket.service) == (
        "Service Desk",
        "capacity",
        "db-3",
        "payments",
    )
    assert ticket.opened_at == datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
    assert ticket.description == "97 %"
    assert ticket.ref.url == f"{URL}/browse/OPS-7"


@pytest.mark.parametrize(
    ("category", "state"),
    [("new", TicketState.OPEN), ("indeterminate", TicketState.OPEN), ("done", TicketState.RESOLVED)],
)
def test_the_state_is_the_category_of_the_status(category: str, state: TicketState) -> None:
    """Every project names its statuses as it likes."""
    issue = ISSUE | {"fields": FIELDS | {"status": _status(category)}}
    assert mapping.to_ticket(issue, URL, PLACES).state is state


@pytest.mark.parametrize("field", ["summary", "status", "created", "updated"])
def test_an_issue_that_hides_what_makes_it_is_unreadable(field: str) -> None:
    """It goes to the dead letters with the reason."""
    hidden = {name: value for name, value in FIELDS.items() if name != field}
    with pytest.raises(UnreadableAlert, match=field):
        mapping.to_ticket(ISSUE | {"fields": hidden}, URL, PLACES)


@pytest.mark.parametrize(
    ("priority", "severity"),
    [("Highest", Severity.CRITICAL), ("Low", Severity.LOW), ("Whenever", Severity.MEDIUM)],
)
def test_an_issue_born_in_the_desk_is_an_alert_of_its_own(priority: str, severity: Severity) -> None:
    """It is known by its key and carries its ticket; an odd priority is medium."""
    issue = ISSUE | {"fields": FIELDS | {"priority": {"name": priority}}}
    alert = mapping.to_alert(mapping.to_ticket(issue, URL, PLACES))
    assert (alert.dedup_key, alert.severity, alert.state) == ("jira:OPS-7", severity, AlertState.FIRING)
    assert alert.ticket is not None


@pytest.mark.parametrize(
    ("marks", "internal"),
    [
        ({"jsdPublic": False}, True),
        ({"jsdPublic": True}, False),
        ({}, False),
        (
            {"jsdPublic": True, "properties": [{"key": "sd.public.comment", "value": {"internal": True}}]},
            True,
        ),
        (
            {"jsdPublic": False, "properties": [{"key": "sd.public.comment", "value": {"internal": False}}]},
            False,
        ),
    ],
)
def test_a_comment_is_internal_only_if_jira_says_so(marks: dict[str, object], internal: bool) -> None:
    """In a service project a comment without the mark reaches the customer."""
    comment = {"id": "1", "created": "2026-11-20T09:00:00.000+0000", "body": "x", **marks}
    assert mapping.comment_change(comment, REF, "us", customers=True).internal is internal
    assert mapping.comment_change(comment, REF, "us", customers=False).internal


@pytest.mark.parametrize(
    ("item", "extra", "kind"),
    [
        ({"from": "1", "to": "3"}, [], ChangeKind.RESOLVED),
        ({"from": "3", "to": "1"}, [], ChangeKind.REOPENED),
        ({"from": "1", "to": "2"}, [], ChangeKind.ACKNOWLEDGED),
        ({"from": "8", "to": "9"}, [{"fieldId": "resolution", "toString": "Done"}], ChangeKind.RESOLVED),
        ({"from": "9", "to": "8"}, [{"fieldId": "resolution", "fromString": "Done"}], ChangeKind.REOPENED),
        ({"from": "8", "to": "9"}, [], ChangeKind.FIELD),
    ],
)
def test_a_status_change_is_read_by_meaning(
    item: dict[str, str], extra: list[dict[str, str]], kind: ChangeKind
) -> None:
    """By the category where the status is known, else by the resolution that went with it."""
    history = {
        "id": "5",
        "author": {"accountId": "dana"},
        "created": 1795165200000,
        "items": [{"fieldId": "status", **item}, *extra],
    }
    categories = {"1": "new", "2": "indeterminate", "3": "done"}
    changes = list(mapping.field_changes(history, REF, "us", PLACES, categories))
    assert [change.kind for change in changes if change.field == "state"] == [kind]


def test_a_changed_label_is_a_change_of_the_field_that_lives_in_it() -> None:
    """Other labels are nobody's correction."""
    item = {"fieldId": "labels", "fromString": "a team:NOC", "toString": "b team:tier-2"}
    history = {"id": "5", "created": 1795165200000, "items": [item]}
    (change,) = mapping.field_changes(history, REF, "us", PLACES, {})
    assert (change.field, change.before, change.after) == ("group", "NOC", "tier-2")


def test_an_edit_touches_only_the_labels_that_are_ours() -> None:
    """Labels are changed one by one, other fields as a whole in the form that their kind takes."""
    wanted = {"group": "tier 2", "category": "network", "ci": "", "priority": "Low"}
    assert before_of(wanted, ISSUE, PLACES) == {
        "group": "Service Desk",
        "category": "capacity",
        "ci": "db-3",
        "priority": "Highest",
    }
    assert edit_of(wanted, ISSUE, PLACES) == {
        "update": {"labels": [{"remove": "team:Service%20Desk"}, {"add": "team:tier%202"}]},
        "fields": {
            "customfield_1": {"value": "network"},
            "customfield_2": None,
            "priority": {"name": "Low"},
        },
    }


def test_a_field_without_a_place_is_refused() -> None:
    """With a sentence that says what to configure."""
    with pytest.raises(Permanent, match="say in the configuration where it lives"):
        edit_of({"mood": "bad"}, ISSUE, PLACES)


def test_a_key_is_a_label_where_a_label_can_hold_it() -> None:
    """A key with a space is looked for as others may have written it, and as we write it."""
    assert mapping.labels_of("datadog:7:host:db-3,env:prod") == ("datadog:7:host:db-3,env:prod",)
    ours, theirs = mapping.labels_of('splunk:"High" CPU')
    assert ours.startswith("countersign-")
    assert " " not in ours
    assert theirs == 'splunk:"High" CPU'


def test_jql_holds_values_and_alternatives_apart() -> None:
    """A key comes from an alert, so it must not end its quotes; an OR must not swallow our conditions."""
    assert quoted('a" OR project = X') == '"a\\" OR project = X"'
    assert both("project = OPS", "x = 1") == "project = OPS AND x = 1"
    assert both("a = 1 or b = 2", "x = 1") == "(a = 1 or b = 2) AND x = 1"
    assert both("", "x = 1") == "x = 1"


@pytest.mark.parametrize(
    ("spent", "minutes"),
    [(400, 400 / 60), (0, None), (None, None), (-60, None), ("6m", None), (10**30, None)],
)
def test_time_that_people_logged_is_told_and_none_is_no_figure(spent: object, minutes: float | None) -> None:
    """Seconds in `timespent`. Whoever logged nothing did not say that nobody worked; odd values say nothing."""
    issue = ISSUE | {"fields": FIELDS | {"timespent": spent, "aggregatetimespent": 9_000}}
    worked = mapping.to_ticket(issue, URL, PLACES).worked
    assert (worked and worked / timedelta(minutes=1)) == minutes
    assert mapping.to_ticket(ISSUE, URL, PLACES).worked is None


@pytest.mark.parametrize(
    ("category", "status", "resolution", "failed", "cancelled"),
    [
        ("done", "Completed", "Done", False, False),
        ("done", "Failed", "Done", True, False),
        ("done", "Done", "Rolled back", True, False),
        ("done", "Done", "Done", None, False),
        ("done", "Canceled", None, None, True),
        ("done", "Done", "Not needed", None, True),
    ],
)
def test_a_change_ended_as_its_status_and_resolution_are_called(
    category: str, status: str, resolution: str | None, failed: bool | None, cancelled: bool
) -> None:
    """The worst word counts; Done alone says that it is over, and no more."""
    fields = {
        "status": {"name": status, "statusCategory": {"key": category}},
        "resolution": {"name": resolution} if resolution else None,
        "resolutiondate": "2026-11-20T02:05:00.000-0700",
        "labels": ["countersign-0123456789abcdef", "change-normal"],
    }
    end = mapping.change_end({"id": "1", "key": "CHG-1", "fields": fields}, "https://x", "Not needed")
    assert end is not None
    assert (end.failed, end.cancelled, end.marker) == (failed, cancelled, "countersign:0123456789abcdef")
    assert end.at == datetime(2026, 11, 20, 9, 5, tzinfo=UTC)


def test_a_change_that_is_not_over_has_no_end_and_others_issues_are_not_ours() -> None:
    """Whatever its resolution is called."""
    fields = {
        "status": _status("indeterminate"),
        "resolution": {"name": "Failed"},
        "labels": ["countersign-0123456789abcdef"],
    }
    end = mapping.change_end({"id": "1", "key": "CHG-1", "fields": fields}, "https://x", "Won't Do")
    assert end is not None
    assert end.at is None
    assert mapping.change_end(ISSUE, "https://x", "Won't Do") is None


def test_a_comment_that_is_written_over_is_said_anew_by_the_editor() -> None:
    """Whoever may edit others' comments must not approve in their name; one's own slip can be mended in place."""
    at, later = "2026-11-20T09:00:00.000+0000", "2026-11-20T09:05:00.000+0000"
    lead, admin = {"accountId": "lead"}, {"accountId": "admin", "accountType": "app"}
    said = {"id": "1", "created": at, "updated": at, "body": "x", "author": lead, "updateAuthor": lead}
    mended, forged = said | {"updated": later}, said | {"updateAuthor": admin}
    read = [mapping.comment_change(one, REF, "us", customers=False) for one in (said, mended, forged)]
    assert [(one.author, one.by_bot) for one in read] == [("lead", False), ("lead", False), ("admin", True)]
    assert [one.id for one in read] == ["comment:1", f"comment:1:{later}", f"comment:1:{at}"]
    assert read[1].at > read[0].at
    ours = mapping.comment_change(forged, REF, "lead", customers=False)
    assert (ours.by_us, ours.id) == (True, "comment:1")
