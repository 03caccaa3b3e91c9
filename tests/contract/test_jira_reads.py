"""What we read of Jira: nothing missed however the search lags, and every permission tried."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from structlog.testing import capture_logs

from connectors.jira.client import JiraClient, JiraConfig
from connectors.jira.desk import JiraDesk
from connectors.jira.directory import JiraDirectory
from connectors.jira.source import JiraSource
from countersign.errors import Denied, Permanent, Transient
from countersign.ports import Firing
from countersign.tickets import ChangeKind, TicketChange
from sandbox.faults import Fault, Kind
from sandbox.server import Sandbox
from sandbox.tickets import tickets

pytestmark = pytest.mark.contract
START = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
COMMAND = "/countersign approve 7f3a"


def _now() -> datetime:
    return START


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(seed=7, start=START, speed=0) as box:
        yield box


@pytest.fixture
def config(box: Sandbox) -> JiraConfig:
    return JiraConfig(
        url=box.urls["jira"],
        user="countersign@example.com",
        token="x",
        project="OPS",
        page_size=3,
        fields={"group": "label:team", "category": "customfield_10050"},
        read_s=5,
    )


@pytest.fixture
def client(config: JiraConfig) -> Iterator[JiraClient]:
    client = JiraClient(config)
    yield client
    client.close()


@pytest.fixture
def desk(client: JiraClient) -> JiraDesk:
    return JiraDesk(client, clock=_now)


def _open(box: Sandbox, *labels: str, **fields: object) -> str:
    made = box.run(partial(box.jira.open_issue, "OPS", **{"summary": "x", "labels": list(labels), **fields}))
    return str(made.key)


def _finish(box: Sandbox, key: str) -> None:
    box.run(lambda: box.jira.transition(key, "dana", "Start progress"))
    box.run(lambda: box.jira.transition(key, "dana", "Resolve", resolution="Done"))


def _changes(desk: JiraDesk, cursor: str | None = None) -> list[TicketChange]:
    return [change for page in desk.changes(cursor) for change in page.changes]


def _called(logs: list[dict[str, object]]) -> list[object]:
    return [log["path"] for log in logs if log["event"] == "vendor.called"]


def test_building_a_client_calls_nobody(config: JiraConfig) -> None:
    """python-jira would ask for server info at once and for all fields at the first search."""
    with capture_logs() as logs:
        client = JiraClient(config)
        list(client.search("project = OPS", ("summary",)))
    assert _called(logs) == ["/rest/api/3/search/jql"]
    client.close()


def test_time_that_people_log_comes_with_the_ticket_that_changed(box: Sandbox, desk: JiraDesk) -> None:
    """What several people log adds up; before anybody did, it is unknown."""
    _open(box)
    (before,) = next(iter(desk.changes(None))).tickets
    assert before.worked is None
    (worked,) = (one for one in tickets(box.servicenow, box.jira) if one.vendor == "jira")
    for user, minutes in (("dana", 10), ("ada", 5)):
        box.run(partial(worked.log_work, user, minutes))
    read = [ticket for page in desk.changes(None) for ticket in page.tickets]
    assert read[-1].worked == timedelta(minutes=15)


def test_a_hundred_keys_are_two_searches(box: Sandbox, desk: JiraDesk) -> None:
    """One in the index, one that reads the hits as they are now."""
    first, second = _open(box, "datadog:7:a,b"), _open(box, "splunk:High CPU")
    with capture_logs() as logs:
        found = desk.find([*(f"none:{n}" for n in range(98)), "datadog:7:a,b", "splunk:High CPU"])
    assert {key: ticket.ref.key for key, ticket in found.items()} == {
        "datadog:7:a,b": first,
        "splunk:High CPU": second,
    }
    assert len(_called(logs)) == 2


def test_a_hit_of_a_stale_index_is_read_again(box: Sandbox, desk: JiraDesk) -> None:
    """The index still has it open; it was closed a moment ago."""
    key = _open(box, "k")
    box.run(lambda: setattr(box.world, "search_lag", timedelta(minutes=5)))
    box.world.clock.step(timedelta(minutes=10))
    assert set(desk.find(["k"])) == {"k"}
    _finish(box, key)
    assert desk.find(["k"]) == {}


def test_an_issue_is_found_by_its_own_key_also_beside_one_that_is_gone(box: Sandbox, desk: JiraDesk) -> None:
    """Jira refuses a list with a key that does not exist: then they are asked for one by one."""
    key = _open(box)
    assert set(desk.find([f"jira:{key}", "jira:OPS-99"])) == {f"jira:{key}"}
    box.faults.add(Fault(vendor="jira", kind="status", status=400))
    assert set(desk.find([f"jira:{key}", "jira:OPS-99"])) == {f"jira:{key}"}


def test_a_key_can_not_widen_the_search(box: Sandbox, desk: JiraDesk) -> None:
    """Keys come from alerts."""
    _open(box, "k")
    assert desk.find(['x") OR labels in ("k', "jira:OPS-1 OR project = OPS"]) == {}


def test_only_open_tickets_are_found_and_the_newest_wins(box: Sandbox, desk: JiraDesk) -> None:
    """A recurrence after the close is a new episode."""
    _finish(box, _open(box, "k"))
    assert desk.find(["k"]) == {}
    _open(box, "k")
    box.world.clock.step(timedelta(minutes=1))
    newest = _open(box, "k")
    assert desk.find(["k"])["k"].ref.key == newest


def test_changes_name_who_did_what(box: Sandbox, desk: JiraDesk, client: JiraClient) -> None:
    """Comments with their visibility, fields wherever they live, our own marked as ours."""
    key = _open(box, "team:NOC", customfield_10050="software")
    box.run(lambda: box.jira.add_comment(key, "dana", COMMAND))
    box.run(lambda: box.jira.add_comment(key, "customer", COMMAND, internal=False))
    box.run(lambda: box.jira.add_comment(key, "countersign", "ours"))
    box.run(lambda: box.jira.set_fields(key, "dana", labels=["team:tier-2"], customfield_10050="network"))
    dana = box.run(lambda: box.jira.records.account_of("dana"))
    customer = box.run(lambda: box.jira.records.account_of("customer"))
    seen = {
        (c.kind, c.author, c.field, c.before, c.after, c.text, c.internal, c.by_us) for c in _changes(desk)
    }
    assert seen == {
        (ChangeKind.COMMENT, dana, "", "", "", COMMAND, True, False),
        (ChangeKind.COMMENT, customer, "", "", "", COMMAND, False, False),
        (ChangeKind.COMMENT, client.me, "", "", "", "ours", True, True),
        (ChangeKind.FIELD, dana, "group", "NOC", "tier-2", "", True, False),
        (ChangeKind.FIELD, dana, "category", "software", "network", "", True, False),
    }


def test_without_customers_every_comment_commands(box: Sandbox, config: JiraConfig) -> None:
    """In a project that is no service desk nobody marks a comment internal."""
    key = _open(box)
    box.run(lambda: box.jira.add_comment(key, "dana", COMMAND, internal=False))
    client = JiraClient(replace(config, service_project=False))
    assert [change.internal for change in _changes(JiraDesk(client, clock=_now))] == [True]
    client.close()


def test_resolving_and_reopening_are_told_apart(box: Sandbox, desk: JiraDesk) -> None:
    """So that a reopen can withdraw autonomy."""
    key = _open(box)
    _finish(box, key)
    box.run(lambda: box.jira.transition(key, "dana", "Reopen"))
    kinds = [change.kind for change in _changes(desk) if change.field == "state"]
    assert kinds.count(ChangeKind.RESOLVED) == 1
    assert kinds.count(ChangeKind.REOPENED) == 1


def test_empty_pages_do_not_end_the_reading(box: Sandbox, desk: JiraDesk) -> None:
    """Jira cuts pages before permissions: one may be empty and still not be the last."""
    made = [_open(box) for _ in range(12)]
    box.jira.hidden.update(made[:7])
    assert sorted(t.ref.key for page in desk.changes(None) for t in page.tickets) == sorted(made[7:])


def test_what_the_search_learns_late_is_still_read(box: Sandbox, desk: JiraDesk) -> None:
    """The cursor has gone past it, the overlap has not; what was handed out before does not come again."""
    old = _open(box)
    box.run(lambda: setattr(box.world, "search_lag", timedelta(minutes=30)))
    late = _open(box)
    box.run(
        lambda: setattr(
            box.jira.issue(old),
            "indexed",
            [(START - timedelta(hours=1), box.jira.records.state_of(box.jira.issue(old)))],
        )
    )
    pages = list(desk.changes(None))
    assert [t.ref.key for page in pages for t in page.tickets] == [old]
    box.world.clock.step(timedelta(minutes=31))
    again = list(desk.changes(pages[-1].cursor))
    assert [t.ref.key for page in again for t in page.tickets] == [late]


def test_a_page_that_was_not_recorded_comes_again(box: Sandbox, desk: JiraDesk) -> None:
    """Only who comes back for the next page has recorded the last one."""
    key = _open(box)
    assert [t.ref.key for t in next(desk.changes(None)).tickets] == [key]
    assert [t.ref.key for t in next(desk.changes(None)).tickets] == [key]


def test_the_cursor_moves_with_the_last_page_only(box: Sandbox, client: JiraClient) -> None:
    """Pages come in the order of creation, so the first may hold the newest update."""
    desk = JiraDesk(client, clock=box.world.clock.now)
    keys = [_open(box) for _ in range(5)]
    box.world.clock.step(timedelta(minutes=5))
    box.run(lambda: box.jira.set_fields(keys[0], "dana", summary="y"))
    cursors = [page.cursor for page in desk.changes(None)]
    assert set(cursors[:-1]) == {"2026-11-19T09:05:00+00:00"}
    assert cursors[-1] == "2026-11-20T09:05:00+00:00"
    with pytest.raises(Permanent, match="reset it"):
        list(desk.changes("yesterday"))


def test_the_source_gives_issues_born_in_the_desk(box: Sandbox, config: JiraConfig) -> None:
    """In scope, open, and without the label of another source's alert."""
    born = _open(box, "printer", summary="My disk is full")
    _open(box, "datadog:7:a")
    _open(box, "countersign-0123456789abcdef")
    _finish(box, _open(box))
    client = JiraClient(replace(config, match="project = OPS AND issuetype = Task"))
    source = JiraSource(client, clock=_now)
    alerts = [alert for page in source.read(None) for alert in page.alerts]
    assert [(alert.dedup_key, alert.summary) for alert in alerts] == [(f"jira:{born}", "My disk is full")]
    assert source.still_firing(alerts) is Firing.YES
    _finish(box, born)
    assert source.still_firing(alerts) is Firing.NO
    assert source.still_firing([replace(alerts[0], source_id="99")]) is Firing.UNKNOWN
    client.close()


