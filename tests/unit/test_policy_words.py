"""A policy in words: described, and compared with its previous version."""

# ruff: noqa: E501 - a sentence that must be told exactly stays on one line

from __future__ import annotations

from functools import reduce
from pathlib import Path

import pytest

from countersign.policy import Policy, describe, diff, load_policy

TRIAGE = (Path(__file__).parents[2] / "policies" / "alert-triage.yaml").read_text()


def edited(*edits: tuple[str, str]) -> Policy:
    """The shipped triage policy with each first text replaced by the second."""
    assert all(old in TRIAGE for old, _ in edits)
    return load_policy(reduce(lambda text, edit: text.replace(*edit, 1), edits, TRIAGE), name="p.yaml")


def test_a_policy_is_described_in_sentences() -> None:
    """Autonomy, rules, floors, limits and people are said, each in one sentence."""
    sentences = describe(edited())
    assert sentences[0].startswith(f"alert-triage, version 1 ({edited().fingerprint}): Close informational")
    assert "It closes within the rules by itself, and drafts the rest." in sentences
    assert (
        "Rule noise: when the category is informational, flapping or recovered and the severity is at most low, "
        "closes when risk is below 0.1." in sentences
    )
    assert (
        "Rule capacity: when the category is capacity, drafts a normal change request for platform-changes."
        in sentences
    )
    assert "Rule the rest: when nothing above matched, drafts a note." in sentences
    assert (
        "It never closes from severity high upwards, for payments or login, with the tag customer-facing, "
        "during year-end-freeze, in a storm of 50 alerts within 10m." in sentences
    )
    assert "Drafts are approved by the group noc-leads; after 1d a draft is dropped." in sentences


def test_who_gets_what_nobody_approves_is_said() -> None:
    """Only where the policy names somebody does a ticket move."""
    named = edited(("escalation: {", "escalation: {route_to: tier-2, "))
    assert any(said.endswith("a ticket that nobody has goes to tier-2.") for said in describe(named))


def test_rights_and_a_raised_control_lane_are_said() -> None:
    """Who may sign for what, where anybody is named; how often people work unseen where most is learnt."""
    named = edited(
        ("control_lane: 0.10", "control_lane: 0.10\ncontrol_lane_raised: 0.3\nrights: {change: [ana, ben]}")
    )
    said = "\n".join(describe(named))
    assert "In 10 % of cases (30 % near a threshold and for what is new) people work" in said
    assert "ana or ben may sign a new version, nobody may sign for more autonomy" in said
    assert "Where keys are configured" not in "\n".join(describe(edited()))


def test_the_report_and_what_an_hour_costs_are_said() -> None:
    """Who gets it, when and where; without a price of an hour it is said what stays unknown. An edit of it is told."""
    said = describe(edited(("  zone: Europe/Rome", "  zone: Europe/Rome\n  record: jira:OPS-7")))
    assert (
        "Its report is mailed to noc-lead@example.com, Mon 07:00 (Europe/Rome), and put on jira:OPS-7."
        in said
    )
    assert said[-1] == "In it an hour of people's time costs 60 US dollars."
    priced, unpriced = edited(), edited(("  usd_per_hour: 60", ""))
    assert describe(unpriced)[-1].endswith("is not told: the cost of a ticket stays unknown.")
    assert diff(unpriced, priced) == ["report.usd_per_hour: 60 (was not set)."]


def test_missing_owners_and_approvers_are_said() -> None:
    """What nobody answers for is not passed over."""
    text = (Path(__file__).parents[2] / "policies" / "observe-first.yaml").read_text()
    sentences = describe(load_policy(text, name="p.yaml"))
    assert "Nobody is named to approve drafts." in sentences
    assert "Owners still missing: product, platform, governance and business." in sentences


def test_equal_policies_have_no_difference() -> None:
    """Comments and order of keys say nothing."""
    assert diff(edited(), edited(("create: never", "create: never # as before"))) == []


NOISE = "when: {category: [informational, flapping, recovered], severity: {at_most: low}}"
SECOND_CLOSE = "  - name: capacity\n    when: {category: [capacity]}\n    then: close\n    threshold: {risk_below: 0.01}\n"
CAPACITY = (
    "  - name: capacity\n    when: {category: [capacity]}\n    then: draft_change\n"
    "    change: {type: normal, group: platform-changes}\n"
)

