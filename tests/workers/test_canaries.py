"""Canaries: values that must not be found again are planted in every text, and searched in every sink after a run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest
import redis
import structlog
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import create_engine, text

from connectors.litellm.client import new_client
from connectors.litellm.model import LiteLLMModel
from connectors.litellm.prices import Price
from connectors.redis.server import EmbeddedRedis
from connectors.sql.tables import metadata
from countersign.actions import Note
from sandbox.faults import Fault
from sandbox.model import TOKEN
from sandbox.tickets import tickets
from tests.workers.house import House, house
from workers import tracing
from workers.main import main
from workers.tasks import STAGES, send
from workers.tracing import span
from workers.wiring import celery_app

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Sung:
    """A house after a run over the canaries with a language model, and all that it let out while it ran."""

    home: House
    logs: str
    redis: str
    spans: str
    wakes: int


@pytest.fixture(scope="module")
def sung(tmp_path_factory: pytest.TempPathFactory, redis_server: EmbeddedRedis) -> Iterator[Sung]:
    folder = tmp_path_factory.mktemp("canaries")
    ledger, broker = f"sqlite:///{folder / 'ledger.db'}", redis_server.url
    with house(folder, ledger, broker=broker, key_prefix="canaries:") as home, new_client() as client:
        address = f"{home.box.urls['model']}/v1"
        model = LiteLLMModel(
            "openai/sandbox-small",
            timeout_s=10,
            client=client,
            api_base=address,
            api_key=TOKEN,
            price=Price(read=0.1, written=0.1),
        )
        budget = {
            "question": "triage",
            "prompt": "v1",
            "candidates": [model.name],
            "budget": {"usd_per_day": 5},
        }
        home = home.with_policy(model=budget).with_models(model)
        # A command of an earlier test may have set a level: this comes before the fixture that resets it.
        structlog.reset_defaults()
        with structlog.testing.capture_logs() as logs, _listening(broker) as heard, _traced() as spans:
            wakes = _sing(home)
        yield Sung(
            home=home,
            logs=json.dumps(logs, default=str),
            redis="\n".join(heard),
            spans="".join(one.to_json() for one in spans.get_finished_spans()),
            wakes=wakes,
        )


@contextmanager
def _listening(url: str) -> Iterator[list[str]]:
    """Every command that Redis is given meanwhile: what a key holds for a second is in it too."""
    heard: list[str] = []
    with redis.Redis.from_url(url) as client, client.monitor() as monitor:

        def listen() -> None:
            for command in monitor.listen():
                heard.append(command["command"])
                if heard[-1] == "ECHO over":
                    return

        ear = Thread(target=listen)
        ear.start()
        try:
            yield heard
        finally:
            client.echo("over")
            ear.join(timeout=30)


@contextmanager
def _traced() -> Iterator[InMemorySpanExporter]:
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracing, "_tracer", lambda: provider.get_tracer(tracing.SCOPE))
        yield kept


def _sing(home: House) -> int:
    """Everything that can happen to a text; gives how many wake-ups were sent through Redis."""
    _plant(home)
    wakes = 0
    for stage in ("pull", "sweep"):
        wakes += _through_redis(home, stage)
    home.box.run(home.box.faults.clear)
    home.once()
    home.box.run(lambda: _comment(home))
    home.run("watch", "sweep")
    return wakes


def _through_redis(home: House, stage: str) -> int:
    """Runs a stage and what it wakes, each wake-up sent to Redis as well as done."""
    app, awake, sent = celery_app(home.parts.settings), list(home._first(stage)), 0
    while awake:
        wake = awake.pop(0)
        send(app, wake)
        sent += 1
        with span(f"countersign.{wake.stage}", {"ids": len(wake.ids)}):
            awake += STAGES[wake.stage](home.parts, list(wake.ids))
    return sent


def _plant(home: House) -> None:
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
        # One write is refused in words that repeat it: its action is a dead letter.
        home.box.faults.add(Fault(vendor="servicenow", kind="echo", match="^PATCH", times=1))

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


def test_the_canaries_were_there(sung: Sung) -> None:
    """They came in as alerts, tickets, comments and a payload that could not be read."""
    tables = _tables(sung.home)
    assert _found(CANARIES, tables["alerts"]) == list(CANARIES)
    assert _found(CANARIES, tables["ticket_changes"]) == list(CANARIES)
    for table in ("dead_letters", "model_calls", "corrections", "actions", "audit"):
        assert tables[table], table


def test_no_canary_reaches_a_model(sung: Sung) -> None:
    """What went over the wire to the provider holds placeholders alone."""
    asked = sung.home.box.run(lambda: json.dumps(sung.home.box.model.asked))
    assert "<email:1>" in asked
    assert _found(CANARIES, asked) == []


def test_no_canary_is_in_a_sink_of_ours(sung: Sung) -> None:
    """Prompts, answers, assessments, decisions, corrections, dead letters and the audit log are free of them."""
    sinks = {name: rows for name, rows in _tables(sung.home).items() if name not in COPIES | {"actions"}}
    assert {name: found for name, rows in sinks.items() if (found := _found(CANARIES, rows))} == {}


def test_no_canary_is_logged(sung: Sung) -> None:
    """Neither by an event of ours nor in the reason of one."""
    assert "case.decided" in sung.logs
    assert _found(CANARIES, sung.logs) == []


def test_no_canary_reaches_redis(sung: Sung) -> None:
    """Neither in a wake-up, nor in a remembered answer, nor where the budget is counted, however briefly."""
    assert sung.wakes > 3
    for place in ("canaries:answer:", "canaries:budget:", "canaries:assess"):
        assert place in sung.redis
    assert _found(CANARIES, sung.redis) == []


def test_no_canary_is_in_a_span(sung: Sung) -> None:
    """Names, figures and ids: a trace may go to anybody's collector."""
    assert "gen_ai.usage.input_tokens" in sung.spans
    assert "countersign.action" in sung.spans
    assert _found(CANARIES, sung.spans) == []


