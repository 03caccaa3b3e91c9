"""The audit log's table: appended to inside the transaction it tells of, so that one can't be without the other."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, literal_column, select, update

from connectors.sql.codec import plain
from connectors.sql.tables import audit, audit_head
from countersign.audit import Event, Line, canonical_detail, chained
from countersign.ledger import AuditRecord

_HEAD = select(audit_head.c.seq, audit_head.c.hash).with_for_update()
_PAGE = 5_000
_COLUMNS = ("seq", "at", "actor", "event", "case_id", "subject", "detail", "previous", "hash")


def lock(connection: Connection) -> tuple[int, str]:
    """Where the chain ends (seq, hash); nobody else appends before this transaction is over."""
    seq, last_hash = connection.execute(_HEAD).one()
    return seq, last_hash


def append(connection: Connection, events: Sequence[Event], *, at: datetime) -> None:
    """Appends to the chain. Call it last: whoever else appends waits for this transaction."""
    if not events:
        return
    seq, last_hash = lock(connection)
    clean = [
        Event(
            actor=plain(event.actor),
            event=event.event,
            case_id=event.case_id,
            subject=plain(event.subject),
            detail=event.detail,
        )
        for event in events
    ]
    records = list(chained(clean, at=at, last_seq=seq, last_hash=last_hash))
    connection.execute(insert(audit), [_row(record) for record in records])
    connection.execute(update(audit_head).values(seq=records[-1].seq, hash=records[-1].hash))


def records(connection: Connection, *, after: int = 0) -> Iterator[AuditRecord]:
    """The log after a seq, in order, a page at a time."""
    while page := connection.execute(
        select(audit).where(audit.c.seq > after).order_by(audit.c.seq).limit(_PAGE)
    ).all():
        yield from (to_record(row) for row in page)
        after = page[-1].seq


def lines(connection: Connection, *, after: int = 0) -> Iterator[Line]:
    """The same as they are stored, for verifying: without making values of them."""
    text: Any = select(*(literal_column(name) for name in _COLUMNS)).select_from(audit).order_by(audit.c.seq)
    while page := connection.execute(text.where(audit.c.seq > after).limit(_PAGE)).all():
        yield from page
        after = page[-1][0]


def at_seq(connection: Connection, seq: int) -> str:
    """The hash of one record, or "" where there is none."""
    return connection.execute(select(audit.c.hash).where(audit.c.seq == seq)).scalar_one_or_none() or ""


def head(connection: Connection) -> tuple[int, str]:
    """Where the chain ends, without holding anybody up."""
    seq, last_hash = connection.execute(select(audit_head.c.seq, audit_head.c.hash)).one()
    return seq, last_hash


def to_record(row: Row[Any]) -> AuditRecord:
    return AuditRecord(
        seq=row.seq,
        at=row.at,
        actor=row.actor,
        event=row.event,
        case_id=row.case_id,
        subject=row.subject,
        detail=json.loads(row.detail),
        previous=row.previous,
        hash=row.hash,
    )


def _row(record: AuditRecord) -> dict[str, object]:
    return {
        "seq": record.seq,
        "at": record.at,
        "actor": record.actor,
        "event": record.event,
        "case_id": record.case_id,
        "subject": record.subject,
        "detail": canonical_detail(record.detail),
        "previous": record.previous,
        "hash": record.hash,
    }
