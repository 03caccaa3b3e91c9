"""Voids: why an approval does not count (any more), and the note that says so and asks again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from countersign.actions import Action, Note, Route, action_key
from countersign.drafts import Block, Draft
from countersign.plans import AFTER_ALL, words
from countersign.policy import Policy
from countersign.policy.durations import format_duration
from countersign.tickets import ChangeKind, TicketChange, TicketRef

# A person who takes a ticket may be about to approve.
_EXPECTED = frozenset({"assignee"})
_QUIET = re.compile(r"\s*/countersign[^\S\n]+(?!wrong\b|reject\b)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Approval:
    """What an action was approved on. `change` is the desk's id of the words that approved it.

    `offered_at` is by the desk's clock where that is behind ours, `age` how long ago that was by the ledger's; `known`
    holds the ids of changes that voided an earlier approval: whoever approved after that was told of them.
    """

    by: str
    change: str
    offered_at: datetime
    age: timedelta
    known: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Void:
    """Why an approval does not count, as a clause about `who` (empty where it is nobody's doing).

    `known` has the ids of the changes that people are told of by it. One that has `expired` is not asked for again.
    """

    what: str
    who: str = ""
    known: tuple[str, ...] = ()
    expired: bool = False

    @property
    def why(self) -> str:
        return f"{self.who} {self.what}".lstrip()


def voided(
    changes: Sequence[tuple[TicketChange, bool]], *, approver: str, change: str, known: frozenset[str]
) -> Void | None:
    """Whether what others did in the ticket since the offer voids an approval. Each change comes with "is it a bot's".

    `change` is the id of the approving words themselves, which can't approve a second time.
    """
    if change in known:
        return Void(what="these words have approved it once, and were not enough")
    news = [(one, bot) for one, bot in changes if one.id not in known and not one.by_us]
    told = tuple(dict.fromkeys([change, *(one.id for one, _ in news)]))
    for one, bot in news:
        if what := _voided_by(one, approver=approver, bot=bot):
            return Void(what=what, who=one.author, known=told)
    return None


def expired(approval: Approval, expires_after: timedelta) -> Void | None:
    """Whether too much time has passed since it was offered."""
    if approval.age <= expires_after:
        return None
    waits = format_duration(expires_after)
    return Void(what=f"it was offered more than {waits} ago, and an offer holds no longer", expired=True)


def _voided_by(change: TicketChange, *, approver: str, bot: bool) -> str:
    """What its author did, if a change after the offer voids an approval; "" if it does not.

    Whatever changes the ticket does, by whomever; and so does a comment by another person, a customer's too: it may
    say why not to close. Taking the ticket, a bot's comment, and a question or praise to us don't.
    """
    if change.kind is ChangeKind.ACKNOWLEDGED or change.field in _EXPECTED:
        return ""
    if change.kind is not ChangeKind.COMMENT:
        return f"has changed {change.field or 'its state'} since it was offered"
    lines = [line for line in change.text.splitlines() if line.strip()]
    only_asks = change.internal and all(_QUIET.match(line) for line in lines)
    if bot or change.author == approver or only_asks:
        return ""
    return "has commented since it was offered"


def void_note(action: Action, void: Void, policy: Policy, *, change: str) -> Action:
    """The note in the ticket that tells of it, once for each approval."""
    key = action_key(
        use_case=action.use_case, event=f"void:{action.key}:{change}", kind="note", target=action.desk
    )
    return Action(
        key=key, case_id=action.case_id, use_case=action.use_case, desk=action.desk, ticket=action.ticket,
        effect=Note(draft=_draft(action, void, policy)), seq=AFTER_ALL,
    )  # fmt: skip


def passed_on(case_id: str, policy: Policy, ticket: TicketRef, group: str) -> Action:
    """What is done with a ticket in which nobody approved what was offered: the policy's people get it."""
    key = action_key(use_case=policy.use_case, event=f"expired:{case_id}", kind="route", target=group)
    reason = (
        f"what was offered here was not approved within {format_duration(policy.approvals.expires_after)}"
    )
    return Action(
        key=key, case_id=case_id, use_case=policy.use_case, desk=policy.scope.desk, ticket=ticket,
        effect=Route(group=group, reason=reason), seq=AFTER_ALL,
    )  # fmt: skip


def _draft(action: Action, void: Void, policy: Policy) -> Draft:
    again = (
        f"/countersign approve {action.code}  - {words(action.effect)} all the same",
        f"/countersign reject {action.code}  - leaves the ticket as it is",
    )
    last = (
        Block(lines=("It is not offered again; the ticket stays with those who have it.",))
        if void.expired
        else Block(title="Look again, then", style="commands", lines=again)
    )
    # A desk's account ids say nothing to a reader, and the ticket itself shows who did what.
    why = f"It was approved, but {'somebody ' if void.who else ''}{void.what}."
    return Draft(
        headline=f"Not done - the approval of {action.code} ({words(action.effect)}) does not hold",
        blocks=(Block(title="Why", lines=(why,)), last),
        provenance=f"Countersign case {action.case_id} · policy {policy.use_case} v{policy.version} "
        f"({policy.fingerprint})",
    )
