"""Memory: what the ledger remembers that helps with the next case."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Column, Connection, Row, Select, bindparam, func, select

from connectors.sql.codec import key_text
from connectors.sql.engine import Database
from connectors.sql.histories import BY_POLICY
from connectors.sql.loading import with_ticket
from connectors.sql.pooling import alike
from connectors.sql.tables import actions, cases, corrections, tickets
from countersign.actions import ActionState
from countersign.cases import Case
from countersign.context import SimilarCase
from countersign.feedback.pool import Entry
from countersign.feedback.rows import WORDS, words_of
from countersign.fingerprint import template
from countersign.labelling import RIGHT, WRONG

# What a decision came to, in the words of a past ticket. A close that is not done was only proposed.
_RESOLUTIONS = {
    "close": "a close was proposed",
    "draft_change": "a change was drafted",
    "draft_note": "a person was shown a draft",
    "route": "given to people",
    "hold": "recorded only",
}


def _newest_alike(column: Column[str]) -> Select[Any]:
    """Decided cases that share a value of this column, and how new each is among those that do."""
    return select(
        cases.c.id,
        func.row_number()
        .over(partition_by=(cases.c.use_case, column), order_by=cases.c.id.desc())
        .label("nth"),
    ).where(
        cases.c.use_case.in_(bindparam("use_cases", expanding=True)),
        column.in_(bindparam("values", expanding=True)),
        cases.c.decided_at.is_not(None),
    )


def _alike(column: Column[str]) -> Select[Any]:
    ranked = _newest_alike(column).subquery()
    done = (actions.c.kind == "close") & (actions.c.state == ActionState.DONE.value)
    return (
        select(cases, tickets.c.key.label("ticket_key"), actions.c.approved_by.label("closed_by"))
        .join(ranked, ranked.c.id == cases.c.id)
        .outerjoin(tickets, with_ticket)
        .outerjoin(actions, (actions.c.case_id == cases.c.id) & done)
        .where(ranked.c.nth <= bindparam("most"))
    )


_ALIKE = {"fingerprint": _alike(cases.c.fingerprint), "template": _alike(cases.c.template)}
_VERDICTS = (
    select(corrections.c.case_id, corrections.c.verdict)
    .where(
        corrections.c.case_id.in_(bindparam("cases", expanding=True)),
        corrections.c.source == "person",
        # A question, or words that were not obeyed, take back nothing that was said before.
        corrections.c.verdict.in_(sorted(RIGHT | WRONG | {"corrected", "reopened"})),
    )
    .order_by(corrections.c.at)
)


class SqlMemory:
    """The Memory port."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def similar(self, cases: Sequence[Case], *, limit: int) -> Mapping[str, tuple[SimilarCase, ...]]:
        """As the port says; a case is never similar to itself."""
        if not cases:
            return {}
        wanted = {
            "fingerprint": {case.id: case.fingerprint for case in cases},
            "template": {case.id: key_text(template(case.lead.summary)) for case in cases},
        }
        use_cases = list({case.use_case for case in cases})
        with self._db.read() as connection:
            found: dict[str, Row[Any]] = {}
            for column, statement in _ALIKE.items():
                values = {
                    "values": list(set(wanted[column].values())),
                    "use_cases": use_cases,
                    "most": limit + 1,
                }
                found |= {row.id: row for row in connection.execute(statement, values)}
            verdicts = _verdicts(connection, list(found))
            words = {words_of(one) for one in wanted["template"].values()}
            clusters = {case.fingerprint for case in cases} | {f"{WORDS}{one}" for one in words}
            lessons = alike(connection, use_cases, clusters, words)
        newest = sorted(found.values(), key=lambda row: str(row.id), reverse=True)
        result: dict[str, tuple[SimilarCase, ...]] = {}
        for case in cases:
            its_template = wanted["template"][case.id]
            settled = [_lesson(one) for one in _lessons_of(case, lessons, words_of(its_template))]
            known = {one.case_id for one in settled}
            told = [
                _similar(row, verdicts.get(row.id, ""))
                for row in _of(case, newest, its_template, limit)
                if row.id not in known
            ]
            result[case.id] = tuple((settled + told)[:limit])
        return result


def _of(case: Case, newest: Sequence[Row[Any]], its_template: str, limit: int) -> Iterator[Row[Any]]:
    alike = (
        row
        for row in newest
        if row.id != case.id
        and row.use_case == case.use_case
        and (row.fingerprint == case.fingerprint or row.template == its_template)
    )
    yield from (row for _, row in zip(range(limit), alike, strict=False))


def _lessons_of(case: Case, lessons: Sequence[tuple[str, Entry]], words: str) -> Iterator[Entry]:
    """The newest lesson on cases like this one; others of its kind say the same."""
    for use_case, one in lessons:
        like = one.cluster in (case.fingerprint, f"{WORDS}{words}") or one.template == words
        if use_case == case.use_case and one.case_id != case.id and like:
            yield one
            return


def _lesson(one: Entry) -> SimilarCase:
    people = "an approver" if len(one.by) == 1 else f"{len(one.by)} people"
    return SimilarCase(
        case_id=one.case_id,
        ticket_key="",
        title=one.title,
        category=one.category,
        resolution=f"{people} said that it is {one.category}",
        at=one.at,
        settled=True,
    )


def _verdicts(connection: Connection, case_ids: Sequence[str]) -> Mapping[str, str]:
    """What people said last about each case."""
    if not case_ids:
        return {}
    return {row.case_id: row.verdict for row in connection.execute(_VERDICTS, {"cases": case_ids})}


def _similar(row: Row[Any], verdict: str) -> SimilarCase:
    resolution = _RESOLUTIONS.get(row.outcome, row.outcome)
    if row.closed_by:
        resolution = (
            f"closed {'without a person' if row.closed_by.startswith(BY_POLICY) else 'after an approval'}"
        )
    return SimilarCase(
        case_id=row.id,
        ticket_key=row.ticket_key or "",
        title=row.title,
        category=row.category,
        resolution=f"{resolution}; people said: {verdict}" if verdict else resolution,
        at=row.opened_at,
        verdict=verdict,
    )
