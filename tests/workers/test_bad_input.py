"""Bad input: what the outside may do wrong, each with a clear sentence, and nothing lost."""

from __future__ import annotations

import logging
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from connectors.litellm.model import LiteLLMModel
from countersign.assessment import Unassessed
from countersign.errors import Denied, OutsideError, Transient
from countersign.ledger import Story
from sandbox import datadog, pagerduty, splunk
from sandbox.faults import Fault
from sandbox.model import TOKEN
from tests.workers.house import House
from workers.app import new_app
from workers.parts import Wake
from workers.tasks import send

INCIDENT = r"PATCH /api/now/table/incident"


def _incident(home: House, text: str = "Backup of db-3 finished") -> str:
    """A ticket that people opened; gives its number."""
    row = home.box.run(
        lambda: home.box.servicenow.open_incident(
            short_description=text, description="The nightly backup took 41 minutes", impact="3", urgency="3"
        )
    )
    return str(row["number"])


def _story(home: House, ticket: str) -> Story:
    return home.parts.ledger.reading.story(ticket)


def _marks(home: House) -> Counter[str]:
    return Counter(write.marker for write in home.box.world.writes if write.marker)


def _states(home: House, ticket: str) -> set[str]:
    """What became of the ticket's actions, without those that wait for a person."""
    return {record.state for record in _story(home, ticket).actions} - {"planned"}


PASSING = {
    "denied": Fault(vendor="servicenow", match=INCIDENT, kind="status", status=401, times=None),
    "forbidden": Fault(vendor="servicenow", match=INCIDENT, kind="status", status=403, times=None),
    "limited": Fault(vendor="servicenow", match=INCIDENT, kind="status", status=429, times=None),
    "broken": Fault(vendor="servicenow", match=INCIDENT, kind="status", status=500, times=None),
    "broken after commit": Fault(vendor="servicenow", match=INCIDENT, kind="error_after_commit", times=1),
    "reset before": Fault(vendor="servicenow", match=INCIDENT, kind="reset_before", times=None),
    "reset after": Fault(vendor="servicenow", match=INCIDENT, kind="reset_after", times=1),
    "nonsense": Fault(vendor="servicenow", match=INCIDENT, kind="nonsense", times=1),
    "nothing": Fault(vendor="servicenow", match=INCIDENT, kind="empty", times=1),
}


@pytest.mark.parametrize("name", PASSING)
def test_a_write_survives_a_desk_that_fails_and_recovers(home: House, name: str) -> None:
    """Works -> breaks -> recovers: the note is in the ticket once, whatever the desk answered in between."""
    _incident(home)
    home.once()
    first = _marks(home)
    home.box.run(lambda: home.box.faults.add(replace(PASSING[name])))
    ticket = _incident(home, "Backup of db-4 finished")
    home.once()
    assert _states(home, ticket) != {"dead"}
    home.box.run(home.box.faults.clear)
    home.later(hours=1)
    home.later(hours=1)
    assert _states(home, ticket) == {"done"}
    assert set(_marks(home).values()) == {1}
    assert len(_marks(home)) == 2 * len(first)


def test_a_case_whose_policy_is_gone_is_kept_until_it_is_back(home: House) -> None:
    """Nobody decides by another policy: after three tries it is a dead letter that says what to do, and goes on."""
    ticket = _incident(home)
    home.run_only("pull")
    others = {name: one for name, one in home.parts.policies.items() if name != "alert-triage"}
    without = replace(home, parts=replace(home.parts, policies=others))
    for _ in range(3):
        without.later(minutes=1)
    (letter,) = home.parts.ledger.reading.dead_letters(limit=10)
    assert letter.reason.startswith("There is no policy for use case alert-triage; put its file back")
    assert (letter.kind, letter.attempts, home.writes) == ("case", 3, [])
    home.parts.ledger.reading.resolve_dead_letter(letter.id, how="replayed", by="ana")
    home.run("sweep")
    assert _states(home, ticket) == {"done"}


def test_a_ticket_that_is_gone_is_a_dead_letter_with_the_reason(home: House) -> None:
    """404 on a write: tried once, then for people, with one sentence and the payload; other tickets go on."""
    home.box.run(
        lambda: home.box.faults.add(
            Fault(vendor="servicenow", match=INCIDENT, kind="status", status=404, times=1)
        )
    )
    tickets = {_incident(home), _incident(home, "Backup of db-4 finished")}
    home.once()
    letters = home.parts.ledger.reading.dead_letters(limit=10)
    assert [letter.kind for letter in letters] == ["action"]
    assert "does not have what was asked for (404" in letters[0].reason
    assert sorted(state for ticket in tickets for state in _states(home, ticket)) == ["dead", "done"]


