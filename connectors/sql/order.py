"""The order of a case's actions, and which of them may be done now, as SQL.

Within a revision a lower `seq` goes first. What is still on its way holds up what follows; what waits for an
approval or is dead does not, unless the rest makes no sense without it (BLOCKERS).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, bindparam, exists, or_, select

from connectors.sql.tables import actions, cases, stops
from countersign.actions import KINDS, ActionState

# Without the ticket there is nowhere to write. A change that could not be drafted holds up no note: people read it.
BLOCKERS = ("create_ticket",)
# States in which an action is waiting to be done, now or later. A lease that ran out left it POSTING.
UNDER_WAY = tuple(
    state.value
    for state in (ActionState.APPROVED, ActionState.POSTING, ActionState.IN_DOUBT, ActionState.FAILED)
)
ALL_USE_CASES = "*"

_earlier = actions.alias("earlier")
_held_up = exists(
    select(1).where(
        _earlier.c.case_id == actions.c.case_id,
        _earlier.c.revision == actions.c.revision,
        _earlier.c.seq < actions.c.seq,
        actions.c.undoes == "",
        or_(
            _earlier.c.state.in_(UNDER_WAY),
            and_(
                _earlier.c.kind.in_(BLOCKERS),
                _earlier.c.state.not_in((ActionState.DONE.value, ActionState.COMPENSATED.value)),
            ),
        ),
    )
)
stopped = exists(select(1).where(stops.c.use_case.in_([actions.c.use_case, ALL_USE_CASES])))
# What an undo of a newer action on the same ticket holds up: newest first, over all cases of the ticket.
_newer = actions.alias("newer")
_waits = exists(select(1).where(_newer.c.key == actions.c.waits_for, _newer.c.state.in_(UNDER_WAY)))
_has_ticket = or_(
    actions.c.kind == "create_ticket", actions.c.ticket.is_not(None), cases.c.ticket_id.is_not(None)
)


def may_be_done() -> ColumnElement[bool]:
    """Due, known to this version, free, in order, with a ticket, not stopped; over `actions` joined with `cases`."""
    due = and_(actions.c.due_at <= bindparam("now", type_=actions.c.due_at.type), actions.c.kind.in_(KINDS))
    return and_(due, actions.c.state.in_(UNDER_WAY), _has_ticket, ~_held_up, ~_waits, ~stopped)


_CLAIMABLE = (
    select(actions.c.key)
    .join(cases, cases.c.id == actions.c.case_id)
    .where(actions.c.key.in_(bindparam("keys", expanding=True)), may_be_done())
    .order_by(actions.c.planned_at, actions.c.case_id, actions.c.seq)
)


def claimable(connection: Connection, keys: Sequence[str], *, at: datetime) -> tuple[str, ...]:
    """Those of these actions that may be done now."""
    if not keys:
        return ()
    return tuple(connection.execute(_CLAIMABLE, {"keys": list(keys), "now": at}).scalars())
