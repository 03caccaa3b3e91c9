"""The imitated Jira Cloud, asked by python-jira over HTTP and judged by the published specifications."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from jira import JIRA
from jira.exceptions import JIRAError

from sandbox.jira import Jira
from sandbox.server import Sandbox
from tests.deviations import parts
from tests.specs import Specification

pytestmark = pytest.mark.contract
START = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
INTERNAL = [{"key": "sd.public.comment", "value": {"internal": True}}]
DOCUMENT = {
    "type": "doc",
    "version": 1,
    "content": [
        {"type": "heading", "attrs": {"level": 3}, "content": [{"type": "text", "text": "Cause"}]},
        {"type": "paragraph", "content": [{"type": "text", "text": "a leak, countersign:af03"}]},
    ],
}


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(seed=7, start=START, speed=0) as box:
        yield box


@pytest.fixture
def jira(box: Sandbox) -> Iterator[JIRA]:
    client = JIRA(
        server=box.urls["jira"],
        basic_auth=("countersign@example.com", "token"),
        timeout=(2, 10),
        max_retries=0,
    )
    yield client
    client.close()  # type: ignore[no-untyped-call]


@pytest.fixture
def http(box: Sandbox) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.auth = ("countersign@example.com", "token")
        yield session


def _complaints(spec: Specification, answer: requests.Response) -> list[str]:
    """What the specification has against an exchange, but for the vendor's own deviations from it."""
    causes = [cause for told in spec.complaints(answer) for cause in (told.split("; [")[1:] or [told])]
    return [
        f"{answer.url}: {cause}" for cause in causes if not any(known in cause for known in parts("jira"))
    ]


def _v3(box: Sandbox, path: str) -> str:
    return f"{box.urls['jira']}/rest/api/3/{path}"


def _open(box: Sandbox, **fields: Any) -> str:
    return box.run(
        lambda: box.jira.open_issue(**{"summary": "cart slow", "issuetype": "Incident", **fields})
    ).key


def _move(box: Sandbox, key: str, *names: str) -> None:
    resolution = {"Resolve": "Done"}
    for name in names:
        box.run(partial(box.jira.transition, key, "dana.okafor", name, resolution.get(name)))


def _found(jira: JIRA, jql: str) -> list[str]:
    return [issue.key for issue in jira.enhanced_search_issues(jql, maxResults=0)]


def test_jira_creates_what_the_sdk_asks_for(box: Sandbox, jira: JIRA) -> None:
    """A created issue has a key, the workflow's first status and the properties sent along."""
    fields = {"project": {"key": "OPS"}, "summary": "cart slow", "issuetype": {"name": "Incident"}}
    issue = jira.create_issue(fields=fields)
    assert (issue.key, issue.fields.status.name, issue.fields.reporter.displayName) == (
        "OPS-1",
        "To Do",
        "Countersign",
    )
    assert [(w.kind, w.target, w.actor) for w in box.world.writes] == [("create", "OPS-1", "countersign")]


def test_jira_keeps_properties_of_the_create_call(box: Sandbox, http: requests.Session) -> None:
    """A marker put into the create call is there with the issue, and is what the write log shows."""
    body = {
        "fields": {"project": {"key": "CHG"}, "summary": "Grow it", "issuetype": {"name": "Change"}},
        "properties": [{"key": "countersign", "value": {"marker": "countersign:af03"}}],
    }
    made = http.post(_v3(box, "issue"), json=body, timeout=5)
    kept = http.get(_v3(box, f"issue/{made.json()['key']}/properties/countersign"), timeout=5)
    assert kept.json() == {"key": "countersign", "value": {"marker": "countersign:af03"}}
    assert [(w.kind, w.marker) for w in box.world.writes] == [("change", "countersign:af03")]


def test_jira_stores_internal_comments(box: Sandbox, jira: JIRA) -> None:
    """The service desk's property makes a comment invisible to customers; without it everybody sees it."""
    key = _open(box)
    jira.add_comment(key, "for us", is_internal=True)
    jira.add_comment(key, "for all")
    assert [comment.raw["jsdPublic"] for comment in jira.comments(key)] == [False, True]
    assert [comment.internal for comment in box.jira.issue(key).comments] == [True, False]


