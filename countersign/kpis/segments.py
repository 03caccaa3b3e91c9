"""Segments: the histories of a day packed as bytes, and many days put together as columns again.

Beside them, for trends, the sums of the same tickets (`weeks`), which do not grow with how many they are.
Nothing is rounded: the columns of a segment are those that its rows would give. The same tickets give the same bytes,
however they were told. A cluster keeps eight bytes of its hash instead of its name, since figures only compare them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from countersign.kpis.history import (
    FLAGS,
    MEASURED,
    WORDS,
    Codes,
    Events,
    Histories,
    TicketHistory,
    as_columns,
    numbered,
)
from countersign.kpis.weeks import weeks_of, written

# Rises whenever the same tickets give other bytes than before, or a column means something else.
# 2: people's minutes, as desks tell them. 3: with the sums that trends are made of.
FORMAT = 3
Array = npt.NDArray[Any]

_CLUSTERS, _TICKET = "clusters", "events.ticket"
_COLUMNS = {
    "finished": "?",
    "events.ticket": "<i8",
    "events.kind": "<i1",
    "events.at": "<f8",
    **dict.fromkeys(MEASURED, "<f8"),
    **dict.fromkeys(FLAGS, "<i1"),
    **dict.fromkeys(WORDS, "<i4"),
}
# A column is kept in the first of these that holds its values as they are.
_WHOLE, _BROKEN = ("<i1", "<i2", "<i4", "<i8"), ("<f4", "<f8")
_FEW = 255
_ALIGN = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """Tickets by id, rising, their columns as bytes, and their sums by week as bytes."""

    ids: tuple[str, ...]
    body: bytes
    weeks: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    """Columns by name; words are places in `words`, clusters are places in `clusters`, rising hashes."""

    count: int
    columns: Mapping[str, Array]
    words: Mapping[str, Sequence[str]]
    clusters: Array


def pack(rows: Iterable[TicketHistory]) -> Segment:
    """Rows as a segment. Raises ValueError for a time without a zone."""
    ordered = sorted(rows, key=lambda row: row.id)
    return _written(tuple(row.id for row in ordered), _of(ordered))


def patch(old: Segment, new: Sequence[TicketHistory]) -> Segment:
    """The segment with some tickets added, or as they are now."""
    names = (*old.ids, *(row.id for row in new))
    # Of two with the same id the later place stays.
    kept = sorted({name: place for place, name in enumerate(names)}.values(), key=names.__getitem__)
    part = _arranged(_joined([_read(old.body), _of(new)]), np.array(kept, dtype=np.int64))
    return _written(tuple(names[place] for place in kept), part)


def together(bodies: Sequence[bytes], *, recorded: frozenset[str]) -> Histories:
    """The tickets of many segments as columns, one segment after the other; `recorded` as in Histories."""
    return _histories(_joined([_read(body) for body in bodies]), recorded)


def _histories(part: _Part, recorded: frozenset[str]) -> Histories:
    """A cluster's name is its hash here."""
    found: dict[str, Any] = {name: part.columns[name] for name in (*MEASURED, *FLAGS, "finished")}
    for name in WORDS:
        names = part.words[name] if name != "cluster" else [f"{hash_:x}" for hash_ in part.clusters.tolist()]
        found[name] = Codes(codes=part.columns[name], names=tuple(names))
    events = Events(**{name: part.columns[f"events.{name}"] for name in ("ticket", "kind", "at")})
    return Histories(**found, events=events, recorded=recorded)


def _of(rows: Sequence[TicketHistory]) -> _Part:
    tickets = as_columns(rows)
    columns = {name: getattr(tickets, name) for name in (*MEASURED, *FLAGS, "finished")}
    columns |= {name: getattr(tickets, name).codes for name in WORDS}
    columns |= {f"events.{name}": getattr(tickets.events, name) for name in ("ticket", "kind", "at")}
    digests = b"".join(
        hashlib.blake2b(name.encode(), digest_size=8).digest() for name in tickets.cluster.names
    )
    return _Part(
        count=len(rows),
        columns=columns,
        words={name: getattr(tickets, name).names for name in WORDS if name != "cluster"},
        clusters=np.frombuffer(digests, dtype="<u8"),
    )


