"""The pool at work: what a policy lets be learnt, chosen from what people said and kept as a version."""

from __future__ import annotations

from countersign.feedback.pool import Caps, PoolBook, PoolVersion, select
from countersign.policy import Policy


def caps_of(policy: Policy) -> Caps:
    """The limits that a policy sets on what may be learnt."""
    wanted = policy.feedback
    return Caps(
        quorum=wanted.quorum, per_person=wanted.lessons_per_person, per_cluster=wanted.lessons_per_cluster
    )


def build(book: PoolBook, policy: Policy, *, by: str) -> PoolVersion:
    """The newest version of what may be learnt now; nothing is in force by it."""
    selection = select(book.votes(policy.use_case), caps_of(policy), known=frozenset(policy.categories))
    return book.build(policy.use_case, selection, by=by)