def test_jira_speaks_documents_on_v3_and_text_on_v2(box: Sandbox, http: requests.Session, jira: JIRA) -> None:
    """A document reads back unchanged on version 3 and as text on version 2; text becomes a document."""
    key = _open(box)
    made = http.post(_v3(box, f"issue/{key}/comment"), json={"body": DOCUMENT}, timeout=5).json()
    jira.add_comment(key, "one\ntwo")
    assert made["body"] == DOCUMENT
    assert [comment.body for comment in jira.comments(key)] == ["Cause\na leak, countersign:af03", "one\ntwo"]
    second = http.get(_v3(box, f"issue/{key}/comment"), timeout=5).json()["comments"][1]["body"]
    assert [part["content"][0]["text"] for part in second["content"]] == ["one", "two"]
    assert [w.marker for w in box.world.writes] == ["countersign:af03", ""]


def test_jira_comments_can_be_edited_and_deleted(box: Sandbox, jira: JIRA) -> None:
    """An edit keeps the comment's place and visibility and names the editor; a deleted comment is gone."""
    key = _open(box)
    comment = jira.add_comment(key, "first", is_internal=True)
    comment.update(body="second")
    kept = box.jira.issue(key).comments[0]
    assert (kept.id, kept.body.text, kept.internal) == (comment.id, "second", True)
    comment.delete()
    assert jira.comments(key) == []
    assert [w.kind for w in box.world.writes] == ["note", "edit", "delete"]


def test_jira_shows_comment_properties_only_to_those_who_ask(box: Sandbox, http: requests.Session) -> None:
    """Without expand=properties a client can't tell by them what it wrote."""
    url = _v3(box, f"issue/{_open(box)}/comment")
    http.post(url, json={"body": DOCUMENT, "properties": INTERNAL}, timeout=5)
    plain, expanded = (
        http.get(url, params=p, timeout=5).json()["comments"][0] for p in ({}, {"expand": "properties"})
    )
    assert ("properties" in plain, expanded["properties"]) == (False, INTERNAL)


def test_jira_is_done_through_its_workflow_only(box: Sandbox, jira: JIRA) -> None:
    """Done is two transitions away, the second asks for a resolution, and reopening clears it."""
    key = _open(box)
    assert [t["name"] for t in jira.transitions(key)] == ["Start progress"]
    with pytest.raises(JIRAError, match="Transition id '21' is not valid"):
        jira.transition_issue(key, "21")
    jira.transition_issue(key, "Start progress")
    with pytest.raises(JIRAError, match="Resolution is required"):
        jira.transition_issue(key, "Resolve")
    jira.transition_issue(key, "Resolve", fields={"resolution": {"name": "Done"}})
    fields: Any = jira.issue(key).fields
    assert (fields.status.name, fields.resolution.name) == ("Done", "Done")
    jira.transition_issue(key, "Reopen")
    assert (jira.issue(key).fields.status.name, jira.issue(key).fields.resolution) == ("To Do", None)
    assert [w.kind for w in box.world.writes] == ["fields", "close", "reopen"]


def test_jira_ignores_a_status_among_edited_fields(box: Sandbox, jira: JIRA) -> None:
    """PUT changes the priority and leaves the status alone, without a word."""
    issue = jira.issue(_open(box))
    issue.update(fields={"priority": {"name": "High"}, "status": {"name": "Done"}})
    fields = jira.issue(issue.key).fields
    assert (fields.priority.name, fields.status.name) == ("High", "To Do")


def test_jira_refuses_fields_that_it_does_not_know(box: Sandbox, jira: JIRA) -> None:
    """A mistyped field fails the whole edit and names itself."""
    issue = jira.issue(_open(box))
    with pytest.raises(JIRAError, match="Field 'sumary' cannot be set"):
        issue.update(fields={"sumary": "x", "priority": {"name": "High"}})
    assert jira.issue(issue.key).fields.priority.name == "Medium"
    assert box.world.writes == []


