"""Composition: a report of two periods, compared at one mix of categories, each figure with what a reader needs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from countersign.composition import Period, compose, promised
from countersign.ended_changes import EndedChange
from countersign.kpis.figures import shown
from countersign.kpis.history import TicketHistory, as_columns
from countersign.kpis.weeks import weeks_of
from countersign.policy import load_policy
from countersign.report_page import render
from countersign.reports import Report, as_json
from countersign.results import ModelUse, Results
from tests.unit.builders import POLICIES, shipped

UNTIL = datetime(2026, 5, 4, tzinfo=UTC)
PERIOD = Period(since=UNTIL - timedelta(days=28), until=UNTIL)


def resolved(category: str, hours: float, count: int, since: datetime) -> list[TicketHistory]:
    """Tickets of one category, opened one an hour, each of which took so long."""
    opened = [since + timedelta(hours=number) for number in range(count)]
    return [
        TicketHistory(
            id=f"{category} {at}", opened=at, category=category, resolved=(at + timedelta(hours=hours),)
        )
        for at in opened
    ]


@pytest.fixture(scope="module")
def report() -> Report:
    """The policy has begun to close the easy half itself: of the easy tickets, people see half as many as before."""
    before, now = PERIOD.before.since, PERIOD.since
    rows = [
        *resolved("easy", 1, 80, before), *resolved("hard", 11, 20, before),
        *resolved("easy", 1, 40, now), *resolved("hard", 11, 20, now),
    ]  # fmt: skip
    tickets = as_columns(rows)
    none = weeks_of(as_columns([]), end=UNTIL.timestamp())
    return compose(shipped(), tickets, none, Results(), PERIOD)


def test_closing_easy_tickets_makes_the_rest_no_slower(report: Report) -> None:
    """The plain mean rises; at one mix of categories both periods are alike."""
    means, standardised = (
        [
            {one.key: one.value for one in figures}[f"time_to_resolve.{key}"]
            for figures in (report.previous, report.figures)
        ]
        for key in ("mean", "standardised")
    )
    assert means == pytest.approx([3, 4 + 1 / 3])
    assert standardised == pytest.approx([3.5, 3.5])


def test_every_figure_says_which_change_it_could_show(report: Report) -> None:
    """On the page and in the data, beside n, the interval and what the figure means."""
    page, data = render(report), json.loads(as_json(report))
    told = {one["key"]: one for one in data["figures"]}
    for figure in report.figures:
        assert told[figure.key]["detectable"] == figure.detectable
        assert (told[figure.key]["n"], told[figure.key]["definition"]) == (figure.n, figure.definition)
    mean = next(one for one in report.figures if one.key == "time_to_resolve.mean")
    assert mean.detectable is not None
    said = f"Smallest change to be seen: {shown(mean.detectable, mean.unit)}."
    assert said in page.replace("\N{NO-BREAK SPACE}", " ")


def test_changes_count_in_the_period_in_which_they_ended() -> None:
    """One of two failed before, none of one now; what ended on the border belongs to what begins there."""
    at = (
        (PERIOD.before.since, True),
        (PERIOD.since - timedelta(seconds=1), False),
        (PERIOD.since, False),
        (UNTIL, True),
    )
    ended = [EndedChange(id=str(when), at=when, failed=bad, cancelled=False) for when, bad in at]
    nothing = as_columns([])
    made = compose(
        shipped(), nothing, weeks_of(nothing, end=UNTIL.timestamp()), Results(), PERIOD, ended=ended
    )
    shares = [
        {one.key: (one.value, one.n) for one in figures}["change_fail_rate"]
        for figures in (made.previous, made.figures)
    ]
    assert shares == [(0.5, 2), (0, 1)]


def test_a_model_without_a_price_does_not_cost_nothing() -> None:
    """Its tokens are told, what they cost is unknown, and the cost of a ticket says that it is not in there."""
    models = (
        ModelUse(model="local", calls=3, micro_usd=0),
        ModelUse(model="openai/own", calls=3, micro_usd=0, tokens_in=900, tokens_out=90),
    )
    none = as_columns([])
    past = weeks_of(none, end=UNTIL.timestamp())
    made = compose(shipped(), none, past, Results(models=models), PERIOD)
    assert [line.usd for line in made.costs[:2]] == [0.0, None]
    assert made.notes[-1] == "What openai/own costs is not known, and is not in the cost of a ticket."


def test_labels_count_for_categories_whose_closes_are_promised() -> None:
    """Not for a plain limit, which promises nothing."""
    plain = (POLICIES / "alert-triage.yaml").read_text(encoding="utf-8")
    promises = plain.replace("{risk_below: 0.10}", "{wrong_closes_at_most: 0.02, sure: 0.95}")
    found = [promised(load_policy(text, name="policy.yaml")) for text in (plain, promises)]
    assert found == [frozenset(), {"informational", "flapping", "recovered"}]
