"""The engine: every figure with its n, what was left out and why, and unknown where it is unknown."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from countersign.kpis.changes import ChangeHistory, Changes, change_figures
from countersign.kpis.engine import category_mix, measure, standardised, standardised_each
from countersign.kpis.figures import Figure, shown, shown_interval
from countersign.kpis.history import FIELDS, DraftUse, Histories, TicketHistory, as_columns
from countersign.kpis.rates import student
from countersign.kpis.settings import Measuring
from countersign.kpis.summary import summary_text

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOW = Measuring(until=START + timedelta(days=30), usd_per_hour=60.0)


def ticket(number: int = 0, **fields: object) -> TicketHistory:
    return TicketHistory(id=f"INC{number}", opened=START, **fields)  # type: ignore[arg-type]


def figures(rows: list[TicketHistory], *, recorded: frozenset[str] = FIELDS) -> dict[str, Figure]:
    return {figure.key: figure for figure in measure(as_columns(rows, recorded=recorded), HOW)}


def many(count: int, **fields: object) -> list[TicketHistory]:
    return [ticket(number, **fields) for number in range(count)]


def test_nothing_is_shown_as_zero_that_is_unknown() -> None:
    """No ticket at all: every figure is unknown and says why."""
    for figure in figures([]).values():
        assert figure.value is None
        assert figure.unknown


def test_what_is_not_recorded_is_unknown_even_with_tickets() -> None:
    """An export without a column for it says nothing about it."""
    found = figures(
        many(10, resolved=(START + timedelta(hours=1),)), recorded=frozenset({"opened", "resolved"})
    )
    assert found["time_to_resolve.median"].value == 1
    assert found["reopen_rate"].value is None
    assert found["reopen_rate"].unknown == "not recorded: reopenings"
    assert found["time_to_acknowledge.median"].unknown.startswith("not recorded")


def test_every_figure_has_its_definition_and_key_once() -> None:
    """Keys are unique, and definitions are sentences."""
    found = measure(as_columns(many(3)), HOW, mix={"a": 1.0})
    assert len({figure.key for figure in found}) == len(found)
    assert all(figure.definition.endswith(".") for figure in found)


def test_reopened_tickets_are_counted_among_the_finished() -> None:
    """An open ticket can't have been reopened; it is left out and told."""
    done = {"finished": True, "resolved": (START + timedelta(hours=1),)}
    figure = figures([*many(3, reopens=0, **done), ticket(9, reopens=2, **done), ticket(10)])["reopen_rate"]
    assert (figure.value, figure.n) == (0.25, 4)
    assert [(left.reason, left.count) for left in figure.excluded] == [("it has not been finished yet", 1)]


def test_deflection_is_net_of_wrong_closes() -> None:
    """40 of 100 closed, 10 judged, 1 wrong: 36 %."""
    closed = [ticket(n, closed_by_policy=True, wrong=(n == 0) if n < 10 else None) for n in range(40)]
    found = figures([*closed, *(ticket(n, closed_by_policy=False) for n in range(40, 100))])
    deflection = found["deflection_rate"]
    assert deflection.value == pytest.approx(0.36)
    assert deflection.low is not None
    assert deflection.high is not None
    assert deflection.low < 0.36 < deflection.high < found["close_rate"].high  # type: ignore[operator]
    assert (found["wrong_close_rate"].value, found["wrong_close_rate"].n) == (0.1, 10)


def test_deflection_is_unknown_while_no_close_was_judged() -> None:
    """Closing without looking is no proof that it was right."""
    found = figures([ticket(1, closed_by_policy=True), ticket(2, closed_by_policy=False)])
    assert found["close_rate"].value == 0.5
    assert found["deflection_rate"].value is None
    assert found["deflection_rate"].unknown == "no close by the policy has been judged"


def test_a_judged_close_stands_for_those_it_was_drawn_from() -> None:
    """One wrong close drawn with certainty and one right one of ten: 1 of 11 is wrong."""
    rows = [
        ticket(1, closed_by_policy=True, wrong=True),
        ticket(2, closed_by_policy=True, wrong=False, weight=10.0),
    ]
    assert figures(rows)["wrong_close_rate"].value == pytest.approx(1 / 11)


def test_noise_and_repeats_are_shares_of_alerts() -> None:
    """Ten alerts of which eight meant nothing; two tickets, so eight repeats."""
    found = figures([ticket(1, alerts=8, needed_work=False), ticket(2, alerts=2, needed_work=True)])
    assert found["noise_ratio"].value == pytest.approx(0.8)
    assert found["duplicate_ratio"].value == pytest.approx(0.8)


