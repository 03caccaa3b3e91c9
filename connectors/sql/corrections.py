"""Corrections as rows: with the decision that each is about, and whether it was one update of many tickets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from connectors.sql.codec import CORRECTION, TICKET_CHANGE, VERSIONS, key_text, plain
from connectors.sql.promises import grounds
from connectors.sql.tables import actions, assessments, cases, corrections, decisions, ticket_changes
from countersign.actions import ActionState
from countersign.feedback.sources import BULK_TICKETS, BULK_WITHIN, in_bulk, sighting
from countersign.labelling import Told
from countersign.lanes import Lane
from countersign.ledger import About, Correction
from countersign.tickets import ChangeKind

_SHOWN = (ActionState.DONE.value, ActionState.COMPENSATED.value)


def correction_of(row: Row[Any]) -> Correction:
    """A row of the table, with what was learnt of its source since it was recorded."""
    return replace(CORRECTION.load(row.body), source=row.source)


def told_of_cases(connection: Connection, case_ids: Sequence[str]) -> Mapping[str, tuple[Told, ...]]:
    """What people told of each of these cases, oldest first; of one that nobody spoke about, nothing."""
    asked = select(corrections).where(corrections.c.case_id.in_(list(case_ids))).order_by(corrections.c.at)
    told: dict[str, tuple[Told, ...]] = dict.fromkeys(case_ids, ())
    for row in connection.execute(asked):
        told[row.case_id] += (_told(row),)
    return told


def _told(row: Row[Any]) -> Told:
    """By the ledger's own clock: a desk's may be off, and knows whole seconds."""
    after = CORRECTION.load(row.body).after if row.field else ""
    return Told(verdict=row.verdict, field=row.field, at=row.recorded_at, after=after, source=row.source)


def row_of(given: Correction, now: datetime) -> dict[str, object]:
    return {
        "case_id": given.case_id,
        "change_id": key_text(given.change_id),
        "verdict": given.verdict,
        "field": plain(given.field),
        "at": given.at,
        "recorded_at": now,
        "author": plain(given.by),
        "source": given.source,
        "body": CORRECTION.dump(given),
    }


def complete(connection: Connection, given: Sequence[Correction]) -> list[Correction]:
    """The corrections with what they are about; of a case that was never decided, without."""
    case_ids = sorted({one.case_id for one in given})
    decided, shown = _decided(connection, case_ids), _shown(connection, case_ids)
    return [
        replace(one, about=_about(one, decided[one.case_id], shown.get(one.case_id)))
        if decided[one.case_id]
        else one
        for one in given
    ]


def set_apart(connection: Connection, given: Sequence[Correction]) -> tuple[str, ...]:
    """Marks what was one update of many tickets, these corrections and earlier ones; gives the cases of all."""
    bulk = {
        found
        for who, times in _times(connection, given).items()
        for found in _bulk(connection, *who, min(times) - BULK_WITHIN, max(times) + BULK_WITHIN)
    }
    if not bulk:
        return ()
    turned = (
        update(corrections)
        .where(
            corrections.c.case_id.in_(sorted({case_id for case_id, _ in bulk})),
            corrections.c.change_id.in_(sorted({change_id for _, change_id in bulk})),
            corrections.c.source == "person",
        )
        .values(source="bulk")
        .returning(corrections.c.case_id)
    )
    return tuple(sorted(set(connection.execute(turned).scalars())))


def _times(connection: Connection, given: Sequence[Correction]) -> Mapping[tuple[str, str], list[datetime]]:
    """When each author changed something, by the desk and the author."""
    rows = connection.execute(
        select(ticket_changes.c.desk, ticket_changes.c.author, ticket_changes.c.at).where(
            ticket_changes.c.case_id.in_(sorted({one.case_id for one in given})),
            ticket_changes.c.change_id.in_(sorted({key_text(one.change_id) for one in given})),
        )
    )
    times: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    for row in rows:
        times[row.desk, row.author].append(row.at)
    return times


def _bulk(
    connection: Connection, desk: str, author: str, since: datetime, until: datetime
) -> frozenset[tuple[str, str]]:
    """(case, change) of the author's changes in that time that were one update of many tickets."""
    rows = connection.execute(
        select(ticket_changes).where(
            ticket_changes.c.desk == desk,
            ticket_changes.c.author == author,
            ticket_changes.c.at.between(since, until),
        )
    ).all()
    if len({row.ticket_id for row in rows}) < BULK_TICKETS:
        return frozenset()
    ids = in_bulk(sighting(TICKET_CHANGE.load(row.body)) for row in rows)
    keys = {key_text(found) for found in ids}
    return frozenset((row.case_id, row.change_id) for row in rows if row.change_id in keys)


def _decided(connection: Connection, case_ids: Sequence[str]) -> Mapping[str, list[Row[Any]]]:
    """The decisions of each case, oldest first, with what they rested on."""
    asked = (
        select(
            decisions,
            assessments.c.category,
            assessments.c.confidence,
            assessments.c.risk,
            grounds.c.versions,
            cases.c.fingerprint,
        )
        .join(cases, cases.c.id == decisions.c.case_id)
        .outerjoin(
            assessments,
            (assessments.c.case_id == decisions.c.case_id) & (assessments.c.revision == decisions.c.revision),
        )
        .outerjoin(
            grounds, (grounds.c.case_id == decisions.c.case_id) & (grounds.c.revision == decisions.c.revision)
        )
        .where(decisions.c.case_id.in_(case_ids))
        .order_by(decisions.c.case_id, decisions.c.revision)
    )
    found: dict[str, list[Row[Any]]] = defaultdict(list)
    for row in connection.execute(asked):
        found[row.case_id].append(row)
    return found


def _shown(connection: Connection, case_ids: Sequence[str]) -> Mapping[str, datetime]:
    """When our note first stood in the ticket of each case: by the desk's clock where its feed told, else by ours."""
    written = (
        select(actions.c.case_id, func.min(actions.c.done_at))
        .where(actions.c.case_id.in_(case_ids), actions.c.undoes == "", actions.c.state.in_(_SHOWN))
        .group_by(actions.c.case_id)
    )
    told = (
        select(ticket_changes.c.case_id, func.min(ticket_changes.c.at))
        .where(
            ticket_changes.c.case_id.in_(case_ids),
            ticket_changes.c.by_us.is_(True),
            ticket_changes.c.kind == ChangeKind.COMMENT.value,
        )
        .group_by(ticket_changes.c.case_id)
    )
    by_us = {row[0]: row[1] for row in connection.execute(written) if row[1] is not None}
    return by_us | {row[0]: row[1] for row in connection.execute(told)}


def _about(one: Correction, decided: Sequence[Row[Any]], shown: datetime | None) -> About:
    """The newest decision that stood by then; a desk whose clock is behind still means the first."""
    standing = [row for row in decided if row.at <= one.at]
    row = standing[-1] if standing else decided[0]
    # Desks tell whole seconds.
    read = shown is not None and shown.replace(microsecond=0) <= one.at
    return About(
        decision=f"{one.case_id}/{row.revision}",
        policy_version=row.policy_version,
        policy_hash=row.policy_hash,
        versions=VERSIONS.load(row.versions) if row.versions else None,
        category=row.category or "",
        confidence=row.confidence,
        risk=row.risk,
        lane=row.lane,
        cluster=row.fingerprint,
        seen=read and row.lane == Lane.TREATED.value,
    )
