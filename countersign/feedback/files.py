"""Files: exported feedback as bytes. The same feedback, the same bytes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from countersign.feedback.rows import Row

COLUMNS = tuple(one.name for one in fields(Row))
_KINDS = {"at": "time", "distance": "number", "confidence": "number", "risk": "number"}
_KINDS |= {"approver": "flag", "seen": "flag", "policy_version": "count"}
# A spreadsheet takes a cell that begins so for a formula, and these texts were written by others.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_lines(documents: Iterable[Mapping[str, Any]]) -> bytes:
    """One JSON object a line."""
    return "".join(f"{json.dumps(one, ensure_ascii=False)}\n" for one in documents).encode("utf-8", "replace")


def as_csv(rows: Iterable[Row]) -> bytes:
    """RFC 4180 with a header; times in ISO form, unknown is empty."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow(_cell(getattr(row, name)) for name in COLUMNS)
    return out.getvalue().encode("utf-8", "replace")


def as_parquet(rows: Iterable[Row]) -> bytes:
    """Typed columns; unknown is null, times are UTC in microseconds."""
    import polars  # 0.1 s and 60 MB, which other commands can do without

    kinds: dict[str, Any] = {
        "time": polars.Datetime("us", "UTC"), "number": polars.Float64, "flag": polars.Boolean, "count": polars.Int64,
    }  # fmt: skip
    found = list(rows)
    frame = polars.DataFrame(
        {name: [getattr(row, name) for row in found] for name in COLUMNS},
        schema={name: kinds.get(_KINDS.get(name, ""), polars.String) for name in COLUMNS},
    )
    out = io.BytesIO()
    frame.write_parquet(out)
    return out.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return "" if value is None else value
