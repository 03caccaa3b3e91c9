"""The schema of policies: values, defaults, the hash, and what is generated from it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError
from pydantic import ValidationError as SchemaError

from countersign.policy import Policy, Window, json_schema_text, load_policy, reference_markdown
from countersign.policy.durations import format_duration, parse_duration
from countersign.policy.fields import FORMS
from countersign.severity import Severity

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "policies").glob("*.yaml"))
SMALL: dict[str, Any] = {
    "use_case": "small",
    "version": 1,
    "purpose": "Show the schema.",
    "scope": {"sources": ["jira"], "desk": "jira"},
    "rules": [{"name": "all", "then": "draft_note"}],
}


def test_severities_are_ordered() -> None:
    """info < low < medium < high < critical, whatever their spelling."""
    assert sorted(Severity, reverse=True) == [
        Severity.CRITICAL,
        Severity.HIGH,
        Severity.MEDIUM,
        Severity.LOW,
        Severity.INFO,
    ]
    assert max(Severity.LOW, Severity.HIGH) is Severity.HIGH


def test_severities_do_not_compare_with_words() -> None:
    """A word compared by the alphabet would be a silent mistake."""
    with pytest.raises(TypeError):
        assert Severity.LOW < "medium"


@pytest.mark.parametrize(
    ("word", "severity"),
    [
        ("critical", "critical"),
        ("P1", "critical"),
        ("error", "high"),
        ("Warning", "medium"),
        ("sev-4", "low"),
        (" info ", "info"),
    ],
)
def test_a_severity_is_read_from_the_words_of_other_systems(word: str, severity: str) -> None:
    """PagerDuty's four words, priorities and sev numbers are known."""
    assert Severity.parse(word) is Severity(severity)


def test_an_unknown_severity_is_refused_with_the_list() -> None:
    """The message says what may be written."""
    with pytest.raises(
        ValueError, match='"purple" is not a severity; write one of info, low, medium, high, critical'
    ):
        Severity.parse("purple")


@given(st.integers(0, 3650 * 86400))
def test_a_duration_reads_back_what_it_writes(seconds: int) -> None:
    """format and parse are inverse for whole seconds."""
    assert parse_duration(format_duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "h", "5", "5 m", "-5m", "5w", "1.5h", "٣m", "9999999999s", "3651d"])
def test_a_text_that_is_no_duration_is_refused(text: str) -> None:
    """The message shows the form."""
    with pytest.raises(ValueError, match='as "30s", "10m", "24h" or "7d"'):
        parse_duration(text)


def test_a_bare_date_covers_its_day_in_its_zone() -> None:
    """From midnight to midnight where the policy says, both days included."""
    window = Window.model_validate({"from": "2026-12-15", "to": "2026-12-16", "zone": "Europe/Rome"})
    moments = (
        datetime(2026, 12, 14, 22, 59, tzinfo=UTC),
        datetime(2026, 12, 14, 23, 0, tzinfo=UTC),
        datetime(2026, 12, 16, 22, 59, tzinfo=UTC),
        datetime(2026, 12, 16, 23, 0, tzinfo=UTC),
    )
    assert [window.covers(moment) for moment in moments] == [False, True, True, False]


def test_what_is_left_out_has_careful_defaults() -> None:
    """Observe, the use case as seed, and a hold longer than Jira's search lag."""
    policy = Policy.model_validate(SMALL)
    assert (policy.autonomy, policy.seed, policy.desk_hold) == ("observe", "small", timedelta(minutes=6))
    assert policy.model.candidates == ("local",)


def test_the_hold_follows_the_desk_and_can_be_set() -> None:
    """30 s for ServiceNow unless the policy says otherwise."""
    at_servicenow = {**SMALL, "scope": {"sources": ["jira"], "desk": "servicenow"}}
    assert Policy.model_validate(at_servicenow).desk_hold == timedelta(seconds=30)
    assert Policy.model_validate({**at_servicenow, "desk_hold": "0s"}).desk_hold == timedelta()


