"""Calibration through the whole house: labels, an explicit step, and everything on the scale that it makes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from countersign.assessment import Assessment
from tests.workers.house import House, house, shipped
from workers.main import main

LABELS = 17


@pytest.fixture
def home(tmp_path: Path, ledger_url: str) -> Iterator[House]:
    """A house whose one closing rule closes on a promise, without a control lane."""
    document = yaml.safe_load(shipped())
    document["rules"][0]["when"]["category"] = ["informational"]
    document["rules"][0]["threshold"] = {"wrong_closes_at_most": 0.3, "sure": 0.8}
    document["control_lane"] = 0.0
    file = tmp_path / "promise.yaml"
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    with house(tmp_path, ledger_url, policies=[str(file)]) as one:
        yield one


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
    desk = home.box.servicenow
    for ticket in tickets:
        planned = (
            a.action.code for a in home.parts.ledger.reading.story(ticket).actions if a.state == "planned"
        )
        said = text.format(code=next(planned, ""))
        home.box.run(
            lambda key=ticket, said=said: desk.add_note(desk.incident(key)["sys_id"], "dana.okafor", said)  # type: ignore[misc]
        )
    home.run("watch", "sweep")


def _policy(home: House, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit, match="0"):
        main(["policy", *arguments, "--config", str(home.config)])
    return capsys.readouterr().out


def _assessment(home: House, ticket: str) -> Assessment:
    said = home.parts.ledger.reading.story(ticket).decisions[-1].assessment
    assert isinstance(said, Assessment)
    return said


def test_a_calibration_is_asked_for_told_recorded_and_a_scale_of_its_own(
    home: House, capsys: pytest.CaptureFixture[str]
) -> None:
    """Never by itself: before the step risks are as stated, after it they are calibrated, and certificates fall."""
    assert "no labels yet" in _policy(home, capsys, "calibrate")
    taught = _tickets(home, LABELS, "mail")
    _say(home, taught, "/countersign approve {code}")
    assert ": certified." in _policy(home, capsys, "certify")
    before = _assessment(home, _tickets(home, 1, "proxy")[0])
    assert (before.calibration, before.risk) == ("", pytest.approx(1 - before.confidence))
    assert home.parts.ledger.promises.standing("alert-triage").demoted == frozenset()

    asked = _policy(home, capsys, "calibrate", "--dry-run")
    assert f"from {LABELS} labels" in asked
    assert home.parts.ledger.scales.in_force("alert-triage") == {}

    told = _policy(home, capsys, "calibrate", "--by", "dana.okafor")
    (scale,) = home.parts.ledger.scales.in_force("alert-triage").values()
    assert f"In force now, as scale {scale.name}." in told
    assert 'rule "noise" only drafts from now on' in told
    assert home.parts.ledger.promises.standing("alert-triage").demoted == {"noise"}
    (calibrated,) = [e for e in _audit(home) if e[1] == "model.calibrated"]
    assert calibrated[0] == "dana.okafor"

    ticket = _tickets(home, 1, "dns")[0]
    after = _assessment(home, ticket)
    assert (after.calibration, after.confidence) == (scale.name, pytest.approx(before.confidence, abs=0.1))
    assert after.risk == pytest.approx(scale.risk(after.confidence))
    assert after.risk < 1 - after.confidence  # 17 of 17 were right, so it is worth more than it says
    assert home.box.run(lambda: home.box.servicenow.incident(ticket)["state"]) not in ("6", "7")
    note = str(home.parts.ledger.reading.story(ticket).actions[0].action.effect)
    words = f"confidence {after.confidence:.0%}, calibrated {1 - after.risk:.0%} on scale {scale.name}"
    assert words in note
    assert words in _policy(home, capsys, "explain", ticket)

    certified = _policy(home, capsys, "certify")
    assert f"calibrated by {LABELS} labels (scale {scale.name})" in certified
    assert "no label counts so far" in certified  # labels of the old scale say nothing of the new one
    assert "In force already" in _policy(home, capsys, "calibrate").replace("That is in", "In")


def _audit(home: House) -> list[tuple[str, str]]:
    records = [json.loads(line) for line in home.ledger.trail.export()]
    return [(record["actor"], record["event"]) for record in records]
