"""Actions: claimed with their intent on record, settled with how they went, approved or dropped by people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection, Row, and_, bindparam, case, or_, select, update

from connectors.sql import audit
from connectors.sql.approvals import approval_of, now_known
from connectors.sql.burial import Grave, bury_actions
from connectors.sql.codec import EFFECT, RECEIPT, TICKET, plain
from connectors.sql.engine import Database
from connectors.sql.loading import to_action, with_ticket
from connectors.sql.order import BLOCKERS, claimable, may_be_done, stopped
from connectors.sql.settling import settle_rows
from connectors.sql.tables import actions, cases, tickets
from countersign.actions import KINDS, Action, ActionState
from countersign.audit import Event
from countersign.ledger import ATTEMPTS, ClaimedAction, Settled
from countersign.tickets import Receipt, TicketRef
from countersign.undo import Undone
from countersign.voids import Approval

_DUE = (
    select(actions.c.key)
    .join(cases, cases.c.id == actions.c.case_id)
    .where(may_be_done())
    .order_by(actions.c.due_at, actions.c.case_id, actions.c.seq)
    .limit(bindparam("most"))
)
_CLAIMABLE = (
    select(actions, tickets.c.body.label("ticket_body"), cases.c.first_at)
    .join(cases, cases.c.id == actions.c.case_id)
    .outerjoin(tickets, with_ticket)
    .where(actions.c.key.in_(bindparam("keys", expanding=True)), may_be_done())
    .order_by(actions.c.key)
    .with_for_update(of=actions, skip_locked=True)
)
_CLAIM = (
    update(actions)
    .where(actions.c.key.in_(bindparam("keys", expanding=True)))
    .values(
        state=ActionState.POSTING.value,
        doubtful=case(
            (actions.c.state.in_((ActionState.POSTING.value, ActionState.IN_DOUBT.value)), True),
            else_=actions.c.doubtful,
        ),
        fence=actions.c.fence + 1,
        attempts=actions.c.attempts + 1,
        worker=bindparam("by"),
        due_at=bindparam("until"),
    )
)
_STANDING = select(actions.c.fence, actions.c.state, stopped.label("stopped")).where(
    actions.c.key == bindparam("key")
)
_RECEIPTS = (
    select(actions.c.case_id, actions.c.kind, actions.c.receipt)
    .where(
        actions.c.case_id.in_(bindparam("cases", expanding=True)),
        actions.c.state == ActionState.DONE.value,
        actions.c.receipt.is_not(None),
    )
    .order_by(actions.c.done_at, actions.c.seq)
)


class SqlActions:
    """The ActionBook port."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def due_actions(self, *, limit: int, again: bool | None = None) -> tuple[str, ...]:
        asked = _DUE if again is None else _DUE.where((actions.c.attempts > 0) == again)
        with self._db.read() as connection:
            due = connection.execute(asked, {"now": self._db.now(connection), "most": limit})
            return tuple(due.scalars())

    def newer_kinds(self) -> tuple[str, ...]:
        asked = (
            select(actions.c.kind)
            .where(actions.c.due_at.is_not(None), actions.c.kind.not_in(KINDS))
            .distinct()
        )
        with self._db.read() as connection:
            return tuple(sorted(connection.execute(asked).scalars()))

    def claim_actions(
        self, keys: Sequence[str], *, worker: str, lease: timedelta
    ) -> tuple[ClaimedAction, ...]:
        with self._db.read() as connection:
            # Most wake-ups come late: looking first keeps them from taking their turn among the writers.
            if not claimable(connection, keys, at=self._db.now(connection)):
                return ()
        with self._db.write() as connection:
            now = self._db.now(connection)
            rows = connection.execute(_CLAIMABLE, {"keys": list(keys), "now": now}).all()
            graves, taken = _sorted_out(rows)
            receipts = _receipts(connection, [row.case_id for row, _ in taken])
            claimed = _claimed(
                taken, receipts, _undone(connection, taken), _approvals(connection, taken, now)
            )
            if claimed:
                taken_keys = [one.action.key for one in claimed]
                connection.execute(_CLAIM, {"keys": taken_keys, "by": worker, "until": now + lease})
            events = bury_actions(self._db, connection, graves, at=now)
            events += [_intent(row, one, worker) for (row, _), one in zip(taken, claimed, strict=True)]
            audit.append(connection, events, at=now)
        return claimed

    def refusal(self, key: str, fence: int) -> str:
        with self._db.read() as connection:
            row = connection.execute(_STANDING, {"key": key}).one_or_none()
        if row is None or row.fence != fence or row.state != ActionState.POSTING:
            return "Another worker has this action now; it is left to that one."
        return "The use case was stopped; `countersign resume` goes on." if row.stopped else ""

    def settle(self, settled: Sequence[Settled]) -> tuple[str, ...]:
        if not settled:
            return ()
        with self._db.write() as connection:
            now = self._db.now(connection)
            touched, events = settle_rows(self._db, connection, settled, at=now)
            audit.append(connection, events, at=now)
            waiting = select(actions.c.key).where(
                actions.c.case_id.in_(touched), actions.c.state == ActionState.APPROVED.value
            )
            keys = connection.execute(waiting).scalars().all() if touched else ()
            return claimable(connection, keys, at=now)

    def approve(self, case_id: str, code: str, *, by: str, change_id: str) -> tuple[str, ...]:
        with self._db.write() as connection:
            now = self._db.now(connection)
            approved = connection.execute(
                update(actions)
                .where(
                    actions.c.case_id == case_id,
                    actions.c.code == plain(code).strip().lower(),
                    actions.c.state == ActionState.PLANNED.value,
                )
                .values(
                    state=ActionState.APPROVED.value,
                    due_at=now,
                    approved_by=plain(by),
                    approved_change=plain(change_id),
                )
                .returning(actions.c.key, actions.c.payload_hash, actions.c.kind)
            ).all()
            events = [
                Event(
                    actor=by,
                    event="action.approved",
                    case_id=case_id,
                    subject=row.key,
                    detail={"kind": row.kind, "payload_hash": row.payload_hash, "change": change_id},
                )
                for row in approved
            ]
            audit.append(connection, events, at=now)
            before = connection.execute(
                select(actions.c.key).where(
                    actions.c.case_id == case_id,
                    actions.c.code == plain(code).strip().lower(),
                    actions.c.approved_change == plain(change_id),
                )
            )
            return tuple(before.scalars())

    def void(self, case_id: str, code: str, *, why: str, known: Sequence[str]) -> None:
        with self._db.write() as connection:
            waiting = select(actions).where(
                actions.c.case_id == case_id,
                actions.c.code == plain(code).strip().lower(),
                actions.c.state == ActionState.PLANNED.value,
            )
            events = []
            for row in connection.execute(waiting.with_for_update()).all():
                told = {"known_changes": now_known(row, known), "detail": plain(why)}
                connection.execute(update(actions).where(actions.c.key == row.key).values(told))
                detail: dict[str, object] = {"kind": row.kind, "detail": why}
                events.append(
                    Event(
                        actor="policy", event="action.void", case_id=case_id, subject=row.key, detail=detail
                    )
                )
            audit.append(connection, events, at=self._db.now(connection))

    def drop(self, case_id: str, code: str, *, by: str, why: str) -> int:
        """As the port says. What makes no sense without a dropped action is dropped with it."""
        waiting = or_(
            actions.c.state == ActionState.PLANNED.value,
            # Approved by a person, and nobody has begun it: whoever approved may think better of it.
            and_(actions.c.state == ActionState.APPROVED.value, actions.c.approved_change != ""),
        )
        with self._db.write() as connection:
            now = self._db.now(connection)
            chosen = [actions.c.case_id == case_id, waiting]
            if code:
                chosen.append(actions.c.code == plain(code).strip().lower())
            rows = connection.execute(select(actions).where(*chosen).with_for_update()).all()
            keys = {row.key for row in rows}
            for row in rows:
                keys.update(_followers(connection, row))
            _write_dropped(connection, keys, why)
            events = [
                Event(actor=by, event="action.dropped", case_id=case_id, subject=key, detail={"why": why})
                for key in sorted(keys)
            ]
            audit.append(connection, events, at=now)
        return len(keys)


