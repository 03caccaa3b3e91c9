"""The story of one case, told in lines for somebody who sees Countersign for the first time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from countersign.actions import Close, CreateTicket, DraftChange, Effect, Note, Route
from countersign.assessment import Assessment, sureness
from countersign.chances import per_cent, risk_figure
from countersign.context import Context, Found, Missing
from countersign.decision import Decision
from countersign.drafts import plain
from countersign.ledger import ActionRecord, Correction, DecisionRecord, Story
from countersign.redaction import redact

SHOWN = 5
T = TypeVar("T")


def without_secrets(story: Story) -> Story:
    """The story with no secret in what others wrote: screens are copied into chats, and output into logs."""
    case = story.case
    ticket = case.ticket and replace(
        case.ticket, title=_bare(case.ticket.title), description=_bare(case.ticket.description)
    )
    alerts = tuple(
        replace(
            alert,
            summary=_bare(alert.summary),
            body=_bare(alert.body),
            tags=tuple(map(_bare, alert.tags)),
            details={name: _bare(value) for name, value in alert.details.items()},
        )
        for alert in case.alerts
    )
    return replace(
        story, case=replace(case, alerts=alerts, ticket=ticket, context=_bare_context(case.context))
    )


def _bare_context(context: Context) -> Context:
    changes, logs, similar = context.changes, context.logs, context.similar
    if isinstance(changes, Found):
        changes = Found(tuple(replace(one, title=_bare(one.title)) for one in changes.value))
    if isinstance(logs, Found):
        logs = Found(tuple(map(_bare, logs.value)))
    if isinstance(similar, Found):
        similar = Found(tuple(replace(one, title=_bare(one.title)) for one in similar.value))
    return replace(context, changes=changes, logs=logs, similar=similar)


def _bare(text: str) -> str:
    return redact(text, frozenset({"secrets"})).text


def tell(story: Story) -> Iterator[str]:
    """Alerts, context, what was said, what was decided and why, what was written, what people did, the audit log."""
    case = story.case
    ticket = f"{case.ticket.ref.key} ({case.ticket.state}) {case.ticket.title}" if case.ticket else "none"
    yield f"Case {case.id} - {case.lead.summary}"
    yield f"  use case {case.use_case}, stage {story.stage}, ticket {ticket}"
    yield from _alerts(story)
    yield from _context(case.context)
    for record in story.decisions:
        yield from _decision(record)
    yield from _actions(story)
    if story.corrections:
        yield "\nWhat people did"
        for one in story.corrections:
            yield f"  {_at(one.at)} {one.by}{_SOURCES[one.source]} {one.verdict}{_changed(one)}"
    yield "\nAudit log"
    yield from (
        f"  #{r.seq} {_at(r.at)} {r.event} {r.subject} by {r.actor}{_detail(r.detail)}" for r in story.audit
    )


_SOURCES = {"person": "", "bot": " (a bot)", "bulk": " (with many tickets at once)"}


def _changed(one: Correction) -> str:
    if one.distance is not None:
        return f" {one.field}: {per_cent(one.distance)} of its words are other ones"
    return f" {one.field}: {one.before or '-'} -> {one.after}" if one.field else f" {one.text}".rstrip()


def _alerts(story: Story) -> Iterator[str]:
    case = story.case
    firing = f"{case.firing} firing" if case.firing else "none firing"
    yield f"\nAlerts: {case.alert_count}, {firing}, {_at(case.first_at)} to {_at(case.last_at)}"
    if case.previous:
        yield f"  episode {case.episode}; the one before is case {case.previous}"
    hidden = case.alert_count - SHOWN
    if hidden > 0:
        yield f"  … {hidden} earlier"
    for alert in case.alerts[-SHOWN:]:
        yield f"  {_at(alert.occurred_at)} {alert.source} {alert.state} {alert.severity} {alert.summary}"


def _context(context: Context) -> Iterator[str]:
    yield "\nContext"
    match context.ci:
        case Found(item):
            yield f"  item: {item.name}, owner {item.owner_group or 'unknown'}, service {item.service or 'unknown'}"
        case Missing(reason):
            yield f"  item: {reason}"
    yield from _found("changes before", context.changes, lambda c: f"{c.key} {c.title} {_at(c.at)}")
    yield from _found("log", context.logs, str)
    yield from _found("similar", context.similar, lambda s: f"{s.ticket_key or s.case_id} {s.title}")


def _found(name: str, part: Found[tuple[T, ...]] | Missing, words: Callable[[T], str]) -> Iterator[str]:
    if isinstance(part, Missing):
        yield f"  {name}: {part.reason}"
    else:
        yield from (f"  {name}: {words(one)}" for one in part.value[:SHOWN])


def _decision(record: DecisionRecord) -> Iterator[str]:
    said, decision = record.assessment, record.decision
    yield f"\nDecision {record.revision} at {_at(record.at)}"
    if isinstance(said, Assessment):
        kind = "a language model" if said.is_llm else "a local classifier, not a language model"
        yield f"  {said.model} ({kind}), prompt {said.prompt} ({said.prompt_hash}), said:"
        yield f"    {said.category}, severity {said.severity}, risk {risk_figure(said.risk)} ({sureness(said)})"
        yield from (f"    less sure, because {doubt}" for doubt in said.doubts)
        yield f"    {said.summary}"
        yield f"    cause: {said.likely_cause}"
        yield f"    evidence: {', '.join(said.evidence) or 'none cited'}"
    else:
        yield f"  not assessed ({said.reason}): {said.because}"
    yield from _calls(record)
    yield f"  policy version {record.policy_version} ({record.policy_hash}), autonomy {record.autonomy}"
    yield from _outcome(decision)


def _calls(record: DecisionRecord) -> Iterator[str]:
    for call in record.calls:
        cost = f", {call.micro_usd / 1_000_000:.6f} USD" if call.micro_usd else ""
        problem = f": {call.detail}" if call.detail else ""
        yield f"  asked {call.model}: {call.outcome} in {call.latency_ms} ms{cost}{problem}"


def _outcome(decision: Decision) -> Iterator[str]:
    would = f" (would have been {decision.would})" if decision.would else ""
    yield f'  -> {decision.outcome}{would} by rule "{decision.rule}"'
    yield f"     severity {decision.severity}, lane {decision.lane}"
    yield from (f"     because {reason}" for reason in decision.because)


def _actions(story: Story) -> Iterator[str]:
    if not story.actions:
        yield "\nNothing was written anywhere."
        return
    yield "\nWhat was written"
    change = "its number is still to come"
    for record in story.actions:
        if isinstance(record.action.effect, DraftChange) and record.receipt:
            change = record.receipt.handle
        yield from _action(record, change)


def _action(record: ActionRecord, change: str) -> Iterator[str]:
    """`change` stands in a note for the change request that was drafted before it, as it does in the ticket."""
    action = record.action
    approved = f", approved by {record.approved_by}" if record.approved_by else ""
    waits = f", waits for /countersign approve {action.code}" if record.state == "planned" else ""
    where = f"{action.desk} {action.ticket.key}" if action.ticket else action.desk
    yield f"  {record.state}: {action.effect.kind.replace('_', ' ')} at {where}{approved}{waits}  [{action.marker}]"
    if record.detail:
        yield f"    {record.detail}"
    if record.receipt and record.receipt.before:
        yield f"    before: {', '.join(f'{k}={v}' for k, v in record.receipt.before.items())}"
    yield from (f"    | {line}" for line in _words(action.effect, action.marker, change))


def _words(effect: Effect, marker: str, change: str) -> list[str]:
    match effect:
        case Note(draft=draft) | Close(draft=draft):
            return plain(draft.naming_change(change), marker).splitlines()
        case DraftChange():
            return [effect.title, *effect.description.splitlines()]
        case Route():
            return [f"to {effect.group}: {effect.reason}"]
        case CreateTicket():
            return [effect.title]
        case _:
            return []


def _detail(detail: Mapping[str, object]) -> str:
    return "".join(f" {key}={value}" for key, value in detail.items() if value not in ("", None))[:160]


def _at(moment: datetime) -> str:
    return moment.strftime("%m-%d %H:%M:%S")
