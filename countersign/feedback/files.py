"""Files: exported feedback as bytes, a piece at a time. The same feedback, the same bytes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from datetime import datetime
from itertools import chain, islice
from typing import Any

from countersign.feedback.rows import Row

COLUMNS = tuple(one.name for one in fields(Row))
# Rows of a row group: so many are in memory at once.
GROUP = 10_000
_KINDS = {"at": "time", "distance": "number", "confidence": "number", "risk": "number"}
_KINDS |= {"approver": "flag", "seen": "flag", "policy_version": "count"}
# A spreadsheet takes a cell that begins so for a formula, and these texts were written by others.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def json_lines(documents: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """One JSON object a line."""
    for one in documents:
        yield f"{json.dumps(one, ensure_ascii=False)}\n".encode("utf-8", "replace")


def csv_lines(rows: Iterable[Row]) -> Iterator[bytes]:
    """RFC 4180 with a header; times in ISO form, unknown is empty."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    for cells in chain([COLUMNS], ([_cell(getattr(row, name)) for name in COLUMNS] for row in rows)):
        writer.writerow(cells)
        yield out.getvalue().encode("utf-8", "replace")
        out.seek(0)
        out.truncate()


def parquet_groups(rows: Iterable[Row]) -> Iterator[bytes]:
    """Parquet files of at most GROUP rows each, at least one; typed columns, unknown is null, times are UTC in
    microseconds."""
    import polars  # 0.1 s and 60 MB, which other commands can do without

    kinds: dict[str, Any] = {
        "time": polars.Datetime("us", "UTC"), "number": polars.Float64, "flag": polars.Boolean, "count": polars.Int64,
    }  # fmt: skip
    schema = {name: kinds.get(_KINDS.get(name, ""), polars.String) for name in COLUMNS}
    left = iter(rows)
    group = list(islice(left, GROUP))
    while True:
        frame = polars.DataFrame(
            {name: [getattr(row, name) for row in group] for name in COLUMNS}, schema=schema
        )
        out = io.BytesIO()
        frame.write_parquet(out)
        yield out.getvalue()
        if not (group := list(islice(left, GROUP))):
            return


def _cell(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return "" if value is None else value
