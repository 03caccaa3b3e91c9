"""Memory: what the ledger remembers that helps with the next case: similar ones, and what was spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Row, func, or_, select

from connectors.sql.engine import Database
from connectors.sql.loading import with_ticket
from connectors.sql.tables import cases, model_calls, tickets
from countersign.cases import Case, Stage
from countersign.context import SimilarCase

# Rows read for a batch of cases, whatever their number: enough for each to find its own.
_READ = 200


class SqlMemory:
    """The Memory port."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def similar(self, to: Sequence[Case], *, limit: int) -> Mapping[str, tuple[SimilarCase, ...]]:
        """One read for all. A case is never similar to itself."""
        fingerprints = {case.fingerprint for case in to}
        titles = {case.lead.summary for case in to}
        asked = (
            select(cases, tickets.c.key.label("ticket_key"))
            .outerjoin(tickets, with_ticket)
            .where(
                cases.c.stage == Stage.DECIDED.value,
                or_(cases.c.fingerprint.in_(fingerprints), cases.c.title.in_(titles)),
            )
            .order_by(cases.c.last_at.desc())
            .limit(_READ)
        )
        with self._db.read() as connection:
            rows = connection.execute(asked).all()
        return {case.id: tuple(_similar(row) for row in rows if _like(row, case))[:limit] for case in to}

    def spent(self, use_case: str, *, since: datetime) -> int:
        asked = (
            select(func.coalesce(func.sum(model_calls.c.micro_usd), 0))
            .join(cases, cases.c.id == model_calls.c.case_id)
            .where(cases.c.use_case == use_case, model_calls.c.at >= since)
        )
        with self._db.read() as connection:
            return int(connection.execute(asked).scalar_one())


def _like(row: Row, case: Case) -> bool:  # type: ignore[type-arg]
    same = row.fingerprint == case.fingerprint or row.title == case.lead.summary
    return bool(same and row.id != case.id and row.use_case == case.use_case)


def _similar(row: Row) -> SimilarCase:  # type: ignore[type-arg]
    return SimilarCase(
        case_id=row.id,
        ticket_key=row.ticket_key or "",
        title=row.title,
        category=row.category,
        resolution=row.outcome.replace("_", " "),
        at=row.last_at,
    )