def _write_dropped(connection: Connection, keys: set[str], why: str) -> None:
    if keys:
        connection.execute(
            update(actions)
            .where(actions.c.key.in_(keys))
            .values(state=ActionState.DROPPED.value, due_at=None, detail=plain(why))
        )


def _followers(connection: Connection, row: Row[Any]) -> Sequence[str]:
    """The actions that wait for this one and can't be done without it."""
    if row.kind not in BLOCKERS:
        return ()
    waiting = select(actions.c.key).where(
        actions.c.case_id == row.case_id,
        actions.c.revision == row.revision,
        actions.c.seq > row.seq,
        actions.c.state.in_((ActionState.PLANNED.value, ActionState.APPROVED.value)),
    )
    return connection.execute(waiting).scalars().all()


def _sorted_out(rows: Sequence[Row[Any]]) -> tuple[list[Grave], list[tuple[Row[Any], Action]]]:
    """Which of the claimable actions are given up, and which are to be done."""
    graves: list[Grave] = []
    taken: list[tuple[Row[Any], Action]] = []
    for row in rows:
        if row.attempts >= ATTEMPTS:
            reason = f"it was tried {ATTEMPTS} times and nobody told how it went; look at the ticket"
            graves.append(Grave(row=row, reason=row.detail or reason))
            continue
        try:
            taken.append((row, to_action(row, fallback=_case_ticket(row))))
        except ValidationError:
            graves.append(Grave(row=row, reason="this version of Countersign can't read what is to be done"))
    return graves, taken


