"""Certification: the promises of a policy's rules put to its labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from countersign.boundary import boundary_hash
from countersign.calibration import Calibration
from countersign.labels import Label, Versions
from countersign.local_readings import reading_versions
from countersign.monitors import Monitor
from countersign.policy import Policy
from countersign.policy.rules import Rule, Threshold
from countersign.promises import Standing
from countersign.thresholds import Certificate, Grid, NotCertified, Promise, certify_categories

# The grid stands in the code (`grid.USUAL`), so it was fixed before any label.
_DELTA = 0.05
ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Examined:
    """What a rule's promise came to for one category and one model."""

    rule: str
    result: Certificate | NotCertified

    def monitor(self, share: float) -> Monitor:
        """What watches the certificate from now on; audits are drawn with at least this share."""
        return Monitor.start(allowed=self.result.promise.alpha, floor=share or 1.0)


def promising(policy: Policy) -> Iterator[tuple[Rule, Threshold]]:
    """The rules that close on a certified promise."""
    for rule in policy.rules:
        if rule.then == "close" and rule.threshold and rule.threshold.wrong_closes_at_most is not None:
            yield rule, rule.threshold


def examine(
    policy: Policy,
    labels: Sequence[Label],
    standing: Standing,
    *,
    tuning: int,
    at: datetime,
    scales: Mapping[Versions, Calibration] | None = None,
) -> tuple[Examined, ...]:
    """Every promise of the policy, for each model and prompt that has labels under its present boundary.

    Labels of another scale of risk than the one in force (`scales`) say nothing about this one.

    δ is split over all categories of all promising rules and over repetitions. Labels of a category whose
    certificate was withdrawn count from then on: what broke the promise is not asked again.
    """
    boundary = boundary_hash(policy)
    found = {
        label.versions
        for label in labels
        if label.versions.policy == boundary and _on_scale(label.versions, scales or {})
    }
    versions = sorted(found, key=lambda one: (one.model, one.prompt)) or [
        Versions(policy=boundary, prompt="", model="none yet")
    ]
    rules = [(rule, threshold, _categories(rule, policy)) for rule, threshold in promising(policy)]
    in_all = len(versions) * sum(len(categories) for _, _, categories in rules)
    return tuple(
        Examined(rule=rule.name, result=result)
        for one in versions
        for rule, threshold, categories in rules
        for result in certify_categories(
            labels,
            grids={category: Grid.fallback(fixed_at=_since(standing, category)) for category in categories},
            versions=one,
            promise=_promise(threshold, len(categories) / in_all),
            valid_from=at,
            tuning=tuning,
            floor=_floor(labels, policy, standing),
        ).values()
    )


def examine_local(
    policy: Policy, labels: Sequence[Label], standing: Standing, *, tuning: int, at: datetime
) -> tuple[Certificate | NotCertified, ...]:
    """Where the embedded model, as it was last taught, may answer alone: each category that has labels of it.

    δ is split over all categories, and labels of a withdrawn certificate's category count from then on, as for rules.
    """
    sure_enough = policy.model.sure_enough_locally
    ours = [one for one in labels if one.versions.policy == reading_versions(policy, "").policy]
    if sure_enough is None or not ours:
        return ()
    versions = max(ours, key=lambda one: one.decision).versions  # ids of cases rise with time
    known = [one for one in ours if one.versions == versions]
    seen = {one.category for one in known}
    closable = _closable(policy)
    return tuple(
        result
        for some in (closable, frozenset(policy.categories) - closable)
        for category, result in certify_categories(
            known,
            grids={one: Grid.fallback(fixed_at=_since(standing, one)) for one in sorted(some)},
            versions=versions,
            promise=Promise(
                alpha=round(1 - sure_enough, 9),
                delta=_DELTA * max(1, len(some)) / len(policy.categories),
                per="answer",
            ),
            valid_from=at,
            tuning=tuning,
            floor=_lowest(
                [one for one in known if one.category in some], policy.control_lane if some is closable else 0
            ),
        ).items()
        if category in seen
    )