class _Room:
    """One piece of memory for all columns: what is taken and given back as one, allocators keep for the next report,
    where they give many large pieces back to the system, which has to clear each of them anew."""

    def __init__(self, size: int) -> None:
        self._room = np.empty(size, dtype=np.uint8)
        self._used = 0

    def take(self, form: str, count: int) -> Array:
        first, self._used = self._used, self._used + _space(form, count)
        return self._room[first : self._used].view(form)[:count]


def _space(form: str, count: int) -> int:
    size = np.dtype(form).itemsize * count
    return size + -size % _ALIGN


def _joined(parts: Sequence[_Part]) -> _Part:
    """Parts one after the other; words and clusters get new numbers."""
    parts = parts or [_of(())]
    words: dict[str, Sequence[str]] = {}
    # What codes become in each part: new numbers, and the last one, which -1 finds, for what is unknown.
    tables: dict[str, Sequence[Array]] = {}
    for name in WORDS:
        if name != "cluster":
            words[name] = sorted({word for part in parts for word in part.words[name]})
            places = {word: place for place, word in enumerate(words[name])}
            tables[name] = [
                np.array([*(places[word] for word in part.words[name]), -1], dtype=np.int32) for part in parts
            ]
    sizes = np.cumsum([len(part.clusters) for part in parts])
    clusters, numbers = numbered(np.concatenate([part.clusters for part in parts]))
    unknown = np.array([-1], dtype=np.int32)
    tables["cluster"] = [
        np.concatenate((new, unknown)) for new in np.split(numbers.astype(np.int32), sizes[:-1])
    ]
    starts = np.cumsum([0, *(part.count for part in parts)])
    columns = _laid({name: [part.columns[name] for part in parts] for name in _COLUMNS}, tables, starts)
    return _Part(count=int(starts[-1]), columns=columns, words=words, clusters=clusters)


def _laid(
    lots: Mapping[str, Sequence[Array]], tables: Mapping[str, Sequence[Array]], starts: Array
) -> Mapping[str, Array]:
    """Columns whose arrays stand one after the other; one value for all of them takes no room."""
    columns = {
        # The numbers of tickets are never the same: they go on from part to part.
        name: None if name == _TICKET else _same(arrays, tables.get(name), _COLUMNS[name])
        for name, arrays in lots.items()
    }
    lengths = {name: sum(map(len, lots[name])) for name, same in columns.items() if same is None}
    room = _Room(sum(_space(_COLUMNS[name], length) for name, length in lengths.items()))
    for name, length in lengths.items():
        arrays = lots[name]
        if name in tables:
            arrays = [_recoded(codes, new) for new, codes in zip(tables[name], arrays, strict=True)]
        elif name == _TICKET:
            arrays = [array + start for array, start in zip(arrays, starts, strict=False)]
        columns[name] = room.take(_COLUMNS[name], length)
        np.concatenate(arrays, out=columns[name], casting="unsafe")
    return {name: column for name, column in columns.items() if column is not None}


def _recoded(codes: Array, new: Array) -> Array:
    """What codes become; days mostly have the same words, and then they stay what they are."""
    return codes if np.array_equal(new[:-1], np.arange(len(new) - 1)) else new.take(codes)


def _same(arrays: Sequence[Array], tables: Sequence[Array] | None, form: str) -> Array | None:
    """The column, if it has one value everywhere."""
    if not all(len(array) and array.strides == (0,) for array in arrays):
        return None
    firsts = [array[0] for array in arrays]
    values = np.unique(
        firsts if tables is None else [new[one] for new, one in zip(tables, firsts, strict=True)]
    )
    if len(values) > 1:
        return None
    return np.broadcast_to(values.astype(form), (sum(map(len, arrays)),))


def _arranged(part: _Part, order: Array) -> _Part:
    """The tickets at these places, in this order, with the words and clusters that they use."""
    place = np.full(part.count, -1)
    place[order] = np.arange(len(order))
    ticket = place[part.columns["events.ticket"]]
    events = Events.of(
        *(array[ticket >= 0] for array in (ticket, part.columns["events.kind"], part.columns["events.at"]))
    )
    columns = {name: part.columns[name][order] for name in _COLUMNS if "." not in name}
    columns |= {f"events.{name}": getattr(events, name) for name in ("ticket", "kind", "at")}
    return replace(part, count=len(order), columns=columns)