def test_jira_edits_labels_one_by_one(box: Sandbox, jira: JIRA) -> None:
    """add and remove leave the other labels as they are."""
    issue = jira.issue(_open(box, labels=["a", "b"]))
    issue.update(update={"labels": [{"add": "c"}, {"remove": "a"}]})
    assert jira.issue(issue.key).fields.labels == ["b", "c"]


def test_jira_tells_who_changed_what(box: Sandbox, http: requests.Session) -> None:
    """The changelog is oldest first, with author and both values; comments are not in it."""
    key = _open(box)
    box.run(lambda: box.jira.set_fields(key, "dana.okafor", customfield_10050="network"))
    box.run(lambda: box.jira.add_comment(key, "dana.okafor", "hm"))
    _move(box, key, "Start progress")
    changes = http.get(_v3(box, f"issue/{key}/changelog"), timeout=5).json()
    told = [
        (c["author"]["displayName"], i["field"], i["toString"]) for c in changes["values"] for i in c["items"]
    ]
    assert told == [("Dana Okafor", "Category", "network"), ("Dana Okafor", "status", "In Progress")]
    assert changes["isLast"]
    asked = {"issueIdsOrKeys": [key], "fieldIds": ["status"]}
    (log,) = http.post(_v3(box, "changelog/bulkfetch"), json=asked, timeout=5).json()["issueChangeLogs"]
    assert [item["field"] for change in log["changeHistories"] for item in change["items"]] == ["status"]


def test_jira_search_gives_ids_only_unless_asked(box: Sandbox, http: requests.Session) -> None:
    """Without fields there are none; with fields only those."""
    _open(box)
    asked = {"jql": "project = OPS"}
    bare, full = (
        http.get(_v3(box, "search/jql"), params={**asked, **more}, timeout=5).json()["issues"][0]
        for more in ({}, {"fields": "summary,status"})
    )
    assert ("fields" in bare, bare["id"]) == (False, "10001")
    assert sorted(full["fields"]) == ["status", "summary"]


@pytest.mark.parametrize(
    ("jql", "found"),
    [
        ("project = OPS", ["OPS-3", "OPS-2", "OPS-1"]),
        ("labels = noise", ["OPS-2"]),
        ("labels in (noise, 'x y') and project = OPS", ["OPS-2"]),
        ("key in (OPS-1, OPS-3) ORDER BY key ASC", ["OPS-1", "OPS-3"]),
        ('status = "In Progress"', ["OPS-3"]),
        ("statusCategory != Done AND labels is empty", ["OPS-3", "OPS-1"]),
        ("updated >= -30m", ["OPS-3"]),
        ("updated >= 1763632800000 ORDER BY updated DESC", ["OPS-3", "OPS-2", "OPS-1"]),
        ('updated >= "2026-11-20 02:30"', ["OPS-3"]),
        ('updated >= "2026-11-20 09:30"', []),
        ('summary ~ "and more"', ["OPS-2"]),
    ],
)
def test_jira_understands_its_query_language(box: Sandbox, jira: JIRA, jql: str, found: list[str]) -> None:
    """Lists, phrases, categories, and times that are relative, epoch or in the user's own zone."""
    _open(box)
    _open(box, labels=["noise"], summary="this and more")
    key = _open(box)
    box.world.clock.step(timedelta(hours=1))
    _move(box, key, "Start progress")
    assert _found(jira, jql) == found


@pytest.mark.parametrize(
    ("jql", "says"),
    [
        ("", "Unbounded JQL"),
        ("ORDER BY key", "Unbounded JQL"),
        ("colour = red", "Field 'colour' does not exist"),
        ("updated >= yesterday", "Date value 'yesterday' is invalid"),
        ("project = OPS OR project = X", "does not understand"),
    ],
)
def test_jira_refuses_queries_that_it_cannot_run(box: Sandbox, jira: JIRA, jql: str, says: str) -> None:
    """A wrong query is an error with its reason, never an empty or a full result."""
    _open(box)
    with pytest.raises(JIRAError, match=says):
        _found(jira, jql)


