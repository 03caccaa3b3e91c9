"""Watch: what people did in our tickets. Commands approve, reject and correct; the rest becomes corrections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import structlog

from countersign.actions import Close, Note
from countersign.approvals import Command, corrected, may_approve, read_commands
from countersign.conversation import (
    REJECTED,
    approvers_of,
    hint,
    names_offer,
    not_offered,
    rejected_before,
    reply,
    waiting,
)
from countersign.errors import OutsideError
from countersign.feedback.edits import distance, text_of, without_marker
from countersign.feedback.sources import is_bot
from countersign.ledger import Correction, Watched
from countersign.policy import Policy
from countersign.redaction import redact
from countersign.tickets import ChangeKind
from countersign.voids import Void, void_note, voided
from workers.learn import learn, relabel_cases
from workers.parts import Parts, Wake

_log = structlog.get_logger()

# Fields whose change by a person says that the AI's view of them was wrong, or never asked for.
TELLING_FIELDS = frozenset({"category", "priority", "ci", "group", "close_code"})
VERDICTS: Mapping[ChangeKind, str] = {
    ChangeKind.REOPENED: "reopened",
    ChangeKind.RESOLVED: "resolved",
    ChangeKind.ACKNOWLEDGED: "acknowledged",
}


def watch(parts: Parts, desk: str) -> Iterator[Wake]:
    """Reads what changed at a desk; yields the actions that people approved."""
    feed = feed_of(desk)
    claimed = parts.ledger.intake.claim_feed(feed, worker=parts.worker, lease=parts.settings.timing.lease)
    if claimed is None:
        return
    fence, cursor = claimed
    error = ""
    try:
        yield from _heard(parts, desk, parts.ledger.watch.unhandled(desk, parts.policies))
        for page in parts.desks[desk].changes(cursor):
            watched = parts.ledger.watch.record_changes(feed, fence, page)
            yield from _heard(parts, desk, watched)
    except OutsideError as problem:
        error = str(problem)
        raise
    finally:
        parts.ledger.intake.release_feed(feed, fence, error=error)


def feed_of(desk: str) -> str:
    """The name under which reading a desk's changes is leased."""
    return f"watch:{desk}"


def _heard(parts: Parts, desk: str, watched: Sequence[Watched]) -> Iterator[Wake]:
    """Hears each change out; what a silent directory keeps from being heard stays unhandled and comes again."""
    corrections: list[Correction] = []
    ready: list[str] = []
    handled: list[Watched] = []
    for one in watched:
        if one.use_case not in parts.policies:
            # Its file may be back in a moment: it waits to be heard until then.
            _log.warning("change.without_policy", case=one.case_id, use_case=one.use_case)
            continue
        try:
            told, keys = _hear(parts, desk, one)
        except OutsideError as problem:
            _log.warning("change.later", case=one.case_id, change=one.change.id, problem=str(problem))
            continue
        corrections += told
        ready += keys
        handled.append(one)
    if corrections:
        turned = parts.ledger.watch.record_corrections(corrections)
        if turned:
            _log.info("corrections.in_bulk", cases=len(turned))
            relabel_cases(parts.ledger, turned)
        ready += learn(parts, (one.case_id for one in corrections))
    if handled:
        parts.ledger.watch.mark_handled(handled)
    if ready:
        yield Wake("act", tuple(ready))


def _hear(parts: Parts, desk: str, one: Watched) -> tuple[list[Correction], list[str]]:
    """What one change says about its case, and the actions that it approved."""
    policy = parts.policies[one.use_case]
    if one.change.by_us:
        return [], []
    corrections: list[Correction] = []
    ready: list[str] = []
    for typed in read_commands(one.change):
        command, lost = corrected(typed, policy.categories)
        verdict, keys = _obey(parts, desk, one, command, policy)
        keys += _hinted(parts, one, policy, f"Taken as wrong, but {lost}") if lost else ()
        corrections.append(_correction(one, verdict, text=command.text))
        corrections += [_correction(one, verdict, field=f, after=value) for f, value in command.fields]
        ready += keys
    if one.change.kind is ChangeKind.RESOLVED:
        why = "somebody has resolved the ticket"
        parts.ledger.actions.drop(one.case_id, "", by=one.change.author, why=why)
    corrections += _told_by_doing(parts, one)
    return _signed(parts, desk, corrections, one, policy), ready


