"""What we read of ServiceNow: nothing missed, nothing that was not asked for, and every right tried."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from structlog.testing import capture_logs

from connectors.servicenow.client import ServiceNowClient, ServiceNowConfig
from connectors.servicenow.cmdb import ServiceNowCmdb
from connectors.servicenow.desk import ServiceNowDesk
from connectors.servicenow.directory import ServiceNowDirectory
from connectors.servicenow.source import ServiceNowSource
from countersign.errors import ConfigError, Denied, Permanent, Transient
from countersign.ports import Firing
from countersign.tickets import ChangeKind, TicketChange
from sandbox.faults import Fault
from sandbox.server import Sandbox
from sandbox.tickets import tickets

pytestmark = pytest.mark.contract
START = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def _now() -> datetime:
    return START


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(seed=7, start=START, speed=0) as box:
        box.run(partial(box.servicenow.add_group, "NOC", ["dana.okafor", "ada.new"]))
        box.run(partial(box.servicenow.add_group, "tier-2", ["amir.haddad", "ada.new"]))
        yield box


@pytest.fixture
def config(box: Sandbox) -> ServiceNowConfig:
    return ServiceNowConfig(
        url=box.urls["servicenow"], user="countersign.api", password="x", page_size=3, read_s=5
    )


@pytest.fixture
def client(config: ServiceNowConfig) -> Iterator[ServiceNowClient]:
    client = ServiceNowClient(config)
    yield client
    client.close()


@pytest.fixture
def desk(client: ServiceNowClient) -> ServiceNowDesk:
    return ServiceNowDesk(client, clock=_now)


def _open(box: Sandbox, **fields: str) -> str:
    row = box.run(partial(box.servicenow.open_incident, **{"short_description": "x", **fields}))
    return str(row["sys_id"])


def _changes(desk: ServiceNowDesk, cursor: str | None = None) -> list[TicketChange]:
    return [change for page in desk.changes(cursor) for change in page.changes]


def _methods(logs: list[dict[str, object]]) -> list[object]:
    return [log["path"] for log in logs if log["event"] == "vendor.called"]


def test_time_that_people_log_comes_with_the_ticket_that_changed(box: Sandbox, desk: ServiceNowDesk) -> None:
    """What several people log adds up; before anybody did, it is unknown."""
    _open(box)
    (before,) = next(iter(desk.changes(None))).tickets
    assert before.worked is None
    (worked,) = (one for one in tickets(box.servicenow, box.jira) if one.vendor == "servicenow")
    for user, minutes in (("dana.okafor", 60), ("ada.new", 5)):
        box.run(partial(worked.log_work, user, minutes))
    read = [ticket for page in desk.changes(None) for ticket in page.tickets]
    assert read[-1].worked == timedelta(minutes=65)


def test_a_hundred_keys_are_one_call(box: Sandbox, desk: ServiceNowDesk) -> None:
    """By correlation id, in one read; those that nothing carries are left out."""
    _open(box, correlation_id="datadog:7:host:db-3")
    _open(box, correlation_id="datadog:8:host:a,env:b")
    own = _open(box)
    keys = [f"none:{number}" for number in range(97)]
    keys += ["datadog:7:host:db-3", "datadog:8:host:a,env:b", f"servicenow:{own}"]
    with capture_logs() as logs:
        found = desk.find(keys)
    assert set(found) == {"datadog:7:host:db-3", "datadog:8:host:a,env:b", f"servicenow:{own}"}
    assert len(_methods(logs)) == 1


def test_long_keys_do_not_make_the_address_too_long(box: Sandbox, desk: ServiceNowDesk) -> None:
    """Servers refuse request lines of 8 KB."""
    _open(box, correlation_id="ü" * 90)
    assert set(desk.find([*(f"{'ß' * 90}{n}" for n in range(99)), "ü" * 90])) == {"ü" * 90}


def test_only_open_tickets_are_found_and_the_newest_wins(box: Sandbox, desk: ServiceNowDesk) -> None:
    """A recurrence after the close is a new episode."""
    _open(box, correlation_id="k", state="6", close_code="x", close_notes="y")
    assert desk.find(["k"]) == {}
    _open(box, correlation_id="k", sys_created_on="2026-11-20 08:00:00")
    newest = _open(box, correlation_id="k", sys_created_on="2026-11-20 08:30:00")
    assert desk.find(["k"])["k"].ref.id == newest


def test_a_key_can_not_widen_the_search(box: Sandbox, desk: ServiceNowDesk) -> None:
    """Keys come from alerts."""
    _open(box, correlation_id="k")
    assert desk.find(["x^ORactive=true", "x\n^NQactive=true", "servicenow:active"]) == {}


def test_changes_name_who_did_what(box: Sandbox, desk: ServiceNowDesk) -> None:
    """Notes from the journal, fields from the audit, groups by name, our own marked as ours."""
    sys_id = _open(box, assignment_group="NOC", category="software")
    snow = box.servicenow
    box.run(lambda: snow.add_note(sys_id, "dana.okafor", "/countersign approve 7f3a"))
    box.run(lambda: snow.add_note(sys_id, "customer", "/countersign approve 7f3a", internal=False))
    box.run(lambda: snow.add_note(sys_id, "countersign.api", "ours"))
    box.run(lambda: snow.set_fields(sys_id, "amir.haddad", assignment_group="tier-2", category="network"))
    seen = {
        (c.kind, c.author, c.field, c.before, c.after, c.text, c.internal, c.by_us) for c in _changes(desk)
    }
    command = "/countersign approve 7f3a"
    assert seen == {
        (ChangeKind.COMMENT, "dana.okafor", "", "", "", command, True, False),
        (ChangeKind.COMMENT, "customer", "", "", "", command, False, False),
        (ChangeKind.COMMENT, "countersign.api", "", "", "", "ours", True, True),
        (ChangeKind.FIELD, "amir.haddad", "group", "NOC", "tier-2", "", True, False),
        (ChangeKind.FIELD, "amir.haddad", "category", "software", "network", "", True, False),
    }


def test_resolving_and_reopening_are_told_apart(box: Sandbox, desk: ServiceNowDesk) -> None:
    """So that a reopen can withdraw autonomy."""
    sys_id = _open(box)
    steps = ({"state": "2"}, {"state": "6", "close_code": "x", "close_notes": "y"}, {"state": "2"})
    for step in steps:
        box.run(partial(box.servicenow.set_fields, sys_id, "dana.okafor", **step))
    kinds = {change.kind for change in _changes(desk) if change.field == "state"}
    assert kinds == {ChangeKind.ACKNOWLEDGED, ChangeKind.RESOLVED, ChangeKind.REOPENED}


def test_no_ticket_is_missed_when_all_share_one_second(box: Sandbox, desk: ServiceNowDesk) -> None:
    """Ten tickets of one second, pages of three: the place is time and sys_id, not time alone."""
    made = {_open(box) for _ in range(10)}
    pages = list(desk.changes(None))
    assert sorted(t.ref.id for page in pages for t in page.tickets) == sorted(made)


def test_hidden_rows_do_not_end_the_reading(box: Sandbox, desk: ServiceNowDesk) -> None:
    """The limit is applied before access rules: a page may be empty and still not be the last."""
    made = sorted(_open(box) for _ in range(12))
    box.servicenow.hidden.update(made[:7])
    assert sorted(t.ref.id for page in desk.changes(None) for t in page.tickets) == made[7:]


def test_reading_goes_on_where_it_stopped(box: Sandbox, client: ServiceNowClient) -> None:
    """With an overlap: what was seen shortly before comes again, what is older does not."""
    desk = ServiceNowDesk(client, clock=box.world.clock.now)
    old = _open(box)
    cursor = [page.cursor for page in desk.changes(None)][-1]
    box.world.clock.step(timedelta(hours=1))
    new = _open(box)
    pages = list(desk.changes(cursor))
    assert {t.ref.id for page in pages for t in page.tickets} == {old, new}
    later = [t.ref.id for page in desk.changes(pages[-1].cursor) for t in page.tickets]
    assert later == [new]


def test_a_first_reading_without_tickets_gives_a_cursor(desk: ServiceNowDesk) -> None:
    """Else each next one would be a first one."""
    (page,) = desk.changes(None)
    assert page.cursor == "2026-11-19 09:00:00"
    with pytest.raises(Permanent, match="reset it"):
        list(desk.changes("yesterday"))


def test_an_ignored_part_of_a_query_is_noticed(box: Sandbox, config: ServiceNowConfig) -> None:
    """A field that the instance does not know is dropped from the query without a word."""
    _open(box)
    client = ServiceNowClient(replace(config, match="u_team=NOC"))
    with pytest.raises(Permanent, match="does not show the field u_team"):
        list(ServiceNowSource(client, clock=_now).read(None))
    client.close()


def test_a_match_that_is_no_query_is_refused_at_the_start(config: ServiceNowConfig) -> None:
    """With a sentence, before any call."""
    client = ServiceNowClient(replace(config, match="group is NOC"))
    with pytest.raises(ConfigError, match="write it as field=value"):
        ServiceNowSource(client)
    client.close()


def test_a_refused_audit_leaves_the_notes(box: Sandbox, desk: ServiceNowDesk) -> None:
    """Without audit_viewer commands still work; check says what is missing."""
    sys_id = _open(box)
    box.run(lambda: box.servicenow.add_note(sys_id, "dana.okafor", "hello"))
    box.run(lambda: box.servicenow.set_fields(sys_id, "dana.okafor", category="network"))
    box.faults.add(Fault(vendor="servicenow", kind="status", status=403, match="sys_audit", times=None))
    assert [change.text for change in _changes(desk)] == ["hello"]
    (failed,) = [check for check in desk.check() if not check.ok and "changed what" in check.what]
    assert "Grant role audit_viewer" in failed.detail


def test_check_knows_the_user_and_what_is_hidden(box: Sandbox, desk: ServiceNowDesk) -> None:
    """A user that can't be seen, and rows of which none is shown."""
    hidden = _open(box)
    box.servicenow.hidden.add(hidden)
    checks = {check.what: check for check in desk.check()}
    assert not checks["read incidents"].ok
    assert "Grant role itil" in checks["read incidents"].detail
    (unknown,) = [check for what, check in checks.items() if what.startswith("reach")]
    assert "countersign.api can't be seen" in unknown.detail
    box.run(partial(box.servicenow.add_user, "countersign.api"))
    box.servicenow.hidden.clear()
    assert all(check.ok for check in desk.check())