def test_jira_pages_by_token_and_withholds_after_cutting(box: Sandbox, jira: JIRA) -> None:
    """A page may be shorter than asked, even empty, although more follow; the last one has no token."""
    keys = [_open(box) for _ in range(5)]
    box.jira.hidden |= {keys[0], keys[1]}
    token, pages = None, []
    for _ in range(3):
        page: Any = jira.enhanced_search_issues(
            "project = OPS ORDER BY key ASC", nextPageToken=token, maxResults=2, json_result=True
        )
        token = page.get("nextPageToken")
        pages.append(([issue["key"] for issue in page["issues"]], page["isLast"]))
    assert pages == [([], False), (["OPS-3", "OPS-4"], False), (["OPS-5"], True)]
    assert token is None


def test_jira_search_lags_unless_asked_to_reconcile(box: Sandbox, jira: JIRA) -> None:
    """A new issue and a new status are found only after the lag; known ids can be reconciled at once."""
    box.world.search_lag = timedelta(minutes=5)
    key = _open(box)
    number = int(box.jira.issue(key).id)
    assert _found(jira, "project = OPS") == []
    reconciled: Any = jira.enhanced_search_issues("project = OPS", reconcileIssues=[number])
    assert [issue.key for issue in reconciled] == [key]
    box.world.clock.step(timedelta(minutes=5))
    assert _found(jira, "project = OPS") == [key]
    _move(box, key, "Start progress")
    assert _found(jira, 'status = "In Progress"') == []
    assert jira.issue(key).fields.status.name == "In Progress"
    box.world.clock.step(timedelta(minutes=5))
    assert _found(jira, 'status = "In Progress"') == [key]


def test_jira_no_longer_has_the_old_search(box: Sandbox, http: requests.Session) -> None:
    """/search is gone and says where to go."""
    told = http.get(_v3(box, "search"), params={"jql": "project = OPS"}, timeout=5)
    assert (told.status_code, "search/jql" in told.json()["errorMessages"][0]) == (410, True)


def test_jira_knows_who_is_in_which_group(box: Sandbox, jira: JIRA, http: requests.Session) -> None:
    """Members of a group, and groups of a user by account id."""
    members = jira.group_members("noc-leads")
    dana = next(account for account, member in members.items() if member["fullname"] == "Dana Okafor")
    groups = http.get(_v3(box, "user/groups"), params={"accountId": dana}, timeout=5).json()
    assert {group["name"] for group in groups} == {"NOC", "noc-leads"}
    page = http.get(_v3(box, "group/member"), params={"groupname": "noc-leads"}, timeout=5).json()
    assert {member["accountId"] for member in page["values"]} == set(members)


def test_jira_service_desk_comments_are_public_by_default(box: Sandbox, http: requests.Session) -> None:
    """Who forgets `public: false` writes to the customer."""
    key = _open(box)
    url = f"{box.urls['jira']}/rest/servicedeskapi/request/{key}/comment"
    http.post(url, json={"body": "hello"}, timeout=5)
    http.post(url, json={"body": "for us", "public": False}, timeout=5)
    assert [c["public"] for c in http.get(url, timeout=5).json()["values"]] == [True, False]


def test_jira_takes_attachments_with_the_xsrf_header_only(
    box: Sandbox, jira: JIRA, http: requests.Session, tmp_path: Path
) -> None:
    """The SDK's upload arrives; one without the header is refused."""
    key = _open(box)
    (tmp_path / "log.txt").write_text("hello")
    jira.add_attachment(key, str(tmp_path / "log.txt"))
    assert [(a["filename"], a["size"]) for a in box.jira.issue(key).attachments] == [("log.txt", 5)]
    refused = http.post(_v3(box, f"issue/{key}/attachments"), files={"file": b"x"}, timeout=5)
    assert refused.status_code == 403


