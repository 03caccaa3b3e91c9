"""Segments: packed tickets are the tickets, however often and in whatever order they were told; many are rounded."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from countersign.effects import effects
from countersign.kpis.engine import measure
from countersign.kpis.history import FIELDS, DraftUse, TicketHistory, as_columns
from countersign.kpis.segments import pack, patch, together
from countersign.kpis.settings import Measuring
from countersign.kpis.survival import curve_of, quantile, restricted_mean
from countersign.lanes import Lane

OPENED = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOW = Measuring(until=OPENED + timedelta(days=20), usd_per_hour=90.0)
moments = st.integers(0, 10**12).map(lambda micros: OPENED + timedelta(microseconds=micros))
words = st.sampled_from(("", "disk", "net", "Grüße"))


def histories(number: int) -> st.SearchStrategy[TicketHistory]:
    return st.builds(
        TicketHistory,
        id=st.just(f"c{number:03}"),
        opened=st.just(OPENED + timedelta(minutes=7 * number)),
        began=st.none() | moments,
        acknowledged=st.none() | moments,
        resolved=st.lists(moments, max_size=2).map(lambda times: tuple(sorted(times))),
        reopened=st.lists(moments, max_size=1).map(tuple),
        finished=st.booleans(),
        category=words,
        cluster=words,
        lane=st.sampled_from(Lane),
        moves=st.none() | st.integers(0, 5),
        alerts=st.none() | st.integers(1, 9),
        needed_work=st.none() | st.booleans(),
        closed_by_policy=st.none() | st.booleans(),
        wrong=st.none() | st.booleans(),
        draft=st.none() | st.sampled_from(DraftUse),
        control_share=st.none() | st.sampled_from((0.1, 0.5)),
        minutes=st.none() | st.floats(0, 500),
        model_usd=st.none() | st.sampled_from((0.0, 0.0003)),
    )


many = st.integers(1, 40).flatmap(lambda count: st.tuples(*(histories(number) for number in range(count))))


@settings(max_examples=25, deadline=None, phases=(Phase.generate,))
@given(rows=many, cut=st.integers(1, 39))
def test_figures_of_packed_tickets_are_those_of_the_rows(rows: tuple[TicketHistory, ...], cut: int) -> None:
    """Counts, times, intervals and effects, from one segment or two; the words may have other numbers."""
    packed = together([part.body for part in (pack(rows[:cut]), pack(rows[cut:]))], recorded=FIELDS)
    plain = as_columns(rows)
    for one, other in zip(
        (*measure(packed, HOW), *effects(packed, HOW)),
        (*measure(plain, HOW), *effects(plain, HOW)),
        strict=True,
    ):
        assert (one.key, one.n, one.censored, one.excluded) == (
            other.key,
            other.n,
            other.censored,
            other.excluded,
        )
        ends = [
            [math.nan if end is None else end for end in (figure.value, figure.low, figure.high)]
            for figure in (one, other)
        ]
        assert ends[0] == pytest.approx(ends[1], rel=1e-9, nan_ok=True)


@settings(max_examples=25, deadline=None, phases=(Phase.generate,))
@given(rows=many, later=many, seed=st.integers(0, 99))
def test_the_same_tickets_give_the_same_bytes(
    rows: tuple[TicketHistory, ...], later: tuple[TicketHistory, ...], seed: int
) -> None:
    """Told at once, or first as they were and then, in any order, as they are."""
    order = np.random.default_rng(seed).permutation(len(later))
    now = {row.id: row for row in (*rows, *later)}
    patched = patch(pack(rows), [later[place] for place in order])
    assert patched == pack(now.values())


def test_of_many_durations_the_rounded_are_as_good() -> None:
    """Quantiles and means move by a thousandth at most, and how many were at risk not at all."""
    generator = np.random.default_rng(3)
    hours, observed = generator.lognormal(1, 2, 50_000), generator.random(50_000) < 0.9
    exact, rounded = (curve_of(hours, observed, many=limit) for limit in (10**9, 1))
    assert (exact.n, exact.censored, exact.events.sum()) == (
        rounded.n,
        rounded.censored,
        rounded.events.sum(),
    )
    for share in (0.1, 0.5, 0.9):
        assert quantile(rounded, share) == pytest.approx(quantile(exact, share), rel=1e-3)
    assert restricted_mean(rounded, 100.0) == pytest.approx(restricted_mean(exact, 100.0), rel=1e-4)
    assert len(rounded.times) < len(exact.times) / 4


def test_what_happened_stays_with_its_ticket_in_days_of_one_ticket_each() -> None:
    """Each is the first of its day; together they are not one."""
    days = [
        TicketHistory(
            id=str(day),
            opened=OPENED + timedelta(days=day),
            resolved=(OPENED + timedelta(days=day, hours=1),),
            category="disk",
        )
        for day in range(2)
    ]
    tickets = together([pack([one]).body for one in days], recorded=FIELDS)
    assert tickets.events.ticket.tolist() == [0, 1]
    assert [tickets.category.names[code] for code in tickets.category.codes] == ["disk", "disk"]
