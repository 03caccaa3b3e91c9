"""The books: sums that must come out even at any time, each from two places that are written independently."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, func, or_, select

from connectors.sql import audit as audit_rows
from connectors.sql.engine import Database
from connectors.sql.loading import to_action
from connectors.sql.tables import actions, alerts, audit, cases, dead_letters
from countersign.actions import Action, ActionState

_ENDED = (ActionState.DONE.value, ActionState.COMPENSATED.value)
_PENDING = tuple(
    state.value
    for state in ActionState
    if state.value not in (*_ENDED, ActionState.DEAD, ActionState.DROPPED)
)
_NEVER_BEGUN = (ActionState.PLANNED.value, ActionState.DROPPED.value)
_AT_ONCE = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Balance:
    """One sum. `what` says which two numbers are compared; it balances when they are equal."""

    what: str
    expected: int
    found: int

    @property
    def even(self) -> bool:
        return self.expected == self.found


class SqlBooks:
    """Reads only, as one consistent view."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def balances(self) -> tuple[Balance, ...]:
        """Everything that has to come out even."""
        with self._db.read() as connection:
            return tuple(_balances(connection))

    def begun(self, keys: Sequence[str]) -> frozenset[str]:
        """Of these keys those of actions that were begun at least: every write of ours has one."""
        asked = select(actions.c.key).where(
            actions.c.key.in_(list(keys)), actions.c.state.not_in(_NEVER_BEGUN)
        )
        with self._db.read() as connection:
            return frozenset(connection.execute(asked).scalars())

    def done_actions(self) -> Iterator[Action]:
        """Every done action that was not taken back, oldest first: what the desks must still show."""
        after = ""
        while True:
            asked = (
                select(actions)
                .where(actions.c.state == ActionState.DONE.value, actions.c.key > after)
                .where(actions.c.ticket.is_not(None))
                .order_by(actions.c.key)
                .limit(_AT_ONCE)
            )
            with self._db.read() as connection:
                rows = connection.execute(asked).all()
            if not rows:
                return
            yield from (to_action(row) for row in rows)
            after = rows[-1].key


def _balances(connection: Connection) -> Iterator[Balance]:
    def count(asked: Select[Any]) -> int:
        return int(connection.execute(asked).scalar_one() or 0)

    # A letter that was replayed is an alert among the others.
    dead = and_(dead_letters.c.kind == "alert", dead_letters.c.state != "replayed")
    letters = count(select(func.count()).select_from(dead_letters).where(dead))
    recorded = count(select(func.count()).select_from(alerts))
    yield Balance(
        what="alerts in = grouped + dead",
        expected=recorded + letters,
        found=count(select(func.sum(cases.c.alert_count))) + letters,
    )
    grouped = select(alerts.c.case_id, func.count().label("its")).group_by(alerts.c.case_id).subquery()
    uneven = select(func.count()).select_from(cases.outerjoin(grouped, grouped.c.case_id == cases.c.id))
    yield Balance(
        what="cases whose alerts are not those they count",
        expected=0,
        found=count(uneven.where(func.coalesce(grouped.c.its, 0) != cases.c.alert_count)),
    )
    counted = connection.execute(select(actions.c.state, func.count()).group_by(actions.c.state))
    by_state: dict[str, int] = {state: number for state, number in counted}  # noqa: C416 - typed so
    words = (*_ENDED, ActionState.DEAD.value, ActionState.DROPPED.value, *_PENDING)
    yield Balance(
        what="actions planned = done + compensated + dead + dropped + pending",
        expected=count(select(func.count()).where(audit.c.event == "action.planned")),
        found=sum(by_state.get(word, 0) for word in words),
    )
    yield from (
        Balance(what=what, expected=0, found=count(select(func.count()).select_from(actions).where(wrong)))
        for what, wrong in _WRONG.items()
    )
    last, _ = audit_rows.head(connection)
    yield Balance(what="audit records", expected=last, found=count(select(func.count()).select_from(audit)))


def _on_record(event: str) -> ColumnElement[bool]:
    same = and_(audit.c.case_id == actions.c.case_id, audit.c.subject == actions.c.key)
    return exists(select(1).where(same, audit.c.event == event))


_back = actions.alias("back")
_letter = exists(select(1).where(dead_letters.c.kind == "action", dead_letters.c.subject == actions.c.key))
# What no action may be; each condition is over `actions`.
_WRONG = {
    "actions done without their intent or outcome on record": and_(
        actions.c.state.in_(_ENDED), or_(~_on_record("action.intent"), ~_on_record("action.done"))
    ),
    "actions on record as done that are not": and_(actions.c.state.not_in(_ENDED), _on_record("action.done")),
    "actions done without what the desk answered": and_(
        actions.c.state.in_(_ENDED), actions.c.receipt.is_(None)
    ),
    "actions compensated by nothing that was done": and_(
        actions.c.state == ActionState.COMPENSATED.value,
        ~exists(select(1).where(_back.c.undoes == actions.c.key, _back.c.state == ActionState.DONE.value)),
    ),
    "dead actions without a dead letter": and_(actions.c.state == ActionState.DEAD.value, ~_letter),
}
