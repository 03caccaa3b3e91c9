"""Readiness: the five questions that have an answer before a policy may do more, and what still stands against it.

1. Which metric moves, and by how much?  2. Which system does the work land in?  3. Where is the written boundary?
4. How was quality measured, other than by the model's own confidence?  5. What is the worst plausible error?
"""

from __future__ import annotations

from collections.abc import Iterator

from countersign.certification import covered, promising
from countersign.guards import demoted
from countersign.policy import Policy
from countersign.policy.phrases import percent
from countersign.policy.schema import Autonomy
from countersign.promises import Standing

NEXT: dict[Autonomy, Autonomy] = {"observe": "draft", "draft": "act"}


def answers(policy: Policy, standing: Standing) -> tuple[tuple[str, str], ...]:
    """Each question with the answer that the policy and the ledger give; "" where there is none."""
    kpi, scope = policy.kpi, policy.scope
    moved = (
        f"{kpi.metric} from {kpi.baseline:g} to {kpi.target:g}" if kpi and kpi.baseline is not None else ""
    )
    # What matches everything bounds nothing; something has to be closed to people alone.
    never = policy.never_close
    closed_to_people = never.severity or never.services or never.tags or never.calendars
    held = covered(policy, standing)
    measured = ", ".join(f"{name} certified up to a risk of {risk:g}" for name, risk in sorted(held.items()))
    return (
        ("Which metric moves, and by how much?", moved),
        (
            "Which system does the work land in?",
            f"{scope.desk}: {scope.tickets.match}" * bool(scope.tickets.match),
        ),
        (
            "Where is the written boundary?",
            f"{len(policy.rules)} rules, never_close" * bool(closed_to_people),
        ),
        ("How was quality measured, other than by the model's own confidence?", measured),
        ("What is the worst plausible error?", policy.worst_case or ""),
    )


_ANSWERED_BY = (
    "write kpi with metric, baseline and target (`countersign baseline` computes the baseline)",
    "write scope.tickets.match",
    "write never_close: what is never closed without a person",
    "label some cases and run `countersign policy certify`",
    "write worst_case",
)


def gaps(policy: Policy, standing: Standing) -> tuple[str, ...]:
    """Why the policy may not take the next step of autonomy, each with what to do; empty if it may.

    Drafting needs no certificate: it is how labels come about.
    """
    return tuple(_gaps(policy, standing, NEXT.get(policy.autonomy, "act")))


def _gaps(policy: Policy, standing: Standing, to: Autonomy) -> Iterator[str]:
    for role in policy.owners.missing:
        yield f"Nobody answers for it as {role}; write owners.{role}."
    for number, ((question, answer), remedy) in enumerate(
        zip(answers(policy, standing), _ANSWERED_BY, strict=True), 1
    ):
        if not answer and (to == "act" or number != 4):
            yield f'Question {number}, "{question}", has no answer; {remedy}.'
    if policy.approvals.approvers.nobody:
        yield "Nobody may approve a draft; write approvals.approvers."
    if policy.rollback is None:
        yield "Nobody is named to undo it; write rollback."
    if to == "act":
        yield from _uncertified(policy, standing)


def _uncertified(policy: Policy, standing: Standing) -> Iterator[str]:
    held = covered(policy, standing)
    for rule in policy.rules:
        if rule.then == "close" and rule.threshold and rule.threshold.risk_below is not None:
            yield (
                f'Rule "{rule.name}" closes by the model\'s own confidence (risk_below); write a promise, as '
                "wrong_closes_at_most: 0.02, sure: 0.95."
            )
    for rule, threshold in promising(policy):
        if not held.keys() & set(rule.when.category or policy.categories):
            promise = percent(threshold.wrong_closes_at_most or 0.0)
            yield (
                f'Rule "{rule.name}" has no certificate for its promise of at most {promise} wrong closes; '
                "run `countersign policy certify`."
            )
    for name in sorted(demoted(policy, standing)):
        yield f'Rule "{name}" has lost its autonomy; what brings it back stands in the note to its owner.'
