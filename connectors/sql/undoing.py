"""Undoing: which actions a rollback is about, and the actions that take them back, planned once each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, func, or_, select, tuple_, update

from connectors.sql import audit
from connectors.sql.codec import EFFECT, RECEIPT, TICKET, TICKET_CHANGE, TICKET_REF, plain
from connectors.sql.engine import Database
from connectors.sql.loading import to_action, with_ticket
from connectors.sql.stories import find_case
from connectors.sql.tables import actions, assessments, cases, decisions, ticket_changes, tickets
from countersign.actions import Action, ActionState
from countersign.audit import Event
from countersign.tickets import TicketChange, TicketRef, ticket_of
from countersign.undo import SKEW, Review, Selection, Undoable, back_key, review

# No decision has this revision, so that what takes back is in no decision's order but its own.
UNDO_REVISION = 0
_PLANNED = (ActionState.PLANNED.value, ActionState.APPROVED.value, ActionState.FAILED.value)
Place = tuple[datetime, str]


class SqlUndoing:
    """Planning a rollback in batches; a driver that dies in between goes on where it stopped."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def undoable(
        self, which: Selection, *, before: Place | None = None, limit: int = 200
    ) -> tuple[Undoable, ...]:
        """Done actions of the selection, newest first; `before` is the last one's (done_at, key). Raises NotFound."""
        with self._db.read() as connection:
            asked = (
                _chosen(connection, which)
                .where(actions.c.state == ActionState.DONE.value)
                .order_by(actions.c.done_at.desc(), actions.c.key.desc())
                .limit(limit)
            )
            if before is not None:
                at, key = before
                older = and_(actions.c.done_at == at, actions.c.key < key)
                asked = asked.where(or_(actions.c.done_at < at, older))
            rows = connection.execute(asked).all()
            known = _known(connection, [back_key(row.key) for row in rows])
            changes = _changes(connection, [_ref(row) for row in rows])
        return tuple(_undoable(row, known, changes) for row in rows)

    def plan(
        self, backs: Sequence[tuple[Action, str]], *, after: Mapping[str, str], by: str, every: timedelta
    ) -> int:
        """Plans actions, each with the key of what it takes back, one due `every` so often; gives how many are new.

        `after` has by key the action that must be settled before: the newer one on the same ticket.
        """
        if not backs:
            return 0
        with self._db.write() as connection:
            now = self._db.now(connection)
            last = connection.execute(_LAST_DUE).scalar_one()
            first = max(now, last + every) if last is not None else now
            known = _known(connection, [action.key for action, _ in backs])
            new = [(action, undoes) for action, undoes in backs if action.key not in known]
            rows = [
                {**_row(action, by, now), "undoes": undoes, "waits_for": after.get(action.key, ""),
                 "due_at": first + number * every}
                for number, (action, undoes) in enumerate(new)
            ]  # fmt: skip
            if rows:
                connection.execute(self._db.insert(actions).on_conflict_do_nothing(), rows)
            audit.append(connection, [_planned(action, undoes, by) for action, undoes in new], at=now)
        return len(new)

    def drop_waiting(self, which: Selection, *, by: str, dry_run: bool = False) -> int:
        """Drops what the selection has planned and nobody has begun; gives how many that are."""
        with self._db.write() as connection:
            free = [actions.c.state.in_(_PLANNED), actions.c.doubtful.is_(False)]
            keys = [
                row.key for row in connection.execute(_chosen(connection, which, done=False).where(*free))
            ]
            if not keys or dry_run:
                return len(keys)
            now = self._db.now(connection)
            dropped = connection.execute(
                update(actions)
                .where(actions.c.key.in_(keys), *free)
                .values(state=ActionState.DROPPED.value, due_at=None, worker=None, detail="rolled back")
                .returning(actions.c.key, actions.c.case_id)
            ).all()
            events = [
                Event(actor=by, event="action.dropped", case_id=row.case_id, subject=row.key,
                      detail={"why": "rolled back"})
                for row in dropped
            ]  # fmt: skip
            audit.append(connection, events, at=now)
        return len(dropped)

    def uncertain(self, which: Selection) -> tuple[Review, ...]:
        """What is being written this moment, or may have been: run the rollback again, or look at the ticket."""
        doubtful = or_(
            actions.c.state.in_((ActionState.POSTING.value, ActionState.IN_DOUBT.value)),
            and_(actions.c.state == ActionState.DEAD.value, actions.c.doubtful.is_(True)),
        )
        with self._db.read() as connection:
            rows = connection.execute(_chosen(connection, which, done=False).where(doubtful)).all()
        why = "It may have been written; run the rollback again later, or look at the ticket."
        return tuple(review(_action(row), why) for row in rows)


_LAST_DUE = select(func.max(actions.c.due_at)).where(
    actions.c.undoes != "", actions.c.state == ActionState.APPROVED.value
)