def test_escalation_falls_back_to_route_to_and_then_to_whoever_has_the_ticket() -> None:
    """None leaves the ticket where it is."""
    named = Policy.model_validate(
        {**SMALL, "escalation": {"model_down": "tier-2", "route_to": "noc"}}
    ).escalation
    assert (named.target("model_down"), named.target("incomplete")) == ("tier-2", "noc")
    assert Policy.model_validate(SMALL).escalation.target("demoted") is None


def test_a_policy_can_not_be_changed() -> None:
    """It is what was reviewed."""
    policy = Policy.model_validate(SMALL)
    with pytest.raises(SchemaError, match="frozen"):
        policy.autonomy = "act"


def test_contradictions_are_refused_also_without_the_loader() -> None:
    """A policy built in code obeys the same checks."""
    with pytest.raises(SchemaError, match="act is refused while an owner is missing"):
        Policy.model_validate({**SMALL, "autonomy": "act"})


def test_the_hash_follows_what_is_said_not_how() -> None:
    """Comments, order and written defaults don't change it; a value does."""
    text = yaml.safe_dump(SMALL)
    same = load_policy("# a comment\n" + text + "autonomy: observe\n", name="p.yaml")
    other = load_policy(text + "autonomy: draft\n", name="p.yaml")
    first = Policy.model_validate(SMALL)
    assert first.fingerprint == same.fingerprint == first.content_hash[:12]
    assert first.fingerprint != other.fingerprint


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_dumped_policy_reads_back_equal(path: Path) -> None:
    """The JSON that the ledger keeps is the policy."""
    policy = load_policy(path.read_text(), name=path.name)
    assert Policy.model_validate_json(policy.model_dump_json(by_alias=True)) == policy


@pytest.fixture(name="validator")
def _validator() -> Draft202012Validator:
    schema = json.loads(json_schema_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def as_editors_read(path: Path) -> Any:
    """YAML 1.2, in which dates are text."""
    return json.loads(json.dumps(yaml.safe_load(path.read_text()), default=str))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_json_schema_accepts_what_is_shipped(validator: Draft202012Validator, path: Path) -> None:
    """Editors show no error in our examples."""
    validator.validate(as_editors_read(path))


@pytest.mark.parametrize(
    "wrong",
    [
        {"autonomi": "act"},
        {"autonomy": "full"},
        {"control_lane": 0.7},
        {"desk_hold": "6 min"},
        {"limits": {"closes": 3}},
        {"calendars": {"freeze": [{"from": "2026-12-15"}]}},
        {"rules": []},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_the_json_schema_refuses_mistakes(validator: Draft202012Validator, wrong: dict[str, Any]) -> None:
    """Unknown keys, wrong words and values out of range are marked while typing."""
    validator.validate(SMALL)
    with pytest.raises(ValidationError):
        validator.validate({**SMALL, **wrong})


def test_every_pattern_has_words_for_its_mistake() -> None:
    """The loader can say what to write wherever a form is asked for; durations say it themselves."""
    patterns = set(_patterns(json.loads(json_schema_text()))) - {"^[0-9]{1,9}[smhd]$"}
    assert patterns == set(FORMS)


def _patterns(schema: Any) -> list[str]:
    children = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    own = [schema["pattern"]] if isinstance(schema, dict) and isinstance(schema.get("pattern"), str) else []
    return own + [pattern for child in children for pattern in _patterns(child)]


def test_every_key_says_what_it_means() -> None:
    """No field without a description: the reference is made of them."""
    assert "|  |\n" not in reference_markdown()


def test_the_published_json_schema_is_up_to_date() -> None:
    """`make docs` writes it again."""
    assert (ROOT / "policies" / "policy.schema.json").read_text() == json_schema_text()


def test_the_published_reference_is_up_to_date() -> None:
    """`make docs` writes it again."""
    assert (ROOT / "docs" / "policy-reference.md").read_text() == reference_markdown()