def _signed(
    parts: Parts, desk: str, corrections: list[Correction], one: Watched, policy: Policy
) -> list[Correction]:
    """The corrections with who they come from: what a category is said to be counts more from an approver."""
    if is_bot(one.change, parts.settings.bots):
        return [replace(told, source="bot") for told in corrections]
    if not any(told.field == "category" for told in corrections):
        return corrections
    author = one.change.author
    approver = may_approve(author, _groups(parts, desk, author), policy.approvals.approvers)
    return [replace(told, approver=approver) for told in corrections]


def _obey(
    parts: Parts, desk: str, one: Watched, command: Command, policy: Policy
) -> tuple[str, tuple[str, ...]]:
    """What a command comes to: the verdict it is recorded as, and the actions that are to be done now."""
    if command.verb == "unclear":
        return _refused(parts, one, policy, command.problem)
    if command.verb in ("approve", "reject"):
        return _judged(parts, desk, one, command, policy)
    if command.verb != "why":
        return command.verb, ()
    if names_offer(parts.ledger.reading.story(one.case_id), command.text):
        return _refused(parts, one, policy, "what waits is answered with approve or reject")
    return "why", _answered(parts, one, policy)


def _judged(
    parts: Parts, desk: str, one: Watched, command: Command, policy: Policy
) -> tuple[str, tuple[str, ...]]:
    author = one.change.author
    if why := _not_entitled(parts, desk, one, policy):
        _log.warning("approval.refused", case=one.case_id, by=author, why=why)
        only = f"Nothing was done - only {approvers_of(policy)} may approve or reject here"
        return "refused", _hinted(parts, one, policy, only, commands=False)
    story = parts.ledger.reading.story(one.case_id)
    if command.verb == "reject":
        dropped = parts.ledger.actions.drop(one.case_id, command.code, by=author, why=REJECTED)
        _log.info("approval.rejected", case=one.case_id, by=author, dropped=dropped)
        if dropped or rejected_before(story, command.code):
            return "rejected", ()
        return _refused(parts, one, policy, not_offered(story, command))
    if command.code in waiting(story) and (void := _void(parts, one, command)):
        # What was approved is not what was offered: people look at it as it is now.
        _log.warning("approval.void", case=one.case_id, by=author, why=void.why)
        return "void", _asked_again(parts, one, command, void, policy)
    keys = parts.ledger.actions.approve(one.case_id, command.code, by=author, change_id=one.change.id)
    _log.info("approval.given", case=one.case_id, by=author, actions=len(keys))
    return ("approved", keys) if keys else _refused(parts, one, policy, not_offered(story, command))


def _refused(parts: Parts, one: Watched, policy: Policy, why: str) -> tuple[str, tuple[str, ...]]:
    return "refused", _hinted(parts, one, policy, f"Nothing was done - {why}") if why else ()


def _hinted(
    parts: Parts, one: Watched, policy: Policy, headline: str, *, commands: bool = True
) -> tuple[str, ...]:
    """The note that says why somebody's words could not be obeyed. A bot gets none: it would answer it."""
    if is_bot(one.change, parts.settings.bots):
        return ()
    action = hint(parts.ledger.reading.story(one.case_id), one.change, policy, headline, commands=commands)
    return parts.ledger.replies.plan(action, asked_by=one.change.author) if action else ()