def _tidy(part: _Part) -> _Part:
    """Only the words and clusters that occur, in their order, so that the same tickets have the same numbers."""
    columns, words = dict(part.columns), dict(part.words)
    clusters = part.clusters
    for name in WORDS:
        names = clusters if name == "cluster" else np.array(part.words[name], dtype=object)
        used = np.unique(columns[name][columns[name] >= 0]).astype(np.int64)
        used = used[np.argsort(names[used], kind="stable")]
        numbers = np.full(len(names) + 1, -1, dtype=np.int32)
        numbers[used] = np.arange(len(used))
        columns[name] = numbers[columns[name]]
        if name == "cluster":
            clusters = clusters[used]
        else:
            words[name] = list(names[used])
    return replace(part, columns=columns, words=words, clusters=clusters)


def _written(ids: tuple[str, ...], part: _Part) -> Segment:
    """The length of a header, the header in JSON (tickets, words, each column's form), then the arrays."""
    part = _tidy(part)
    forms: dict[str, list[Any]] = {_CLUSTERS: ["all", "<u8", len(part.clusters)]}
    chunks = {_CLUSTERS: _padded(part.clusters)}
    for name in _COLUMNS:
        forms[name], arrays = _form(part.columns[name])
        chunks[name] = b"".join(_padded(array) for array in arrays)
    told = {"tickets": part.count, "words": part.words, "forms": forms}
    header = json.dumps(told, ensure_ascii=False).encode()
    header += b" " * (-len(header) % _ALIGN)
    body = len(header).to_bytes(_ALIGN, "little") + header + b"".join(chunks.values())
    return Segment(ids=ids, body=body, weeks=written(weeks_of(_histories(part, frozenset()))))


def _padded(array: Array) -> bytes:
    chunk = array.tobytes()
    return chunk + b"\0" * (-len(chunk) % _ALIGN)


def _form(array: Array) -> tuple[list[Any], tuple[Array, ...]]:
    """How a column is kept, and what is: one value for all, which of few values, or all of them."""
    values, which = np.unique(array, return_inverse=True)
    if len(values) == 1:
        value = values[0].item()
        return ["same", array.dtype.kind, None if value != value else value, len(array)], ()
    narrow = _WHOLE if array.dtype.kind in "bi" else _BROKEN
    kept = next(
        found
        for form in narrow
        if np.array_equal(found := array.astype(form), array, equal_nan=array.dtype.kind == "f")
    )
    if kept.itemsize > 1 and 1 < len(values) <= _FEW and len(array) > len(values):
        few = values.astype(kept.dtype)
        return ["few", few.dtype.str, len(few), len(array)], (few, which.astype("u1"))
    return ["all", kept.dtype.str, len(kept)], (kept,)


def _read(body: bytes) -> _Part:
    size = int.from_bytes(body[:_ALIGN], "little")
    told = json.loads(body[_ALIGN : _ALIGN + size])
    at = _ALIGN + size
    columns: dict[str, Array] = {}
    count: int = told["tickets"]
    for name, form in told["forms"].items():
        columns[name], at = _column(form, body, at)
    return _Part(count=count, columns=columns, words=told["words"], clusters=columns.pop(_CLUSTERS))


def _column(form: Sequence[Any], body: bytes, at: int) -> tuple[Array, int]:
    if form[0] == "same":
        value = np.nan if form[2] is None else form[2]
        return np.broadcast_to(np.array(value), (form[3],)), at
    if form[0] == "all":
        return _array(body, at, form[1], form[2])
    values, at = _array(body, at, form[1], form[2])
    which, at = _array(body, at, "u1", form[3])
    return values.take(which), at


def _array(body: bytes, at: int, form: str, count: int) -> tuple[Array, int]:
    found = np.frombuffer(body, dtype=form, count=count, offset=at)
    return found, at + found.nbytes + -found.nbytes % _ALIGN