def test_check_says_that_the_password_is_wrong(box: Sandbox, desk: ServiceNowDesk) -> None:
    """Instead of raising."""
    box.faults.add(Fault(vendor="servicenow", kind="status", status=401, times=None))
    assert not any(check.ok for check in desk.check())
    assert "COUNTERSIGN_SERVICENOW__USER" in desk.check()[0].detail


def test_the_source_gives_tickets_born_in_the_desk(box: Sandbox, config: ServiceNowConfig) -> None:
    """In scope, open, and with no alert of another source behind them."""
    born = _open(box, assignment_group="NOC", short_description="My disk is full")
    _open(box, assignment_group="NOC", correlation_id="datadog:7:a")
    _open(box, assignment_group="tier-2")
    _open(box, assignment_group="NOC", state="6", close_code="x", close_notes="y")
    client = ServiceNowClient(replace(config, match="assignment_group=NOC^active=true"))
    source = ServiceNowSource(client, clock=_now)
    alerts = [alert for page in source.read(None) for alert in page.alerts]
    assert [(alert.source_id, alert.summary) for alert in alerts] == [(born, "My disk is full")]
    assert source.still_firing(alerts) is Firing.YES
    box.run(lambda: box.servicenow.set_fields(born, "dana", state="6", close_code="x", close_notes="y"))
    assert source.still_firing(alerts) is Firing.NO
    box.servicenow.hidden.add(born)
    assert source.still_firing(alerts) is Firing.UNKNOWN
    client.close()