def test_a_person_is_in_their_own_groups_only(box: Sandbox, client: JiraClient) -> None:
    """Approvals depend on it: an unknown person is in none."""
    box.run(lambda: box.jira.add_group("noc-leads", ["ada.new"]))
    directory = JiraDirectory(client)
    assert directory.groups_of(box.run(lambda: box.jira.records.account_of("ada.new"))) == {"noc-leads"}
    assert directory.groups_of("nobody") == frozenset()
    assert directory.groups_of("") == frozenset()


def test_check_names_the_permission_to_grant(box: Sandbox, desk: JiraDesk) -> None:
    """One line per permission."""
    assert all(check.ok for check in desk.check())
    box.jira.withheld.add("TRANSITION_ISSUES")
    (failed,) = [check for check in desk.check() if not check.ok]
    assert failed.what == "close and reopen in OPS"
    assert "Grant the permission TRANSITION_ISSUES" in failed.detail


def test_check_says_that_the_token_is_wrong(box: Sandbox, desk: JiraDesk) -> None:
    """Instead of raising."""
    box.faults.add(Fault(vendor="jira", kind="status", status=401, times=None))
    (check,) = desk.check()
    assert not check.ok
    assert "COUNTERSIGN_JIRA__TOKEN" in check.detail


@pytest.mark.parametrize("kind", ["nonsense", "empty", "truncated", "reset_before"])
def test_a_broken_answer_to_a_read_passes(kind: Kind, box: Sandbox, desk: JiraDesk) -> None:
    """Works, breaks, works again."""
    _open(box, "k")
    assert desk.find(["k"])
    box.faults.add(Fault(vendor="jira", kind=kind))
    with pytest.raises(Transient):
        desk.find(["k"])
    assert desk.find(["k"])


