"""`policy backtest`: recorded cases decided again, as text, as JSON and as a page."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
import yaml

from countersign.boundary import boundary_hash
from countersign.labels import Versions
from countersign.monitors import Monitor
from countersign.thresholds import Certificate, Promise
from sandbox.servicenow import ServiceNow
from tests.unit.builders import NOW
from tests.workers.house import ROOT, House
from workers.files import read_policy
from workers.main import main

POLICY = ROOT / "policies" / "alert-triage.yaml"


def _tickets(home: House, number: int, name: str = "mail") -> None:
    desk = home.box.servicenow
    for host in range(number):
        home.box.run(
            lambda host=host: desk.open_incident(  # type: ignore[misc]
                short_description=f"Certificate of {name}-{host} was renewed",
                description="Certificate renewal finished, valid for 90 days, no action needed",
                impact="3",
                urgency="3",
            )
        )
    home.once()


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit, match="0"):
        main(["policy", "backtest", *arguments])
    return capsys.readouterr().out


def test_an_edit_shows_what_it_would_have_done(
    home: House, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Four were closed; a stricter threshold closes none of them, and each case that changes is named."""
    _tickets(home, 4)
    document = yaml.safe_load(POLICY.read_text(encoding="utf-8"))
    document["rules"][0]["threshold"] = {"risk_below": 0.0001}
    document["version"] = 2
    stricter = tmp_path / "stricter.yaml"
    stricter.write_text(yaml.safe_dump(document), encoding="utf-8")
    page = tmp_path / "page.html"
    told = _run(
        capsys, str(stricter), "--against", str(POLICY), "--config", str(home.config), "--page", str(page)
    )
    found = json.loads(
        _run(capsys, str(stricter), "--against", str(POLICY), "--config", str(home.config), "--json")
    )
    ids = {line.id for line in home.parts.ledger.reading.cases(limit=10)}
    assert "informational: closes 0 of 4 (was 4)" in told
    assert {one["id"] for one in found["changes"]} == ids
    assert found["before"][0]["would_close"] == 4
    assert all(case in page.read_text(encoding="utf-8") for case in ids)


def test_a_policy_in_force_is_compared_by_its_own_certificates(
    home: House, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """An edit of the boundary costs the certificate: what closes four now would close none, and that is told."""
    document = yaml.safe_load(POLICY.read_text(encoding="utf-8"))
    document["rules"][0]["threshold"] = {"wrong_closes_at_most": 0.02, "sure": 0.95}
    certified, edited = tmp_path / "certified.yaml", tmp_path / "edited.yaml"
    certified.write_text(yaml.safe_dump(document), encoding="utf-8")
    document["never_close"]["services"].append("billing")
    edited.write_text(yaml.safe_dump(document | {"version": 2}), encoding="utf-8")
    _tickets(home, 4)
    policy = read_policy(certified)
    certificate = Certificate(
        category="informational",
        versions=Versions(policy=boundary_hash(policy), prompt="p", model="local"),
        promise=Promise(alpha=0.02, delta=0.01),
        threshold=0.5, n=400, errors=0, p_value=0.0003, delta_spent=0.001, tuning=1, valid_from=NOW,
    )  # fmt: skip
    home.parts.ledger.promises.issue("alert-triage", "noise", certificate, Monitor.start(allowed=0.02))
    asked = (str(edited), "--against", str(certified), "--config", str(home.config), "--json")
    found = json.loads(_run(capsys, *asked))
    assert [found[side][0]["would_close"] for side in ("before", "figures")] == [4, 0]
    assert len(found["changes"]) == 4


def test_an_empty_ledger_says_that_there_is_nothing(home: House, capsys: pytest.CaptureFixture[str]) -> None:
    """No recorded case: a sentence, not a table of zeros."""
    assert "nothing to decide again" in _run(capsys, str(POLICY), "--config", str(home.config))


def test_wrong_closes_are_weighed_by_how_likely_a_case_was_looked_at(
    home: House, capsys: pytest.CaptureFixture[str]
) -> None:
    """While it drafts, people see every case; once it closes, the control lane's alone: each counts for two."""
    drafted = _judged(home.with_policy(autonomy="draft"), 6, wrong=1)
    sampled = _judged(home.with_policy(control_lane=0.5), 16, wrong=3)
    labels = home.parts.ledger.promises.labels("alert-triage")
    assert [sum(label.probability == chance for label in labels) for chance in (1.0, 0.5)] == [6, sampled]
    found = json.loads(_run(capsys, str(POLICY), "--config", str(home.config), "--json"))
    figures = next(one for one in found["figures"] if one["category"] == "informational")
    share = (1 + 2 * min(3, sampled)) / (drafted + 2 * sampled)
    assert (figures["would_close"], figures["wrong_share"]["n"]) == (22, drafted + sampled)
    assert figures["wrong_share"]["value"] == pytest.approx(share)
    assert figures["wrong_closes"]["value"] == pytest.approx(22 * share)
    assert figures["wrong_closes"]["low"] < 22 * share < figures["wrong_closes"]["high"]
    assert f"wrong: {share:.1%}" in _run(capsys, str(POLICY), "--config", str(home.config))


def _judged(home: House, number: int, *, wrong: int) -> int:
    """So many tickets; of those that people looked at, all are judged, the first few as wrong. Gives how many."""
    known, desk = _open(home), home.box.servicenow
    _tickets(home, number, f"host{number}")
    seen = sorted(_open(home) - known)
    for place, ticket in enumerate(seen):
        said = {True: "/countersign wrong category=security", False: "/countersign good"}[place < wrong]
        home.box.run(partial(_note, desk, ticket, said))
        # A person takes a while for each: many at once are taken for a bulk update.
        home.box.run(lambda: home.box.world.clock.step(timedelta(seconds=20)))
        home.run("watch", "sweep")
    return len(seen)


def _note(desk: ServiceNow, ticket: str, said: str) -> None:
    desk.add_note(desk.incident(ticket)["sys_id"], "dana.okafor", said)


def _open(home: House) -> set[str]:
    rows = home.box.run(lambda: list(home.box.servicenow.records.rows["incident"].values()))
    return {str(row["number"]) for row in rows if row["state"] not in ("6", "7")}
