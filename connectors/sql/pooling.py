"""Pooling: votes out of corrections, and the versions of what may be learnt from them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, func, insert, or_, select

from connectors.sql import audit
from connectors.sql.codec import MODEL_CALL, Codec, key_text, plain
from connectors.sql.corrections import correction_of
from connectors.sql.engine import Database
from connectors.sql.pools import pool_activations, pool_entries, pool_versions
from connectors.sql.tables import assessments, cases, corrections, model_calls
from countersign.audit import Event
from countersign.errors import NotFound
from countersign.feedback.pool import Chosen, Dispute, Entry, PoolVersion, Selection, Vote, entry_id
from countersign.feedback.rows import cluster_of, vote_of, words_of
from countersign.redaction import redact

_AT_ONCE = 500
_ANSWERED = ("answered", "cached")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Content:
    entries: tuple[str, ...]
    waiting: int
    disputes: tuple[Dispute, ...]
    capped: int


_CONTENT: Codec[_Content] = Codec(_Content)
_ENTRY: Codec[Entry] = Codec(Entry)


class SqlPool:
    """The PoolBook port."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def votes(self, use_case: str) -> tuple[Vote, ...]:
        asked = (
            select(corrections, cases.c.fingerprint, cases.c.template, cases.c.desk, cases.c.ticket_id)
            .join(cases, cases.c.id == corrections.c.case_id)
            .where(
                cases.c.use_case == use_case,
                corrections.c.source == "person",
                or_(
                    (corrections.c.field == "category") & corrections.c.verdict.in_(("wrong", "corrected")),
                    corrections.c.verdict == "good",
                ),
            )
            .order_by(corrections.c.at, corrections.c.case_id, corrections.c.change_id)
        )
        with self._db.read() as connection:
            return tuple(vote for row in connection.execute(asked) if (vote := _vote(row)) is not None)

    def build(self, use_case: str, selection: Selection, *, by: str) -> PoolVersion:
        with self._db.write() as connection:
            self._db.alone(connection, f"countersign pool {use_case}")
            made = _entries(connection, use_case, selection.chosen)
            if made:
                rows = [_entry_row(use_case, one) for one in made]
                connection.execute(self._db.insert(pool_entries).on_conflict_do_nothing(), rows)
            content = _Content(
                entries=tuple(one.id for one in made),
                waiting=selection.waiting,
                disputes=selection.disputes,
                capped=selection.capped,
            )
            newest = _newest(connection, use_case)
            if newest is not None and newest.entries == content.entries:
                return newest
            row = {
                "use_case": use_case,
                "version": newest.version + 1 if newest else 1,
                "at": self._db.now(connection),
                "author": plain(by),
                "body": _CONTENT.dump(content),
            }
            connection.execute(insert(pool_versions), [row])
            detail: dict[str, object] = {"version": row["version"], "entries": len(made)}
            event = Event(actor=by, event="pool.built", case_id="", subject=use_case, detail=detail)
            audit.append(connection, [event], at=self._db.now(connection))
            return _version_of(connection, use_case, int(str(row["version"])))

    def versions(self, use_case: str) -> tuple[PoolVersion, ...]:
        asked = select(pool_versions).where(pool_versions.c.use_case == use_case)
        with self._db.read() as connection:
            rows = connection.execute(asked.order_by(pool_versions.c.version)).all()
        return tuple(_version(row) for row in rows)

    def active(self, use_case: str) -> int:
        with self._db.read() as connection:
            return active_versions(connection, [use_case]).get(use_case, 0)

    def activate(self, use_case: str, version: int, *, by: str) -> None:
        with self._db.write() as connection:
            self._db.alone(connection, f"countersign pool {use_case}")
            if version:
                _version_of(connection, use_case, version)
            was = active_versions(connection, [use_case]).get(use_case, 0)
            last = select(func.coalesce(func.max(pool_activations.c.seq), 0)).where(
                pool_activations.c.use_case == use_case
            )
            now = self._db.now(connection)
            row = {
                "use_case": use_case,
                "seq": int(connection.execute(last).scalar_one()) + 1,
                "version": version,
                "at": now,
                "author": plain(by),
            }
            connection.execute(insert(pool_activations), [row])
            detail: dict[str, object] = {"version": version, "was": was}
            event = Event(actor=by, event="pool.activated", case_id="", subject=use_case, detail=detail)
            audit.append(connection, [event], at=now)

    def in_force(self) -> Mapping[str, int]:
        with self._db.read() as connection:
            return active_versions(connection)

    def taught(self) -> tuple[Entry, ...]:
        """The entries of all active versions: what the embedded model learns from."""
        with self._db.read() as connection:
            versions = sorted(active_versions(connection).items())
            return tuple(one for name, version in versions for one in entries_of(connection, name, version))

    def entries(self, use_case: str, version: int) -> tuple[Entry, ...]:
        with self._db.read() as connection:
            return entries_of(connection, use_case, version)


