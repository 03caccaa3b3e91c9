"""A provider that answers with another model than the one that was asked: told at once, and trusted with nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import structlog

from connectors.litellm.client import new_client
from connectors.litellm.model import LiteLLMModel
from connectors.litellm.prices import Price
from countersign.composition import Period
from countersign.ledger import DecisionRecord
from sandbox.model import TOKEN
from tests.workers.house import House, house
from workers.figures import report_of

ASKED = "openai/sandbox-small"


@pytest.fixture
def home(tmp_path: Path, sqlite_url: str) -> Iterator[House]:
    """A house that asks a language model, without a control lane."""
    with house(tmp_path, sqlite_url) as one, new_client() as client:
        address = f"{one.box.urls['model']}/v1"
        price = Price(read=1.0, written=1.0)
        model = LiteLLMModel(ASKED, timeout_s=10, client=client, api_base=address, api_key=TOKEN, price=price)
        yield one.with_models(model)


def _decided(home: House, title: str) -> DecisionRecord:
    row = home.box.run(
        lambda: home.box.servicenow.open_incident(short_description=title, description="p95 latency grows")
    )
    home.once()
    return home.ledger.reading.story(str(row["number"])).decisions[-1]


def _notes(home: House) -> list[str]:
    notes = [json.dumps(write.body) for write in home.writes]
    return [note for note in notes if "Another model answers" in note]


def test_the_model_that_answers_is_recorded_beside_the_one_that_was_asked(home: House) -> None:
    """A dated build of the same model is nothing to tell of."""
    home.box.run(lambda: setattr(home.box.model, "answers_as", "sandbox-small-2026-04-14"))
    record = _decided(home, "Queue is slow")
    assert [(call.model, call.answered_by) for call in record.calls] == [(ASKED, "sandbox-small-2026-04-14")]
    assert record.assessment.model == ASKED
    assert _notes(home) == []


def test_another_model_is_told_to_the_owner_once_a_day_and_shown_wherever_models_are(home: House) -> None:
    """In the log, in the ticket, in the report and in the costs; its answers are not those that were certified."""
    home.box.run(lambda: setattr(home.box.model, "answers_as", "sandbox-large"))
    with structlog.testing.capture_logs() as logs:
        record = _decided(home, "Queue is slow")
    assert record.assessment.model == "sandbox-large"
    told = next(line for line in logs if line["event"] == "model.other")
    assert (told["asked"], told["answered_by"], told["log_level"]) == (ASKED, "sandbox-large", "error")
    _decided(home, "Disk is slow")
    (note,) = _notes(home)
    assert "sandbox-large" in note
    assert "noc-lead@example.com" in note
    until = home.clock()
    period = Period(since=until - timedelta(days=7), until=until)
    report = report_of(home.parts.policies["alert-triage"], home.ledger, period)
    assert report.attention[0] == (
        "openai/sandbox-small was asked, but sandbox-large answered 2 times; no certificate covers such answers."
    )
    assert "sandbox-large answered 2 times" in home.command("costs").stdout.replace("\n", " ")


def test_a_policy_that_only_observes_writes_no_note_of_it(home: House) -> None:
    """It is logged and reported; nothing is written into the ticket."""
    home = home.with_policy(autonomy="observe")
    home.box.run(lambda: setattr(home.box.model, "answers_as", "sandbox-large"))
    with structlog.testing.capture_logs() as logs:
        _decided(home, "Queue is slow")
    assert "model.other" in [line["event"] for line in logs]
    assert home.writes == []
