"""ServiceNow's records: rows of strings with bookkeeping, journal, audit, references and rules."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sandbox import servicenow_tables as tables
from sandbox.servicenow_query import Query, Row
from sandbox.world import World

_NO_TIME = datetime.fromisoformat("1970-01-01 00:00:00")


class DataPolicyError(Exception):
    """The instance's data policy or a business rule refuses the update; the text is what ServiceNow says."""


@dataclass(slots=True)
class Records:
    """All tables of one instance: table -> sys_id -> row. Values are raw: strings, UTC times, sys_ids."""

    world: World
    rows: dict[str, dict[str, Row]] = field(default_factory=lambda: {table: {} for table in tables.COLUMNS})
    columns: dict[str, set[str]] = field(
        default_factory=lambda: {table: set(names) for table, names in tables.COLUMNS.items()}
    )
    _index: dict[tuple[str, str, str], dict[str, None]] = field(default_factory=dict)
    _made: int = 0
    # The order in which rows were made, which is the order of a query that names none.
    _made_as: dict[str, int] = field(default_factory=dict)

    def now(self) -> str:
        return self.world.clock.now().strftime("%Y-%m-%d %H:%M:%S")

    def insert(self, table: str, fields: Mapping[str, object], user: str) -> Row:
        """Make a row of the fields that the table has. Raises DataPolicyError; then nothing has been made."""
        row = dict.fromkeys(sorted(self.columns[table]), "") | tables.DEFAULTS.get(table, {})
        row |= self._wanted(table, fields, writable=self.columns[table] - {"sys_id"})
        if table == "incident" and "priority" not in fields:
            row["priority"] = tables.PRIORITY.get((row["impact"], row["urgency"]), row["priority"])
        _refuse_bare_close(table, row)
        now = self.now()
        row |= {"sys_id": self._new_id(table), "sys_class_name": table, "sys_mod_count": "0"}
        row |= {"sys_created_by": user, "sys_updated_by": user}
        row["sys_created_on"] = row["sys_created_on"] or now
        row["sys_updated_on"] = row["sys_created_on"]
        if table in tables.NUMBER_PREFIX:
            row["number"] = f"{tables.NUMBER_PREFIX[table]}{10001 + len(self.rows[table]):07d}"
            row["opened_at"] = row["opened_at"] or now
            row["opened_by"] = self.resolve("sys_user", user) or ""
            row["active"] = "false" if row["state"] in tables.INACTIVE[table] else "true"
        self.rows[table][row["sys_id"]] = row
        self._made_as[row["sys_id"]] = len(self._made_as)
        for column in tables.INDEXED.get(table, ()):
            self._note_value(table, row, column)
        self._write_journal(table, row, fields, user)
        return row

    def update(self, table: str, row: Row, fields: Mapping[str, object], user: str) -> bool:
        """Apply the fields that the table has; True if one changed. DataPolicyError leaves all unchanged."""
        wanted = self._wanted(table, fields, writable=self.columns[table] - tables.READ_ONLY)
        wanted = {name: value for name, value in wanted.items() if row[name] != value}
        _refuse_bare_close(table, row | wanted)
        wanted |= self._consequences(table, row, wanted, user)
        for name, value in wanted.items():
            if name not in tables.UNAUDITED:
                self._audit(table, row, name, value, user)
            self._index.get((table, name, row[name].casefold()), {}).pop(row["sys_id"], None)
            row[name] = value
            self._note_value(table, row, name)
        noted = self._write_journal(table, row, fields, user)
        if wanted or noted:
            row["sys_updated_on"], row["sys_updated_by"] = self.now(), user
            row["sys_mod_count"] = str(int(row["sys_mod_count"]) + 1)
        return bool(wanted) or noted

    def delete(self, table: str, row: Row) -> None:
        del self.rows[table][row["sys_id"]]
        for column in tables.INDEXED.get(table, ()):
            self._index.get((table, column, row[column].casefold()), {}).pop(row["sys_id"], None)

    def related(self, table: str, of: str) -> list[Row]:
        """The journal or audit rows of the record with the sys_id `of`, oldest first."""
        return self.equal(table, tables.INDEXED[table][0], of)

    def equal(self, table: str, column: str, value: str) -> list[Row]:
        """The rows with this value in an indexed column, oldest first."""
        return [self.rows[table][sys_id] for sys_id in self._index.get((table, column, value.casefold()), {})]

    def select(self, table: str, query: Query) -> list[Row]:
        """The rows that a query finds, in its order; by index where one of its conditions allows that."""
        indexed = {"sys_id", *tables.INDEXED.get(table, ())}
        # What is empty is in no index.
        by_index = (named for named in query.named() if all(c in indexed and value for c, value in named))
        candidates: Iterable[Row] = self.rows[table].values()
        if (named := next(by_index, None)) is not None:
            ids = {sys_id for column, value in named for sys_id in self._ids(table, column, value)}
            candidates = (self.rows[table][sys_id] for sys_id in sorted(ids, key=self._made_as.__getitem__))
        return query.apply(candidates, lambda row, path: self.lookup(table, row, path))

    def _ids(self, table: str, column: str, value: str) -> Iterable[str]:
        if column == "sys_id":
            return (value,) if value in self.rows[table] else ()
        return self._index.get((table, column, value.casefold()), {})

    def resolve(self, table: str, name_or_id: str) -> str | None:
        """The sys_id of a row that is named by its sys_id or by what people call it."""
        if name_or_id in self.rows[table]:
            return name_or_id
        for column in tables.NAMES.get(table, ()):
            for row in self.equal(table, column, name_or_id):
                return row["sys_id"]
        return None

    def lookup(self, table: str, row: Row, path: str) -> str | None:
        """A field of the row, or of a row that it refers to (`assignment_group.name`)."""
        name, _, rest = path.partition(".")
        if not rest:
            return row.get(name)
        target = tables.REFERENCES.get(table, {}).get(name)
        other = self.rows[target].get(row.get(name, "")) if target else None
        return self.lookup(target, other, rest) if target and other else None

    def knows(self, table: str, path: str) -> bool:
        name, _, rest = path.partition(".")
        target = tables.REFERENCES.get(table, {}).get(name)
        return name in self.columns[table] and (not rest or (target is not None and self.knows(target, rest)))

    def display(self, table: str, name: str, value: str, zone: timedelta) -> str:
        """What a person with the UTC offset `zone` would see: names, choice labels and local times."""
        target = tables.REFERENCES.get(table, {}).get(name)
        if target:
            return self.rows[target].get(value, {}).get(tables.NAMES[target][0], "")
        if name.endswith(("_at", "_on", "_date")) and value:
            return _local_time(value, zone)
        if name == "time_worked" and value:
            return _span_words(datetime.fromisoformat(value) - _NO_TIME)
        return tables.CHOICES.get(table, {}).get(name, {}).get(value, value)

    def _wanted(self, table: str, fields: Mapping[str, object], writable: set[str]) -> dict[str, str]:
        references = tables.REFERENCES.get(table, {})
        wanted: dict[str, str] = {}
        for name, value in fields.items():
            if name in writable and name not in tables.JOURNALS:
                text = _text(value)
                wanted[name] = (self.resolve(references[name], text) or "") if name in references else text
        return wanted

    def _consequences(self, table: str, row: Row, wanted: Row, user: str) -> Row:
        """What the shipped business rules set when these fields change, like who resolved it and when."""
        after, more = row | wanted, dict[str, str]()
        if table == "incident" and {"impact", "urgency"} & wanted.keys() and "priority" not in wanted:
            more["priority"] = tables.PRIORITY.get((after["impact"], after["urgency"]), row["priority"])
        if table not in tables.ENDED or "state" not in wanted:
            return more
        who, ended = self.resolve("sys_user", user) or "", tables.ENDED[table]
        more["active"] = "false" if wanted["state"] in tables.INACTIVE[table] else "true"
        if wanted["state"] in ("6", "7") and table == "incident" and not row["resolved_at"]:
            more |= {"resolved_at": self.now(), "resolved_by": who}
        if wanted["state"] in tables.INACTIVE[table]:
            more |= {"closed_at": self.now(), "closed_by": who}
        if row["state"] in ended and wanted["state"] not in ended:
            cleared = dict.fromkeys({"resolved_at", "resolved_by", "closed_at", "closed_by"} & row.keys(), "")
            more |= cleared | {"close_code": "", "close_notes": ""}
            more |= {"reopen_count": str(int(row["reopen_count"]) + 1)} if "reopen_count" in row else {}
        return {name: value for name, value in more.items() if row[name] != value}

    def _write_journal(self, table: str, row: Row, fields: Mapping[str, object], user: str) -> bool:
        texts = [(name, _text(fields[name])) for name in sorted(tables.JOURNALS) if fields.get(name)]
        for element, value in texts if "work_notes" in self.columns[table] else []:
            entry = {"name": table, "element": element, "element_id": row["sys_id"], "value": value}
            self.insert("sys_journal_field", entry, user)
        return bool(texts) and "work_notes" in self.columns[table]

    def _audit(self, table: str, row: Row, name: str, value: str, user: str) -> None:
        entry = {"tablename": table, "documentkey": row["sys_id"], "fieldname": name, "user": user}
        entry |= {"oldvalue": row[name], "newvalue": value, "record_checkpoint": row["sys_mod_count"]}
        self.insert("sys_audit", entry, user)

    def _note_value(self, table: str, row: Row, column: str) -> None:
        if column in tables.INDEXED.get(table, ()) and row[column]:
            self._index.setdefault((table, column, row[column].casefold()), {})[row["sys_id"]] = None

    def _new_id(self, table: str) -> str:
        self._made += 1
        return hashlib.md5(
            f"{self.world.seed}/{table}/{self._made}".encode(), usedforsecurity=False
        ).hexdigest()


def _local_time(utc: str, zone: timedelta) -> str:
    return (datetime.fromisoformat(utc) + zone).isoformat(sep=" ")


def _span_words(span: timedelta) -> str:
    """A duration, which is stored as a time since 1970, as forms show it: 1 Hour 5 Minutes."""
    minutes, seconds = divmod(int(span.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "Hour"), (minutes, "Minute"), (seconds, "Second"))
    return " ".join(f"{count} {unit}{'' if count == 1 else 's'}" for count, unit in parts if count)


def _text(value: object) -> str:
    """A JSON value as ServiceNow stores it: everything is a string; a reference may come as {value: …}."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return _text(value.get("value", ""))
    return "" if value is None else str(value)


def _refuse_bare_close(table: str, row: Row) -> None:
    if row.get("state") in tables.NEEDS_CLOSE_FIELDS.get(table, ()):
        missing = [name for name in ("close_code", "close_notes") if not row[name]]
        if missing:
            raise DataPolicyError(
                "Data Policy Exception: The following fields are mandatory: " + ", ".join(missing)
            )
