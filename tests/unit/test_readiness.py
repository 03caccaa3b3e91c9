"""Readiness: a policy takes no step while a question has no answer."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from countersign.boundary import boundary_hash
from countersign.certification import covered
from countersign.labels import Versions
from countersign.lanes import Lane, lane, share_of
from countersign.monitors import Monitor
from countersign.policy import Policy
from countersign.promises import Issued, Standing
from countersign.readiness import gaps
from countersign.thresholds import Certificate, Promise
from tests.unit.builders import NOW, POLICIES
from workers.commands.policy import promoted, read

SHIPPED = read(POLICIES / "alert-triage.yaml").model_dump(by_alias=True)


def _policy(**changes: Any) -> Policy:
    """The shipped policy as a draft whose one closing rule makes a promise."""
    rules = [
        rule | {"threshold": {"wrong_closes_at_most": 0.02, "sure": 0.95}}
        if rule["then"] == "close"
        else rule
        for rule in SHIPPED["rules"]
    ]
    return Policy.model_validate(SHIPPED | {"autonomy": "draft", "rules": rules} | changes)


def _standing(policy: Policy, *, withdrawn: bool = False) -> Standing:
    versions = Versions(policy=boundary_hash(policy), prompt="q", model="local")
    certificate = Certificate(
        category="informational", versions=versions, promise=Promise(alpha=0.02, delta=0.05), threshold=0.08,
        n=400, errors=0, p_value=0.001, delta_spent=0.025, tuning=1, valid_from=NOW,
    )  # fmt: skip
    issued = Issued(
        id="p1", rule="noise", at=NOW, certificate=certificate, monitor=Monitor.start(allowed=0.02),
        withdrawn_at=NOW + timedelta(days=1) if withdrawn else None,
    )  # fmt: skip
    return Standing(issued=(issued,))


def test_with_every_answer_and_a_certificate_it_may_act() -> None:
    """Nothing is missing: no gap."""
    policy = _policy()
    assert gaps(policy, _standing(policy)) == ()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"owners": {**SHIPPED["owners"], "governance": None}}, "Nobody answers for it as governance"),
        ({"kpi": {"metric": "deflection_rate", "target": 0.3}}, 'Question 1, "Which metric'),
        ({"scope": {**SHIPPED["scope"], "tickets": {"match": ""}}}, 'Question 2, "Which system'),
        ({"never_close": {"first_seen": True}}, 'Question 3, "Where is the written boundary'),
        ({"worst_case": None}, 'Question 5, "What is the worst'),
        ({"rollback": None}, "Nobody is named to undo it"),
        ({"autonomy": "observe", "approvals": {}}, "Nobody may approve a draft"),
        ({"rules": SHIPPED["rules"]}, "closes by the model's own confidence"),
    ],
)
def test_each_missing_answer_is_a_reason(changes: dict[str, Any], said: str) -> None:
    """Owner, KPI baseline, system, boundary, worst case, undoing, approvers, quality beyond the model's own word."""
    policy = _policy(**changes)
    assert any(said in gap for gap in gaps(policy, _standing(policy)))


def test_without_a_certificate_or_with_a_broken_one_it_drafts_on() -> None:
    """Acting needs the promise to be shown; drafting does not: that is how labels come about."""
    policy = _policy()
    assert any("has no certificate" in gap for gap in gaps(policy, Standing()))
    assert any("has lost its autonomy" in gap for gap in gaps(policy, _standing(policy, withdrawn=True)))
    assert gaps(_policy(autonomy="observe"), Standing()) == ()


def test_a_certificate_covers_nothing_stricter_than_it_was_given_for() -> None:
    """Given for 2 %, 95 % sure: a policy that then promises 1 %, or 99 %, or another share, has none."""
    policy = _policy()
    standing = _standing(policy)
    assert covered(policy, standing) == {"informational": 0.08}
    for stricter in (
        {"wrong_closes_at_most": 0.01, "sure": 0.95},
        {"wrong_closes_at_most": 0.02, "sure": 0.99},
        {"wrong_closes_at_most": 0.02, "sure": 0.95, "per": "ticket"},
    ):
        first = policy.rules[0].model_dump(by_alias=True) | {"threshold": stricter}
        rest = [rule.model_dump(by_alias=True) for rule in policy.rules[1:]]
        assert covered(_policy(rules=[first, *rest]), standing) == {}


@pytest.mark.parametrize(
    ("other", "held"),
    [
        ({"wrong_closes_at_most": 0.01, "sure": 0.95}, {}),
        ({"wrong_closes_at_most": 0.02, "sure": 0.99}, {}),
        ({"wrong_closes_at_most": 0.02, "sure": 0.95, "per": "ticket"}, {}),
        ({"wrong_closes_at_most": 0.02, "sure": 0.95}, {"informational": 0.08}),
        ({"wrong_closes_at_most": 0.10, "sure": 0.90}, {"informational": 0.08}),
    ],
)
def test_a_certificate_of_one_rule_closes_nothing_by_a_stricter_one(
    other: dict[str, Any], held: dict[str, float]
) -> None:
    """A category's certificate holds for all rules that close it, so it has to be that of the strictest promise."""
    first, *rest = [rule.model_dump(by_alias=True) for rule in _policy().rules]
    strict = first | {"name": "mail", "when": {"services": ["mail"], "category": ["informational"]}}
    policy = _policy(rules=[strict | {"threshold": other}, first, *rest])
    standing = _standing(policy)
    wide = replace(standing.issued[0].certificate, promise=Promise(alpha=0.02, delta=0.01))
    assert covered(policy, replace(standing, issued=(replace(standing.issued[0], certificate=wide),))) == held


def test_a_promoted_file_keeps_its_comments() -> None:
    """Version and autonomy change; every other line stays as it was, and a missing key is added."""
    text = (POLICIES / "observe-first.yaml").read_text(encoding="utf-8")
    found = read(POLICIES / "observe-first.yaml")
    after = promoted(text, found, "draft")
    changed = [line for line in after.splitlines() if line not in text.splitlines()]
    assert [line.partition(":")[0] for line in changed] == ["version", "autonomy"]
    assert "autonomy: draft" in promoted("version: 1\n", found, "draft")


def test_more_cases_are_controlled_where_most_is_learnt() -> None:
    """Near the threshold and for what is new the share is raised; elsewhere, and without a raised one, it is not."""
    near = share_of(0.1, 0.3, risk=0.07, threshold=0.08, first_seen=False, again=False)
    far = share_of(0.1, 0.3, risk=0.01, threshold=0.08, first_seen=False, again=False)
    above = share_of(0.1, 0.3, risk=0.5, threshold=0.08, first_seen=False, again=False)
    new = share_of(0.1, 0.3, risk=None, threshold=None, first_seen=True, again=False)
    off = share_of(0.1, None, risk=0.07, threshold=0.08, first_seen=True, again=False)
    assert (near, far, above, new, off) == (0.3, 0.1, 0.1, 0.3, 0.1)


def test_a_treated_case_never_becomes_a_control() -> None:
    """Looked at again, a case has the base share: what was treated under any share stays treated."""
    for case in (f"c{number}" for number in range(2_000)):
        first = lane(
            seed="s",
            case_id=case,
            share=share_of(0.1, 0.3, risk=None, threshold=None, first_seen=True, again=False),
        )
        again = lane(
            seed="s",
            case_id=case,
            share=share_of(0.1, 0.3, risk=0.07, threshold=0.08, first_seen=True, again=True),
        )
        assert (first, again) != (Lane.TREATED, Lane.CONTROL)
