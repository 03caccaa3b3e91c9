"""Settling: how actions went, written so that only the newest holder's word counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select, tuple_, update

from connectors.sql.approvals import now_known
from connectors.sql.burial import Grave, bury_actions
from connectors.sql.codec import EFFECT, RECEIPT, TICKET, TICKET_REF, plain
from connectors.sql.engine import Database
from connectors.sql.tables import actions, cases, tickets
from countersign.actions import ActionState, CreateTicket
from countersign.audit import Event
from countersign.ledger import ATTEMPTS, Settled
from countersign.tickets import Ticket, TicketState, ticket_of

Told = tuple[Row[Any], Settled]

_HELD = (
    select(actions, cases.c.desk.label("case_desk"), cases.c.ticket_id.label("case_ticket_id"))
    .join(cases, cases.c.id == actions.c.case_id)
    .where(actions.c.key.in_(bindparam("keys", expanding=True)))
    .order_by(actions.c.key)
    .with_for_update(of=actions)
)
_WRITE = (
    update(actions)
    .where(actions.c.key == bindparam("action"))
    .values(
        {
            "worker": None,
            **{
                name: bindparam(f"new_{name}")
                for name in (
                    "state",
                    "due_at",
                    "attempts",
                    "doubtful",
                    "detail",
                    "receipt",
                    "done_at",
                    "approved_by",
                    "approved_change",
                    "known_changes",
                )
            },
        }
    )
)
_LINK = (
    update(cases)
    .where(cases.c.id == bindparam("case"))
    .values(desk=bindparam("new_desk"), ticket_id=bindparam("new_ticket_id"))
)
# What our own writes make of a ticket, known before the desk is read again.
_LEAVES = {"close": TicketState.RESOLVED, "reopen": TicketState.OPEN}


def settle_rows(
    db: Database, connection: Connection, settled: Sequence[Settled], *, at: datetime
) -> tuple[tuple[str, ...], list[Event]]:
    """Writes how these actions went; gives the cases that moved on by it, and what to put on record."""
    by_key = {one.key: one for one in settled}
    rows = connection.execute(_HELD, {"keys": list(by_key)}).all()
    told = [(row, by_key[row.key]) for row in rows if _holds(row, by_key[row.key])]
    dead = [(row, one) for row, one in told if _is_dead(row, one)]
    alive = [(row, one) for row, one in told if not _is_dead(row, one)]
    done = [(row, one) for row, one in told if one.result == "done"]
    if alive:
        connection.execute(_WRITE, [_written(row, one, at) for row, one in alive])
    _link_created(db, connection, done, at)
    _mark_tickets(connection, done)
    taken_back = _take_back(connection, done)
    graves = [Grave(row=row, reason=one.detail or "it failed for good") for row, one in dead]
    events = (
        [_event(row, one) for row, one in alive] + taken_back + bury_actions(db, connection, graves, at=at)
    )
    moved = tuple({row.case_id for row, _ in (*done, *dead)})
    return moved, events


def _take_back(connection: Connection, done: Sequence[Told]) -> list[Event]:
    """What these actions take back is compensated from now on."""
    backs = {row.undoes: row for row, _ in done if row.undoes}
    if not backs:
        return []
    compensated = connection.execute(
        update(actions)
        .where(actions.c.key.in_(list(backs)), actions.c.state == ActionState.DONE.value)
        .values(state=ActionState.COMPENSATED.value)
        .returning(actions.c.key, actions.c.case_id)
    ).all()
    return [
        Event(
            actor=backs[row.key].worker,
            event="action.compensated",
            case_id=row.case_id,
            subject=row.key,
            detail={"by": backs[row.key].key},
        )
        for row in compensated
    ]


def _holds(row: Row[Any], settled: Settled) -> bool:
    return bool(row.fence == settled.fence and row.worker is not None and row.state == ActionState.POSTING)


def _is_dead(row: Row[Any], settled: Settled) -> bool:
    return settled.result == "dead" or (settled.result == "retry" and row.attempts >= ATTEMPTS)


def _written(row: Row[Any], settled: Settled, at: datetime) -> Mapping[str, object]:
    """The columns that a result comes to. A doubt stays until the action is seen done: probing once more is cheap."""
    if settled.result == "done":
        if settled.receipt is None:
            raise ValueError(
                f"Action {settled.key} is told done without its receipt; give what the desk answered."
            )
        return _columns(row, settled, state=ActionState.DONE, doubtful=False, done_at=at)
    doubtful = row.doubtful or settled.result == "in_doubt"
    untried = settled.result in ("withdrawn", "void")
    attempts = row.attempts - 1 if untried else row.attempts
    if settled.result == "void":
        return _columns(row, settled, state=ActionState.PLANNED, doubtful=doubtful, attempts=attempts) | {
            "new_approved_by": "",
            "new_approved_change": "",
            "new_known_changes": now_known(row, settled.known),
        }
    waits = ActionState.APPROVED if untried else ActionState.FAILED
    return _columns(
        row,
        settled,
        state=ActionState.IN_DOUBT if doubtful else waits,
        doubtful=doubtful,
        attempts=attempts,
        due_at=at + settled.again_in,
    )


def _columns(
    row: Row[Any],
    settled: Settled,
    *,
    state: ActionState,
    doubtful: bool,
    attempts: int | None = None,
    due_at: datetime | None = None,
    done_at: datetime | None = None,
) -> dict[str, object]:
    return {
        "action": settled.key,
        "new_state": state.value,
        "new_due_at": due_at,
        "new_attempts": row.attempts if attempts is None else attempts,
        "new_doubtful": doubtful,
        "new_detail": plain(settled.detail),
        "new_receipt": RECEIPT.dump(settled.receipt) if settled.receipt is not None else None,
        "new_done_at": done_at,
        "new_approved_by": row.approved_by,
        "new_approved_change": row.approved_change,
        "new_known_changes": row.known_changes,
    }


def _link_created(db: Database, connection: Connection, done: Sequence[Told], at: datetime) -> None:
    """A created ticket becomes its case's; its row is ours until the desk is read."""
    created = [(row, one) for row, one in done if row.kind == "create_ticket"]
    if not created:
        return
    made = [(row, _created_ticket(row, one, at)) for row, one in created]
    rows = [
        {
            "desk": ticket.ref.desk,
            "id": ticket.ref.id,
            "key": plain(ticket.ref.key),
            "state": ticket.state.value,
            "version": "",
            "updated_at": at,
            "body": TICKET.dump(ticket),
        }
        for _, ticket in made
    ]
    connection.execute(db.insert(tickets).on_conflict_do_nothing(), rows)
    links = [{"case": row.case_id, "new_desk": t.ref.desk, "new_ticket_id": t.ref.id} for row, t in made]
    connection.execute(_LINK, links)


