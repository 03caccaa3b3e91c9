"""The embedded model alone through the whole house: where people's words certify it, and as long as they do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from sqlalchemy import update

from connectors.litellm.client import new_client
from connectors.litellm.model import LiteLLMModel
from connectors.sql.model_figures import local_labels
from countersign.assessment import Assessment
from sandbox.model import TOKEN
from tests.workers.house import House, house, shipped
from workers.main import main

FEW, ENOUGH, WRONG = 4, 13, 9


@pytest.fixture
def home(tmp_path: Path, ledger_url: str) -> Iterator[House]:
    """A house that asks a language model, and may let the embedded one answer where half of its answers are right."""
    document = yaml.safe_load(shipped())
    document["model"] |= {"candidates": ["openai/sandbox-small"], "sure_enough_locally": 0.5}
    document |= {"control_lane": 0.0, "autonomy": "draft"}
    file = tmp_path / "locally.yaml"
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    with house(tmp_path, ledger_url, policies=[str(file)]) as one, new_client() as client:
        address = f"{one.box.urls['model']}/v1"
        model = LiteLLMModel(
            "openai/sandbox-small", timeout_s=10, client=client, api_base=address, api_key=TOKEN
        )
        yield one.with_models(model)


def _tickets(home: House, number: int, name: str) -> list[str]:
    """So many quiet tickets, read and decided."""
    desk = home.box.servicenow
    opened = [
        home.box.run(
            lambda title=f"Certificate of {name}-{host} was renewed": desk.open_incident(  # type: ignore[misc]
                short_description=title,
                description="Certificate renewal finished, valid for 90 days, no action needed",
                impact="3",
                urgency="3",
            )
        )
        for host in range(number)
    ]
    home.once()
    return [str(row["number"]) for row in opened]


def _say(home: House, tickets: list[str], text: str) -> None:
    """In words of its own for each ticket: the same in many at once would be one update, and no label."""
    desk = home.box.servicenow
    for ticket in tickets:
        said = f"I looked at {ticket}.\n{text}"
        home.box.run(
            lambda key=ticket, said=said: desk.add_note(desk.incident(key)["sys_id"], "dana.okafor", said)  # type: ignore[misc]
        )
    home.run("watch", "sweep")


def _certify(home: House, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit, match="0"):
        main(["policy", "certify", "--config", str(home.config)])
    return capsys.readouterr().out


def _asked(home: House) -> int:
    return int(home.box.run(lambda: home.box.model.calls))


def _assessment(home: House, ticket: str) -> Assessment:
    said = home.parts.ledger.reading.story(ticket).decisions[-1].assessment
    assert isinstance(said, Assessment)
    return said


def test_it_answers_alone_once_certified_and_until_it_is_wrong_too_often(
    home: House, capsys: pytest.CaptureFixture[str]
) -> None:
    """Too few words: others are asked; enough: they are not any more; a series of wrong answers: they are again."""
    assert "nobody has said yet" in _certify(home, capsys)
    taught = _tickets(home, FEW, "mail")
    assert (_asked(home), _assessment(home, taught[0]).is_llm) == (FEW, True)
    read = _assessment(home, taught[0]).read
    assert read is not None
    assert read.category == "informational"
    _say(home, taught, "/countersign good")
    assert "not certified" in _certify(home, capsys)

    more = _tickets(home, ENOUGH, "proxy")
    assert _asked(home) == FEW + ENOUGH
    _say(home, more, "/countersign good")
    certified = _certify(home, capsys)
    assert "local alone: informational: at most 50% of the embedded model's answers are wrong" in certified
    assert f"certified. 0 of {FEW + ENOUGH} labels wrong" in certified

    alone = _tickets(home, WRONG, "sso")
    assert _asked(home) == FEW + ENOUGH
    assert [(one.model, one.is_llm) for one in (_assessment(home, key) for key in alone)] == [
        ("local", False)
    ] * WRONG

    _say(home, alone, "/countersign wrong category=security")
    standing = home.parts.ledger.local_readings.standing("alert-triage")
    assert [one.withdrawn_at is None for one in standing.issued] == [False]
    events = [json.loads(line)["event"] for line in home.ledger.trail.export()]
    assert (events.count("local.certified"), events.count("local.withdrawn")) == (1, 1)
    notes = [
        str(record.action.effect)
        for key in alone
        for record in home.parts.ledger.reading.story(key).actions
        if "no longer answers alone" in str(record.action.effect)
    ]
    assert len(notes) == 1
    (again,) = _tickets(home, 1, "imap")
    assert (_asked(home), _assessment(home, again).is_llm) == (FEW + ENOUGH + 1, True)


def test_what_it_read_is_judged_anew_by_the_same_rules(
    home: House, capsys: pytest.CaptureFixture[str]
) -> None:
    """A label of other rules is brought up to these, one that is lost is made again, one too many goes; all is told."""
    tickets = _tickets(home, 3, "mail")
    _say(home, tickets[:2], "/countersign good")
    book, ledger = home.parts.ledger.local_readings, home.ledger
    labels = sorted(book.labels("alert-triage"), key=str)
    assert len(labels) == 2
    assert _relabelled(home, capsys) == "2 as before, 0 new, 0 changed, 0 withdrawn."
    first, second, third = (ledger.reading.story(ticket).case.id for ticket in tickets)
    with ledger._db.write() as connection:
        of = local_labels.c.case_id
        connection.execute(update(local_labels).where(of == first).values(wrong=True, body=""))
        connection.execute(update(local_labels).where(of == second).values(case_id=third))
    assert _relabelled(home, capsys) == "0 as before, 1 new, 1 changed, 1 withdrawn."
    assert sorted(book.labels("alert-triage"), key=str) == labels
    told = [json.loads(line)["event"] for line in ledger.trail.export()]
    assert (told.count("reading.changed"), told.count("reading.withdrawn")) == (1, 1)


def _relabelled(home: House, capsys: pytest.CaptureFixture[str]) -> str:
    """What `feedback relabel` says of readings."""
    capsys.readouterr()
    with pytest.raises(SystemExit, match="0"):
        main(["feedback", "relabel", "--config", str(home.config)])
    return capsys.readouterr().out.partition("of what the embedded model read: ")[2].strip()


def test_without_the_policys_word_nothing_is_read_or_kept(home: House) -> None:
    """A policy that does not let it answer alone pays for no reading, and what people say teaches none."""
    document = home.parts.policies["alert-triage"].model.model_dump(by_alias=True)
    home = home.with_policy(model=document | {"sure_enough_locally": None})
    tickets = _tickets(home, 1, "mail")
    _say(home, tickets, "/countersign good")
    assert _assessment(home, tickets[0]).read is None
    assert home.parts.ledger.local_readings.labels("alert-triage") == ()