def test_a_changelog_that_can_not_be_read_leaves_the_comments(box: Sandbox, desk: JiraDesk) -> None:
    """Odd JSON in one of two answers is logged, and the tickets and the other answer are read all the same."""
    key = box.run(lambda: box.jira.open_issue(summary="x").key)
    box.run(lambda: box.jira.add_comment(key, "dana.okafor", "looking"))
    box.run(lambda: box.jira.transition(key, "dana.okafor", "Start progress"))
    box.run(lambda: box.faults.add(Fault(vendor="jira", match="bulkfetch", kind="mistyped")))
    with capture_logs() as logs:
        pages = list(desk.changes(None))
    assert [ticket.ref.key for page in pages for ticket in page.tickets] == [key]
    assert [change.text for page in pages for change in page.changes] == ["looking"]
    assert [log["event"] for log in logs if log["log_level"] == "warning"] == ["jira.change_unreadable"]


def test_an_expired_token_does_not_look_like_a_quiet_day(box: Sandbox, desk: JiraDesk) -> None:
    """Jira answers such a search with 200 and nothing, so the feed would seem to be read."""
    _open(box)
    box.jira.expired = True
    with pytest.raises(Denied):
        _changes(desk)
    box.jira.expired = False
    assert next(iter(desk.changes(None))).tickets


def test_an_issue_that_is_gone_does_not_hold_up_the_others(
    box: Sandbox, desk: JiraDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search goes on finding it for a while, but its comments are not there any more."""
    monkeypatch.setattr("sandbox.jira_shapes.MOST_COMMENTS", 1)
    gone, there = _open(box), _open(box)
    for key in (gone, there):
        for text in ("one", "two"):
            box.run(partial(box.jira.add_comment, key, "dana", text))
    box.faults.add(Fault(vendor="jira", kind="status", status=404, match=r"/issue/\d+/comment"))
    assert [change.ref.key for change in _changes(desk)] == [there, there]


def test_an_issue_that_can_not_be_read_is_an_error_of_the_desk(box: Sandbox, desk: JiraDesk) -> None:
    """So the cases wait; no other issue is opened, and no error passes by the callers."""
    key = _open(box, "k")
    box.run(lambda: box.jira.issue(key).fields.update(summary=""))
    with pytest.raises(Permanent, match="without summary"):
        desk.find(["k"])
