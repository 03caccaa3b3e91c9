"""Calibrating: what labels say of a model's confidence is put in force, by a person, and what falls with it is told."""

from __future__ import annotations

from collections.abc import Iterator

from countersign.boundary import boundary_hash
from countersign.policy import Policy
from countersign.scales import Refit, ScaleBook, refits


def asked_for(book: ScaleBook, policy: Policy) -> tuple[Refit, ...]:
    """What the labels of a use case ask for, of each model and prompt."""
    use_case = policy.use_case
    return refits(book.told(use_case), book.in_force(use_case), boundary=boundary_hash(policy))


def put_in_force(book: ScaleBook, policy: Policy, found: tuple[Refit, ...], *, by: str) -> Iterator[str]:
    """Puts in force what changes; yields a line for each, and what lost its certificate by it."""
    for one in found:
        if not one.changes:
            yield f"{policy.use_case}: {one.words} That is in force already."
            continue
        lost = book.put_in_force(policy.use_case, one.versions, one.after, by=by)
        yield f"{policy.use_case}: {one.words} In force now, as scale {one.after.name}."
        yield from (
            f'{policy.use_case}: rule "{rule}" only drafts from now on: its certificate was given on another scale, '
            "and labels of decisions from now on are needed for a new one."
            for rule in lost
        )
