"""Reading: what people ask of the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    case,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    update,
)

from connectors.sql import audit as audit_rows
from connectors.sql.codec import plain
from connectors.sql.engine import Database
from connectors.sql.letters import find, resolve, to_letter
from connectors.sql.loading import with_ticket
from connectors.sql.order import UNDER_WAY
from connectors.sql.stories import find_case, tell
from connectors.sql.tables import Moment, actions, alerts, cases, dead_letters, policy_texts, tickets
from countersign.actions import ActionState
from countersign.cases import Stage
from countersign.errors import UnreadableAlert
from countersign.ledger import ActionLine, AuditRecord, CaseLine, DeadLetter, Story, Tally

# What a case came to: the first of these kinds that was done.
_CAME_TO = {"close": "closed", "draft_change": "changes", "route": "routed", "note": "noted"}
_UNFINISHED = (ActionState.PLANNED.value, ActionState.DEAD.value, *UNDER_WAY)


class SqlReading:
    """The Reading port."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def cases(
        self, *, limit: int, stage: str = "", ticket: str = "", use_case: str = ""
    ) -> tuple[CaseLine, ...]:
        asked = select(cases, tickets.c.key.label("ticket_key")).outerjoin(tickets, with_ticket)
        if stage:
            asked = asked.where(cases.c.stage == stage)
        if use_case:
            asked = asked.where(cases.c.use_case == use_case)
        if ticket := plain(ticket):
            asked = asked.where(or_(tickets.c.key == ticket, tickets.c.id == ticket))
        with self._db.read() as connection:
            rows = connection.execute(asked.order_by(cases.c.id.desc()).limit(limit))
            return tuple(_line(row) for row in rows)

    def story(self, case_id: str) -> Story:
        with self._db.read() as connection:
            return tell(connection, find_case(connection, case_id))

    def actions(self, *, limit: int, state: str = "") -> tuple[ActionLine, ...]:
        """Newest first."""
        asked = (
            select(actions, tickets.c.key.label("ticket_key"))
            .join(cases, cases.c.id == actions.c.case_id)
            .outerjoin(tickets, with_ticket)
            .order_by(actions.c.planned_at.desc(), actions.c.key)
            .limit(limit)
        )
        if state:
            asked = asked.where(actions.c.state == state)
        with self._db.read() as connection:
            return tuple(_action_line(row) for row in connection.execute(asked))

    def policy_text(self, fingerprint: str) -> str | None:
        asked = select(policy_texts.c.body).where(policy_texts.c.fingerprint == fingerprint)
        with self._db.read() as connection:
            return connection.execute(asked).scalar_one_or_none()

    def dead_letter(self, letter_id: str) -> DeadLetter:
        with self._db.read() as connection:
            return to_letter(find(connection, letter_id))

    def dead_letters(self, *, limit: int, state: str = "open") -> tuple[DeadLetter, ...]:
        """Newest first; state "" gives all."""
        asked = select(dead_letters).order_by(dead_letters.c.id.desc()).limit(limit)
        if state:
            asked = asked.where(dead_letters.c.state == state)
        with self._db.read() as connection:
            return tuple(to_letter(row) for row in connection.execute(asked))

    def resolve_dead_letter(
        self, letter_id: str, *, how: Literal["replayed", "dismissed"], by: str
    ) -> DeadLetter:
        """As the port says. Replaying an action replays what died for want of it. Raises NotFound."""
        with self._db.write() as connection:
            row = find(connection, letter_id, lock=True)
            if row.state != "open":
                return to_letter(row)
            if row.kind == "alert" and how == "replayed":
                raise UnreadableAlert(
                    f"{row.id} is an alert's payload, which only its source can read again; replay it with "
                    "`countersign dead-letters replay`."
                )
            now = self._db.now(connection)
            resolved = self._resolve(connection, row, how)
            if how == "replayed":
                self._due_again(connection, resolved)
            resolve(connection, resolved, how, by=by, at=now)
            return to_letter(find(connection, letter_id))

    def tally(self) -> Tally:
        with self._db.read() as connection:
            by_stage = _counts(connection, cases.c.stage)
            by_state = _counts(connection, actions.c.state)
            letters = _counts(connection, dead_letters.c.state)
            return Tally(
                alerts=connection.execute(select(func.count()).select_from(alerts)).scalar_one(),
                cases=by_stage,
                actions=by_state,
                outcomes=_outcomes(connection),
                dead_letters=letters.get("open", 0),
                waiting=by_stage.get(Stage.DUE, 0) + sum(by_state.get(state, 0) for state in UNDER_WAY),
            )

    @contextmanager
    def audit(self, *, after: int = 0) -> Iterator[Iterator[AuditRecord]]:
        """The audit log after a seq, in order, as one consistent view; holds a page in memory at a time."""
        with self._db.read() as connection:
            yield audit_rows.records(connection, after=after)

    def _resolve(self, connection: Connection, row: Row[Any], how: str) -> list[Row[Any]]:
        """The letter, and with a replay those whose cause it is."""
        if row.kind != "action" or how != "replayed":
            return [row]
        followers = connection.execute(
            select(dead_letters).where(dead_letters.c.cause == row.subject, dead_letters.c.state == "open")
        ).all()
        return [row, *followers]

    def _due_again(self, connection: Connection, letters: list[Row[Any]]) -> None:
        now = self._db.now(connection)
        of_cases = [letter.subject for letter in letters if letter.kind == "case"]
        of_actions = [letter.subject for letter in letters if letter.kind == "action"]
        connection.execute(
            update(cases)
            .where(cases.c.id.in_(of_cases), cases.c.stage == Stage.DEAD.value)
            .values(stage=Stage.DUE.value, due_at=now, attempts=0, error="", ended_at=cases.c.decided_at)
        )
        doubtful = case((actions.c.doubtful, ActionState.IN_DOUBT.value), else_=ActionState.APPROVED.value)
        unapproved = actions.c.approved_by == ""
        connection.execute(
            update(actions)
            .where(actions.c.key.in_(of_actions), actions.c.state == ActionState.DEAD.value)
            .values(
                state=case((unapproved, ActionState.PLANNED.value), else_=doubtful),
                due_at=case((unapproved, null()), else_=literal(now, Moment)),
                attempts=0,
                detail="",
            )
        )


