"""Conversation: answers to `/countersign why …` and other questions in the ticket, from the case's own record alone,
and what to type instead of a command that could not be obeyed.

Whoever answers remembers nothing: the question is a change in the ticket, the answer is a note with a key of its
own, and both are in the ledger.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from countersign.actions import Action, Note, action_key
from countersign.approvals import Command
from countersign.assessment import Assessment, sureness
from countersign.cases import Case
from countersign.chances import chance
from countersign.decision import Decision, Outcome, mismatches
from countersign.drafts import Block, Draft
from countersign.lanes import Lane
from countersign.ledger import ActionRecord, DecisionRecord, Story
from countersign.notes import Offer, turn
from countersign.plans import AFTER_ALL, words
from countersign.policy import Policy
from countersign.spans import quote
from countersign.tickets import TicketChange

_MOST_RULES = 6
_CLOSE = {
    "planned": "closing the ticket waits for a person",
    "approved": "the ticket is about to be closed",
    "posting": "the ticket is about to be closed",
    "done": "the ticket was closed",
    "dropped": "a close was proposed and dropped; the ticket stays with people",
    "compensated": "the ticket was closed, and that was taken back",
}
_STATES = {
    "planned": "waits for an approval", "approved": "about to be done", "posting": "about to be done",
    "in_doubt": "perhaps done, which is looked at", "dead": "failed", "compensated": "taken back",
}  # fmt: skip
# Whoever is told so often in one ticket what to type is no person.
_MOST_HINTS = 10
_HINT = "what to type"
REJECTED = "rejected in the ticket"
_ENDED = frozenset({"dropped", "compensated"})
# An account's id that a desk has made up says nothing to a reader, and the ticket itself shows who it was.
_MADE_UP = re.compile(r"[0-9a-f]{12}")
_WHAT_THEY_DID = {
    "approved": "approved", "rejected": "rejected", "reopened": "reopened it", "resolved": "resolved it",
    "acknowledged": "took it on", "edited": "wrote over", "corrected": "set",
    "refused": "typed a command that was not obeyed", "void": "approved, which did not hold",
}  # fmt: skip
_WHAT_CAME_OF_IT = {
    Outcome.CLOSE: "a close was proposed",
    Outcome.DRAFT_CHANGE: "a change request was drafted; the ticket stays with people",
    Outcome.DRAFT_NOTE: "a note was drafted; the ticket stays with people",
    Outcome.ROUTE: "the ticket was given to people",
    Outcome.HOLD: "nothing was done",
}


def reply(story: Story, change: TicketChange, policy: Policy) -> Action | None:
    """The note that answers a question asked in a ticket; None where Countersign keeps silent.

    Silent while it only observes, before anything was decided, and in the control lane, where people must not see
    the verdict. The same question is answered once, by whoever asks the ledger first.
    """
    record = _spoken_of(story, policy)
    return _note(story, change, policy, "asked", explained(story, record, policy)) if record else None


def hint(
    story: Story, change: TicketChange, policy: Policy, headline: str, *, commands: bool = True
) -> Action | None:
    """The note that says what became of words that could not be obeyed, and what to type; once for each comment.

    None where a question is not answered either, and where it was said often enough.
    """
    record = _spoken_of(story, policy)
    said = sum(one.action.seq == AFTER_ALL and _is_hint(one.action) for one in story.actions)
    if record is None or said >= _MOST_HINTS:
        return None
    draft = Draft(
        headline=headline,
        blocks=(_typed(story, record, policy),) if commands else (),
        provenance=f"Countersign case {story.case.id} · {_HINT}",
    )
    return _note(story, change, policy, "hint", draft)


def not_offered(story: Story, command: Command) -> str:
    """Why there is nothing (any more) that this could approve or reject, as a clause; "" where that needs no words."""
    offered = [one for one in story.actions if one.action.needs_approval or one.state == "planned"]
    if not offered:
        return f"nothing is offered here that could be {_DONE_TO[command.verb]}"
    if not command.code and command.verb == "approve":
        return "approve needs the code of what it approves"
    named = [one for one in offered if command.code in ("", one.action.code)]
    if not named:
        return f"{command.code} is not the code of what is offered here"
    one = named[-1]
    if one.state in _ENDED:
        return f"what was offered as {one.action.code} has ended{f': {one.detail}' if one.detail else ''}"
    return f"{one.action.code} was approved before" if command.verb == "reject" else ""


def rejected_before(story: Story, code: str) -> bool:
    """Whether what the code names ("" for anything) was rejected already: a rejection may be heard twice."""
    return any(one.detail == REJECTED for one in story.actions if code in ("", one.action.code))


def names_offer(story: Story, text: str) -> bool:
    """Whether the words hold the code of something that waits: then they are no mere question."""
    return any(re.search(rf"\b{code}\b", text, re.IGNORECASE) for code in waiting(story))


def approvers_of(policy: Policy) -> str:
    """Who may approve under the policy, in its own words."""
    named = policy.approvals.approvers
    groups = dict.fromkeys(filter(None, (named.servicenow_group, named.jira_group)))
    return " and ".join([*named.people, *(f"members of {group}" for group in groups)]) or "nobody"


_DONE_TO = {"approve": "approved", "reject": "rejected"}


def waiting(story: Story) -> dict[str, str]:
    """The codes of what waits for a person, with what approving it does."""
    return {one.action.code: words(one.action.effect) for one in story.actions if one.state == "planned"}


def _typed(story: Story, record: DecisionRecord, policy: Policy) -> Block:
    said = record.assessment
    offers = tuple(Offer(code=code, to=to) for code, to in waiting(story).items())
    return turn(offers, policy, said=said.category if isinstance(said, Assessment) else None)


def _is_hint(action: Action) -> bool:
    return isinstance(action.effect, Note) and action.effect.draft.provenance.endswith(_HINT)


def _spoken_of(story: Story, policy: Policy) -> DecisionRecord | None:
    """The decision that people may be told of."""
    if not story.decisions or policy.autonomy == "observe":
        return None
    record = story.decisions[-1]
    return None if record.decision.lane is Lane.CONTROL else record


def _note(story: Story, change: TicketChange, policy: Policy, event: str, draft: Draft) -> Action:
    case, desk = story.case, policy.scope.desk
    return Action(
        key=action_key(use_case=case.use_case, event=f"{event}:{change.id}", kind="note", target=desk),
        case_id=case.id, use_case=case.use_case, desk=desk, ticket=change.ref, effect=Note(draft=draft),
        seq=AFTER_ALL,
    )  # fmt: skip


def explained(story: Story, record: DecisionRecord, policy: Policy) -> Draft:
    """What came of the case and why: first what kept it from being closed, which is what people ask most."""
    case, decision = story.case, record.decision
    blocks = {
        "Why it was not closed": _not_closed(case, record, policy),
        "Since then": _since(story),
        "What was said": _said(case, record, policy),
        "What the policy made of it": _because(decision),
        "Rules that did not match": _others(case, record, policy, closing=False),
        "What holds whatever a model says": _bounds(policy),
        "What was done": _done(story.actions),
    }
    told = {title: tuple(lines) for title, lines in blocks.items()}
    return Draft(
        headline=f"Why - {_came_of_it(story, decision)}",
        blocks=(
            *(Block(title=title, style="bullets", lines=lines) for title, lines in told.items() if lines),
            _typed(story, record, policy),
        ),
        provenance=f"Countersign case {case.id} · decided {record.at:%Y-%m-%d %H:%M %Z} · "
        f"policy {policy.use_case} v{record.policy_version} ({record.policy_hash}) · from the record, no model asked",
    )  # fmt: skip


def _came_of_it(story: Story, decision: Decision) -> str:
    """A close is what became of it: it may wait for a person, or have been dropped or taken back."""
    closes = [one for one in story.actions if one.action.effect.kind == "close"]
    return (
        f"{_CLOSE[closes[-1].state]}"
        if closes and closes[-1].state in _CLOSE
        else _WHAT_CAME_OF_IT[decision.outcome]
    )


def _said(case: Case, record: DecisionRecord, policy: Policy) -> Iterator[str]:
    said = record.assessment
    if not isinstance(said, Assessment):
        yield f"Nobody assessed it: {said.because}"
        return
    kind = "a language model" if said.is_llm else "a local classifier, not a language model"
    yield f"{said.model} ({kind}): {said.category}, severity {said.severity}"
    yield f"{sureness(said).capitalize()}; risk of a wrong close {chance(said.risk)}"
    yield from (f"Less sure, because {doubt}" for doubt in said.doubts)
    visible = frozenset(policy.scope.data.visible)
    quoted = ((span, quote(case, span, visible)) for span in said.evidence)
    yield from (f"Evidence [{span}]: {text}" for span, text in quoted if text)
    if case.severity_floor > said.severity:
        yield f"The source said {case.severity_floor}, and the worse of the two counts"


def _not_closed(case: Case, record: DecisionRecord, policy: Policy) -> Iterator[str]:
    yield from _others(case, record, policy, closing=True)
    if record.decision.would is Outcome.CLOSE:
        yield from record.decision.because


def _because(decision: Decision) -> Iterator[str]:
    if decision.would is Outcome.CLOSE:
        return
    yield from decision.because
    if decision.would is not None:
        yield f"Without that it would have been {decision.would.value.replace('_', ' ')}"


def _others(case: Case, record: DecisionRecord, policy: Policy, *, closing: bool) -> Iterator[str]:
    """Rules before the one that decided, those that close or the others, with what kept each from matching.

    Nothing if the policy has changed since.
    """
    said, decision = record.assessment, record.decision
    if not isinstance(said, Assessment) or record.policy_hash != policy.fingerprint:
        return
    for rule in policy.rules[:_MOST_RULES]:
        if rule.name == decision.rule:
            return
        reasons = mismatches(rule, case, said, decision.severity) if (rule.then == "close") is closing else ()
        if reasons:
            yield f'"{rule.name}": {"; ".join(reasons)}'


def _bounds(policy: Policy) -> Iterator[str]:
    never, limits = policy.never_close, policy.limits
    if never.severity is not None:
        yield f"Severity {never.severity.at_least} and above is never closed without a person"
    if never.services:
        yield f"Nor are tickets of {', '.join(never.services)}"
    yield (
        f"At most {limits.closes_per_hour} closes an hour, "
        f"{limits.closes_per_service_per_day} a day for one service"
    )


def _done(actions: tuple[ActionRecord, ...]) -> Iterator[str]:
    for record in actions:
        if record.action.seq != AFTER_ALL:
            by_person = record.approved_by and not record.approved_by.startswith("policy:")
            by = f", approved by {_who(record.approved_by)}" if by_person else ""
            yield f"{record.action.effect.kind.replace('_', ' ')}: {_STATES.get(record.state, record.state)}{by}"


def _since(story: Story) -> Iterator[str]:
    """Where alerts and ticket stand now, and what people have said."""
    case, ticket = story.case, story.case.ticket
    if not case.born_in_desk:
        firing = f"{case.firing} still firing" if case.firing else "all recovered"
        yield f"{case.alert_count} alert{'s' * (case.alert_count != 1)}, {firing}; the last at {case.last_at:%H:%M} UTC"
    if ticket is not None:
        holder = ticket.assignee or ticket.group
        yield f"{ticket.ref.key or 'the ticket'} is {ticket.state.value}{f', with {holder}' if holder else ''}"
    named = {one.change_id for one in story.corrections if one.field}
    for one in story.corrections:
        if one.verdict != "why" and (one.field or one.change_id not in named):
            change = f" {one.field}: {one.after}" if one.field and one.verdict != "edited" else ""
            yield f"{_who(one.by)} {_WHAT_THEY_DID.get(one.verdict, f'said {one.verdict}')}{change}"


def _who(account: str) -> str:
    return "somebody" if _MADE_UP.search(account) else account
