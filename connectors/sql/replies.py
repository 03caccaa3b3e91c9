"""Replies: what is planned outside of any decision, once for its key: answers, and what people are told and given."""

from __future__ import annotations

from sqlalchemy import select

from connectors.sql import audit
from connectors.sql.codec import EFFECT, TICKET_REF, plain
from connectors.sql.engine import Database
from connectors.sql.order import claimable
from connectors.sql.tables import actions, cases
from countersign.actions import Action, ActionState
from countersign.audit import Event


class SqlReplies:
    """The ReplyBook port."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def plan(self, action: Action, *, asked_by: str) -> tuple[str, ...]:
        """Plans the note for the case's current revision; gives its key if it may be done now."""
        with self._db.write() as connection:
            now = self._db.now(connection)
            revision = connection.execute(
                select(cases.c.revision).where(cases.c.id == action.case_id)
            ).scalar_one()
            row = {
                "key": action.key,
                "case_id": action.case_id,
                "use_case": action.use_case,
                "revision": revision,
                "seq": action.seq,
                "kind": action.effect.kind,
                "desk": action.desk,
                "ticket": TICKET_REF.dump(action.ticket) if action.ticket is not None else None,
                "state": ActionState.APPROVED.value,
                "due_at": now,
                "doubtful": False,
                "needs_approval": False,
                "approved_by": f"asked:{plain(asked_by)}",
                "payload_hash": action.payload_hash,
                "code": action.code,
                "effect": EFFECT.dump(action.effect),
                "planned_at": now,
            }
            insert = self._db.insert(actions).on_conflict_do_nothing()
            if not connection.execute(insert.returning(actions.c.key), [row]).all():
                return ()
            event = Event(
                actor=f"asked:{asked_by}",
                event="action.planned",
                case_id=action.case_id,
                subject=action.key,
                detail={"kind": action.effect.kind, "desk": action.desk, "payload_hash": action.payload_hash},
            )
            audit.append(connection, [event], at=now)
            return claimable(connection, [action.key], at=now)
