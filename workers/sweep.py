"""Sweep: re-sends whatever is due and held by nobody, so that a lost message costs a delay and never a case."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import structlog

from countersign.policy import Policy
from countersign.tickets import TicketState
from countersign.voids import passed_on
from workers.drifts import look
from workers.learn import retell
from workers.parts import Parts, Wake
from workers.place import gone_from_here
from workers.reporting import fire

_log = structlog.get_logger()
AT_ONCE = 500
LOOKS = 2


# So many changes are packed together, as each packing writes whole days; a report packs those that are left.
PACKED_TOGETHER = 1_000


class Due(Protocol):
    def __call__(self, *, limit: int, again: bool) -> tuple[str, ...]: ...


def sweep(parts: Parts) -> Iterator[Wake]:
    """Yields due cases, actions and reports, looks for drift, and drops approvals that nobody gave in time."""
    # First, so that a report that is due now says what was found.
    drifted = tuple(look(parts))
    _pack(parts)
    yield from fire(parts)
    if notes := (*drifted, *retell(parts)):
        yield Wake("act", notes)
    for policy in parts.policies.values():
        yield from _expire(parts, policy)
    # Workers that are behind are not sent the same again on top: what they have not taken by then is gone.
    useful = LOOKS * parts.settings.timing.sweep.total_seconds()
    if newer := parts.ledger.actions.newer_kinds():
        _log.warning("actions.of_a_newer_version", kinds=newer, do="left to its workers; upgrade these")
    _freed(parts)
    due: tuple[tuple[str, Due], ...] = (
        ("assess", parts.ledger.cases.due_cases),
        ("act", parts.ledger.actions.due_actions),
    )
    for stage, asked in due:
        if fresh := asked(limit=AT_ONCE, again=False):
            yield Wake(stage, fresh, useful)
        for one in asked(limit=AT_ONCE, again=True):
            yield _alone(stage, one, useful)


def inherit(parts: Parts) -> Iterator[Wake]:
    """What a new process does before anything else: wakes what one that died here had in hand, without waiting for a
    sweep. Only a process of the same place knows that another one is gone.
    """
    for one in _freed(parts):
        yield _alone("assess", one)


def _freed(parts: Parts) -> tuple[str, ...]:
    """Ends the leases of cases whose process is gone. An action's goes on: its desk's search must show it first."""
    freed = parts.ledger.cases.end_leases(gone_from_here())
    if freed:
        _log.warning("cases.left_by_the_dead", cases=len(freed))
    return freed


def _alone(stage: str, one: str, useful: float | None = None) -> Wake:
    """What was begun before may have killed its worker: it goes alone, so that no batch dies with it."""
    return Wake(stage, (one,), useful)


def _expire(parts: Parts, policy: Policy) -> Iterator[Wake]:
    """Drops what waited too long for an approval, once it is planned that people get it: who dies in between is
    followed by one who finds it waiting still."""
    waits = policy.approvals.expires_after
    if overdue := parts.ledger.watch.overdue(policy.use_case, older_than=waits):
        yield from _to_people(parts, policy, overdue)
        expired = parts.ledger.watch.expire_approvals(policy.use_case, older_than=waits)
        _log.info("approvals.expired", use_case=policy.use_case, cases=len(expired))


def _to_people(parts: Parts, policy: Policy, case_ids: Sequence[str]) -> Iterator[Wake]:
    """What nobody approved in time goes where the policy says, unless somebody has the ticket already."""
    group = policy.escalation.route_to
    if policy.approvals.then != "route" or group is None:
        return
    for case_id in case_ids:
        ticket = parts.ledger.reading.story(case_id).case.ticket
        if ticket is None or ticket.state is not TicketState.OPEN:
            continue
        if not ticket.assignee and ticket.group != group:
            moved = passed_on(case_id, policy, ticket.ref, group)
            yield Wake("act", parts.ledger.replies.plan(moved, asked_by="policy"))


def _pack(parts: Parts) -> None:
    """Keeps what reports are made of up to date, a step at a time."""
    if parts.ledger.rollups.waiting(at_most=PACKED_TOGETHER) == PACKED_TOGETHER:
        parts.ledger.rollups.digest(at_most=PACKED_TOGETHER)
    for use_case in parts.policies:
        parts.ledger.rollups.sum_up(use_case)
