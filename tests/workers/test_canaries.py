"""Canaries: values that must not be found again are planted in every text, and searched in every sink after a run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from sqlalchemy import create_engine, text

from connectors.litellm.client import new_client
from connectors.litellm.model import LiteLLMModel
from connectors.sql.tables import metadata
from countersign.actions import Note
from sandbox.model import TOKEN
from sandbox.tickets import tickets
from tests.workers.house import House, house

SECRET = "ghp_" + "Zk3vQ9mT7xW2pL5nR8sB4cD6fG1hJ0yA9eU2"
PERSONAL = {
    "email": "canary.bird@example.org",
    "ip": "203.0.113.77",
    "iban": "DE89370400440532013000",
    "card": "4111111111111111",
}
CANARIES = {"secret": SECRET, **PERSONAL}
SAYS = f"token {SECRET} of {PERSONAL['email']} at {PERSONAL['ip']}, IBAN {PERSONAL['iban']}, card {PERSONAL['card']}"
# What the systems themselves said, as they said it: the ledger's own copies of alerts, tickets and changes in them.
COPIES = {"alerts", "tickets", "ticket_changes", "cases", "case_keys"}


@pytest.fixture(scope="module")
def sung(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, str]]:
    """A house after a run over the canaries with a language model; and everything that it logged."""
    folder = tmp_path_factory.mktemp("canaries")
    with house(folder, f"sqlite:///{folder / 'ledger.db'}") as home, new_client() as client:
        address = f"{home.box.urls['model']}/v1"
        model = LiteLLMModel(
            "openai/sandbox-small", timeout_s=10, client=client, api_base=address, api_key=TOKEN
        )
        home = home.with_policy(control_lane=0.0).with_models(model)
        with structlog.testing.capture_logs() as logs:
            _sing(home)
            home.once()
            home.box.run(lambda: _comment(home))
            home.run("watch", "sweep")
        yield home, json.dumps(logs, default=str)


def _sing(home: House) -> None:
    at = datetime.now(UTC) - timedelta(minutes=5)

    def plant() -> None:
        desk, monitors = home.box.servicenow, home.box.datadog
        for title in ("Queue is slow", "Queue is slow for all"):
            desk.open_incident(
                short_description=f"{title}: {SAYS}", description=f"It says {SAYS}", impact="2"
            )
        monitors.fire(f"Queue is slow {SAYS}", 7, "service:queue", message=f"Seen: {SAYS}", at=at)
        shown = {"attributes": {"monitor": SAYS}, "tags": ["source:alert"], "message": SAYS}
        monitors.put_raw({"id": "broken", "type": "event", "attributes": shown}, at)

    home.box.run(plant)


def _comment(home: House) -> None:
    for ticket in tickets(home.box.servicenow, home.box.jira):
        ticket.say("dana.okafor", f"/countersign wrong category=data cause={SAYS} {SAYS}")


def _tables(home: House) -> dict[str, str]:
    """Every row of every table, as one text a table."""
    engine = create_engine(home.parts.settings.ledger.get_secret_value())
    with engine.connect() as connection:
        rows = {
            table.name: "\n".join(
                str(tuple(row)) for row in connection.execute(text(f"SELECT * FROM {table.name}"))
            )
            for table in metadata.sorted_tables
        }
    engine.dispose()
    return rows


def _found(canaries: dict[str, str], sink: str) -> list[str]:
    return [kind for kind, canary in canaries.items() if canary in sink]


def test_the_canaries_were_there(sung: tuple[House, str]) -> None:
    """They came in as alerts, tickets, comments and a payload that could not be read."""
    tables = _tables(sung[0])
    assert _found(CANARIES, tables["alerts"]) == list(CANARIES)
    assert _found(CANARIES, tables["ticket_changes"]) == list(CANARIES)
    for table in ("dead_letters", "model_calls", "corrections", "actions", "audit"):
        assert tables[table], table


def test_no_canary_reaches_a_model(sung: tuple[House, str]) -> None:
    """What went over the wire to the provider holds placeholders alone."""
    asked = sung[0].box.run(lambda: json.dumps(sung[0].box.model.asked))
    assert "<email:1>" in asked
    assert _found(CANARIES, asked) == []


def test_no_canary_is_in_a_sink_of_ours(sung: tuple[House, str]) -> None:
    """Prompts, answers, assessments, decisions, corrections, dead letters and the audit log are free of them."""
    sinks = {name: rows for name, rows in _tables(sung[0]).items() if name not in COPIES | {"actions"}}
    assert {name: found for name, rows in sinks.items() if (found := _found(CANARIES, rows))} == {}


def test_no_canary_is_logged(sung: tuple[House, str]) -> None:
    """Neither by an event of ours nor in the reason of one."""
    assert "case.decided" in sung[1]
    assert _found(CANARIES, sung[1]) == []


def test_a_secret_is_in_no_note_and_no_action(sung: tuple[House, str]) -> None:
    """An engineer needs the address at three in the morning, and the token never."""
    home = sung[0]
    notes = home.box.run(lambda: [w for w in home.box.world.writes if w.marker])
    assert notes
    assert _found({"secret": SECRET}, _tables(home)["actions"] + str(notes)) == []


def test_a_note_shows_the_real_values_of_its_own_ticket(sung: tuple[House, str]) -> None:
    """Where the assessment says <email:1>, the ticket that it came from shows the address."""
    home = sung[0]
    lines = home.parts.ledger.reading.cases(limit=10)
    stories = [home.parts.ledger.reading.story(line.id) for line in lines if line.ticket]
    drafts = [a.action.effect.draft for s in stories for a in s.actions if isinstance(a.action.effect, Note)]
    said = [s.decisions[-1].assessment.summary for s in stories]  # type: ignore[union-attr]
    assert all("<email:1>" in one and "<secret:1>" in one for one in said)
    assert drafts
    assert all(PERSONAL["email"] in d.headline and "<secret:1>" in d.headline for d in drafts)