def _void(parts: Parts, one: Watched, command: Command) -> Void | None:
    """What voids an approval: what others did in the ticket since it was offered. None if nothing does."""
    later, known = parts.ledger.watch.changes_since_offer(one.case_id, command.code)
    changes = [(change, is_bot(change, parts.settings.bots)) for change in later]
    return voided(changes, approver=one.change.author, change=one.change.id, known=known, code=command.code)


def _asked_again(parts: Parts, one: Watched, command: Command, void: Void, policy: Policy) -> tuple[str, ...]:
    """The notes that tell why an approval did not count; what was offered goes on waiting."""
    records = parts.ledger.reading.story(one.case_id).actions
    offered = [r.action for r in records if r.action.code == command.code and r.state == "planned"]
    author, keys = one.change.author, list[str]()
    for action in offered:
        note = void_note(action, void, policy, change=one.change.id)
        keys += parts.ledger.replies.plan(note, asked_by=author)
    parts.ledger.actions.void(one.case_id, command.code, why=f"void: {void.why}", known=void.known)
    return tuple(keys)


def _not_entitled(parts: Parts, desk: str, one: Watched, policy: Policy) -> str:
    author = one.change.author
    if is_bot(one.change, parts.settings.bots):
        return "a bot is no person"
    entitled = may_approve(author, _groups(parts, desk, author), policy.approvals.approvers)
    return "" if entitled else "not an approver of the policy"


def _answered(parts: Parts, one: Watched, policy: Policy) -> tuple[str, ...]:
    """The note that answers a person's question, planned from the case's record. A bot would answer the answer."""
    if is_bot(one.change, parts.settings.bots):
        return ()
    action = reply(parts.ledger.reading.story(one.case_id), one.change, policy)
    if action is None:
        return ()
    _log.info("question.answered", case=one.case_id, by=one.change.author)
    return parts.ledger.replies.plan(action, asked_by=one.change.author)


def _groups(parts: Parts, desk: str, person: str) -> frozenset[str]:
    directory = parts.directories.get(desk)
    return directory.groups_of(person) if directory else frozenset()


def _told_by_doing(parts: Parts, one: Watched) -> list[Correction]:
    change = one.change
    if change.kind is ChangeKind.EDITED:
        return _edited(parts, one)
    if change.kind is ChangeKind.FIELD and change.field in TELLING_FIELDS:
        if change.field == "close_code" and not (change.before and change.after):
            return []  # set with a resolution and cleared with a reopening: those are told by themselves
        return [_correction(one, "corrected", field=change.field, before=change.before, after=change.after)]
    if change.kind in VERDICTS:
        return [_correction(one, VERDICTS[change.kind])]
    return []


def _edited(parts: Parts, one: Watched) -> list[Correction]:
    """A draft of ours that somebody changed: what it said before, and how much of it is different now."""
    change = one.change
    before, after = change.before or _drafted(parts, one), without_marker(change.after)
    changed = distance(before, after)
    if not before or not changed:
        return []
    told = _correction(one, "edited", field=change.field, before=before, after=after)
    return [replace(told, distance=changed)]


def _drafted(parts: Parts, one: Watched) -> str:
    """The words of our note, for a desk that keeps only the newest ones; "" where it is none of the case's."""
    story = parts.ledger.reading.story(one.case_id)
    receipts = [record.receipt for record in story.actions if record.action.effect.kind == "draft_change"]
    for record in story.actions:
        effect = record.action.effect
        if record.action.marker == one.change.marker and isinstance(effect, Note | Close):
            made = next((receipt.handle for receipt in receipts if receipt), "")
            return text_of(effect.draft.naming_change(made) if made else effect.draft)
    return ""


def _correction(
    one: Watched, verdict: str, *, field: str = "", before: str = "", after: str = "", text: str = ""
) -> Correction:
    return Correction(
        case_id=one.case_id,
        change_id=one.change.id,
        verdict=verdict,
        by=one.change.author,
        at=one.change.at,
        field=field,
        before=redact(before).text,
        after=redact(after).text,
        text=redact(text).text,
    )
