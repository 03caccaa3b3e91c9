"""Spending: what model calls were granted and what they cost, one row a call, from which budgets are rebuilt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from functools import partial
from typing import Any

from sqlalchemy import BigInteger, Column, Index, Insert, Integer, Row, String, Table, case, func, select

from connectors.sql.engine import Database
from connectors.sql.tables import Moment, alerts, cases, metadata
from connectors.sql.together import Together
from countersign.budget import Account, CostLine, Spent

spending = Table(
    "spending",
    metadata,
    Column("call_id", String, primary_key=True),
    Column("use_case", String, nullable=False),
    Column("policy_version", Integer, nullable=False),
    Column("day", String, nullable=False),
    Column("case_id", String, nullable=False),
    Column("model", String, nullable=False),
    Column("category", String, nullable=False, server_default=""),
    Column("held", BigInteger, nullable=False),
    # NULL while nobody knows what it cost.
    Column("micro_usd", BigInteger),
    Column("tokens_in", Integer, nullable=False, server_default="0"),
    Column("tokens_out", Integer, nullable=False, server_default="0"),
    Column("at", Moment, nullable=False),
    Index("ix_spending_account", "day", "use_case", "policy_version"),
)
_SUMS = (
    select(
        spending.c.use_case, spending.c.category, spending.c.model, spending.c.day,
        func.count().label("calls"),
        func.sum(case((spending.c.micro_usd.is_(None), 1), else_=0)).label("unsettled"),
        func.sum(spending.c.tokens_in).label("tokens_in"),
        func.sum(spending.c.tokens_out).label("tokens_out"),
        func.sum(func.coalesce(spending.c.micro_usd, spending.c.held)).label("micro_usd"),
    )
    .group_by(spending.c.use_case, spending.c.category, spending.c.model, spending.c.day)
    .order_by(spending.c.day, spending.c.use_case, spending.c.category, spending.c.model)
)  # fmt: skip


class SqlSpending:
    """The SpendingBook port."""

    def __init__(self, db: Database) -> None:
        self._db = db
        insert = db.insert(spending)
        self._hold = insert.on_conflict_do_nothing()
        self._settle = insert.on_conflict_do_update(
            index_elements=["call_id"],
            set_={
                name: insert.excluded[name] for name in ("micro_usd", "category", "tokens_in", "tokens_out")
            },
            where=spending.c.micro_usd.is_(None),
        )
        # Hundreds of calls end in the same second, each with a row that must be on the disk before it goes on.
        self._holds = Together(partial(self._write, self._hold))
        self._settlements = Together(partial(self._write, self._settle))

    def hold(self, spent: Spent) -> None:
        self._holds.write(_row(spent) | {"micro_usd": None})

    def settle(self, spent: Spent) -> None:
        self._settlements.write(_row(spent))

    def _write(self, how: Insert, rows: Sequence[dict[str, object]]) -> None:
        with self._db.write() as connection:
            now = self._db.now(connection)
            connection.execute(how, [row | {"at": now} for row in rows])

    def on(self, account: Account) -> tuple[Spent, ...]:
        asked = select(spending).where(
            spending.c.day == account.day,
            spending.c.use_case == account.use_case,
            spending.c.policy_version == account.policy_version,
        )
        with self._db.read() as connection:
            return tuple(_spent(row) for row in connection.execute(asked))

    def costs(self, *, since: str) -> tuple[CostLine, ...]:
        with self._db.read() as connection:
            rows = connection.execute(_SUMS.where(spending.c.day >= since))
            return tuple(
                CostLine(
                    use_case=row.use_case, category=row.category, model=row.model, day=row.day,
                    calls=row.calls, unsettled=int(row.unsettled), tokens_in=int(row.tokens_in),
                    tokens_out=int(row.tokens_out), micro_usd=int(row.micro_usd),
                )
                for row in rows
            )  # fmt: skip

    def alerts(self, *, since: str) -> Mapping[str, int]:
        began = datetime.combine(date.fromisoformat(since), time(), UTC)
        asked = (
            select(cases.c.use_case, func.count())
            .join(alerts, alerts.c.case_id == cases.c.id)
            .where(alerts.c.recorded_at >= began)
            .group_by(cases.c.use_case)
        )
        with self._db.read() as connection:
            return {use_case: int(count) for use_case, count in connection.execute(asked)}


def _row(spent: Spent) -> dict[str, object]:
    return {
        "call_id": spent.call_id,
        "use_case": spent.account.use_case,
        "policy_version": spent.account.policy_version,
        "day": spent.account.day,
        "case_id": spent.case_id,
        "model": spent.model,
        "category": spent.category,
        "held": spent.held,
        "micro_usd": spent.micro_usd,
        "tokens_in": spent.tokens_in,
        "tokens_out": spent.tokens_out,
    }


def _spent(row: Row[Any]) -> Spent:
    account = Account(use_case=row.use_case, policy_version=row.policy_version, day=row.day)
    return Spent(
        call_id=row.call_id, account=account, case_id=row.case_id, model=row.model, held=row.held,
        micro_usd=row.micro_usd, category=row.category, tokens_in=row.tokens_in, tokens_out=row.tokens_out,
    )  # fmt: skip
