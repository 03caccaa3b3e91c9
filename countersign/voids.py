"""Voids: why an approval, or a decision of the policy, does not count any more, and the note that asks again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from countersign.actions import Action, Close, Note, Route, action_key
from countersign.approvals import Verb, only_commands, read_commands
from countersign.drafts import Block, Draft
from countersign.plans import AFTER_ALL, words
from countersign.policy import Policy
from countersign.policy.durations import format_duration
from countersign.tickets import ChangeKind, TicketChange, TicketRef

# A person who takes a ticket may be about to approve.
_EXPECTED = frozenset({"assignee"})
_QUIET: tuple[Verb, ...] = ("approve", "good", "why")


@dataclass(frozen=True, kw_only=True, slots=True)
class Approval:
    """What an action was approved on. `change` is the desk's id of the words that approved it.

    `offered_at` is by the desk's clock where that is behind ours, `age` how long ago that was by the ledger's; `known`
    holds the ids of changes that voided an earlier approval: whoever approved after that was told of them. Where the
    policy was enough, `by` and `change` are empty, and it was "offered" when it was decided; `fired` says that its
    case has fired again since then.
    """

    by: str
    change: str
    offered_at: datetime
    age: timedelta
    known: frozenset[str] = frozenset()
    fired: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Void:
    """Why it does not count, as a clause about `who` (empty where it is nobody's doing).

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
    changes: Sequence[tuple[TicketChange, bool]],
    *,
    approver: str,
    change: str,
    known: frozenset[str],
    code: str,
) -> Void | None:
    """Whether what was done in the ticket since the offer voids an approval. Each change comes with "is it a bot's".

    `change` is the id of the approving words themselves, which can't approve a second time; `code` is what they
    approve. Both are empty, as `approver` is, for what the policy has decided by itself.
    """
    if change in known and change:
        return Void(what="these words have approved it once, and were not enough")
    news = [(one, bot) for one, bot in changes if one.id not in known and not one.by_us]
    told = tuple(filter(None, dict.fromkeys([change, *(one.id for one, _ in news)])))
    for one, bot in news:
        if what := _voided_by(one, approver=approver, code=code, bot=bot):
            since = "offered" if approver else "decided"
            return Void(what=f"{what} since it was {since}", who=one.author, known=told)
    return None


def expired(approval: Approval, expires_after: timedelta) -> Void | None:
    """Whether too much time has passed since it was offered."""
    if approval.age <= expires_after:
        return None
    was, waits = "offered" if approval.by else "decided", format_duration(expires_after)
    return Void(what=f"it was {was} more than {waits} ago, and that holds no longer", expired=True)


def outdated(action: Action, approval: Approval, policy: Policy) -> Void | None:
    """Whether a close without a person, decided a while ago, is one that would not be decided now."""
    if approval.by or not isinstance(action.effect, Close):
        return None
    if policy.autonomy != "act":
        return Void(what="the policy asks people first by now")
    return Void(what="it has fired again since it was decided") if approval.fired else None


def _voided_by(change: TicketChange, *, approver: str, code: str, bot: bool) -> str:
    """What its author did, if a change after the offer voids an approval; "" if it does not.

    Whatever changes the ticket does, by whomever; and so does a comment by another person, a customer's too: it may
    say why not to close. The approver's own words don't, unless they reject it; nor do a bot's comment, and a
    question or praise to us. Taking the ticket voids only what nobody has approved.
    """
    if change.kind is ChangeKind.ACKNOWLEDGED or change.field in _EXPECTED:
        return "" if approver else "has taken the ticket"
    if change.kind is not ChangeKind.COMMENT:
        return f"has changed {change.field or 'its state'}"
    if approver and change.author == approver:
        return "has rejected it" if _rejects(change, code) else ""
    return "" if bot or only_commands(change, _QUIET) else "has commented"


def _rejects(change: TicketChange, code: str) -> bool:
    return any(one.verb == "reject" and one.code in ("", code) for one in read_commands(change))


def void_note(action: Action, void: Void, policy: Policy, *, change: str) -> Action:
    """The note in the ticket that tells of it, once for each approval; `change` as in `Approval`."""
    key = action_key(
        use_case=action.use_case, event=f"void:{action.key}:{change}", kind="note", target=action.desk
    )
    return Action(
        key=key, case_id=action.case_id, use_case=action.use_case, desk=action.desk, ticket=action.ticket,
        effect=Note(draft=_draft(action, void, policy, approved=bool(change))), seq=AFTER_ALL,
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


def _draft(action: Action, void: Void, policy: Policy, *, approved: bool) -> Draft:
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
    was, why = "approved" if approved else "decided", f"{'somebody ' if void.who else ''}{void.what}"
    headline = f"Not done - the {'approval' if approved else 'decision'} of {action.code}"
    return Draft(
        headline=f"{headline} ({words(action.effect)}) does not hold",
        blocks=(Block(title="Why", lines=(f"It was {was}, but {why}.",)), last),
        provenance=f"Countersign case {action.case_id} · policy {policy.use_case} v{policy.version} "
        f"({policy.fingerprint})",
    )
