"""Edited drafts: what an engineer writes over is a correction with both texts and how far they are apart."""

from __future__ import annotations

from datetime import timedelta

from countersign.ledger import Correction
from tests.workers.house import House

TEXT = "disk of db-7 is 97 % full"
MORE = "The volume /var fills up by 1 % an hour; nothing was deployed today."


def _edits(home: House) -> list[Correction]:
    """What is on record as an edit of a draft."""
    lines = home.ledger.reading.cases(limit=9)
    return [
        one
        for line in lines
        for one in home.ledger.reading.story(line.id).corrections
        if one.verdict == "edited"
    ]


def test_a_note_that_is_written_over_in_jira_is_a_correction(home: House) -> None:
    """The words that were ours, the words that are there now, once; with or without our last line."""
    jira = home.box.jira
    issue = home.box.run(lambda: jira.open_issue(summary=TEXT, description=MORE, labels=["team:NOC"]))
    home.once()
    ours = next(one for one in issue.comments if "countersign:" in one.body.text)
    lines = ours.body.text.splitlines()
    shorter = "\n".join([lines[0], "The cause is the nightly dump. Mail to dba@example.com."])
    home.box.run(lambda: jira.edit_comment(issue.key, ours, "tomas.silva", ours.body.text + " "))
    home.run("watch")
    assert _edits(home) == []
    home.box.run(lambda: jira.edit_comment(issue.key, ours, "tomas.silva", shorter))
    home.run("watch")
    home.run("watch")
    (edit,) = _edits(home)
    assert (edit.field, edit.source, edit.about and edit.about.seen) == ("note", "person", True)
    assert edit.before.startswith(lines[0])
    assert "dba@example.com" not in edit.after
    assert edit.distance is not None
    assert 0.5 < edit.distance < 1


def test_a_change_request_is_a_draft_until_somebody_takes_it_on(home: House) -> None:
    """What people write over in ServiceNow before that is a correction; afterwards it is theirs."""
    desk = home.box.servicenow
    home.box.run(lambda: desk.open_incident(short_description=TEXT, description=TEXT))
    home.once()
    (change,) = home.box.run(lambda: list(desk.records.rows["change_request"].values()))
    name = change["sys_id"]
    home.box.run(lambda: desk.set_fields(name, "yuki.tanaka", description="Add 200 GB to /var of db-7."))
    home.run("watch")
    home.box.run(lambda: desk.set_fields(name, "yuki.tanaka", state="-4"))
    home.box.run(lambda: home.box.world.clock.step(timedelta(seconds=2)))
    home.box.run(lambda: desk.set_fields(name, "yuki.tanaka", description="Add 300 GB to /var of db-7."))
    home.run("watch")
    edits = _edits(home)
    assert [(one.field, one.by, one.after) for one in edits] == [
        ("change description", "yuki.tanaka", "Add 200 GB to /var of db-7.")
    ]
    assert "Drafted by Countersign" in edits[0].before


def test_a_change_issue_in_a_project_of_its_own_is_a_draft_too(home: House) -> None:
    """Jira's changelog has both texts; the case is found by our label, not by the issue."""
    jira = home.box.jira
    home.box.run(lambda: jira.open_issue(summary=TEXT, description=MORE, labels=["team:NOC"]))
    home.once()
    draft = next(issue for issue in jira.records.issues.values() if issue.project == "CHG")
    home.box.run(lambda: jira.set_fields(draft.key, "yuki.tanaka", summary="More room for db-7"))
    home.run("watch")
    home.run("watch")
    (edit,) = _edits(home)
    assert (edit.field, edit.after, edit.by != "") == ("change title", "More room for db-7", True)
    assert edit.before
