"""Relabelling: labels made anew by the rules of this version; what was there before stays in the audit log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Table, delete, insert, select, union, update

from connectors.sql import audit
from connectors.sql.codec import LABEL
from connectors.sql.model_figures import local_labels
from connectors.sql.promises import labels
from connectors.sql.tables import cases, corrections
from countersign.audit import Event
from countersign.labelling import RULE_VERSION, Finding
from countersign.promises import Relabelled


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """Labels of one kind: their table, what of a row a finding says, and the kind's name in the audit log."""

    table: Table
    said: tuple[str, ...]
    name: str


OF_CASES = Kept(table=labels, said=("category", "wrong", "rule_version", "body"), name="label")
OF_READINGS = Kept(table=local_labels, said=("category", "wrong", "body"), name="reading")


def reading_row(one: Finding, now: datetime) -> dict[str, object]:
    return {
        "case_id": one.case.case_id,
        "use_case": one.case.use_case,
        "recorded_at": now,
        "category": one.case.category,
        "wrong": one.wrong,
        "body": LABEL.dump(one.label) if one.label is not None else "",
    }


def finding_row(one: Finding, now: datetime) -> dict[str, object]:
    return {**reading_row(one, now), "rule_version": RULE_VERSION}


def told_of(connection: Connection, use_case: str, *, after: str, limit: int) -> tuple[str, ...]:
    """Ids of cases that people told something of, or that have a label, in their order."""
    told = (
        select(corrections.c.case_id)
        .join(cases, cases.c.id == corrections.c.case_id)
        .where(cases.c.use_case == use_case, corrections.c.case_id > after)
    )
    labelled = (
        select(table.c.case_id).where(table.c.use_case == use_case, table.c.case_id > after)
        for table in (labels, local_labels)
    )
    found = union(told, *labelled).order_by("case_id").limit(limit)
    return tuple(connection.execute(found).scalars())


def relabel(
    connection: Connection,
    kept: Kept,
    case_ids: Sequence[str],
    rows: Sequence[Mapping[str, object]],
    *,
    at: datetime,
) -> Relabelled:
    """Brings the labels of these cases to the rows; those that say the same stay as they are."""
    table = kept.table
    known = {
        row.case_id: row
        for row in connection.execute(select(table).where(table.c.case_id.in_(list(case_ids))))
    }
    wanted = {str(row["case_id"]): row for row in rows}
    new = [row for case_id, row in wanted.items() if case_id not in known]
    other = [
        row for case_id, row in wanted.items() if case_id in known and not _same(kept, known[case_id], row)
    ]
    gone = [row for case_id, row in known.items() if case_id not in wanted]
    if new:
        connection.execute(insert(table), new)
    for row in other:
        said = {name: row[name] for name in (*kept.said, "recorded_at")}
        connection.execute(update(table).where(table.c.case_id == row["case_id"]).values(said))
    if gone:
        connection.execute(delete(table).where(table.c.case_id.in_([row.case_id for row in gone])))
    events = [_event(kept, "changed", known[str(row["case_id"])], row) for row in other]
    events += [_event(kept, "withdrawn", row, {}) for row in gone]
    audit.append(connection, events, at=at)
    return Relabelled(
        same=len(wanted) - len(new) - len(other), new=len(new), changed=len(other), withdrawn=len(gone)
    )


def _same(kept: Kept, old: Row[Any], row: Mapping[str, object]) -> bool:
    return all(getattr(old, name) == row[name] for name in kept.said)


def _event(kept: Kept, what: str, old: Row[Any], row: Mapping[str, object]) -> Event:
    was: dict[str, object] = {said: getattr(old, said) for said in kept.said}
    now = {said: row[said] for said in kept.said if said in row}
    return Event(
        actor="labelling",
        event=f"{kept.name}.{what}",
        case_id=old.case_id,
        subject=old.case_id,
        detail={"was": was, "is": now, "rules": RULE_VERSION},
    )
