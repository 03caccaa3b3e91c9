"""The imitated ServiceNow, asked by pysnow and judged by a specification written from the documents."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pysnow
import pytest
import requests

from sandbox.server import Sandbox
from sandbox.servicenow_query import parse
from sandbox.servicenow_records import DataPolicyError
from tests.specs import Specification

pytestmark = pytest.mark.contract
START = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(seed=7, start=START, speed=0) as box:
        yield box


@pytest.fixture
def http(box: Sandbox) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.auth = ("countersign", "secret")
        yield session


@pytest.fixture
def incidents(box: Sandbox, http: requests.Session) -> Any:
    client = pysnow.Client(host=box.urls["servicenow"].removeprefix("http://"), use_ssl=False, session=http)
    return client.resource(api_path="/table/incident")


def _open(box: Sandbox, **fields: str) -> dict[str, str]:
    return dict(box.run(lambda: box.servicenow.open_incident(**{"short_description": "cart slow", **fields})))


def _table(box: Sandbox, table: str, sys_id: str = "") -> str:
    return f"{box.urls['servicenow']}/api/now/table/{table}" + (f"/{sys_id}" if sys_id else "")


def _listed(
    box: Sandbox, http: requests.Session, query: str, table: str = "incident"
) -> list[dict[str, Any]]:
    answer = http.get(_table(box, table), params={"sysparm_query": query}, timeout=5)
    return list(answer.json()["result"])


def test_servicenow_numbers_and_stamps_what_the_sdk_creates(box: Sandbox, incidents: Any) -> None:
    """A created incident has a number, a 32-digit id, whole-second UTC times, and strings but for references."""
    made = incidents.create({"short_description": "cart slow", "impact": 1, "urgency": 1}).one()
    assert (made["number"], len(made["sys_id"]), made["sys_created_by"]) == ("INC0010001", 32, "countersign")
    assert (made["opened_at"], made["state"], made["priority"]) == ("2026-11-20 09:00:00", "1", "1")
    references = {"opened_by"}
    assert {type(value) for name, value in made.items() if name not in references} == {str}
    assert [(w.kind, w.target, w.actor) for w in box.world.writes] == [
        ("create", "INC0010001", "countersign")
    ]


def test_servicenow_keeps_notes_in_the_journal_and_not_in_the_record(
    box: Sandbox, http: requests.Session
) -> None:
    """A work note reads back empty in the incident and stands in sys_journal_field, once for each PATCH."""
    sys_id = _open(box)["sys_id"]
    for _ in range(2):
        told = http.patch(
            _table(box, "incident", sys_id), json={"work_notes": "seen, countersign:af03"}, timeout=5
        )
    journal = _listed(box, http, f"element_id={sys_id}^element=work_notes", "sys_journal_field")
    assert told.json()["result"]["work_notes"] == ""
    assert told.json()["result"]["sys_mod_count"] == "2"
    assert [(row["name"], row["value"]) for row in journal] == [("incident", "seen, countersign:af03")] * 2
    assert [(w.kind, w.marker) for w in box.world.writes] == [("note", "countersign:af03")] * 2


def test_servicenow_audits_who_changed_which_field(box: Sandbox, http: requests.Session) -> None:
    """sys_audit tells old and new value and user; notes are no field changes."""
    sys_id = _open(box)["sys_id"]
    http.patch(_table(box, "incident", sys_id), json={"category": "network", "work_notes": "x"}, timeout=5)
    (row,) = _listed(box, http, f"documentkey={sys_id}", "sys_audit")
    assert (row["fieldname"], row["oldvalue"], row["newvalue"], row["user"]) == (
        "category",
        "inquiry",
        "network",
        "countersign",
    )


def test_servicenow_refuses_to_resolve_without_code_and_notes(box: Sandbox, incidents: Any) -> None:
    """The data policy answers 403, changes nothing and logs no write; with both fields it is resolved."""
    sys_id = _open(box)["sys_id"]
    with pytest.raises(requests.HTTPError, match="403"):
        incidents.update({"sys_id": sys_id}, {"state": "6", "category": "network"}).one()
    assert (box.servicenow.incident(sys_id)["category"], box.world.writes) == ("inquiry", [])
    closing = {"state": "6", "close_code": "Solved (Permanently)", "close_notes": "noise"}
    done = incidents.update({"sys_id": sys_id}, closing).one()
    assert (done["state"], done["resolved_at"], box.world.writes[-1].kind) == (
        "6",
        "2026-11-20 09:00:00",
        "close",
    )


def test_servicenow_counts_reopenings(box: Sandbox, http: requests.Session) -> None:
    """Back to In Progress clears who resolved it and how, and counts."""
    row = box.run(lambda: box.servicenow.open_incident(state="6", close_code="a", close_notes="b"))
    told = http.patch(_table(box, "incident", row["sys_id"]), json={"state": "2"}, timeout=5).json()["result"]
    assert (told["reopen_count"], told["resolved_at"], told["close_code"]) == ("1", "", "")
    assert box.world.writes[-1].kind == "reopen"


def test_servicenow_ignores_fields_and_query_parts_that_it_does_not_know(
    box: Sandbox, http: requests.Session
) -> None:
    """A mistyped field changes nothing, a mistyped condition finds every row, both without a word."""
    sys_id = _open(box)["sys_id"]
    told = http.patch(_table(box, "incident", sys_id), json={"catgeory": "network"}, timeout=5)
    assert (told.status_code, told.json()["result"]["sys_mod_count"]) == (200, "0")
    assert len(_listed(box, http, "catgeory=network")) == 1
    assert _listed(box, http, "category=network") == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("priority<=2", ["b"]),
        ("short_description=a^ORshort_description=c", ["a", "c"]),
        ("short_descriptionINa,b", ["a", "b"]),
        ("short_description!=a^ORDERBYDESCshort_description", ["c", "b"]),
        ("short_descriptionLIKEA", ["a"]),
        ("correlation_idSTARTSWITHdd-", ["c"]),
        ("correlation_id=dd-9", ["c"]),
        ("assignment_groupISEMPTY", ["a", "b"]),
        ("assignment_group.name=NOC", ["c"]),
        ("assignment_groupISNOTEMPTY^sys_created_on>=2026-11-20 08:00:00", ["c"]),
        ("sys_created_on>javascript:gs.dateGenerate('2026-11-20','09:00:00')", []),
    ],
)
def test_servicenow_understands_encoded_queries(
    box: Sandbox, http: requests.Session, query: str, found: list[str]
) -> None:
    """Comparison, alternatives, lists, parts of texts, emptiness, paths, dates and order."""
    _open(box, short_description="a")
    _open(box, short_description="b", impact="1", urgency="2")
    _open(box, short_description="c", correlation_id="dd-9", assignment_group="NOC")
    assert [row["short_description"] for row in _listed(box, http, query)] == found


@pytest.mark.parametrize(
    "query",
    [
        "correlation_id=b",
        "correlation_idINc,a,nobody^active=true",
        "active=true^correlation_idINb^ORsys_idIN{first},{last},nowhere^ORDERBYsys_created_on",
        "sys_idIN{last},{first}^ORpriority=3",
        "correlation_idIN^ORnumber=INC0010002",
    ],
)
def test_servicenow_finds_by_index_what_looking_at_every_row_would(box: Sandbox, query: str) -> None:
    """The same rows in the same order, whatever of a query an index knows."""
    rows = [_open(box, correlation_id=name) for name in ("a", "b", "", "c", "b")]
    records = box.servicenow.records
    asked = parse(
        query.format(first=rows[0]["sys_id"], last=rows[-1]["sys_id"]),
        records.columns["incident"].__contains__,
    )
    everything = asked.apply(
        records.rows["incident"].values(), lambda row, path: records.lookup("incident", row, path)
    )
    assert len(everything) > 0
    assert records.select("incident", asked) == everything


def test_servicenow_pages_by_link_and_withholds_after_the_limit(box: Sandbox, http: requests.Session) -> None:
    """A page may be short because of ACLs although more follow; the Link header leads on."""
    rows = [_open(box, short_description=str(number)) for number in range(5)]
    box.servicenow.hidden.add(rows[0]["sys_id"])
    url, seen, sizes = f"{_table(box, 'incident')}?sysparm_limit=2&sysparm_query=ORDERBYnumber", [], []
    while url:
        page = http.get(url, timeout=5)
        sizes.append(len(page.json()["result"]))
        seen += [row["short_description"] for row in page.json()["result"]]
        url = page.links.get("next", {}).get("url", "")
    assert (sizes, seen, page.headers["X-Total-Count"]) == ([1, 2, 1], ["1", "2", "3", "4"], "5")


def test_servicenow_shows_values_in_three_ways(box: Sandbox, http: requests.Session) -> None:
    """Raw with a link, as people see it in their own time zone, or both."""
    sys_id = _open(box, assignment_group="NOC")["sys_id"]
    group = box.servicenow.incident(sys_id)["assignment_group"]
    link = f"https://instance.service-now.com/api/now/table/sys_user_group/{group}"
    shown = {
        mode: http.get(
            _table(box, "incident", sys_id),
            params={
                "sysparm_display_value": mode,
                "sysparm_fields": "state,opened_at,assignment_group,nonsense",
            },
            timeout=5,
        ).json()["result"]
        for mode in ("false", "true", "all")
    }
    assert shown["false"] == {
        "state": "1",
        "opened_at": "2026-11-20 09:00:00",
        "assignment_group": {"link": link, "value": group},
    }
    assert shown["true"] == {
        "state": "New",
        "opened_at": "2026-11-20 02:00:00",
        "assignment_group": {"display_value": "NOC", "link": link},
    }
    assert shown["all"]["opened_at"] == {
        "display_value": "2026-11-20 02:00:00",
        "value": "2026-11-20 09:00:00",
    }
    assert shown["all"]["assignment_group"] == {"display_value": "NOC", "value": group, "link": link}


@pytest.mark.parametrize("path", ["normal", "emergency", "standard/92b8544047810200e90d87e8dee490b0"])
def test_servicenow_drafts_changes_and_tells_what_it_ignored(
    box: Sandbox, http: requests.Session, path: str
) -> None:
    """A change begins as New whatever was asked for, and lists the fields that it did not take."""
    url = f"{box.urls['servicenow']}/api/sn_chg_rest/v1/change"
    asked = {
        "short_description": "Grow the volume",
        "state": "-1",
        "no_such_field": "x",
        "correlation_id": "cs-1",
    }
    made = http.post(f"{url}/{path}", json=asked, timeout=5).json()["result"]
    sys_id = made["sys_id"]["value"]
    assert made["state"] == {"display_value": "New", "value": -5.0}
    assert made["__meta"] == {"ignoredFields": ["no_such_field", "state"]}
    changed = http.patch(f"{url}/{sys_id}", json={"backout_plan": "shrink", "nope": 1}, timeout=5).json()[
        "result"
    ]
    assert (changed["backout_plan"]["value"], changed["__meta"]) == ("shrink", {"ignoredFields": ["nope"]})
    assert [row["number"] for row in _listed(box, http, "correlation_id=cs-1", "change_request")] == [
        "CHG0010001"
    ]
    assert [w.kind for w in box.world.writes] == ["change", "fields"]


def test_servicenow_keeps_attachments(box: Sandbox, http: requests.Session) -> None:
    """The bytes come back as they were sent."""
    sys_id = _open(box)["sys_id"]
    asked = {"table_name": "incident", "table_sys_id": sys_id, "file_name": "log.txt"}
    made = http.post(
        f"{box.urls['servicenow']}/api/now/attachment/file", params=asked, data=b"\x00\x01", timeout=5
    )
    assert http.get(made.json()["result"]["download_link"], timeout=5).content == b"\x00\x01"
    assert (made.status_code, box.world.writes[-1].kind) == (201, "attachment")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "incident/0123456789abcdef0123456789abcdef", 404),
        ("PATCH", "incident/0123456789abcdef0123456789abcdef", 404),
        ("DELETE", "incident/0123456789abcdef0123456789abcdef", 405),
        ("GET", "no_such_table", 400),
        ("POST", "sys_audit", 400),
    ],
)
def test_servicenow_refuses_in_its_own_words(
    box: Sandbox, http: requests.Session, method: str, path: str, status: int
) -> None:
    """Every refusal has the body with error and status."""
    told = http.request(method, _table(box, path), json={}, timeout=5)
    assert (told.status_code, told.json()["status"]) == (status, "failure")
    assert set(told.json()["error"]) == {"message", "detail"}


def test_servicenow_asks_who_is_there(box: Sandbox) -> None:
    """Without credentials nothing is answered or done."""
    told = requests.post(_table(box, "incident"), json={}, timeout=5)
    assert (told.status_code, told.json()["error"]["message"]) == (401, "User Not Authenticated")
    assert box.world.writes == []


def test_servicenow_lets_engineers_work_by_hand(box: Sandbox) -> None:
    """What people do in the form goes through the same rules, and is not in the log of requests."""
    row = _open(box)
    box.run(lambda: box.servicenow.add_note(row["sys_id"], "dana.okafor", "looking", internal=False))
    with pytest.raises(DataPolicyError, match="close_code, close_notes"):
        box.run(lambda: box.servicenow.set_fields(row["sys_id"], "dana.okafor", state="7"))
    assert [(e["element"], e["sys_created_by"]) for e in box.servicenow.journal(row["sys_id"])] == [
        ("comments", "dana.okafor")
    ]
    assert box.world.writes == []


def test_servicenow_relates_configuration_items(box: Sandbox, http: requests.Session) -> None:
    """A relation finds both of its items, and an item its support group."""
    box.run(lambda: [box.servicenow.add_ci("cart", support_group="NOC"), box.servicenow.add_ci("db-1")])
    box.run(lambda: box.servicenow.relate("cart", "db-1"))
    assert len(_listed(box, http, "parent.name=cart^child.name=db-1", "cmdb_rel_ci")) == 1
    assert len(_listed(box, http, "support_group.name=NOC", "cmdb_ci")) == 1
    assert (
        len(_listed(box, http, "group.name=noc-leads^user.user_name=dana.okafor", "sys_user_grmember")) == 1
    )


def test_servicenow_is_true_to_the_specification(
    box: Sandbox, http: requests.Session, contracts_dir: Path
) -> None:
    """Lists, records, notes, refusals, attachments and changes hold what the documents promise."""
    base = box.urls["servicenow"]
    spec = Specification(contracts_dir / "servicenow" / "openapi.json", base)
    sys_id = _open(box, assignment_group="NOC")["sys_id"]
    incident, change = _table(box, "incident", sys_id), f"{base}/api/sn_chg_rest/change"
    made = http.post(f"{change}/normal", json={"short_description": "x"}, timeout=5)
    change_id = made.json()["result"]["sys_id"]["value"]
    file = {"table_name": "incident", "table_sys_id": sys_id, "file_name": "a.txt"}
    answers = [
        http.get(
            _table(box, "incident"), params={"sysparm_query": "state=1", "sysparm_limit": "1"}, timeout=5
        ),
        *(
            http.get(incident, params={"sysparm_display_value": mode}, timeout=5)
            for mode in ("true", "false", "all")
        ),
        http.post(_table(box, "incident"), json={"short_description": "y"}, timeout=5),
        http.patch(incident, json={"work_notes": "seen"}, timeout=5),
        http.patch(incident, json={"state": "6"}, timeout=5),
        http.get(_table(box, "incident", "0" * 32), timeout=5),
        made,
        http.get(f"{change}/{change_id}", timeout=5),
        http.patch(f"{change}/{change_id}", json={"risk": "2"}, timeout=5),
        http.get(f"{change}/{change_id}/nextstates", timeout=5),
    ]
    url = f"{base}/api/now/attachment/file"
    answers.append(http.post(url, params=file, data=b"x", headers={"Content-Type": "text/plain"}, timeout=5))
    assert [(answer.url, spec.complaints(answer)) for answer in answers if spec.complaints(answer)] == []


def test_servicenow_asks_to_wait_until_a_unix_time(box: Sandbox) -> None:
    """429 tells the seconds to wait and the moment of the reset in UNIX time."""
    headers = box.servicenow.error(429).headers
    assert headers["Retry-After"] == "30"
    assert headers["X-RateLimit-Reset"] == str(int((START + timedelta(seconds=30)).timestamp()))
