"""`countersign verify`: the books balance after a night, and every way in which they could not is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from benchmarks import rollback
from countersign.actions import Action, Note
from countersign.drafts import Draft
from countersign.tickets import TicketRef
from tests.workers.house import POLICIES, House, house


def test_after_a_night_the_books_balance(night: House) -> None:
    """Every sum is even, on both ledgers, and the desks show all that is called done."""
    ended = night.command("verify", "--desk", "--json")
    told = json.loads(ended.stdout)
    assert (ended.returncode, told["even"]) == (0, True)
    assert (told["missing_at_desk"], told["unknown_to_ledger"]) == ([], [])
    assert {one["what"] for one in told["balances"] if one["expected"]} >= {
        "alerts in = grouped + dead",
        "actions planned = done + compensated + dead + dropped + pending",
    }


def test_every_write_that_the_desks_saw_has_its_action(night: House) -> None:
    """The vendors' own logs hold no marker that the ledger does not know."""
    known = {f"countersign:{one.key}" for one in night.parts.ledger.reading.actions(limit=10_000)}
    assert {write.marker for write in night.box.world.writes if write.marker} <= known


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        ("DELETE FROM alerts WHERE seq = 1", "alerts in = grouped + dead"),
        ("DELETE FROM actions", "actions planned = done + compensated + dead + dropped + pending"),
        ("UPDATE actions SET state = 'approved'", "actions on record as done that are not"),
        ("UPDATE actions SET receipt = NULL", "actions done without what the desk answered"),
        ("UPDATE actions SET state = 'compensated'", "actions compensated by nothing that was done"),
        ("UPDATE actions SET state = 'dead'", "dead actions without a dead letter"),
        ("UPDATE audit_head SET seq = seq + 1", "audit records"),
    ],
)
def test_books_that_do_not_balance_are_told(home: House, damage: str, what: str) -> None:
    """Each kind of damage is named, and the command ends with 1."""
    home.box.run(
        lambda: home.box.servicenow.open_incident(
            short_description="Report of the night run is late", description="Late", impact="2", urgency="2"
        )
    )
    home.once()
    engine = create_engine(home.parts.settings.ledger.get_secret_value())
    with engine.begin() as connection:
        connection.execute(text("PRAGMA foreign_keys = OFF"))
        connection.execute(text(damage))
    engine.dispose()
    uneven = [one.what for one in home.ledger.books.balances() if not one.even]
    assert what in uneven
    assert home.command("verify").returncode == 1


def test_a_write_that_the_desk_has_lost_is_told(home: House) -> None:
    """`--desk` looks for the marker of every done action."""
    row = home.box.run(
        lambda: home.box.servicenow.open_incident(short_description="Late", description="Late again")
    )
    home.once()
    home.box.run(
        lambda: [
            said.update(value="") for said in home.box.servicenow.records.rows["sys_journal_field"].values()
        ]
    )
    told = json.loads(home.command("verify", "--desk", "--json").stdout)
    assert f"in {row['number']} is not at servicenow" in str(told["missing_at_desk"])


def _by_us(home: House, key: str) -> dict[str, str]:
    """A note with this key's marker at each desk, by our own accounts; gives the tickets by desk."""
    box, marker = home.box, f"Looks like noise · countersign:{key}"
    row = box.run(lambda: box.servicenow.open_incident(short_description="Late", description="Late again"))
    issue = box.run(lambda: box.jira.open_issue(summary="Late", issuetype="Incident"))
    service = box.run(lambda: box.pagerduty.add_service("checkout"))
    page = box.run(lambda: box.pagerduty.fire("Late", service, "warning", "late", {}))
    desks = home.parts.desks
    draft = Draft(headline="Looks like noise", blocks=(), provenance="a version that nobody knows")
    for desk, ref in (
        ("servicenow", TicketRef(desk="servicenow", id=row["sys_id"], key=row["number"])),
        ("jira", TicketRef(desk="jira", id=issue.id, key=issue.key)),
        ("pagerduty", TicketRef(desk="pagerduty", id=page, key=page)),
    ):
        desks[desk].write(
            Action(key=key, case_id="c", use_case="x", desk=desk, ticket=ref, effect=Note(draft=draft))
        )
    # A person who quotes a marker has written nothing of ours.
    box.run(lambda: box.servicenow.add_note(row["sys_id"], "lena.fischer", marker.replace(key, "0" * 16)))
    box.run(lambda: box.jira.add_comment(issue.key, "lena.fischer", marker.replace(key, "0" * 16)))
    return {"servicenow": row["number"], "jira": issue.key, "pagerduty": page}


def test_a_write_that_no_action_has_made_is_told_with_its_ticket(tmp_path: Path, sqlite_url: str) -> None:
    """`--desk` asks from the other side too: what our accounts have marked at every desk, not what people quote."""
    policies = [*POLICIES, str(rollback.page_policy(tmp_path))]
    with house(tmp_path, sqlite_url, policies=policies) as home:
        tickets = _by_us(home, "0123456789abcdef")
        ended = home.command("verify", "--desk", "--json")
        told = json.loads(ended.stdout)
    assert ended.returncode == 1
    assert sorted(told["unknown_to_ledger"]) == sorted(
        f"countersign:0123456789abcdef in {ticket} at {desk} belongs to no action that was begun"
        for desk, ticket in tickets.items()
    )
