"""Who corrected: what integrations and bulk updates do in a ticket is on record, and labels nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sandbox.jira_records import JIRA_FIELDS
from tests.workers.house import House

TEXT = "mast lamp out of order"


def _case(home: House) -> tuple[str, str]:
    """(case, ticket) of a ticket with our note in it."""
    desk = home.box.servicenow
    row = home.box.run(lambda: desk.open_incident(short_description=TEXT, description=TEXT))
    home.once()
    (line,) = home.ledger.reading.cases(limit=2)
    return line.id, row["sys_id"]


def _sources(home: House, case_id: str) -> dict[str, str]:
    return {one.by: one.source for one in home.ledger.reading.story(case_id).corrections}


def test_an_account_of_an_integration_is_no_person(home: House) -> None:
    """By the instance's own mark, by the desk's machinery, and by our configuration; a person beside them is one."""
    named = home.parts.settings.model_copy(update={"bots": ["Sync.Service"]})
    home = replace(home, parts=replace(home.parts, settings=named))
    case_id, ticket = _case(home)
    desk = home.box.servicenow
    home.box.run(lambda: desk.add_user("cmdb.import").update(web_service_access_only="true"))
    for number, who in enumerate(("cmdb.import", "system", "sync.service", "lena.fischer")):
        home.box.run(lambda: desk.set_fields(ticket, who, category=f"category {number}"))  # noqa: B023
    home.run("watch")
    assert _sources(home, case_id) == {
        "cmdb.import": "bot",
        "system": "bot",
        "sync.service": "bot",
        "lena.fischer": "person",
    }


@pytest.mark.parametrize(("before", "after", "told"), [("Solved", "Duplicate", 1), ("", "Solved", 0)])
def test_another_close_code_is_a_correction_and_the_first_one_is_not(
    home: House, before: str, after: str, told: int
) -> None:
    """It is set with the resolution, which is told by itself."""
    case_id, ticket = _case(home)
    desk = home.box.servicenow
    home.box.run(lambda: desk.set_fields(ticket, "lena.fischer", close_code=before))
    home.run("watch")
    home.box.run(lambda: desk.set_fields(ticket, "lena.fischer", close_code=after))
    home.run("watch")
    found = [one for one in home.ledger.reading.story(case_id).corrections if one.field == "close_code"]
    assert [(one.before, one.after) for one in found] == [(before, after)] * told


def test_what_a_person_changes_in_servicenow_is_a_correction(home: House) -> None:
    """Category, priority, item and group, each with what it was and what it is now."""
    desk = home.box.servicenow
    for item in ("db-1", "db-3"):
        home.box.run(lambda: desk.add_ci(item))  # noqa: B023
    before = {"category": "software", "cmdb_ci": "db-1", "assignment_group": "NOC"}
    row = home.box.run(lambda: desk.open_incident(short_description=TEXT, description=TEXT, **before))
    home.once()
    after = {"category": "network", "impact": "1", "cmdb_ci": "db-3", "assignment_group": "tier-2"}
    home.box.run(lambda: desk.set_fields(row["sys_id"], "lena.fischer", **after))
    home.run("watch")
    assert _corrected(home, str(row["number"])) == {
        "category": ("software", "network"),
        "priority": ("5", "3"),
        "ci": ("db-1", "db-3"),
        "group": ("NOC", "tier-2"),
    }


def test_what_a_person_changes_in_jira_is_a_correction(home: House) -> None:
    """The same, where the item stands in a label and the rest in fields of the site's own."""
    jira, category, group = home.box.jira, JIRA_FIELDS["category"], JIRA_FIELDS["group"]
    before = {"labels": ["ci:db-1"], "priority": "Low", group: "NOC", category: "software"}
    text = {"issuetype": "Incident", "summary": TEXT, "description": TEXT}
    key = home.box.run(lambda: jira.open_issue(**text, **before).key)
    home.once()
    after = {"labels": ["ci:db-3"], "priority": "High", group: "tier-2", category: "network"}
    home.box.run(lambda: jira.set_fields(key, "lena.fischer", **after))
    home.run("watch")
    assert _corrected(home, key) == {
        "category": ("software", "network"),
        "priority": ("Low", "High"),
        "ci": ("db-1", "db-3"),
        "group": ("ops-on-call", "tier-2"),  # where the policy had routed it
    }


def _corrected(home: House, ticket: str) -> dict[str, tuple[str, str]]:
    """What a person has changed in a ticket, by field."""
    (line,) = home.ledger.reading.cases(limit=2, ticket=ticket)
    told = home.ledger.reading.story(line.id).corrections
    assert {(one.verdict, one.source) for one in told} == {("corrected", "person")}
    return {one.field: (one.before, one.after) for one in told}


def test_a_bot_approves_nothing(home: House) -> None:
    """Even one that stands in the approvers' group."""
    home = home.with_policy(autonomy="draft")
    named = home.parts.settings.model_copy(update={"bots": ["dana.okafor"]})
    home = replace(home, parts=replace(home.parts, settings=named))
    case_id, ticket = _case(home)
    desk = home.box.servicenow
    home.box.run(lambda: desk.add_note(ticket, "dana.okafor", "/countersign approve abcd"))
    home.run("watch")
    (said,) = home.ledger.reading.story(case_id).corrections
    assert (said.verdict, said.source) == ("refused", "bot")
