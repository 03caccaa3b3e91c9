"""The doctor: names every missing scope, and asks for no more than the policies' autonomy needs."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from connectors.litellm.client import new_client
from connectors.litellm.model import LiteLLMModel
from connectors.manifest import read_manifest
from countersign.errors import ConfigError
from sandbox.faults import Fault
from sandbox.model import TOKEN
from sandbox.server import Sandbox
from tests.mailbox import mailbox
from tests.workers.house import House, write_config
from workers.settings import load_settings
from workers.trial import tried_once
from workers.wiring import examine, migrate

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
        changed = {"version": 2 + ("observe", "draft", "act").index(autonomy), "autonomy": autonomy}
        file.write_text(yaml.safe_dump(policy | changed | {"owners": shipped[0]["owners"]}))
    config["policies"] = [str(file) for file in files]
    path = folder / "doctored.yaml"
    path.write_text(yaml.safe_dump(config))
    return replace(home, config=path)


def _missing(home: House) -> list[str]:
    return [check.detail for check in examine(load_settings(home.config)) if not check.ok]


def _whole(home: House) -> None:
    home.box.run(lambda: home.box.servicenow.add_user("countersign"))


def test_the_doctor_puts_nothing_in_force(tmp_path: Path, sqlite_url: str) -> None:
    """A policy may be looked at and edited under its version for as long as no worker has gone by it."""
    with Sandbox(seed=7) as box:
        settings = load_settings(write_config(tmp_path, box, sqlite_url))
        migrate(settings)
        first = [check for check in examine(settings) if check.what == "policy file"]
        file = tmp_path / "policies" / "alert-triage.yaml"
        file.write_text(file.read_text().replace("purpose: ", "purpose: Edited. "))
        again = [check for check in examine(settings) if check.what == "policy file"]
    assert (first, again) == ([], [])


@pytest.mark.parametrize(
    ("section", "setting"),
    [
        ("datadog: {url: 'https://api.datadoghq.eu'}", "COUNTERSIGN_DATADOG__API_KEY"),
        ("splunk: {url: 'https://splunk.example.com:8089'}", "COUNTERSIGN_SPLUNK__TOKEN"),
        ("pagerduty: {sender: a@example.com}", "COUNTERSIGN_PAGERDUTY__TOKEN"),
        ("jira: {url: 'https://a.example.com', user: a, project: OPS}", "COUNTERSIGN_JIRA__TOKEN"),
    ],
)
def test_a_section_without_its_key_says_where_to_put_it(
    tmp_path: Path, sqlite_url: str, section: str, setting: str
) -> None:
    """In one sentence, and nothing is sent: the SDKs would fail in words of their own, or ask for a login."""
    config = tmp_path / "countersign.yaml"
    policy = ROOT / "policies" / "observe-first.yaml"
    config.write_text(f"ledger: {sqlite_url}\npolicies: [{policy}]\n{section}", encoding="utf-8")
    settings = load_settings(config)
    migrate(settings)
    with pytest.raises(ConfigError, match=f"is missing; put it into .*{setting}"):
        examine(settings)


def test_a_folder_of_prompts_without_examples_is_named(tmp_path: Path, sqlite_url: str) -> None:
    """The embedded model learns from them; a copy of the prompt alone is not enough."""
    prompts = tmp_path / "prompts" / "triage"
    prompts.mkdir(parents=True)
    (prompts / "v1.md").write_bytes((ROOT / "prompts" / "triage" / "v1.md").read_bytes())
    config = tmp_path / "countersign.yaml"
    config.write_text(
        f"ledger: {sqlite_url}\npolicies: [{ROOT / 'policies' / 'observe-first.yaml'}]\nprompts: {prompts.parent}",
        encoding="utf-8",
    )
    settings = load_settings(config)
    migrate(settings)
    with pytest.raises(ConfigError, match=r"There is no .*examples\.jsonl; mend `prompts`"):
        examine(settings)


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


def test_a_report_that_nobody_gets_is_warned_of(home: House, tmp_path: Path) -> None:
    """A policy wants its report mailed and no mail server is set: the doctor, the command and the scheduler say so."""
    _whole(home)
    (check,) = [one for one in examine(load_settings(home.config)) if one.what == "mail"]
    assert (check.ok, check.warns) == (True, True)
    assert "alert-triage wants its report mailed to noc-lead@example.com" in check.detail
    assert re.search(r"^ *! +mail", home.command("doctor").stdout, re.MULTILINE)
    done = home.command("report", "--out", str(tmp_path / "out"))
    assert "no mail server is set" in done.stderr
    assert done.returncode == 0


def test_a_mail_server_is_tried_without_a_mail(home: House, tmp_path: Path) -> None:
    """Reached, and asked for nothing; one that is away is a NO."""
    config = yaml.safe_load(home.config.read_text())
    path = tmp_path / "mailed.yaml"
    with mailbox() as box:
        mail = {"host": "127.0.0.1", "port": box.port, "sender": "countersign@example.com", "tls": "none"}
        path.write_text(yaml.safe_dump({**config, "mail": mail}))
        (there,) = [one for one in examine(load_settings(path)) if one.what == "mail"]
        assert box.mails == []
    (gone,) = [one for one in examine(load_settings(path)) if one.what == "mail"]
    assert (there.ok, there.warns, gone.ok) == (True, False, False)


def test_models_are_asked_only_if_that_is_wanted(home: House) -> None:
    """A question costs money. Asked, another model than the one that is wanted is a NO."""
    policy = home.parts.policies["alert-triage"]
    file = home.parts.prompts["triage/v1"]
    address = f"{home.box.urls['model']}/v1"
    with new_client() as client:
        model = LiteLLMModel(
            "openai/sandbox-small", timeout_s=10, client=client, api_base=address, api_key=TOKEN
        )
        assert tried_once(model, file, policy).ok
        home.box.run(lambda: setattr(home.box.model, "answers_as", "sandbox-large"))
        other = tried_once(model, file, policy)
        home.box.run(lambda: setattr(home.box.model, "mode", "status_401"))
        denied = tried_once(model, file, policy)
    assert "sandbox-large answers instead" in other.detail
    assert (other.ok, denied.ok) == (False, False)
    before = home.box.run(lambda: home.box.model.calls)
    examine(load_settings(home.config))
    assert home.box.run(lambda: home.box.model.calls) == before
    asked = [one.what for one in examine(load_settings(home.config), models=True)]
    assert "model local" in asked
