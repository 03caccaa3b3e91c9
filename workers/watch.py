"""Watch: what people did in our tickets. Commands approve, reject and correct; the rest becomes corrections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import structlog

from countersign.approvals import Command, may_approve, read_commands
from countersign.conversation import reply
from countersign.errors import OutsideError
from countersign.ledger import Correction, Watched
from countersign.policy import Policy
from countersign.redaction import redact
from countersign.tickets import ChangeKind
from workers.learn import learn
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
        yield from _heard(parts, desk, parts.ledger.watch.unhandled(desk))
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
        try:
            told, keys = _hear(parts, desk, one)
        except OutsideError as problem:
            _log.warning("change.later", case=one.case_id, change=one.change.id, problem=str(problem))
            continue
        corrections += told
        ready += keys
        handled.append(one)
    if corrections:
        parts.ledger.watch.record_corrections(corrections)
        ready += learn(parts, (one.case_id for one in corrections))
    if handled:
        parts.ledger.watch.mark_handled(handled)
    if ready:
        yield Wake("act", tuple(ready))


def _hear(parts: Parts, desk: str, one: Watched) -> tuple[list[Correction], list[str]]:
    """What one change says about its case, and the actions that it approved."""
    policy = parts.policies.get(one.use_case)
    if policy is None or one.change.by_us:
        return [], []
    corrections: list[Correction] = []
    ready: list[str] = []
    for command in read_commands(one.change):
        verdict, keys = _obey(parts, desk, one, command, policy)
        corrections.append(_correction(one, verdict, text=command.text))
        corrections += [_correction(one, verdict, field=f, after=value) for f, value in command.fields]
        ready += keys
    return [*corrections, *_told_by_doing(one)], ready


def _obey(
    parts: Parts, desk: str, one: Watched, command: Command, policy: Policy
) -> tuple[str, tuple[str, ...]]:
    """What a command comes to: the verdict it is recorded as, and the actions that are to be done now."""
    if command.verb == "why":
        return "why", _answered(parts, one, policy)
    if command.verb not in ("approve", "reject"):
        return command.verb, ()
    author = one.change.author
    if not may_approve(author, _groups(parts, desk, author), policy.approvals.approvers):
        _log.warning("approval.refused", case=one.case_id, by=author, why="not an approver of the policy")
        return "refused", ()
    if command.verb == "reject":
        dropped = parts.ledger.actions.drop(
            one.case_id, command.code, by=author, why="rejected in the ticket"
        )
        _log.info("approval.rejected", case=one.case_id, by=author, dropped=dropped)
        return "rejected", ()
    if not command.code:
        return "refused", ()
    if changed := parts.ledger.watch.changed_since_offer(one.case_id, command.code):
        # What was approved is not what was offered: people look at it as it is now.
        parts.ledger.actions.drop(one.case_id, command.code, by="policy", why=f"void: {changed}")
        _log.warning("approval.void", case=one.case_id, by=author, why=changed)
        return "void", ()
    keys = parts.ledger.actions.approve(one.case_id, command.code, by=author, change_id=one.change.id)
    _log.info("approval.given", case=one.case_id, by=author, actions=len(keys))
    return "approved" if keys else "refused", keys


def _answered(parts: Parts, one: Watched, policy: Policy) -> tuple[str, ...]:
    """The note that answers a question, planned from the case's record."""
    action = reply(parts.ledger.reading.story(one.case_id), one.change, policy)
    if action is None:
        return ()
    _log.info("question.answered", case=one.case_id, by=one.change.author)
    return parts.ledger.replies.plan(action, asked_by=one.change.author)


def _groups(parts: Parts, desk: str, person: str) -> frozenset[str]:
    directory = parts.directories.get(desk)
    return directory.groups_of(person) if directory else frozenset()


def _told_by_doing(one: Watched) -> list[Correction]:
    change = one.change
    if change.kind is ChangeKind.FIELD and change.field in TELLING_FIELDS:
        return [_correction(one, "corrected", field=change.field, before=change.before, after=change.after)]
    if change.kind in VERDICTS:
        return [_correction(one, VERDICTS[change.kind])]
    return []


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