def test_cost_is_peoples_minutes_and_the_models_price() -> None:
    """30 minutes at 60 dollars an hour plus one dollar."""
    found = figures(many(5, minutes=30.0, model_usd=1.0))
    assert found["cost_per_ticket"].value == pytest.approx(31)
    assert found["minutes_per_ticket"].value == pytest.approx(30)


def test_cost_is_unknown_without_an_hourly_cost() -> None:
    """The model's price alone is not what a ticket costs."""
    found = {f.key: f for f in measure(as_columns(many(5, minutes=30.0)), replace(HOW, usd_per_hour=None))}
    assert found["cost_per_ticket"].unknown == "not told: what an hour of people's time costs"


def test_minutes_are_those_of_tickets_on_which_time_was_logged() -> None:
    """The others are left out and told: nobody knows that nobody worked on them."""
    found = figures(
        [ticket(1, minutes=10.0, model_usd=0.5), ticket(2, minutes=20.0, model_usd=0.5), ticket(3)]
    )
    minutes, cost = found["minutes_per_ticket"], found["cost_per_ticket"]
    assert (minutes.value, minutes.n) == (15.0, 2)
    assert (cost.value, cost.n) == (15.5, 2)
    assert [(left.reason, left.count) for left in minutes.excluded] == [("people's minutes are not known", 1)]


def test_a_ticket_that_was_not_followed_for_any_time_says_nothing_about_how_long_it_takes() -> None:
    """Opened at the log's last moment: its mean is unknown, not zero, and of a mix it stands for nothing."""
    last = TicketHistory(id="INC1", opened=HOW.until, category="disk")
    found = {figure.key: figure for figure in measure(as_columns([last]), HOW, mix={"disk": 1.0})}
    for key in ("time_to_acknowledge.mean", "time_to_resolve.mean", "time_to_resolve_business.mean"):
        assert (found[key].value, found[key].unknown) == (None, "no ticket was followed for any time")
    assert standardised(as_columns([last]), HOW, {"disk": 1.0}).value is None


def test_drafts_are_shares_of_the_drafts_written() -> None:
    """A ticket without a draft does not count."""
    uses = [DraftUse.AS_IS, DraftUse.AS_IS, DraftUse.EDITED, DraftUse.REJECTED, None]
    found = figures([ticket(number, draft=use) for number, use in enumerate(uses)])
    assert found["drafts.as_is"].value == 0.5
    assert found["drafts.unseen"].value == 0
    assert found["drafts.unseen"].n == 4