def _case_ticket(row: Row[Any]) -> TicketRef | None:
    """Where an action is done that was planned before its case had a ticket."""
    known = row.ticket_body is not None and row.kind != "create_ticket"
    return TICKET.load(row.ticket_body).ref if known else None


def _receipts(connection: Connection, case_ids: Sequence[str]) -> Mapping[str, dict[str, Receipt]]:
    """What the desks gave for the actions done of these cases, the newest of each kind."""
    found: dict[str, dict[str, Receipt]] = {case_id: {} for case_id in case_ids}
    if found:
        for row in connection.execute(_RECEIPTS, {"cases": list(found)}):
            found[row.case_id][row.kind] = RECEIPT.load(row.receipt)
    return found


def _undone(connection: Connection, taken: Sequence[tuple[Row[Any], Action]]) -> Mapping[str, Undone]:
    """What these actions take back, by its key."""
    keys = [row.undoes for row, _ in taken if row.undoes]
    if not keys:
        return {}
    asked = select(actions.c.key, actions.c.effect, actions.c.done_at).where(actions.c.key.in_(keys))
    return {
        row.key: Undone(effect=EFFECT.load(row.effect), done_at=row.done_at, marker=f"countersign:{row.key}")
        for row in connection.execute(asked)
    }


def _approvals(
    connection: Connection, taken: Sequence[tuple[Row[Any], Action]], now: datetime
) -> Mapping[str, Approval | None]:
    return {action.key: approval_of(connection, row, now) for row, action in taken}


def _claimed(
    taken: Sequence[tuple[Row[Any], Action]],
    receipts: Mapping[str, dict[str, Receipt]],
    undone: Mapping[str, Undone],
    approvals: Mapping[str, Approval | None],
) -> tuple[ClaimedAction, ...]:
    return tuple(
        ClaimedAction(
            action=action,
            fence=row.fence + 1,
            attempt=row.attempts + 1,
            in_doubt=row.doubtful or row.state in (ActionState.POSTING, ActionState.IN_DOUBT),
            first_at=row.first_at,
            earlier=receipts[row.case_id],
            undoes=undone.get(row.undoes),
            approval=approvals[action.key],
        )
        for row, action in taken
    )


def _intent(row: Row[Any], claimed: ClaimedAction, worker: str) -> Event:
    ticket = claimed.action.ticket
    return Event(
        actor=worker,
        event="action.intent",
        case_id=row.case_id,
        subject=row.key,
        detail={
            "kind": row.kind,
            "desk": row.desk,
            "ticket": ticket.key if ticket is not None else "",
            "attempt": claimed.attempt,
            "in_doubt": claimed.in_doubt,
            "approved_by": row.approved_by,
            "payload_hash": row.payload_hash,
        },
    )