@pytest.mark.parametrize("source", ["datadog", "splunk", "pagerduty", "servicenow", "jira"])
@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        ("status", 401, Denied),
        ("status", 403, Denied),
        ("status", 429, Transient),
        ("status", 500, Transient),
        ("nonsense", 200, OutsideError),
        ("reset_before", 200, Transient),
    ],
)
def test_a_source_that_fails_loses_no_alert(
    home: House, source: str, kind: str, status: int, error: type[OutsideError]
) -> None:
    """Works -> breaks -> recovers: one clear sentence while it is broken, and every alert afterwards."""
    box = home.box
    box.run(lambda: _tell_one(home, source, 1))
    home.run("pull")
    box.run(lambda: _tell_one(home, source, 2))
    box.run(lambda: box.faults.add(Fault(vendor=source, kind=kind, status=status, times=None)))  # type: ignore[arg-type]
    with pytest.raises(error) as problem:
        list(home.pull(source))
    assert "Traceback" not in str(problem.value)
    assert str(problem.value).endswith(".")
    box.run(box.faults.clear)
    home.run("pull")
    assert home.parts.ledger.reading.tally().alerts == 2


def _tell_one(home: House, source: str, number: int) -> None:
    box, text = home.box, f"Disk of node-{number} is full"
    match source:
        case "datadog":
            box.datadog.add_monitor(text, monitor_id=number)
            box.datadog.fire(text, number, f"host:node-{number}")
        case "splunk":
            box.splunk.add_search(text, search="search index=main", description=text, severity=3)
            box.splunk.fire(text, [{"host": f"node-{number}"}], 3)
        case "pagerduty":
            box.pagerduty.fire(text, "storage", "warning", f"node-{number}", {})
        case "servicenow":
            box.servicenow.open_incident(short_description=text)
        case "jira":
            box.jira.open_issue(user="dana.okafor", summary=text)


@pytest.mark.parametrize("mode", ["prose", "nothing", "huge", "wrong_schema", "status_500", "status_429"])
def test_a_model_that_does_not_answer_hands_the_ticket_to_people(
    home: House, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prose, nothing, a thousand pages or an error: asked at most twice, recorded, and routed with the reason."""
    monkeypatch.setenv("OPENAI_API_KEY", TOKEN)
    box = home.box
    box.run(lambda: setattr(box.model, "mode", mode))
    asked = LiteLLMModel("openai/sandbox-small", timeout_s=10, api_base=f"{box.urls['model']}/v1")
    home = home.with_models(asked)
    ticket = _incident(home)
    with closing(asked):
        home.once()
    record = _story(home, ticket).decisions[-1]
    assert isinstance(record.assessment, Unassessed)
    assert record.assessment.reason == "model_down"
    assert 1 <= len(record.calls) <= 2
    assert all(call.detail for call in record.calls)
    assert home.box.run(lambda: home.box.servicenow.incident(ticket)["assignment_group"])
    assert _states(home, ticket) == {"done"}


def test_a_broker_that_is_away_is_told_once_and_forgotten(home: House) -> None:
    """No Redis: sending a wake-up logs one event and raises nothing, because the sweeper sends it again."""
    app = new_app(home.parts.settings, "redis://127.0.0.1:1/0")
    with capture_logs() as logs:
        send(app, Wake("assess", ("c1", "c2")))
    assert [(log["event"], log["ids"]) for log in logs] == [("wake.lost", 2)]


def test_nobody_waits_for_a_broker_that_is_away(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that has something to say goes on with its batch, and ends when it is told to."""
    naps: list[float] = []
    monkeypatch.setattr("kombu.utils.functional.sleep", naps.append)
    send(new_app(home.parts.settings, "redis://127.0.0.1:1/0"), Wake("assess", ("c1",)))
    assert sum(naps) < 1


def test_a_locked_ledger_is_one_sentence_and_passes(home: House) -> None:
    """SQLite held by another process: a sentence that says so, and the same page is recorded afterwards."""
    home.box.run(lambda: _tell_one(home, "pagerduty", 1))
    impatient = home.impatient()
    file = impatient.parts.settings.ledger.get_secret_value().removeprefix("sqlite:///")
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Transient, match="locked by another process"):
        list(impatient.pull("pagerduty"))
    other.rollback()
    other.close()
    impatient.run("pull")
    assert impatient.parts.ledger.reading.tally().alerts == 1
    impatient.parts.ledger.close()


def test_no_credential_reaches_a_log(home: House, caplog: pytest.LogCaptureFixture) -> None:
    """After a day of failures, no token or password stands in any log line."""
    settings = home.parts.settings
    secrets = [
        datadog.API_KEY,
        datadog.APP_KEY,
        splunk.TOKEN,
        pagerduty.TOKEN,
        settings.servicenow.password.get_secret_value(),  # type: ignore[union-attr]
    ]
    home.box.run(lambda: home.box.faults.add(Fault(vendor="*", kind="status", status=401, times=None)))
    caplog.set_level(logging.DEBUG)
    with capture_logs() as logs:
        for source in home.parts.sources:
            with pytest.raises(OutsideError):
                list(home.pull(source))
    told = f"{logs} {caplog.text} {settings!r}"
    assert not [secret for secret in secrets if secret in told]
