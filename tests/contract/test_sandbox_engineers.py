"""The imitated engineers: what they read, what they answer, and that they are the same people every time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import requests

from sandbox.engineers import LEADS, PEOPLE, Act
from sandbox.server import Sandbox
from sandbox.tickets import tickets

START = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
BOT = "countersign"
DRAFT = """It looks like {category}.
  - /countersign approve {code}  - closes the ticket
by policy 3 · countersign:{code}"""


def _box(seed: int = 7) -> Sandbox:
    return Sandbox(seed=seed, start=START, speed=0)


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with _box() as box:
        yield box


def _draft(box: Sandbox, count: int, category: str = "network") -> list[str]:
    """That many incidents and issues, each with a draft of ours; gives their keys."""
    keys = []
    for number in range(count):
        text = DRAFT.format(category=category, code=f"{number:04x}")
        row = box.servicenow.open_incident(short_description="x")
        box.servicenow.add_note(row["sys_id"], BOT, text)
        issue = box.jira.open_issue(summary="x")
        box.jira.add_comment(issue.key, BOT, text)
        keys += [row["number"], issue.key]
    return keys


def _step(box: Sandbox, minutes: int = 0) -> list[Act]:
    box.world.clock.step(timedelta(minutes=minutes))
    return box.run(box.engineers.step)


def _did(acts: list[Act]) -> set[str]:
    return {act.did for act in acts}


def test_engineers_answer_each_draft_once(box: Sandbox) -> None:
    """Nobody answers a draft twice, and a second look without news does nothing."""
    _draft(box, 30)
    first = _step(box)
    assert len({act.ticket for act in first}) == len(first) > 40
    assert _step(box) == []


def test_engineers_approve_with_the_code_that_the_note_names(box: Sandbox) -> None:
    """Who finds the draft right types its command into the ticket, internally and in their own name."""
    box.engineers.truth = dict.fromkeys(_draft(box, 30), "network")
    acts = [act for act in _step(box) if act.did == "approve"]
    notes = {ticket.key: ticket.notes() for ticket in tickets(box.servicenow, box.jira)}
    assert len(acts) > 30
    for act in acts:
        draft, answer = notes[act.ticket]
        assert (answer.author, answer.internal, answer.text) == (act.person, True, act.text)
        assert act.text.removeprefix("/countersign approve ") == draft.text.rpartition("countersign:")[2]
        assert act.person in LEADS


def test_engineers_object_to_what_is_not_true(box: Sandbox) -> None:
    """Who knows better says the right category, changes the field, or rejects; nobody approves."""
    box.engineers.truth = dict.fromkeys(_draft(box, 30), "security")
    acts = _step(box)
    assert _did(acts) == {"wrong", "correct", "reject"}
    assert {act.text for act in acts if act.did == "wrong"} == {"/countersign wrong category=security"}
    corrected = [act.ticket for act in acts if act.did == "correct"]
    assert {box.servicenow.incident(key)["category"] for key in corrected if key.startswith("INC")} == {
        "security"
    }


def test_some_engineers_approve_though_they_may_not(box: Sandbox) -> None:
    """Among many there is one who is not in the approvers' group."""
    box.engineers.truth = dict.fromkeys(_draft(box, 100), "network")
    people = {act.person for act in _step(box) if act.did == "approve_unentitled"}
    assert people
    assert not people & set(LEADS)


def test_engineers_reopen_what_was_closed_wrongly(box: Sandbox) -> None:
    """A closing that hid real trouble is reopened, at most once; one of noise nearly never."""
    rows = [box.servicenow.open_incident(short_description="x") for _ in range(40)]
    box.engineers.truth = {row["number"]: "availability" for row in rows[:20]}
    for row in rows:
        fields = {"state": "6", "close_code": "Solved (Permanently)", "close_notes": "noise"}
        box.servicenow.set_fields(row["sys_id"], BOT, **fields)
    reopened = [act.ticket for act in _step(box) if act.did == "reopen"]
    real = {row["number"] for row in rows[:20]}
    assert len(real & set(reopened)) > 12
    assert len(set(reopened) - real) < 3
    assert all(box.servicenow.incident(number)["state"] == "2" for number in reopened)
    assert [act for _ in range(9) for act in _step(box)] == []


def test_engineers_work_on_tickets_that_nobody_wrote_on(box: Sandbox) -> None:
    """After a while they take them and resolve them, on both desks, as one does without us."""
    for _ in range(10):
        box.servicenow.open_incident(short_description="x")
        box.jira.open_issue(summary="x")
    assert _step(box) == []
    steps = [_step(box, minutes=10) for _ in range(30)]
    assert _did([act for acts in steps for act in acts]) == {"take", "resolve"}
    ended = [ticket.ended_by for ticket in tickets(box.servicenow, box.jira)]
    assert len(ended) == 20
    assert set(ended) <= set(PEOPLE)


def test_engineers_log_time_on_some_of_what_they_solve(box: Sandbox) -> None:
    """On both desks, in the fields of each; on many tickets nobody does, as everywhere."""
    for _ in range(20):
        box.servicenow.open_incident(short_description="x")
        box.jira.open_issue(summary="x")
    for _ in range(25):
        _step(box, minutes=15)
    incidents = [row["time_worked"] for row in box.servicenow.records.rows["incident"].values()]
    issues = [issue.fields["timespent"] for issue in box.jira.records.issues.values()]
    assert 0 < sum(told.startswith("1970-01-01 00:") for told in incidents) < 20
    assert incidents.count("") > 0
    assert 0 < sum(bool(told) for told in issues) < 20


def test_engineers_acknowledge_their_pages(box: Sandbox) -> None:
    """A PagerDuty incident is acknowledged by one of them."""
    box.run(lambda: box.pagerduty.fire("cart is down", "cart", "critical", "k", {}))
    did = [act.did for _ in range(10) for act in _step(box)]
    (incident,) = box.pagerduty.incidents.values()
    assert (did, incident["status"]) == (["acknowledge"], "acknowledged")


def test_engineers_are_the_same_people_every_time() -> None:
    """The same seed does the same; another seed does something else."""
    told = []
    for seed in (7, 7, 8):
        with _box(seed) as box:
            _draft(box, 20)
            told.append(_step(box) + _step(box, minutes=60))
    assert told[0] == told[1] != told[2]


def test_engineers_are_known_to_both_desks(box: Sandbox) -> None:
    """Groups and members are the same in ServiceNow and Jira."""
    url = f"{box.urls['servicenow']}/api/now/table/sys_user_grmember"
    asked = {"sysparm_query": "group.name=noc-leads", "sysparm_fields": "user.user_name"}
    rows = requests.get(url, params=asked, auth=("a", "b"), timeout=5).json()["result"]
    assert {row["user.user_name"] for row in rows} == set(LEADS) == set(box.jira.records.groups["noc-leads"])