def _chosen(connection: Connection, which: Selection, *, done: bool = True) -> Select[Any]:
    """The actions of a selection, except those that take others back."""
    asked = (
        select(actions, tickets.c.body.label("ticket_body"))
        .join(cases, cases.c.id == actions.c.case_id)
        .outerjoin(tickets, with_ticket)
        .where(actions.c.undoes == "", actions.c.revision > UNDO_REVISION)
    )
    if which.case_id:
        asked = asked.where(actions.c.case_id == find_case(connection, which.case_id).id)
    if which.use_case:
        asked = asked.where(actions.c.use_case == which.use_case)
    if which.since is not None:
        asked = asked.where((actions.c.done_at if done else actions.c.planned_at) >= which.since)
    same = (actions.c.case_id, actions.c.revision)
    if which.policy_version is not None:
        decided = select(decisions.c.case_id, decisions.c.revision)
        asked = asked.where(
            tuple_(*same).in_(decided.where(decisions.c.policy_version == which.policy_version))
        )
    answered = select(assessments.c.case_id, assessments.c.revision)
    if which.prompt:
        prompts = or_(assessments.c.prompt == which.prompt, assessments.c.prompt_hash == which.prompt)
        asked = asked.where(tuple_(*same).in_(answered.where(prompts)))
    if which.model:
        asked = asked.where(tuple_(*same).in_(answered.where(assessments.c.model == which.model)))
    return asked


def _known(connection: Connection, keys: Sequence[str]) -> Mapping[str, str]:
    """Which of these actions there are, and of those that were given up why, else ""."""
    if not keys:
        return {}
    rows = connection.execute(
        select(actions.c.key, actions.c.state, actions.c.detail).where(actions.c.key.in_(keys))
    )
    return {row.key: row.detail if row.state == ActionState.DEAD else "" for row in rows}


def _changes(
    connection: Connection, refs: Sequence[TicketRef | None]
) -> Mapping[tuple[str, str], list[TicketChange]]:
    """What people did in these tickets, oldest first."""
    names = sorted({(ref.desk, ref.id) for ref in refs if ref is not None})
    found: dict[tuple[str, str], list[TicketChange]] = defaultdict(list)
    if not names:
        return found
    asked = (
        select(ticket_changes.c.desk, ticket_changes.c.ticket_id, ticket_changes.c.body)
        .where(
            tuple_(ticket_changes.c.desk, ticket_changes.c.ticket_id).in_(names),
            ticket_changes.c.by_us.is_(False),
        )
        .order_by(ticket_changes.c.at)
    )
    for row in connection.execute(asked):
        found[(row.desk, row.ticket_id)].append(TICKET_CHANGE.load(row.body))
    return found


def _undoable(
    row: Row[Any], known: Mapping[str, str], changes: Mapping[tuple[str, str], Sequence[TicketChange]]
) -> Undoable:
    ref, back = _ref(row), back_key(row.key)
    people = changes.get((ref.desk, ref.id), ()) if ref is not None else ()
    return Undoable(
        action=_action(row),
        receipt=RECEIPT.load(row.receipt),
        done_at=row.done_at,
        since=tuple(change for change in people if change.at >= row.done_at - SKEW),
        back=back if back in known else "",
        given_up=known.get(back, ""),
    )


def _action(row: Row[Any]) -> Action:
    known = TICKET.load(row.ticket_body).ref if row.ticket_body is not None else None
    return to_action(row, fallback=None if row.kind == "create_ticket" else known)


def _ref(row: Row[Any]) -> TicketRef | None:
    """The ticket that an action was about: for one that made a ticket, that one."""
    if row.kind == "create_ticket" and row.receipt is not None:
        return ticket_of(row.desk, RECEIPT.load(row.receipt))
    return _action(row).ticket


def _row(action: Action, by: str, now: datetime) -> dict[str, object]:
    return {
        "key": action.key,
        "case_id": action.case_id,
        "use_case": action.use_case,
        "revision": UNDO_REVISION,
        "seq": action.seq,
        "kind": action.effect.kind,
        "desk": action.desk,
        "ticket": TICKET_REF.dump(action.ticket) if action.ticket is not None else None,
        "state": ActionState.APPROVED.value,
        "doubtful": False,
        "needs_approval": False,
        "approved_by": plain(by),
        "payload_hash": action.payload_hash,
        "code": action.code,
        "effect": EFFECT.dump(action.effect),
        "planned_at": now,
    }


def _planned(action: Action, undoes: str, by: str) -> Event:
    return Event(
        actor=by,
        event="action.planned",
        case_id=action.case_id,
        subject=action.key,
        detail={"kind": action.effect.kind, "desk": action.desk, "undoes": undoes,
                "payload_hash": action.payload_hash},
    )  # fmt: skip
