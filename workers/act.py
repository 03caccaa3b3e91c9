"""Act: does what was decided, once. Claim (attempt and audit intent) -> probe if in doubt -> write -> settle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

import structlog

from countersign.actions import Action, Note, Route
from countersign.errors import Denied, OutsideError, Permanent, Transient, Unsure
from countersign.feedback.sources import is_bot
from countersign.ledger import ClaimedAction, Settled
from countersign.permits import permitted
from countersign.policy import Policy
from countersign.policy.schema import DESK_HOLDS
from countersign.ports import Desk, Receipt
from countersign.undo import SKEW, Undone, is_touchable, overwritten, touched
from countersign.voids import Approval, Void, expired, outdated, void_note, voided
from workers.parts import Parts, Wake
from workers.tracing import Value, span

_log = structlog.get_logger()

WAIT_WHILE_DOWN = timedelta(seconds=15)
WAIT_WHILE_DENIED = timedelta(minutes=5)
# What the policy has decided so lately was decided on the ticket as it is.
FRESH = timedelta(minutes=1)
NO_CHANGE = "it failed; countersign dead-letters says why"


def act(parts: Parts, keys: Sequence[str]) -> Iterator[Wake]:
    """Does those of these actions that are due and free; yields the actions that became ready by it.

    What is left when half of the lease has passed is given back untried: nothing is written on an old lease.
    The lease outlasts the desks' search lag, because an action whose worker died is probed when it ends.
    """
    lease = max(parts.settings.timing.lease, *(policy.desk_hold for policy in parts.policies.values()))
    until = parts.monotonic() + parts.settings.timing.lease.total_seconds() / 2
    claimed = parts.ledger.actions.claim_actions(keys, worker=parts.worker, lease=lease)
    notes: list[str] = []
    settled = [_traced(parts, one, until, notes) for one in claimed]
    if settled and (ready := (*parts.ledger.actions.settle(settled), *notes)):
        yield Wake("act", ready)


def _traced(parts: Parts, claimed: ClaimedAction, until: float, notes: list[str]) -> Settled:
    action = claimed.action
    told: dict[str, Value] = {
        "case": action.case_id,
        "kind": action.effect.kind,
        "desk": action.desk,
        "attempt": claimed.attempt,
    }
    with span("countersign.action", told):
        return _post(parts, claimed, until, notes)


def _post(parts: Parts, claimed: ClaimedAction, until: float, notes: list[str]) -> Settled:
    """One action on its desk. What a desk may answer is a table of five; nothing else leaves a desk.

    `notes` gets the keys of notes that were planned by it.
    """
    if why := _refusal(parts, claimed, until):
        return _settled(claimed, "withdrawn", why)
    action = _naming_change(claimed)
    try:
        with permitted(lambda: _refusal(parts, claimed, until)):
            receipt = _write_once(parts, claimed, action)
            if isinstance(receipt, Void):
                return _voided(parts, claimed, receipt, notes)
    except Unsure as doubt:
        return _settled(claimed, "in_doubt", str(doubt), _hold(parts, action))
    except Transient as problem:
        return _settled(claimed, "withdrawn", str(problem), problem.retry_after or WAIT_WHILE_DOWN)
    except Denied as problem:
        _log.error("desk.denied", desk=action.desk, problem=str(problem))
        return _settled(claimed, "withdrawn", str(problem), WAIT_WHILE_DENIED)
    except (Permanent, OutsideError) as problem:
        return _settled(claimed, "dead", str(problem))
    _log.info(
        "action.done", case=action.case_id, kind=action.effect.kind, desk=action.desk, found=receipt.found
    )
    return replace(_settled(claimed, "done"), receipt=receipt)


def _hold(parts: Parts, action: Action) -> timedelta:
    """How long to wait before it is looked for; the longest known where its policy's file is gone."""
    policy = parts.policies.get(action.use_case)
    return policy.desk_hold if policy else max(DESK_HOLDS.values())


def _refusal(parts: Parts, claimed: ClaimedAction, until: float) -> str:
    """Why nothing must be written (any more), asked before each action and before each call that it makes."""
    if parts.monotonic() >= until:
        return "There is no time left on the lease; it is given back."
    if parts.stopping():
        return "This worker is shutting down; another one goes on."
    return parts.ledger.actions.refusal(claimed.action.key, claimed.fence)


