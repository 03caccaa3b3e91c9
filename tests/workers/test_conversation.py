"""Conversations: a question in the ticket is answered in the ticket, from the record, once, by whoever comes by."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

from countersign.ledger import Story
from sandbox.tickets import tickets
from tests.workers.house import House
from workers.settings import load_settings
from workers.wiring import open_parts

PERSON = "lena.fischer"


def _decided(home: House, **policy: object) -> tuple[House, str]:
    home = home.with_policy(**{"control_lane": 0.0, **policy})
    row = home.box.run(
        lambda: home.box.servicenow.open_incident(
            short_description="Checkout is slow", description="p95 latency grows, 34 % timeouts", impact="2"
        )
    )
    home.once()
    return home, str(row["number"])


def _ask(home: House, ticket: str, text: str, *, internal: bool = True) -> None:
    desk = home.box.servicenow
    home.box.run(lambda: desk.add_note(desk.incident(ticket)["sys_id"], PERSON, text, internal=internal))
    home.run("watch", "sweep")


def _answers(home: House, ticket: str) -> list[str]:
    (one,) = [t for t in tickets(home.box.servicenow, home.box.jira) if t.key == ticket]
    return [note.text for note in one.notes() if note.text.lstrip().startswith("Why - ")]


def _story(home: House, ticket: str) -> Story:
    return home.parts.ledger.reading.story(ticket)


def test_why_is_answered_in_the_same_ticket(home: House) -> None:
    """Rule, category, confidence and risk, what kept other rules from matching, bounds, and what was done."""
    home, ticket = _decided(home)
    _ask(home, ticket, "/countersign why was this not closed?")
    (answer,) = _answers(home, ticket)
    said = _story(home, ticket).decisions[-1].assessment
    for words in (
        'rule "the rest"', said.category, "risk of a wrong close", '"noise": the category is', "[a1]",  # type: ignore[union-attr]
        "Severity high and above is never closed", "note: done", "no model asked",
    ):  # fmt: skip
        assert words in answer, words


def test_the_first_line_says_what_became_of_the_close(home: House) -> None:
    """Offered it waits, rejected it was dropped; it is not told as done before it is."""
    home = home.with_policy(control_lane=0.0, autonomy="draft")
    quiet = {"short_description": "Certificate renewed", "description": "Renewed, no action needed"}
    row = home.box.run(lambda: home.box.servicenow.open_incident(**quiet, impact="3", urgency="3"))
    home.once()
    ticket = str(row["number"])
    _ask(home, ticket, "/countersign why")
    desk = home.box.servicenow
    home.box.run(lambda: desk.add_note(desk.incident(ticket)["sys_id"], "dana.okafor", "/countersign reject"))
    _ask(home, ticket, "/countersign why")
    first, second = _answers(home, ticket)
    assert first.startswith("Why - closing the ticket waits for a person\n")
    assert "- close: waits for an approval" in first
    assert "approved by" not in first
    assert second.startswith("Why - a close was proposed and dropped; the ticket stays with people\n")


def test_what_is_no_command_is_a_question(home: House) -> None:
    """A question in other words, or the name alone, is answered with where things stand and what can be typed."""
    home, ticket = _decided(home)
    _ask(home, ticket, "/countersign what changed since?")
    _ask(home, ticket, "/countersign")
    first, second = _answers(home, ticket)
    assert first.index("WHY IT WAS NOT CLOSED") < first.index("SINCE THEN") < first.index("WHAT WAS SAID")
    assert f"{ticket} is open" in first
    assert "/countersign wrong category=..." in second


def test_the_question_and_the_answer_are_in_the_ledger(home: House) -> None:
    """Asked by whom, answered with which note, in the audit log: any worker can go on from there."""
    home, ticket = _decided(home)
    _ask(home, ticket, "/countersign why")
    story = _story(home, ticket)
    assert [(one.verdict, one.by) for one in story.corrections] == [("why", PERSON)]
    assert [a.state for a in story.actions if a.approved_by == f"asked:{PERSON}"] == ["done"]
    assert f"asked:{PERSON}" in {record.actor for record in story.audit}


def test_a_question_is_answered_once_and_another_one_again(home: House) -> None:
    """However often the ticket is read; what people said since then is in the second answer."""
    home, ticket = _decided(home)
    _ask(home, ticket, "/countersign why")
    home.once()
    assert len(_answers(home, ticket)) == 1
    _ask(home, ticket, "/countersign wrong category=network")
    _ask(home, ticket, "/countersign why")
    first, second = _answers(home, ticket)
    assert f"{PERSON} said wrong category: network" not in first
    assert f"{PERSON} said wrong category: network" in second


def test_any_worker_answers_from_the_ledger(home: House) -> None:
    """Who decided it and who answered the first question are gone; another process goes on with the conversation."""
    home, ticket = _decided(home)
    _ask(home, ticket, "/countersign why")
    _ask(home, ticket, "/countersign wrong category=network")
    before = _story(home, ticket).corrections
    policies, clock = home.parts.policies, home.parts.clock
    with closing(open_parts(load_settings(home.config))) as parts:
        other = replace(home, parts=replace(parts, policies=policies, clock=clock, worker="another"))
        _ask(other, ticket, "/countersign what was said?")
        assert f"{PERSON} said wrong category: network" in _answers(other, ticket)[1]
        after = _story(other, ticket).corrections
    assert (after[:-1], after[-1].verdict) == (before, "why")
    assert "why" in {one.verdict for one in before}


def test_at_jira_too_with_a_question_after_the_answer(home: House) -> None:
    """Why, then a correction, then what was said: both answers are comments in the same issue, from the ledger."""
    home.box.run(
        lambda: home.box.jira.open_issue(
            user="dana.okafor", summary="Checkout is down", description="5xx from all pods"
        )
    )
    home.once()
    for text in ("/countersign why", "/countersign wrong category=network", "/countersign what was said?"):
        (issue,) = tickets(home.box.servicenow, home.box.jira)
        home.box.run(lambda issue=issue, text=text: issue.say(PERSON, text))  # type: ignore[misc]
        home.run("watch", "sweep")
    first, second = _answers(home, issue.key)
    assert "no model asked" in first
    assert "said wrong category: network" not in first
    assert "somebody said wrong category: network" in second  # their account's id would say nothing
    assert second.count("said wrong") == 1


def test_a_bot_gets_no_answer(home: House) -> None:
    """An account that copies comments from ticket to ticket would ask again with every answer."""
    home, ticket = _decided(home)
    desk = home.box.servicenow
    sys_id = desk.incident(ticket)["sys_id"]
    home.box.run(lambda: desk.add_note(sys_id, "system", "/countersign why"))
    home.box.run(lambda: desk.add_note(sys_id, "system", "/countersign aprove it"))
    before = len(home.box.run(lambda: desk.journal(sys_id)))
    home.run("watch", "sweep")
    assert len(home.box.run(lambda: desk.journal(sys_id))) == before


def test_a_customer_gets_no_answer(home: House) -> None:
    """A comment that a customer can see or write asks nothing."""
    home, ticket = _decided(home)
    _ask(home, ticket, "/countersign why", internal=False)
    assert _answers(home, ticket) == []


def test_the_control_lane_is_not_told(home: House) -> None:
    """People there work without seeing the verdict, also when they ask for it."""
    home, ticket = _decided(home, control_lane=0.5, seed="a")
    lanes = {_story(home, ticket).decisions[-1].decision.lane.value}
    home, other = _until_control(home, ticket, lanes)
    desk = home.box.servicenow
    before = len(home.box.run(lambda: desk.journal(desk.incident(other)["sys_id"])))
    _ask(home, other, "/countersign why")
    _ask(home, other, "/countersign aprove it")
    assert len(home.box.run(lambda: desk.journal(desk.incident(other)["sys_id"]))) == before + 2


def _until_control(home: House, ticket: str, lanes: set[str]) -> tuple[House, str]:
    """The first ticket that the draw puts into the control lane."""
    while "control" not in lanes:
        home, ticket = _decided(home, control_lane=0.5, seed="a")
        lanes = {_story(home, ticket).decisions[-1].decision.lane.value}
    return home, ticket
