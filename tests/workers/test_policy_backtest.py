"""`policy backtest`: recorded cases decided again, as text, as JSON and as a page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.workers.house import ROOT, House
from workers.main import main

POLICY = ROOT / "policies" / "alert-triage.yaml"


def _tickets(home: House, number: int) -> None:
    desk = home.box.servicenow
    for host in range(number):
        home.box.run(
            lambda host=host: desk.open_incident(  # type: ignore[misc]
                short_description=f"Certificate of mail-{host} was renewed",
                description="Certificate renewal finished, valid for 90 days, no action needed",
                impact="3",
                urgency="3",
            )
        )
    home.with_policy(control_lane=0.0).once()


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


def test_an_empty_ledger_says_that_there_is_nothing(home: House, capsys: pytest.CaptureFixture[str]) -> None:
    """No recorded case: a sentence, not a table of zeros."""
    assert "nothing to decide again" in _run(capsys, str(POLICY), "--config", str(home.config))
