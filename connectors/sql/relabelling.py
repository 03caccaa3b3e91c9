"""Relabelling: labels made anew by the rules of this version; what was there before stays in the audit log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, union, update

from connectors.sql import audit
from connectors.sql.codec import LABEL
from connectors.sql.promises import labels
from connectors.sql.tables import cases, corrections
from countersign.audit import Event
from countersign.labelling import RULE_VERSION, Finding
from countersign.promises import Relabelled

_SAID = ("category", "wrong", "rule_version", "body")


def finding_row(one: Finding, now: datetime) -> dict[str, object]:
    return {
        "case_id": one.case.case_id,
        "use_case": one.case.use_case,
        "recorded_at": now,
        "category": one.case.category,
        "wrong": one.wrong,
        "rule_version": RULE_VERSION,
        "body": LABEL.dump(one.label) if one.label is not None else "",
    }


def told_of(connection: Connection, use_case: str, *, after: str, limit: int) -> tuple[str, ...]:
    """Ids of cases that people told something of, or that have a label, in their order."""
    told = (
        select(corrections.c.case_id)
        .join(cases, cases.c.id == corrections.c.case_id)
        .where(cases.c.use_case == use_case, corrections.c.case_id > after)
    )
    labelled = select(labels.c.case_id).where(labels.c.use_case == use_case, labels.c.case_id > after)
    found = union(told, labelled).order_by("case_id").limit(limit)
    return tuple(connection.execute(found).scalars())


def relabel(
    connection: Connection, case_ids: Sequence[str], findings: Sequence[Finding], *, at: datetime
) -> Relabelled:
    """Brings the labels of these cases to the findings; those that say the same stay as they are."""
    known = {
        row.case_id: row
        for row in connection.execute(select(labels).where(labels.c.case_id.in_(list(case_ids))))
    }
    wanted = {one.case.case_id: finding_row(one, at) for one in findings}
    new = [row for case_id, row in wanted.items() if case_id not in known]
    other = [row for case_id, row in wanted.items() if case_id in known and not _same(known[case_id], row)]
    gone = [row for case_id, row in known.items() if case_id not in wanted]
    if new:
        connection.execute(insert(labels), new)
    for row in other:
        said = {name: row[name] for name in (*_SAID, "recorded_at")}
        connection.execute(update(labels).where(labels.c.case_id == row["case_id"]).values(said))
    if gone:
        connection.execute(delete(labels).where(labels.c.case_id.in_([row.case_id for row in gone])))
    events = [_event("label.changed", known[str(row["case_id"])], row) for row in other]
    events += [_event("label.withdrawn", row, {}) for row in gone]
    audit.append(connection, events, at=at)
    return Relabelled(
        same=len(wanted) - len(new) - len(other), new=len(new), changed=len(other), withdrawn=len(gone)
    )


def _same(old: Row[Any], row: Mapping[str, object]) -> bool:
    return all(getattr(old, name) == row[name] for name in _SAID)


def _event(name: str, old: Row[Any], row: Mapping[str, object]) -> Event:
    was: dict[str, object] = {said: getattr(old, said) for said in _SAID}
    now = {said: row[said] for said in _SAID if said in row}
    return Event(
        actor="labelling",
        event=name,
        case_id=old.case_id,
        subject=old.case_id,
        detail={"was": was, "is": now},
    )