def _voided(parts: Parts, claimed: ClaimedAction, void: Void, notes: list[str]) -> Settled:
    """Given back to people, who are told in the ticket before it is settled: then no end in between is silent."""
    action, approval = claimed.action, claimed.approval
    policy = parts.policies.get(action.use_case)
    if policy is not None and policy.autonomy != "observe" and approval is not None:
        note = void_note(action, void, policy, change=approval.change)
        parts.ledger.replies.plan(note, asked_by=approval.by or "policy")
        notes.append(note.key)
    what = "approval" if approval is not None and approval.by else "decision"
    return replace(_settled(claimed, "void", f"The {what} does not hold: {void.why}."), known=void.known)


def _write_once(parts: Parts, claimed: ClaimedAction, action: Action) -> Receipt | Void:
    desk = parts.desks.get(action.desk)
    if desk is None:
        raise Transient(
            f"No connection to {action.desk} is configured; add {action.desk}: to the configuration.",
            where=action.desk,
        )
    if (claimed.in_doubt or _of_before(parts, claimed)) and (found := desk.probe(action)) is not None:
        return found
    if claimed.undoes is not None:
        _look_again(desk, action, claimed.undoes)
    return _void(parts, claimed, desk) or desk.write(action)


def _of_before(parts: Parts, claimed: ClaimedAction) -> bool:
    """Whether another process may have done it on word of a ledger that is lost: what a restored one, which is older
    than the desks, is told once more occurred before anybody was started on it.
    """
    return claimed.first_at < parts.started


def _void(parts: Parts, claimed: ClaimedAction, desk: Desk) -> Void | None:
    """Whether what it was approved or decided on holds no more: much may happen between that and a late write."""
    action, approval = claimed.action, claimed.approval
    if approval is None:
        return None
    policy = parts.policies.get(action.use_case)
    if policy is None:
        raise Transient(
            f"There is no policy for use case {action.use_case}; put its file back, or drop what waits with "
            "countersign rollback.",
            where=action.desk,
            retry_after=WAIT_WHILE_DENIED,
        )
    if why := outdated(action, approval, policy) or _late(action, approval, policy):
        return why
    if action.ticket is None or not (approval.by or approval.age > FRESH):
        return None
    done = desk.changes_in(action.ticket, approval.offered_at)
    changes = [(change, is_bot(change, parts.settings.bots)) for change in done]
    return voided(
        changes, approver=approval.by, change=approval.change, known=approval.known, code=action.code
    )


def _late(action: Action, approval: Approval, policy: Policy) -> Void | None:
    """Who gets a ticket that the policy gives away may wait for it: that takes nothing from people."""
    waits = isinstance(action.effect, Route) and not approval.by
    return None if waits else expired(approval, policy.approvals.expires_after)


def _look_again(desk: Desk, action: Action, undone: Undone) -> None:
    """What a person has changed since is left as it is. Raises Permanent, which lists it for people."""
    if action.ticket is None:
        return
    keys = [f"{action.desk}:{action.ticket.id}", f"{action.desk}:{action.ticket.key}"]
    found = desk.find(keys)
    why = overwritten(undone.effect, next((found[key] for key in keys if key in found), None))
    if not why and is_touchable(undone.effect):
        since = desk.changes_in(action.ticket, undone.done_at - SKEW)
        why = touched(undone.effect, undone.marker, since)
    if why:
        raise Permanent(why, where=action.desk)


def _naming_change(claimed: ClaimedAction) -> Action:
    """A note that mentions the change request gets its number, now that there is one, or that there is none."""
    action, change = claimed.action, claimed.earlier.get("draft_change")
    if not isinstance(action.effect, Note):
        return action
    key = change.handle if change is not None else NO_CHANGE
    return replace(action, effect=Note(draft=action.effect.draft.naming_change(key)))


def _settled(
    claimed: ClaimedAction, result: str, detail: str = "", again_in: timedelta = timedelta(0)
) -> Settled:
    if detail:
        _log.warning(
            "action.not_done",
            case=claimed.action.case_id,
            kind=claimed.action.effect.kind,
            result=result,
            detail=detail,
        )
    return Settled(
        key=claimed.action.key,
        fence=claimed.fence,
        result=result,  # type: ignore[arg-type]  # one of the words of Settled
        detail=detail,
        again_in=again_in,
    )
