"""Explaining a case: each rule, each objection, the lane, from what was recorded."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from countersign.assessment import Assessment
from countersign.boundary import versions_of
from countersign.monitors import Monitor
from countersign.thresholds import Certificate, Promise
from tests.unit.builders import NOW
from tests.workers.house import House, shipped
from workers.files import read_policy
from workers.main import main


def _case(home: House) -> str:
    row = home.box.run(
        lambda: home.box.servicenow.open_incident(
            short_description="Certificate of mail-relay was renewed",
            description="Certificate renewal finished, valid for 90 days, no action needed",
            impact="3",
            urgency="3",
        )
    )
    home.once()
    return str(row["number"])


def test_a_decided_case_is_explained_rule_by_rule(home: House, capsys: pytest.CaptureFixture[str]) -> None:
    """The matching rule, those that did not match and why, the lane with its probability, and what was written."""
    ticket = _case(home)
    with pytest.raises(SystemExit, match="0"):
        main(["policy", "explain", ticket, "--config", str(home.config)])
    told = capsys.readouterr().out
    assert 'Rule "noise"' in told
    assert ": matches." in told
    assert 'Rule "capacity"' in told
    assert "does not match, because the category is informational" in told
    assert "would match, but a rule above matched first" in told
    assert "Lane: treated" in told
    assert "Severity info: the sources say info" in told
    assert 'Decision: close, by "noise"' in told


def test_a_case_is_explained_under_a_policy_that_is_not_in_force(
    home: House, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """With --policy: what that policy makes of the recorded facts, and every objection to the close."""
    ticket = _case(home)
    document = yaml.safe_load(shipped())
    document["rules"][0]["threshold"] = {"wrong_closes_at_most": 0.02, "sure": 0.95}
    document["version"] = 2
    file = tmp_path / "stricter.yaml"
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    with pytest.raises(SystemExit, match="0"):
        main(["policy", "explain", ticket, "--policy", str(file), "--config", str(home.config)])
    told = capsys.readouterr().out
    assert "This is another policy, on the same facts" in told
    lines = told.splitlines()
    (matched,) = [number for number, line in enumerate(lines) if line.endswith(": matches.")]
    # Below the rule that it speaks against, not below the last one.
    assert lines[matched + 1].startswith("  against closing without a person")
    assert "is not certified yet for informational" in told


def test_another_policy_closes_by_its_own_certificates(
    home: House, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """One that is certified now closes the case, and one that promises more than that does not."""
    ticket = _case(home)
    said = home.parts.ledger.reading.story(ticket).decisions[-1].assessment
    assert isinstance(said, Assessment)
    document = yaml.safe_load(shipped()) | {"version": 2}
    told = []
    for wrong in (0.3, 0.02):
        document["rules"][0]["threshold"] = {"wrong_closes_at_most": wrong, "sure": 0.8}
        file = tmp_path / f"{wrong}.yaml"
        file.write_text(yaml.safe_dump(document), encoding="utf-8")
        certificate = Certificate(
            category="informational", versions=versions_of(read_policy(file), said),
            promise=Promise(alpha=0.3, delta=0.01), threshold=0.5, n=60, errors=0, p_value=1e-9,
            delta_spent=0.001, tuning=1, valid_from=NOW,
        )  # fmt: skip
        home.parts.ledger.promises.issue("alert-triage", "noise", certificate, Monitor.start(allowed=0.3))
        with pytest.raises(SystemExit, match="0"):
            main(["policy", "explain", ticket, "--policy", str(file), "--config", str(home.config)])
        told.append(capsys.readouterr().out)
    assert "nothing speaks against closing without a person" in told[0]
    assert "is not certified yet for informational" in told[1]