def _action_line(row: Row[Any]) -> ActionLine:
    return ActionLine(
        key=row.key,
        case_id=row.case_id,
        use_case=row.use_case,
        kind=row.kind,
        desk=row.desk,
        ticket=row.ticket_key or "",
        state=row.state,
        approved_by=row.approved_by,
        planned_at=row.planned_at,
        done_at=row.done_at,
    )


def _line(row: Row[Any]) -> CaseLine:
    return CaseLine(
        id=row.id,
        use_case=row.use_case,
        title=row.title,
        ticket=row.ticket_key or "",
        alerts=row.alert_count,
        stage=row.stage,
        outcome=row.outcome,
        rule=row.rule,
        category=row.category,
        last_at=row.last_at,
    )


def _counts(connection: Connection, column: ColumnElement[str]) -> Mapping[str, int]:
    return dict(connection.execute(select(column, func.count()).group_by(column)).all())


def _outcomes(connection: Connection) -> Mapping[str, int]:
    """How many cases came to what: their weightiest action done, else held or still waiting."""
    weights = {kind: weight for weight, kind in enumerate(reversed(_CAME_TO), 1)}
    done = (
        select(actions.c.case_id, func.max(case(weights, value=actions.c.kind)).label("weight"))
        .where(
            actions.c.state == ActionState.DONE.value,
            actions.c.kind.in_(list(weights)),
            actions.c.undoes == "",
        )
        .group_by(actions.c.case_id)
        .subquery()
    )
    unfinished = exists().where(actions.c.case_id == cases.c.id, actions.c.state.in_(_UNFINISHED))
    held = and_(cases.c.stage == Stage.DECIDED.value, ~unfinished)
    came_to = case(
        *((done.c.weight == weight, _CAME_TO[kind]) for kind, weight in weights.items()),
        (held, "held"),
        else_="waiting",
    ).label("came_to")
    asked = select(came_to, func.count()).select_from(cases.outerjoin(done, done.c.case_id == cases.c.id))
    counted: dict[str, int] = dict(connection.execute(asked.group_by(came_to)).all())
    return {word: counted.get(word, 0) for word in (*_CAME_TO.values(), "held", "waiting")}
