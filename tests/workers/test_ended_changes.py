"""Ended changes: how the change requests that we drafted came out is seen at the desk and told in the report."""

from __future__ import annotations

from datetime import timedelta

from countersign.kpis.figures import Figure
from tests.workers.house import House
from tests.workers.test_report import report

TEXT = "disk of db-7 is 97 % full"
MORE = "The volume /var fills up by 1 % an hour; nothing was deployed today."
CODES = ("successful", "unsuccessful", "successful_issues", "", "unsuccessful")


def failed(home: House, use_case: str = "alert-triage") -> Figure:
    home.run("watch")
    # The ledger heard of the change a moment after it ended; a report is of what lies before its end.
    home.clock.ahead += timedelta(seconds=5)
    home.run("watch")
    return next(one for one in report(home, use_case).figures if one.key == "change_fail_rate")


def test_close_codes_of_our_changes_are_the_share_that_failed(home: House) -> None:
    """Of those that ended, told by ServiceNow: two of four; one without a code and a cancelled one are left out."""
    desk = home.box.servicenow
    for number in range(len(CODES) + 2):
        text = f"{TEXT}, host number {'abcdefg'[number]}"
        home.box.run(lambda text=text: desk.open_incident(short_description=text, description=text))
    home.once()
    drafts = home.box.run(lambda: list(desk.records.rows["change_request"].values()))
    assert len(drafts) == len(CODES) + 2
    before = failed(home)
    assert (before.value, before.n) == (None, 0)
    assert before.unknown.startswith("no change request that Countersign drafted")

    states = [*(("3", code) for code in CODES), ("4", "")]
    for draft, (state, code) in zip(drafts, states, strict=False):
        told = {"state": state, "close_code": code}
        home.box.run(lambda draft=draft, told=told: desk.set_fields(draft["sys_id"], "yuki.tanaka", **told))
    found = failed(home)
    assert (found.value, found.n) == (0.5, 4)
    assert {one.reason: one.count for one in found.excluded} == {
        "the change was cancelled": 1,
        "how it ended is not recorded": 1,
    }
    assert "that Countersign drafted and that ended in the period" in found.definition
    rework = next(one for one in report(home).figures if one.key == "change_rework_rate")
    assert (rework.value, rework.n) == (None, 0)
    assert "is made because of a ticket" in rework.unknown


def test_changes_that_others_made_are_none_of_our_figures(home: House) -> None:
    """Not even one whose correlation id looks like ours."""
    desk = home.box.servicenow
    odd = {"short_description": "x", "correlation_id": "countersign:0123456789abcdef", "state": "3"}
    home.box.run(lambda: desk.records.insert("change_request", odd | {"close_code": "successful"}, "ann"))
    home.once()
    assert failed(home).n == 0


def test_a_done_of_jira_says_only_that_a_change_is_over(home: House) -> None:
    """How it went is unknown, and the figure says why; one that is opened again has not ended."""
    jira = home.box.jira
    home.box.run(lambda: jira.open_issue(summary=TEXT, description=MORE, labels=["team:NOC"]))
    home.once()
    draft = next(issue for issue in jira.records.issues.values() if issue.project == "CHG")
    assert failed(home, "jira-triage").excluded == ()
    home.box.run(lambda: jira.transition(draft.key, "yuki.tanaka", "Start progress"))
    home.box.run(lambda: jira.transition(draft.key, "yuki.tanaka", "Resolve", "Done"))
    found = failed(home, "jira-triage")
    assert (found.value, [one.reason for one in found.excluded]) == (None, ["how it ended is not recorded"])
    assert "a Done of Jira says only that it is over" in found.definition
    home.box.run(lambda: jira.transition(draft.key, "yuki.tanaka", "Reopen"))
    assert failed(home, "jira-triage").excluded == ()