def test_first_touch_means_no_move_and_no_reopening() -> None:
    """One of three finished tickets stayed where it was and stayed closed."""
    rows = [ticket(n, finished=True, moves=n % 2, reopens=n // 2) for n in range(3)]
    assert figures(rows)["first_touch_rate"].value == pytest.approx(1 / 3)


def test_a_change_counts_once_however_many_tickets_it_caused() -> None:
    """Two rows of one change, as a join makes them, are one failed change of two."""
    changes = (
        ChangeHistory(id="CHG1", incidents=("INC1",)),
        ChangeHistory(id="CHG1", incidents=("INC2",)),
        ChangeHistory(id="CHG2", failed=False),
        ChangeHistory(id="CHG3"),
    )
    fail, rework = change_figures(Changes(histories=changes))
    assert (fail.value, fail.n) == (0.5, 2)
    assert [left.count for left in fail.excluded] == [1]
    assert rework.value is None


@pytest.mark.parametrize("turned", [1, -1])
def test_what_is_told_of_a_change_holds_whichever_row_comes_first(turned: int) -> None:
    """A row that knows more than another adds to it: a repair stays one, and "no repair" is no "unknown"."""
    changes = (
        ChangeHistory(id="CHG1"),
        ChangeHistory(id="CHG1", failed=False, repairs=""),
        ChangeHistory(id="CHG2", failed=False, repairs=""),
        ChangeHistory(id="CHG2", failed=True, repairs="INC1"),
    )
    fail, rework = change_figures(Changes(histories=changes[::turned]))
    assert [(one.value, one.n, one.excluded) for one in (fail, rework)] == [(0.5, 2, ())] * 2


def test_tickets_of_one_cluster_widen_the_interval() -> None:
    """A storm of equal tickets is one piece of evidence."""
    alone = [ticket(n, finished=True, reopens=int(n % 10 == 0)) for n in range(200)]
    together = [replace(row, cluster=str(number % 10)) for number, row in enumerate(alone)]
    spread = [f.high - f.low for f in (figures(rows)["reopen_rate"] for rows in (alone, together))]  # type: ignore[operator]
    assert spread[1] > 2 * spread[0]


def test_what_goes_wrong_in_one_way_widens_the_interval() -> None:
    """Of 200 closes 20 are wrong: in 20 ways, or in one."""
    ways = [
        [
            ticket(n, cluster=str(n // size), closed_by_policy=True, wrong=n % (200 // size) < 20 // size)
            if size == 1
            else ticket(n, cluster=str(n // size), closed_by_policy=True, wrong=n // size == 3)
            for n in range(200)
        ]
        for size in (1, 20)
    ]
    alone, together = (figures(rows)["wrong_close_rate"] for rows in ways)
    assert alone.value == together.value == pytest.approx(0.1)
    assert together.high > 1.5 * alone.high  # type: ignore[operator]


def test_medians_of_clusters_that_end_alike_hold_the_truth() -> None:
    """Tickets of one trouble take alike: the interval knows that 300 of them in 15 clusters are few."""
    draw = np.random.default_rng(6)
    hits = 0
    for _ in range(60):
        luck = np.repeat(draw.normal(0, 1, 15), 20) + draw.normal(0, 0.5, 300)
        rows = [
            ticket(n, cluster=str(n // 20), resolved=(START + timedelta(hours=float(hours)),), finished=True)
            for n, hours in enumerate(np.exp(luck))
        ]
        figure = figures(rows)["time_to_resolve.median"]
        hits += figure.low <= 1 <= figure.high  # type: ignore[operator]
    assert hits >= 53


def test_a_mean_of_two_is_less_sure_than_a_normal_one() -> None:
    """Two values know little of their spread: Student's t, not the normal distribution."""
    figure = figures([ticket(1, minutes=10.0), ticket(2, minutes=12.0)])["minutes_per_ticket"]
    assert figure.value == 11
    assert figure.high == pytest.approx(11 + student(1))
    assert student(1) > 10


def mixed(easy: int, hard: int) -> Histories:
    return as_columns(
        [ticket(n, category="easy", resolved=(START + timedelta(hours=1),)) for n in range(easy)]
        + [ticket(n, category="hard", resolved=(START + timedelta(hours=11),)) for n in range(hard)]
    )


def test_at_the_reference_mix_closing_easy_tickets_changes_nothing() -> None:
    """Half of the easy tickets are gone: the plain mean rises, the standardised one does not."""
    before, after = mixed(80, 20), mixed(40, 20)
    mix = category_mix(before)
    assert mix == {"easy": 80, "hard": 20}
    assert standardised(before, HOW, mix).value == pytest.approx(3)
    assert standardised(after, HOW, mix).value == pytest.approx(3)


def test_lots_counted_at_once_are_what_each_of_them_is() -> None:
    """A category of which few go on, one with very many tickets, one that is over, and tickets without any."""
    generator = random.Random(5)
    sizes = {"easy": 900, "hard": 2_400, "": 30}
    lots = []
    for number in range(3):
        rows = [
            ticket(category=name, resolved=(START + timedelta(hours=generator.lognormvariate(1, 2)),))
            for name, size in sizes.items()
            for _ in range(size * number)
        ]
        going_on = [ticket(category=name) for name in ("easy", "hard", "easy") * number]
        lots.append(as_columns([*rows, *going_on, *many(40, category="over", resolved=(START,))]))
    how = replace(HOW, until=START + timedelta(days=20))
    mix = {"easy": 0.5, "hard": 0.4, "over": 0.1}
    for one, alone in zip(standardised_each(lots, how, mix), lots, strict=True):
        assert one.n == int(alone.category.known.sum())
        assert [one.value, one.low, one.high] == pytest.approx(
            [getattr(standardised(alone, how, mix), name) for name in ("value", "low", "high")]
        )


def test_a_category_missing_from_the_mix_is_told() -> None:
    """What can't be standardised is said, not filled in."""
    figure = standardised(mixed(0, 20), HOW, {"easy": 0.8, "hard": 0.2})
    assert figure.value == pytest.approx(11)
    assert "80.0% of that mix has no ticket here" in figure.definition


def test_a_category_of_one_ticket_is_no_surer_than_the_others() -> None:
    """Its spread is taken to be theirs; where no category has two, nothing is known of it."""
    rows = [
        ticket(n, category="easy", resolved=(START + timedelta(hours=1 + n),), finished=True)
        for n in range(4)
    ]
    one = ticket(9, category="hard", resolved=(START + timedelta(hours=30),), finished=True)
    figure = standardised(as_columns([*rows, one]), HOW, {"easy": 0.5, "hard": 0.5})
    spread = student(3) * (0.25 * 5 / 3 / 4 + 0.25 * 5 / 3) ** 0.5
    assert [figure.value, figure.low, figure.high] == pytest.approx([16.25, 16.25 - spread, 16.25 + spread])
    alone = standardised(as_columns([rows[0], one]), HOW, {"easy": 0.5, "hard": 0.5})
    assert (alone.value, alone.low, alone.high) == (15.5, None, None)


def test_no_share_can_change_by_more_than_all_of_it() -> None:
    """Two tickets would show no change at all."""
    assert figures(many(2, finished=True, reopens=0))["reopen_rate"].detectable is None


def test_noise_without_a_finished_ticket_is_unknown_for_that_reason() -> None:
    """There are alerts; whether anybody had to do something is not known yet."""
    found = figures(many(4, alerts=3))
    assert found["noise_ratio"].unknown == "no ticket has been finished"
    assert found["duplicate_ratio"].value == pytest.approx(2 / 3)


def test_business_hours_are_never_told_in_days() -> None:
    """50 of them are a week's work, not two days."""
    figure = figures(many(3, resolved=(START + timedelta(days=7),), finished=True))
    assert shown(figure["time_to_resolve_business.median"].value, "business h") == "50.0 h"
    assert figure["time_to_resolve_business.median"].unit == "business h"
    assert "the first 720 business hours" in figure["time_to_resolve_business.mean"].definition


def test_a_definition_that_differs_is_told_of_each_use_case() -> None:
    """What an hour costs, and how far a mean looks, are not the same everywhere."""
    rows = as_columns(many(3, minutes=10.0, model_usd=0.0))
    cheap, dear = (measure(rows, replace(HOW, usd_per_hour=usd)) for usd in (30.0, 90.0))
    text = summary_text({"a": cheap, "b": dear}, until=HOW.until)
    lines = text.partition("## Definitions")[2].splitlines()
    costs = [line for line in lines if line.startswith("- Cost per ticket")]
    assert [line.split(":")[0] for line in costs] == ["- Cost per ticket (a)", "- Cost per ticket (b)"]
    assert ["$30.00" in costs[0], "$90.00" in costs[1]] == [True, True]
    assert sum(line.startswith("- Reopened:") for line in lines) == 1


def test_a_bigger_period_sees_smaller_changes() -> None:
    """The smallest change to be seen falls with the root of n."""
    found = [
        figures(many(count, finished=True, reopens=0))["reopen_rate"].detectable for count in (100, 10_000)
    ]
    assert found[0] is not None
    assert found[1] is not None
    assert found[1] < found[0] / 5


def test_an_interval_that_does_not_reach_is_one_sided() -> None:
    """Too few resolved for an upper limit: "at least"."""
    figure = Figure(key="k", title="t", definition="d.", unit="h", value=3.0, low=2.0)
    assert shown_interval(figure) == "at least 2.0 h"


def test_an_interval_is_told_in_the_unit_of_its_value() -> None:
    """47 h (45 to 50) does not end in days."""
    figure = Figure(key="k", title="t", definition="d.", unit="h", value=47.0, low=45.0, high=50.0)
    assert shown_interval(figure) == "45.0 h to 50.0 h"


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (None, "h", "unknown"),
        (0.123, "share", "12.3 %"),
        (0.5, "h", "30 min"),
        (72, "h", "3.0 d"),
        (12 / 3600, "h", "12 s"),
        (0, "h", "0 min"),
        (0.4, "usd", "$0.40"),
        (0.0004, "usd", "under $0.01"),
        (0.001, "count", "under 0.01"),
    ],
)
def test_values_are_shown_in_words(value: float | None, unit: str, words: str) -> None:
    """Hours become minutes or days where those read better."""
    assert shown(value, unit) == words  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [3, 7, 12, 400])
def test_none_and_all_end_where_shares_end(count: int) -> None:
    """At 0 and at 100 % sharp, whatever is lost in rounding: "under 0.1 %" would be something else."""
    none, every = (figures(many(count, finished=True, reopens=number))["reopen_rate"] for number in (0, 1))
    assert (none.low, every.high) == (0.0, 1.0)
    assert shown_interval(none).startswith("0.0 % to ")
    assert shown_interval(every).endswith(" to 100.0 %")


def test_the_share_of_a_simulated_population_lies_in_its_interval() -> None:
    """95 % intervals hold the truth in about 95 of 100 periods, also near 0."""
    generator = random.Random(1)
    hits = 0
    for _ in range(400):
        rows = [ticket(n, finished=True, reopens=int(generator.random() < 0.02)) for n in range(150)]
        figure = figures(rows)["reopen_rate"]
        hits += figure.low <= 0.02 <= figure.high  # type: ignore[operator]
    assert 0.92 <= hits / 400 <= 0.99
