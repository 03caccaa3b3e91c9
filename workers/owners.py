"""Owners: tells whoever answers for a policy, in a ticket of the desk that they work in, and by mail."""

from __future__ import annotations

import re
from datetime import timedelta

from countersign.actions import Action, Note, action_key
from countersign.drafts import Block, Draft
from countersign.policy import Policy
from countersign.tickets import Ticket
from workers.parts import Parts

# A worker that dies between finding and telling leaves the telling to the sweeper, for so long.
RETOLD = timedelta(minutes=10)
MAIL_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def tell_owner(
    parts: Parts, case_id: str, policy: Policy, event: str, headline: str, why: str, remedy: str
) -> tuple[str, ...]:
    """Plans a note for the owner in a case's ticket, once for its event; gives its key if it may be done now.

    An owner who is named by a mail address gets it there too, where a mail server is configured. A policy that only
    observes writes no note; nor is there one without a case ("").
    """
    ticket = parts.ledger.reading.story(case_id).case.ticket if case_id else None
    _mail_owner(parts, policy, event, ticket, (headline, why, remedy))
    if ticket is None or policy.autonomy == "observe":
        return ()
    draft = Draft(
        headline=headline,
        blocks=(
            Block(title="Why", lines=(f"{why}.",)),
            Block(title="Who should know", lines=(owner_of(policy),)),
            Block(title="What can be done", lines=(f"{remedy}.",)),
        ),
        provenance=f"countersign policy {policy.use_case} v{policy.version}",
    )
    desk = policy.scope.desk
    action = Action(
        key=action_key(use_case=policy.use_case, event=event, kind="note", target=desk),
        case_id=case_id,
        use_case=policy.use_case,
        desk=desk,
        ticket=ticket.ref,
        effect=Note(draft=draft),
        seq=90,
    )
    return parts.ledger.replies.plan(action, asked_by="monitor")


def _mail_owner(
    parts: Parts, policy: Policy, event: str, ticket: Ticket | None, said: tuple[str, str, str]
) -> None:
    owner, (headline, why, remedy) = owner_of(policy), said
    if parts.mailer is None or not MAIL_ADDRESS.fullmatch(owner):
        return
    where = f"\n\n{ticket.ref.key} {ticket.ref.url}".rstrip() if ticket else ""
    text = f"[{policy.use_case}] {headline}\n\n{why}.\n\n{remedy}.{where}"
    parts.ledger.deliveries.tell(policy.use_case, event, to=owner, text=text)


def owner_of(policy: Policy) -> str:
    """Who answers for a policy, as it names them."""
    return policy.escalation.demoted or policy.owners.governance or "whoever owns the policy"