def test_jira_asks_who_is_there(box: Sandbox) -> None:
    """Only the server's own description is for everybody."""
    told = requests.get(_v3(box, "myself"), timeout=5)
    assert (told.status_code, set(told.json())) == (401, {"errorMessages", "errors"})
    assert requests.get(_v3(box, "serverInfo"), timeout=5).json()["deploymentType"] == "Cloud"


def test_jira_asks_to_wait_until_an_iso_time(box: Sandbox) -> None:
    """429 tells the seconds to wait, the moment of the reset in ISO form, and which limit it was."""
    headers = Jira(box.world).error(429).headers
    assert (headers["Retry-After"], headers["X-RateLimit-Reset"]) == ("30", "2026-11-20T09:00Z")
    assert headers["RateLimit-Reason"] == "jira-burst-based"


def test_jira_is_true_to_the_specification(box: Sandbox, http: requests.Session, contracts_dir: Path) -> None:
    """Issues, searches, comments, transitions, changes, properties and refusals hold what is published."""
    spec = Specification(contracts_dir / "jira" / "slice-cloud-v3.prism.json", box.urls["jira"])
    key = _open(box)
    fields = {
        "project": {"key": "OPS"},
        "summary": "x",
        "issuetype": {"name": "Task"},
        "description": DOCUMENT,
    }
    search: dict[str, Any] = {"jql": "project = OPS", "maxResults": 1, "fields": ["summary", "status"]}
    answers = [
        http.post(_v3(box, "issue"), json={"fields": fields}, timeout=5),
        http.post(_v3(box, "issue"), json={"fields": {**fields, "summary": ""}}, timeout=5),
        http.get(_v3(box, f"issue/{key}"), params={"expand": "changelog"}, timeout=5),
        http.put(_v3(box, f"issue/{key}"), json={"fields": {"labels": ["noise"]}}, timeout=5),
        http.get(_v3(box, "search/jql"), params=search, timeout=5),
        http.post(_v3(box, "search/jql"), json=search, timeout=5),
        http.post(
            _v3(box, f"issue/{key}/comment"), json={"body": DOCUMENT, "properties": INTERNAL}, timeout=5
        ),
        http.get(_v3(box, f"issue/{key}/comment"), timeout=5),
        http.get(_v3(box, f"issue/{key}/transitions"), params={"expand": "transitions.fields"}, timeout=5),
        http.post(_v3(box, f"issue/{key}/transitions"), json={"transition": {"id": "11"}}, timeout=5),
        http.get(_v3(box, f"issue/{key}/changelog"), timeout=5),
        http.post(_v3(box, "changelog/bulkfetch"), json={"issueIdsOrKeys": [key]}, timeout=5),
        http.put(_v3(box, f"issue/{key}/properties/countersign"), json={"marker": "x"}, timeout=5),
        http.get(_v3(box, f"issue/{key}/properties/countersign"), timeout=5),
        http.get(_v3(box, "issue/createmeta/OPS/issuetypes"), timeout=5),
        http.get(_v3(box, "myself"), timeout=5),
        http.get(_v3(box, "serverInfo"), timeout=5),
        http.get(_v3(box, "field"), timeout=5),
        http.get(_v3(box, "issue/OPS-99"), timeout=5),
    ]
    assert [complaint for answer in answers for complaint in _complaints(spec, answer)] == []


@pytest.mark.filterwarnings("ignore:Unsupported scheme type")
def test_jira_service_desk_is_true_to_the_specification(
    box: Sandbox, http: requests.Session, contracts_dir: Path
) -> None:
    """Its comments hold what is published."""
    spec = Specification(contracts_dir / "jira" / "slice-jsm.prism.json", box.urls["jira"])
    url = f"{box.urls['jira']}/rest/servicedeskapi/request/{_open(box)}/comment"
    answers = [http.post(url, json={"body": "x", "public": False}, timeout=5), http.get(url, timeout=5)]
    assert [complaint for answer in answers for complaint in _complaints(spec, answer)] == []