def active_versions(connection: Connection, use_cases: Collection[str] | None = None) -> Mapping[str, int]:
    """The version in force of each use case that has one."""
    newest = select(pool_activations.c.use_case, func.max(pool_activations.c.seq)).group_by(
        pool_activations.c.use_case
    )
    if use_cases is not None:
        newest = newest.where(pool_activations.c.use_case.in_(sorted(use_cases)))
    named = {row[0]: row[1] for row in connection.execute(newest)}
    if not named:
        return {}
    asked = select(pool_activations).where(
        or_(
            *(
                (pool_activations.c.use_case == name) & (pool_activations.c.seq == seq)
                for name, seq in named.items()
            )
        )
    )
    return {row.use_case: row.version for row in connection.execute(asked) if row.version}


def entries_of(connection: Connection, use_case: str, version: int) -> tuple[Entry, ...]:
    """All entries of a version, in its order. Raises NotFound."""
    if not version:
        return ()
    wanted = _version_of(connection, use_case, version).entries
    found: dict[str, Entry] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        asked = select(pool_entries).where(pool_entries.c.id.in_(wanted[start : start + _AT_ONCE]))
        found |= {row.id: _ENTRY.load(row.body) for row in connection.execute(asked)}
    return tuple(found[one] for one in wanted)


def alike(
    connection: Connection, use_cases: Collection[str], clusters: Collection[str], templates: Collection[str]
) -> tuple[tuple[str, Entry], ...]:
    """(use case, entry) of the active versions that have one of these clusters or title templates, newest first."""
    versions = active_versions(connection, use_cases)
    if not versions:
        return ()
    asked = select(pool_entries).where(
        pool_entries.c.use_case.in_(sorted(versions)),
        or_(pool_entries.c.cluster.in_(sorted(clusters)), pool_entries.c.template.in_(sorted(templates))),
    )
    rows = connection.execute(asked).all()
    in_force = {
        (name, one) for name in {row.use_case for row in rows}
        for one in _version_of(connection, name, versions[name]).entries
    }  # fmt: skip
    found = [(row.use_case, _ENTRY.load(row.body)) for row in rows if (row.use_case, row.id) in in_force]
    return tuple(sorted(found, key=lambda pair: (pair[1].at, pair[1].id), reverse=True))


def _vote(row: Row[Any]) -> Vote | None:
    cluster = cluster_of(row.fingerprint, row.template, row.desk or "", row.ticket_id or "")
    return vote_of(correction_of(row), cluster)


def _entries(connection: Connection, use_case: str, chosen: Sequence[Chosen]) -> list[Entry]:
    """The chosen with the texts that the model was shown of them; without one there is nothing to learn."""
    shown: dict[str, Row[Any]] = {}
    ids = [one.case_id for one in chosen]
    for start in range(0, len(ids), _AT_ONCE):
        asked = _calls().where(cases.c.use_case == use_case, cases.c.id.in_(ids[start : start + _AT_ONCE]))
        shown |= {row.case_id: row for row in connection.execute(asked)}
    return [made for one in chosen if one.case_id in shown for made in _entry(one, shown[one.case_id])]


def _calls() -> Select[Any]:
    """The questions that were answered, so that the last of a case is its newest."""
    return (
        select(model_calls, cases.c.title, cases.c.template, assessments.c.severity)
        .join(cases, cases.c.id == model_calls.c.case_id)
        .join(
            assessments,
            (assessments.c.case_id == model_calls.c.case_id)
            & (assessments.c.revision == model_calls.c.revision),
        )
        .where(model_calls.c.outcome.in_(_ANSWERED))
        .order_by(model_calls.c.seq)
    )


def _entry(one: Chosen, row: Row[Any]) -> Iterator[Entry]:
    text = MODEL_CALL.load(row.body).rendered
    if text and row.severity:
        yield Entry(
            id=entry_id(one.case_id, one.category, text),
            case_id=one.case_id,
            cluster=one.cluster,
            template=words_of(row.template),
            title=redact(row.title, frozenset({"secrets"})).text,
            text=text,
            category=one.category,
            severity=row.severity,
            by=one.by,
            at=one.at,
        )


def _entry_row(use_case: str, one: Entry) -> dict[str, object]:
    return {
        "id": one.id,
        "use_case": use_case,
        "cluster": key_text(one.cluster),
        "template": key_text(one.template),
        "body": _ENTRY.dump(one),
    }


def _newest(connection: Connection, use_case: str) -> PoolVersion | None:
    asked = select(pool_versions).where(pool_versions.c.use_case == use_case)
    row = connection.execute(asked.order_by(pool_versions.c.version.desc()).limit(1)).first()
    return None if row is None else _version(row)


def _version_of(connection: Connection, use_case: str, version: int) -> PoolVersion:
    asked = select(pool_versions).where(
        pool_versions.c.use_case == use_case, pool_versions.c.version == version
    )
    row = connection.execute(asked).first()
    if row is None:
        raise NotFound(
            f"There is no version {version} of the pool of {use_case}; "
            "`countersign feedback pool --versions` lists them."
        )
    return _version(row)


def _version(row: Row[Any]) -> PoolVersion:
    content = _CONTENT.load(row.body)
    return PoolVersion(
        use_case=row.use_case, version=row.version, at=row.at, by=row.author, entries=content.entries,
        waiting=content.waiting, disputes=content.disputes, capped=content.capped,
    )  # fmt: skip