COMMANDS = {
    "report": ("report", "--out", "{out}"),
    "examples": ("feedback", "export", "--unsettled", "--use-case", "alert-triage", "--out", "{out}"),
    "audit": ("audit", "export"),
    "costs": ("costs",),
    "actions": ("actions",),
    "letters": ("dead-letters", "list", "--json"),
    "replay": ("replay", "{case}"),
}
# They tell what the case's own ticket says, addresses and all, to who may read the ledger.
STORIES = {
    "cases": ("cases", "--json"),
    "case": ("case", "show", "{case}"),
    "case as JSON": ("case", "show", "{case}", "--json"),
}


def _told(sung: Sung, words: Sequence[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What a command shows, and all that it writes."""
    (case, *_) = [line.id for line in sung.home.parts.ledger.reading.cases(limit=10) if line.ticket]
    with pytest.raises(SystemExit, match="0"):
        main([*(word.format(out=folder, case=case) for word in words), "--config", str(sung.home.config)])
    files = [file.read_bytes().decode(errors="replace") for file in folder.rglob("*") if file.is_file()]
    return capsys.readouterr().out + "".join(files)


@pytest.mark.parametrize("name", COMMANDS)
def test_no_canary_is_in_what_a_command_tells(
    sung: Sung, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Figures, examples of what people corrected, and the log: on the screen, and in every file."""
    told = _told(sung, COMMANDS[name], tmp_path, capsys)
    assert told
    assert _found(CANARIES, told) == []


@pytest.mark.parametrize("name", STORIES)
def test_no_secret_is_in_the_story_of_a_case(
    sung: Sung, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor a part of one."""
    told = _told(sung, STORIES[name], tmp_path, capsys)
    assert "<secret:1>" in told
    assert SECRET[:20] not in told


def test_a_vendor_s_refusal_repeats_no_canary(sung: Sung) -> None:
    """A desk that quotes what it refused: the dead letter of the action, and its command, hold placeholders."""
    letters = sung.home.parts.ledger.reading.dead_letters(limit=50)
    (dead,) = [one for one in letters if one.kind == "action"]
    assert "Field validation failed" in dead.reason
    shown = sung.home.command("dead-letters", "show", dead.id).stdout
    assert dead.reason.split(":")[0] in shown
    assert _found(CANARIES, shown) == []


def test_a_secret_is_in_no_note_and_no_action(sung: Sung) -> None:
    """An engineer needs the address at three in the morning, and the token never."""
    home = sung.home
    notes = home.box.run(lambda: [w for w in home.box.world.writes if w.marker])
    assert notes
    assert _found({"secret": SECRET}, _tables(home)["actions"] + str(notes)) == []


def test_a_note_shows_the_real_values_of_its_own_ticket(sung: Sung) -> None:
    """Where the assessment says <email:1>, the ticket that it came from shows the address."""
    home = sung.home
    lines = home.parts.ledger.reading.cases(limit=10)
    stories = [home.parts.ledger.reading.story(line.id) for line in lines if line.ticket]
    drafts = [a.action.effect.draft for s in stories for a in s.actions if isinstance(a.action.effect, Note)]
    said = [s.decisions[-1].assessment.summary for s in stories]  # type: ignore[union-attr]
    assert all("<email:1>" in one and "<secret:1>" in one for one in said)
    assert drafts
    assert all(PERSONAL["email"] in d.headline and "<secret:1>" in d.headline for d in drafts)
