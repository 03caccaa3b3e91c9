"""Approvals: the words that engineers type into a ticket, and whether they count."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from countersign.policy import Approvers
from countersign.tickets import ChangeKind, TicketChange

Verb = Literal["approve", "reject", "wrong", "good", "why"]
# Whatever is no verb of ours is a question, and answered as one: nobody is met with silence.
_COMMAND = re.compile(
    r"(?:^|\n)[^\S\n]*/countersign[^\S\n]+(?:(approve|reject|wrong|good|why)\b)?[ \t]*([^\n]{0,300})",
    re.IGNORECASE,
)
_CODE = re.compile(r"^[0-9a-f]{4,64}\b", re.IGNORECASE)
_FIELD = re.compile(
    r"\b(category|severity|priority|group|ci|cause)\s*=\s*(\"[^\"]{1,80}\"|[^\s,;]{1,80})", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """One `/countersign …` line. `code` names the payload that is approved or rejected; `fields` what was wrong."""

    verb: Verb
    code: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    text: str = ""


def read_commands(change: TicketChange) -> tuple[Command, ...]:
    """The commands in a comment. What a customer can see or write, and what we wrote ourselves, commands nothing."""
    if change.kind is not ChangeKind.COMMENT or not change.internal or change.by_us:
        return ()
    return tuple(
        _command(verb.lower() or "why", rest.strip()) for verb, rest in _COMMAND.findall(change.text)
    )


def _command(verb: str, rest: str) -> Command:
    code = _CODE.match(rest) if verb in ("approve", "reject") else None
    fields = tuple((name.lower(), value.strip('"')) for name, value in _FIELD.findall(rest))
    return Command(
        verb=verb,  # type: ignore[arg-type]  # the pattern admits the verbs alone
        code=code.group(0).lower() if code else "",
        fields=fields,
        text=rest,
    )


def may_approve(person: str, groups: frozenset[str], approvers: Approvers) -> bool:
    """Whether a person with these desk groups may approve under the policy; nobody may if it names nobody."""
    named = {approvers.servicenow_group, approvers.jira_group} - {None}
    return person in approvers.people or not groups.isdisjoint(named)