def _closable(policy: Policy) -> frozenset[str]:
    """Categories of which some cases are closed unseen, so that only the control lane's are looked at."""
    if policy.autonomy != "act":
        return frozenset()
    return frozenset(
        category for rule in policy.rules if rule.then == "close" for category in _categories(rule, policy)
    )


def _lowest(labels: Sequence[Label], share: float) -> float | None:
    """The smallest probability that a case could have had; None while all are looked at. `share`: the lane's."""
    drawn = {label.probability for label in labels} | ({share} if share else set())
    return min(drawn) if len(drawn) > 1 else None


def covered(policy: Policy, standing: Standing, versions: Versions | None = None) -> dict[str, float]:
    """Category -> largest risk that a certificate covers, of all the certificates that hold.

    A certificate covers what it was given for and nothing stricter: once the policy promises less error, or to
    be surer, it is asked again. It holds for every rule that closes the category, so it counts only where none of
    them promises more than the rule it was given for. `versions`: those of one assessment; None for any model under
    this boundary.
    """
    boundary, promised = boundary_hash(policy), dict(_promised(policy))
    return {
        one.certificate.category: one.certificate.threshold
        for one in standing.issued
        if one.withdrawn_at is None
        and (
            one.certificate.versions == versions if versions else one.certificate.versions.policy == boundary
        )
        and (one.rule, one.certificate.category) in promised
        and _keeps(one.certificate.promise, promised[one.rule, one.certificate.category])
        and not _outdone(policy, one.rule, one.certificate.category)
    }


def _on_scale(versions: Versions, scales: Mapping[Versions, Calibration]) -> bool:
    in_force = scales.get(replace(versions, calibration=""), Calibration.identity())
    return versions.calibration == in_force.name


def _promised(policy: Policy) -> Iterator[tuple[tuple[str, str], Promise]]:
    """(rule, category) -> what the policy promises there, for one model."""
    rules = [(rule, threshold, _categories(rule, policy)) for rule, threshold in promising(policy)]
    in_all = sum(len(categories) for _, _, categories in rules)
    for rule, threshold, categories in rules:
        for category in categories:
            yield (rule.name, category), _promise(threshold, len(categories) / in_all)


def _keeps(given: Promise, asked: Promise) -> bool:
    return given.per == asked.per and given.alpha <= asked.alpha and given.delta <= asked.delta * (1 + 1e-9)


def _outdone(policy: Policy, name: str, category: str) -> bool:
    """Whether another rule promises more of a category than the one with this name, or another thing."""
    found = [
        (rule.name, threshold)
        for rule, threshold in promising(policy)
        if category in _categories(rule, policy)
    ]
    own = next(threshold for rule, threshold in found if rule == name)
    return any(
        other.per != own.per
        or (other.wrong_closes_at_most or 0.0) < (own.wrong_closes_at_most or 0.0)
        or (other.sure or 0.0) > (own.sure or 0.0)
        for _, other in found
    )


def _categories(rule: Rule, policy: Policy) -> tuple[str, ...]:
    return rule.when.category or policy.categories


def _promise(threshold: Threshold, share: float) -> Promise:
    """The rule's promise with its share of δ."""
    return Promise(
        alpha=threshold.wrong_closes_at_most or 0.0,
        delta=(1.0 - (threshold.sure or 0.95)) * share,
        per=threshold.per,
    )


def _since(standing: Standing, category: str) -> datetime:
    lost = [
        one.withdrawn_at
        for one in standing.issued
        if one.withdrawn_at is not None and one.certificate.category == category
    ]
    return max(lost, default=ALWAYS)


def _floor(labels: Sequence[Label], policy: Policy, standing: Standing) -> float | None:
    """The smallest probability that a case could have had; None while everything is looked at by a person."""
    drawn = {label.probability for label in labels}
    if standing.issued and policy.control_lane:
        drawn.add(policy.control_lane)
    return min(drawn) if len(drawn) > 1 else None
