"""From a table to histories: one row for each ticket, or one for each of its changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from countersign.exports.forms import LINKS, Phase
from countersign.exports.problems import Problems
from countersign.exports.survey import Survey
from countersign.exports.table import Links, Table
from countersign.kpis.history import UNKNOWN, Bools, Event, Events, Floats, Histories, Ints, empty_columns

_BEGUN = {"opened": "opening", "started": "start"}


def from_list(table: Table, plan: Survey, problems: Problems) -> tuple[Histories, Links]:
    """One row is one ticket; a ticket that comes again is told and not counted again."""
    table = once(with_id(table, plan, problems), plan, problems)
    tickets = _columns(table, plan, problems)
    resolved = in_order(table.times.get("resolved", _unknown(table)), table, "resolved", plan, problems)
    known = np.flatnonzero(np.isfinite(resolved))
    events = Events.of(known, np.full(len(known), int(Event.RESOLVED)), resolved[known])
    done = np.isfinite(tickets.closed) | np.isfinite(table.times.get("resolved", _unknown(table)))
    if "state" in table.states:
        phase = table.states["state"]
        open_again = (phase != UNKNOWN) & (phase < Phase.RESOLVED)
        _tell_open_with_resolution(open_again & np.isfinite(resolved), table, plan, problems)
        done |= phase >= Phase.RESOLVED
    return replace(tickets, events=events, finished=done), _links(table)


def from_log(table: Table, plan: Survey, problems: Problems) -> tuple[Histories, Links]:
    """One row is one change of a ticket: its states in time tell when it was taken, on hold, finished and reopened.

    Columns such as the time of resolution hold their final value on every row, so that the last row is asked.
    """
    table = with_id(table, plan, problems)
    _tell_repeated(table, problems)
    table = replace(table, print=np.zeros(0, dtype=np.int64))  # a tenth of the memory, not needed any more
    undated = np.isnan(table.times["updated"])
    problems.tell_all(
        table.row[undated],
        plan.called("updated"),
        "no time of the change",
        "the change has no time; it was not counted",
    )
    order = np.lexsort(
        (table.times["updated"], table.ids.codes)
    )  # NaN is sorted behind all times of a ticket
    order = order[~undated[order]]
    ids = table.ids.codes[order]
    firsts = np.flatnonzero(np.diff(ids, prepend=-1))
    lasts = np.append(firsts[1:], len(ids)) - 1
    last = table.take(order[lasts])
    numbers = {
        name: np.fmax.reduceat(table.numbers[name][order], firsts)
        for name in ("moves", "reopens")
        if name in table.numbers and len(firsts)
    }
    phase, at = table.states["state"][order], table.times["updated"][order]
    del table, order, ids, undated  # most of the memory: what comes next needs room
    tickets = _columns(last, plan, problems)
    resolved = in_order(last.times.get("resolved", _unknown(last)), last, "resolved", plan, problems)
    events, finished, taken = _walk(phase, at, firsts, resolved if "resolved" in plan.columns else None)
    taken = in_order(taken, last, "updated", plan, problems)
    if "reopens" in numbers:
        events = _only_counted(events, numbers["reopens"], last, plan, problems)
    else:
        reopened = events.ticket[events.kind == Event.REOPENED]
        numbers["reopens"] = np.bincount(reopened, minlength=len(firsts)).astype(np.float64)
    recorded = tickets.recorded | {"resolved", "reopened", "reopens", "paused", "resumed", "acknowledged"}
    changed: dict[str, Any] = dict(numbers)
    made = replace(
        tickets, events=events, finished=finished, acknowledged=taken, recorded=recorded, **changed
    )
    return made, _links(last)


def _walk(phase: Ints, at: Floats, firsts: Ints, final: Floats | None) -> tuple[Events, Bools, Floats]:
    """Events, whether finished, and when first taken, of rows sorted by ticket (from `firsts` on) and time.

    `final` is each ticket's last resolution; without it, the last row that made it resolved or closed.
    """
    count = len(firsts)
    owner = np.repeat(np.arange(count, dtype=np.int32), np.diff(firsts, append=len(phase)))
    known = phase != UNKNOWN
    if not known.all():
        phase, at, owner = phase[known], at[known], owner[known]
    before = np.zeros_like(phase)
    before[1:] = phase[:-1]
    before[np.diff(owner, prepend=-1) != 0] = Phase.NEW
    was_done, done = before >= Phase.RESOLVED, phase >= Phase.RESOLVED
    moved = (
        (Event.REOPENED, was_done & ~done),
        (Event.PAUSED, (before != Phase.PAUSED) & (phase == Phase.PAUSED)),
        (Event.RESUMED, (before == Phase.PAUSED) & (phase != Phase.PAUSED)),
    )
    finished = np.zeros(count, dtype=np.bool_)
    finished[owner] = done  # sorted by time, so that the last one stays
    resolving = np.flatnonzero(~was_done & done)
    places, kinds = [np.flatnonzero(hit) for _, hit in moved], [int(kind) for kind, _ in moved]
    if final is None:
        places, kinds = [*places, resolving], [*kinds, int(Event.RESOLVED)]
        owners, times = [owner[place] for place in places], [at[place] for place in places]
    else:
        # The last resolving row of a finished ticket is what `final` tells more exactly.
        latest = np.full(count, -1, dtype=np.int64)
        latest[owner[resolving]] = resolving
        earlier = resolving[~finished[owner[resolving]] | (latest[owner[resolving]] != resolving)]
        told = np.flatnonzero(np.isfinite(final))
        places, kinds = [*places, earlier], [*kinds, int(Event.RESOLVED), int(Event.RESOLVED)]
        owners = [*(owner[place] for place in places), told.astype(np.int32)]
        times = [*(at[place] for place in places), final[told]]
    kind = np.repeat(kinds, [len(part) for part in owners])
    taken = np.full(count, np.nan)
    later = np.flatnonzero(phase > Phase.NEW)[::-1]
    taken[owner[later]] = at[later]  # from the end, so that the first one stays
    return Events.of(np.concatenate(owners), kind, np.concatenate(times)), finished, taken


def _only_counted(events: Events, reopens: Floats, last: Table, plan: Survey, problems: Problems) -> Events:
    """Without reopenings of tickets that count none: a clock that went back makes their rows look like one."""
    false = (events.kind == Event.REOPENED) & (reopens[events.ticket] == 0)
    problems.tell_all(
        last.row[np.unique(events.ticket[false])],
        plan.called("state"),
        "reopened, yet not counted",
        "its states go back from resolved, but it counts no reopening; the count holds",
    )
    return events.take(~false)


def _columns(table: Table, plan: Survey, problems: Problems) -> Histories:
    """What is read off one row for each ticket."""
    opened = table.times["opened"]
    problems.tell_all(
        table.row[np.isnan(opened)],
        plan.called("opened"),
        "no opening time",
        "the ticket has no opening time",
    )
    times = {name: values for name, values in table.times.items() if name in ("opened", "began", "detected")}
    times |= {
        name: in_order(table.times[name], table, name, plan, problems)
        for name in ("acknowledged", "closed")
        if name in table.times
    }
    words = {name: values for name, values in table.words.items() if name not in LINKS}
    columns: dict[str, Any] = {**times, **table.numbers, **words}
    recorded = frozenset({*plan.columns, *table.numbers}) - {"state", "updated", "worked"} - LINKS
    return replace(empty_columns(len(table.row)), **columns, recorded=recorded)


def _links(table: Table) -> Links:
    return Links(row=table.row, named={name: table.words[name] for name in LINKS & set(table.words)})


def in_order(
    values: Floats, table: Table, name: str, plan: Survey, problems: Problems, *, after: str = "opened"
) -> Floats:
    """Times with those before the opening (or what else they come after) taken out, and told."""
    earlier, begun = table.times[after], _BEGUN[after]
    early = np.flatnonzero(values < earlier)
    if not len(early):
        return values

    def sentence(number: int) -> str:
        told, first = (datetime.fromtimestamp(float(some[early[number]]), UTC) for some in (values, earlier))
        return (
            f"{told:%Y-%m-%d %H:%M} UTC lies before its {begun}, {first:%Y-%m-%d %H:%M}; it counts as unknown"
        )

    problems.tell_each(table.row[early], plan.called(name), f"before its {begun}", sentence)
    values = values.copy()
    values[early] = np.nan
    return values


def with_id(table: Table, plan: Survey, problems: Problems) -> Table:
    """Without rows that name nothing."""
    nameless = ~table.ids.known
    if not nameless.any():
        return table
    problems.tell_all(
        table.row[nameless], plan.called("id"), "no id", "the row has no id, so it was not counted"
    )
    return table.take(~nameless)


def once(table: Table, plan: Survey, problems: Problems) -> Table:
    """The first row of each id."""
    _, firsts, inverse = np.unique(table.ids.codes, return_index=True, return_inverse=True)
    again = firsts[inverse] != np.arange(len(inverse))
    places = np.flatnonzero(again)

    def sentence(number: int) -> str:
        place = places[number]
        first = firsts[inverse[place]]
        same = table.print[place] == table.print[first]
        name = table.ids.names[int(table.ids.codes[place])]
        told = "the same row again" if same else f"{name} again, with other values"
        return f"{told} (first in row {table.row[first]}); the first counts"

    problems.tell_each(table.row[places], plan.called("id"), "again", sentence)
    return table.take(~again)


def _tell_repeated(table: Table, problems: Problems) -> None:
    """Equal rows of a log say the same twice; they change no figure, but the reader should know."""
    if not (
        np.diff(np.sort(table.print)) == 0
    ).any():  # np.unique would build a hash table, ten times as large
        return
    order = np.argsort(table.print, kind="stable")
    same = np.flatnonzero(np.diff(table.print[order]) == 0)
    again = table.row[np.sort(order[same + 1])]
    problems.tell_all(again, "", "again", "the same row again; it counts once")


def _tell_open_with_resolution(hit: Bools, table: Table, plan: Survey, problems: Problems) -> None:
    problems.tell_all(
        table.row[hit],
        plan.called("state"),
        "open, yet resolved",
        "its state is open, but it has a time of resolution; the time counts",
    )


def _unknown(table: Table) -> Floats:
    return np.full(len(table.row), np.nan)