def _created_ticket(row: Row[Any], settled: Settled, at: datetime) -> Ticket:
    effect = EFFECT.load(row.effect)
    if settled.receipt is None or not isinstance(effect, CreateTicket):
        raise ValueError(f"Action {row.key} created no ticket.")
    return Ticket(
        ref=ticket_of(row.desk, settled.receipt),
        title=effect.title,
        state=TicketState.OPEN,
        version="",
        opened_at=at,
        updated_at=at,
        description=effect.description,
        group=effect.group,
        service=effect.service,
        ci=effect.ci,
    )


def _mark_tickets(connection: Connection, done: Sequence[Told]) -> None:
    """A ticket that we resolved is finished for us at once: what fires next is a new episode."""
    states = {_ticket_name(row): _LEAVES[row.kind] for row, _ in done if row.kind in _LEAVES}
    states.pop(("", ""), None)
    if not states:
        return
    names = tuple_(tickets.c.desk, tickets.c.id)
    rows = connection.execute(select(tickets).where(names.in_(list(states))).with_for_update()).all()
    if not rows:
        return
    marked = [
        {
            "its_desk": row.desk,
            "its_id": row.id,
            "new_state": states[(row.desk, row.id)].value,
            "new_body": TICKET.dump(replace(TICKET.load(row.body), state=states[(row.desk, row.id)])),
        }
        for row in rows
    ]
    connection.execute(
        update(tickets)
        .where(tickets.c.desk == bindparam("its_desk"), tickets.c.id == bindparam("its_id"))
        .values(state=bindparam("new_state"), body=bindparam("new_body")),
        marked,
    )


def _ticket_name(row: Row[Any]) -> tuple[str, str]:
    if row.ticket is not None:
        ref = TICKET_REF.load(row.ticket)
        return ref.desk, ref.id
    return row.case_desk or "", row.case_ticket_id or ""


def _event(row: Row[Any], settled: Settled) -> Event:
    detail: dict[str, object] = {"kind": row.kind, "attempt": row.attempts, "detail": settled.detail}
    if settled.receipt is not None:
        detail |= {
            "handle": settled.receipt.handle,
            "found": settled.receipt.found,
            "before": dict(settled.receipt.before),
        }
    return Event(
        actor=row.worker,
        event=f"action.{settled.result}",
        case_id=row.case_id,
        subject=row.key,
        detail=detail,
    )
