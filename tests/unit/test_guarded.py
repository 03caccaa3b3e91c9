"""Which findings move the guard of a rule that closes by risk: those about what it would close now."""

from __future__ import annotations

from dataclasses import replace

import pytest

from countersign.boundary import boundary_hash
from countersign.guards import guarded
from countersign.labelling import Judgeable
from countersign.labels import Versions
from countersign.lanes import Lane
from countersign.policy import Policy
from tests.unit.builders import NOW, shipped

POLICY = shipped()
CASE = Judgeable(
    case_id="c1",
    use_case=POLICY.use_case,
    fingerprint="f1",
    at=NOW,
    category="informational",
    rule="noise",
    risk=0.05,
    lane=Lane.TREATED,
    control_share=0.1,
    alone=True,
    versions=Versions(policy=boundary_hash(POLICY), prompt="q", model="local"),
    told=(),
)


def _promising(policy: Policy) -> Policy:
    """The policy whose closing rule is held to a certificate."""
    rules = [rule.model_dump(by_alias=True) for rule in policy.rules]
    rules[0]["threshold"] = {"wrong_closes_at_most": 0.02, "sure": 0.95}
    return Policy.model_validate(policy.model_dump(by_alias=True) | {"rules": rules})


def test_what_the_rule_would_close_now_moves_its_guard() -> None:
    """With the risk that the rule accepts, and the share of cases that are looked at for certain."""
    found = guarded(POLICY, CASE)
    assert found is not None
    assert (found.rule, found.category, found.allowed, found.floor) == ("noise", "informational", 0.10, 0.10)


@pytest.mark.parametrize(
    "case",
    [
        replace(CASE, versions=replace(CASE.versions, policy="another boundary")),
        replace(CASE, risk=0.10),
        replace(CASE, rule="a rule that is gone"),
        replace(CASE, rule=POLICY.rules[-1].name),
    ],
    ids=["another boundary", "not below the threshold", "gone", "closes nothing"],
)
def test_what_it_would_not_close_now_says_nothing_about_it(case: Judgeable) -> None:
    """Decided under another boundary, or too risky for the rule as it is: it counts neither for nor against it."""
    assert guarded(POLICY, case) is None


def test_a_rule_with_a_promise_is_watched_by_its_certificate() -> None:
    """No guard beside it."""
    policy = _promising(POLICY)
    ours = replace(CASE, versions=replace(CASE.versions, policy=boundary_hash(policy)))
    assert guarded(policy, ours) is None
