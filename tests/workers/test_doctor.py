"""The doctor: names every missing scope, and asks for no more than the policies' autonomy needs."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from connectors.manifest import read_manifest
from sandbox.faults import Fault
from tests.workers.house import House
from workers.settings import load_settings
from workers.wiring import examine

VENDORS = ("datadog", "splunk", "pagerduty", "servicenow", "jira")
SHOWN = [
    (vendor, scope.name) for vendor in VENDORS for scope in read_manifest(vendor).scopes if scope.shown_by
]
ABOVE = [(vendor, name) for vendor, name in SHOWN if read_manifest(vendor).scope(name).autonomy != "observe"]
SHIPPED = ("alert-triage", "jira-triage")
ROOT = Path(__file__).parents[2]


def _autonomous(home: House, folder: Path, autonomy: str) -> House:
    """The house under policies of this autonomy, one for each desk, that may see log lines."""
    config = yaml.safe_load(home.config.read_text())
    shipped = [yaml.safe_load((ROOT / "policies" / f"{name}.yaml").read_text()) for name in SHIPPED]
    for policy in shipped:
        policy["scope"]["data"] = {"visible": ["summary", "body", "severity", "service", "ci", "logs"]}
    paged = {**shipped[0], "use_case": "paging", "scope": {**shipped[0]["scope"], "desk": "pagerduty"}}
    paged["scope"]["tickets"] = {"create": "never"}
    paged["approvals"] = {**paged["approvals"], "approvers": {"people": ["lead@example.com"]}}
    files = [folder / f"{policy['use_case']}.yaml" for policy in (*shipped, paged)]
    for file, policy in zip(files, (*shipped, paged), strict=True):
        file.write_text(yaml.safe_dump(policy | {"autonomy": autonomy, "owners": shipped[0]["owners"]}))
    config["policies"] = [str(file) for file in files]
    path = folder / "doctored.yaml"
    path.write_text(yaml.safe_dump(config))
    return replace(home, config=path)


def _missing(home: House) -> list[str]:
    return [check.detail for check in examine(load_settings(home.config)) if not check.ok]


def _whole(home: House) -> None:
    home.box.run(lambda: home.box.servicenow.add_user("countersign"))


@pytest.mark.parametrize(("vendor", "name"), SHOWN, ids=[f"{vendor}: {name}" for vendor, name in SHOWN])
def test_a_missing_scope_is_named(home: House, tmp_path: Path, vendor: str, name: str) -> None:
    """Whatever right is taken away, its line says NO and what to grant; all other lines stay ok."""
    _whole(home)
    home = _autonomous(home, tmp_path, "act")
    assert _missing(home) == []
    scope = read_manifest(vendor).scope(name)
    _take_away(home, vendor, name)
    told = _missing(home)
    assert told
    assert any(scope.grant in detail or "COUNTERSIGN_" in detail for detail in told)


def _take_away(home: House, vendor: str, name: str) -> None:
    scope, box = read_manifest(vendor).scope(name), home.box
    if scope.shown_by.endswith("/mypermissions"):
        box.run(lambda: box.jira.withheld.add(name))
        return
    method, _, path = scope.shown_by.partition(" ")
    match = f"^{method} {re.escape(path)}($|[?])"
    kind = "status" if "token" in name.lower() or "key" in name.lower() else "revoked"
    status = 401 if kind == "status" else 403
    box.run(lambda: box.faults.add(Fault(vendor=vendor, kind=kind, status=status, match=match, times=None)))


def test_who_only_observes_is_not_asked_for_rights_to_write(home: House, tmp_path: Path) -> None:
    """Without any right that only drafts or acts need, all is well for observe; draft misses some, act misses more."""
    _whole(home)
    for vendor, name in ABOVE:
        _take_away(home, vendor, name)
    lines = {
        autonomy: _missing(_autonomous(home, tmp_path, autonomy)) for autonomy in ("observe", "draft", "act")
    }
    assert lines["observe"] == []
    assert len(lines["draft"]) > 3
    assert len(lines["act"]) > len(lines["draft"])
    assert any("TRANSITION_ISSUES" in line for line in lines["act"])
    assert not any("TRANSITION_ISSUES" in line for line in lines["draft"])