def test_a_person_is_in_their_own_groups_only(box: Sandbox, client: ServiceNowClient) -> None:
    """Approvals depend on it: an unknown person, or a query that tries to widen, is in none."""
    directory = ServiceNowDirectory(client)
    assert directory.groups_of("ada.new") == {"NOC", "tier-2"}
    assert directory.groups_of("nobody") == frozenset()
    assert directory.groups_of("x^ORuser.user_name!=x") == frozenset()


def test_an_item_has_its_owner_and_what_it_depends_on(box: Sandbox, client: ServiceNowClient) -> None:
    """By the name of the item, else of the service; None where the CMDB has neither."""
    box.run(partial(box.servicenow.add_ci, "db-3", support_group="tier-2", business_criticality="1"))
    box.run(partial(box.servicenow.add_ci, "san-1"))
    box.run(partial(box.servicenow.relate, "db-3", "san-1"))
    cmdb = ServiceNowCmdb(client)
    item = cmdb.item(ci="db-3", service="payments")
    assert item is not None
    assert (item.name, item.owner_group, item.service) == ("db-3", "tier-2", "payments")
    assert item.depends_on == ("san-1",)
    by_service = cmdb.item(ci="unknown", service="san-1")
    assert by_service is not None
    assert by_service.name == "san-1"
    assert cmdb.item(ci="x^ORnameISNOTEMPTY", service="") is None