EDITS = {
    "lower risk": (
        ("risk_below: 0.10", "risk_below: 0.03"),
        "Rule noise: closes when risk is below 0.03 (was 0.1); this narrows.",
    ),
    "higher risk": (
        ("risk_below: 0.10", "risk_below: 0.12"),
        "Rule noise: closes when risk is below 0.12 (was 0.1); this widens.",
    ),
    "a promise": (
        ("{risk_below: 0.10}", "{wrong_closes_at_most: 0.02, sure: 0.95}"),
        "Rule noise: closes when it is certified that at most 2 % of closes are wrong, 95 % sure (was: risk is below 0.1).",
    ),
    "fewer categories": (
        ("[informational, flapping, recovered]", "[flapping]"),
        "Rule noise: applies when the category is flapping and the severity is at most low (was: the category is informational, "
        "flapping or recovered and the severity is at most low); this narrows.",
    ),
    "higher severity": (
        ("at_most: low", "at_most: medium"),
        "Rule noise: applies when the category is informational, flapping or recovered and the severity is at most medium (was: "
        "the category is informational, flapping or recovered and the severity is at most low); this widens.",
    ),
    "fewer and higher": (
        (NOISE, "when: {category: [flapping], severity: {at_most: medium}}"),
        "Rule noise: applies when the category is flapping and the severity is at most medium (was: the category is "
        "informational, flapping or recovered and the severity is at most low).",
    ),
    "close instead of a draft": (
        (CAPACITY, SECOND_CLOSE),
        "Rule capacity: closes when risk is below 0.01 (was: drafts a normal change request for platform-changes); this widens.",
    ),
    "another group": (
        ("group: platform-changes", "group: cab"),
        "Rule capacity: drafts a normal change request for cab (was: drafts a normal change request for platform-changes).",
    ),
    "a rule less": ((CAPACITY, ""), "Rule capacity: removed."),
    "less autonomy": (("autonomy: act", "autonomy: draft"), "autonomy: draft (was act); this narrows."),
    "lower floor": (
        ("at_least: high", "at_least: medium"),
        "never_close.severity.at_least: medium (was high); this narrows.",
    ),
    "shyer of news": (
        ("first_seen: false", "first_seen: true"),
        "never_close.first_seen: true (was false); this narrows.",
    ),
    "fewer floors": (
        ("[payments, login]", "[payments, search]"),
        "never_close.services: adds search and drops login.",
    ),
    "more limits": (
        ("closes_per_hour: 200", "closes_per_hour: 300"),
        "limits.closes_per_hour: 300 (was 200); this widens.",
    ),
    "less control": (
        ("control_lane: 0.10", "control_lane: 0.05"),
        "control_lane: 0.05 (was 0.1); this widens.",
    ),
    "less hidden": (("ip, iban, card", "ip, iban"), "scope.data.redact: drops card; this widens."),
    "freeze": (("2027-01-06", "2027-01-08"), "calendars: year-end-freeze changed."),
    "waiting": (
        ("expires_after: 24h", "expires_after: 36h"),
        "approvals.expires_after: 36h (was 1d); this widens.",
    ),
}


@pytest.mark.parametrize(("edit", "sentence"), EDITS.values(), ids=EDITS.keys())
def test_an_edit_is_told_with_its_direction(edit: tuple[str, str], sentence: str) -> None:
    """One edit gives one sentence; narrowing or widening is claimed only where it is certain."""
    assert diff(edited(), edited(edit)) == [sentence]


def test_removing_the_only_rule_that_closes_narrows() -> None:
    """Its cases can't be closed by another rule."""
    without = (
        f"  - name: noise\n    {NOISE}\n    then: close\n    threshold: {{risk_below: 0.10}}",
        "  # noise: gone;",
    )
    assert diff(edited(), edited(without)) == ["Rule noise: removed; this narrows."]


def test_narrowing_one_of_two_closing_rules_claims_nothing() -> None:
    """What the one no longer matches may be closed by the other, under a looser threshold."""
    two = (CAPACITY, SECOND_CLOSE)
    sentences = diff(edited(two), edited(two, ("[informational, flapping, recovered]", "[flapping]")))
    assert len(sentences) == 1
    assert "this" not in sentences[0]


def test_another_order_of_rules_is_told() -> None:
    """The first that matches decides, so order is meaning."""
    first = edited()
    data = first.model_dump(by_alias=True)
    noise, capacity, rest = data["rules"]
    other = Policy.model_validate({**data, "rules": [capacity, noise, rest]})
    assert diff(first, other) == ["Rules are tried in another order: capacity, noise, the rest."]
