"""Results: corrections, model calls, certificates and labels of a use case, as a report needs them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import Connection, func, select

from connectors.sql.engine import Database
from connectors.sql.hours import USED, Corrected, sum_up, sums
from connectors.sql.promises import certificates, labels
from connectors.sql.tables import audit, feeds
from countersign.reports import CorrectionLine
from countersign.results import Granted, LabelCount, ModelUse, Results
from countersign.thresholds.certificate import Certificate

MOST_CORRECTED = 10


def read_results(
    db: Database, use_case: str, *, since: datetime, until: datetime, promised: Collection[str]
) -> Results:
    """What is told from `since` (included) to `until` (excluded), the certificates known then, and how many labels
    the categories have that are `promised` something."""
    while sum_up(db, use_case):
        pass
    with db.read() as connection:
        total = sums(connection, use_case, since, until)
        return Results(
            corrections=_corrections(total.corrections),
            models=_models(total.models),
            certificates=_certificates(connection, use_case, until),
            labels=_labels(connection, use_case, until, promised),
        )


def known_until(db: Database) -> datetime | None:
    """When the ledger last heard of anything: a feed was read or a record was written. None while it is empty."""
    with db.read() as connection:
        heard = connection.execute(select(func.max(feeds.c.last_ok))).scalar_one()
        wrote = connection.execute(select(audit.c.at).order_by(audit.c.seq.desc()).limit(1)).scalar()
    return max((at for at in (heard, wrote) if at is not None), default=None)


def _corrections(counts: Counter[Corrected]) -> tuple[CorrectionLine, ...]:
    """What was changed most often."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_CORRECTED]
    return tuple(
        CorrectionLine(field=field, before=before, after=after, count=count)
        for (field, before, after), count in ranked
        if before != after
    )


def _models(used: Counter[tuple[str, str]]) -> tuple[ModelUse, ...]:
    return tuple(
        ModelUse(model=model, **{name: used[model, name] for name in USED})
        for model in sorted({model for model, _ in used})
    )


def _certificates(connection: Connection, use_case: str, until: datetime) -> Mapping[str, Granted]:
    rows = connection.execute(
        select(certificates)
        .where(certificates.c.use_case == use_case, certificates.c.at < until)
        .order_by(certificates.c.at, certificates.c.id)
    )
    return {
        row.category: Granted(
            certificate=Certificate.from_json(row.body), withdrawn=row.withdrawn_at, why=row.why
        )
        for row in rows
    }


def _labels(
    connection: Connection, use_case: str, until: datetime, promised: Collection[str]
) -> Mapping[str, LabelCount]:
    rows = connection.execute(
        select(labels.c.category, labels.c.wrong, func.count().label("many"))
        .where(
            labels.c.use_case == use_case,
            labels.c.category.in_(sorted(promised)),
            labels.c.recorded_at < until,
        )
        .group_by(labels.c.category, labels.c.wrong)
    )
    counts: dict[str, LabelCount] = {}
    for row in rows:
        old = counts.get(row.category, LabelCount(n=0, wrong=0))
        counts[row.category] = LabelCount(
            n=old.n + row.many, wrong=old.wrong + (row.many if row.wrong else 0)
        )
    return counts