def test_only_changes_that_were_carried_out_count_as_recent(box: Sandbox, client: ServiceNowClient) -> None:
    """A draft, ours for example, has changed nothing yet."""
    box.run(partial(box.servicenow.add_ci, "db-3"))
    for state in ("-5", "3", "4"):
        fields = {"short_description": f"state {state}", "cmdb_ci": "db-3", "state": state}
        box.run(partial(box.servicenow.records.insert, "change_request", fields, "dana"))
    recent = ServiceNowCmdb(client).recent_changes(ci="db-3", service="", since=START - timedelta(hours=1))
    assert [change.title for change in recent] == ["state 3"]
    assert recent[0].at == START


@pytest.mark.parametrize("kind", ["nonsense", "empty", "truncated", "reset_before"])
def test_a_broken_answer_to_a_read_passes(kind: str, box: Sandbox, desk: ServiceNowDesk) -> None:
    """A hibernating instance, or nothing at all, is Transient: works, breaks, works again."""
    _open(box, correlation_id="k")
    assert desk.find(["k"])
    box.run(lambda: box.faults.add(Fault(vendor="servicenow", kind=kind)))  # type: ignore[arg-type]
    with pytest.raises(Transient):
        desk.find(["k"])
    assert desk.find(["k"])


def test_no_answer_is_trusted_when_the_query_was_ignored(
    box: Sandbox, desk: ServiceNowDesk, client: ServiceNowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else everybody would be in every group, and the first item of the CMDB would be everyone's."""
    _open(box, correlation_id="k")
    box.run(partial(box.servicenow.add_ci, "db-3"))
    monkeypatch.setattr("sandbox.servicenow_query._condition", lambda *_: None)
    assert ServiceNowDirectory(client).groups_of("nobody") == frozenset()
    assert ServiceNowCmdb(client).item(ci="web-1", service="") is None
    with pytest.raises(Permanent, match="was not asked for"):
        desk.find(["other"])


def test_a_note_with_an_odd_time_leaves_the_others(
    box: Sandbox, desk: ServiceNowDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is logged and left out, and does not hold up what people said after it."""
    monkeypatch.setattr("sandbox.servicenow_records._local_time", lambda utc, _zone: utc)
    sys_id = _open(box)
    box.run(lambda: box.servicenow.add_note(sys_id, "dana.okafor", "first"))
    box.run(lambda: box.servicenow.journal(sys_id)[0].update(sys_created_on="2026-11-20 noon"))
    box.run(lambda: box.servicenow.add_note(sys_id, "dana.okafor", "second"))
    with capture_logs() as logs:
        changes = [change.text for page in desk.changes(None) for change in page.changes]
    assert changes == ["second"]
    assert [log["event"] for log in logs if log["log_level"] == "warning"] == ["servicenow.change_unreadable"]


def test_an_item_tells_the_service_that_hangs_on_it(box: Sandbox, client: ServiceNowClient) -> None:
    """Where the alert names no service, the one above the item in the CMDB is it; an item above is none."""
    row = box.run(partial(box.servicenow.add_ci, "db-3"))
    service = box.run(partial(box.servicenow.add_ci, "Payments"))
    box.run(lambda: service.update(sys_class_name="cmdb_ci_service_discovered"))
    box.run(partial(box.servicenow.add_ci, "rack-7"))
    for parent in ("rack-7", "Payments"):
        box.run(partial(box.servicenow.relate, parent, "db-3", "Depends on::Used by"))
    item = ServiceNowCmdb(client).item(ci="db-3", service="")
    assert item is not None
    assert (item.id, item.service, item.depends_on) == (row["sys_id"], "Payments", ())


def test_a_refused_audit_hides_edits_of_our_changes_but_not_how_they_ended(
    box: Sandbox, desk: ServiceNowDesk
) -> None:
    """The close code is read off the change request itself; one without a close time ended when it was written last."""
    made = {"short_description": "x", "correlation_id": "countersign:0123456789abcdef"}
    row = box.run(partial(box.servicenow.records.insert, "change_request", made, "countersign.api"))
    box.run(
        partial(box.servicenow.set_fields, row["sys_id"], "dana.okafor", state="3", close_code="unsuccessful")
    )
    box.faults.add(Fault(vendor="servicenow", kind="status", status=403, match="sys_audit", times=None))
    (end,) = [end for page in desk.changes(None) for end in page.ends]
    assert (end.at, end.code, end.failed, end.cancelled) == (START, "unsuccessful", True, False)
    assert (end.ref.key, end.marker) == (row["number"], "countersign:0123456789abcdef")
    row["closed_at"], row["state"] = "", "4"
    (end,) = [end for page in desk.changes(None) for end in page.ends]
    assert (end.at, end.cancelled) == (START, True)


def test_rows_beside_an_error_are_not_all_there_are(box: Sandbox, client: ServiceNowClient) -> None:
    """A transaction that took too long has answered 200 by the time it is cancelled."""
    _open(box)
    box.faults.add(Fault(vendor="servicenow", kind="partial"))
    with pytest.raises(Transient, match="gave up"):
        client.rows("incident", "active=true", ("sys_id",))
    assert len(client.rows("incident", "active=true", ("sys_id",)).rows) == 1


def test_no_request_line_is_longer_than_servers_take(box: Sandbox, desk: ServiceNowDesk) -> None:
    """After a busy day 300 drafts have changed, and tickets have been through 300 groups."""

    def busy() -> None:
        sys_id = box.servicenow.open_incident(short_description="x")["sys_id"]
        for at in range(300):
            box.servicenow.add_group(f"group {at}", [])
            box.servicenow.set_fields(sys_id, "dana.okafor", assignment_group=f"group {at}")
            draft = {"correlation_id": f"countersign:{at:016x}", "short_description": "x"}
            box.servicenow.records.insert("change_request", draft, "countersign.api")

    box.run(busy)
    pages = list(desk.changes(None))
    assert len([change for page in pages for change in page.changes if change.after == "group 299"]) == 1
    assert sum(len(page.ends) for page in pages) == 300


def test_a_ticket_that_can_not_be_read_is_an_error_of_the_desk(box: Sandbox, desk: ServiceNowDesk) -> None:
    """So the cases wait until the field is shown; no other ticket is opened, and no error passes by the callers."""
    _open(box, correlation_id="k")
    box.servicenow.unreadable.add("incident.state")
    with pytest.raises(Permanent, match="without state"):
        desk.find(["k"])


def test_hidden_rows_are_not_taken_for_none(box: Sandbox, client: ServiceNowClient) -> None:
    """ "Nothing was changed" and "not an approver" are sentences that people act on."""
    box.run(partial(box.servicenow.add_group, "NOC", ["dana.okafor"]))
    box.run(partial(box.servicenow.add_ci, "db-3"))
    change = {"cmdb_ci": "db-3", "state": "3", "short_description": "Grow the disk"}
    box.run(lambda: box.servicenow.records.insert("change_request", change, "dana.okafor"))
    directory, cmdb = ServiceNowDirectory(client), ServiceNowCmdb(client)
    for rows in box.servicenow.records.rows.values():
        box.servicenow.hidden.update(rows)
    with pytest.raises(Denied, match="sys_user_grmember"):
        directory.groups_of("dana.okafor")
    with pytest.raises(Denied, match="cmdb_ci"):
        cmdb.item(ci="db-3", service="")
    with pytest.raises(Denied, match="change_request"):
        cmdb.recent_changes(ci="db-3", service="", since=_now() - timedelta(days=1))
    assert directory.groups_of("nobody") == frozenset()
    assert directory.groups_of("javascript:nobody") == frozenset()


def test_changes_whose_times_are_not_shown_are_a_missing_part(box: Sandbox, client: ServiceNowClient) -> None:
    """An error that the context knows, so that the case goes on without them."""
    box.run(partial(box.servicenow.add_ci, "db-3"))
    change = {"cmdb_ci": "db-3", "state": "3", "short_description": "Grow the disk"}
    box.run(lambda: box.servicenow.records.insert("change_request", change, "dana.okafor"))
    times = ("start_date", "closed_at", "sys_updated_on")
    box.servicenow.unreadable.update(f"change_request.{name}" for name in times)
    with pytest.raises(Permanent, match="change request can't be read"):
        ServiceNowCmdb(client).recent_changes(ci="db-3", service="", since=_now() - timedelta(days=1))


def test_case_is_no_sign_of_an_ignored_query(box: Sandbox, config: ServiceNowConfig) -> None:
    """ServiceNow compares texts without regard to case; of two keys that differ in it, each has its own ticket."""
    mine = _open(box, category="Software")
    client = ServiceNowClient(replace(config, match="category=software^assignment_groupISEMPTY"))
    alerts = [alert for page in ServiceNowSource(client, clock=_now).read(None) for alert in page.alerts]
    assert [alert.source_id for alert in alerts] == [mine]
    _open(box, correlation_id="datadog:7:host:a")
    desk = ServiceNowDesk(client, clock=_now)
    assert set(desk.find(["datadog:7:host:a"])) == {"datadog:7:host:a"}
    assert desk.find(["datadog:7:host:A"]) == {}
    client.close()
