"""The effect against the control lane: what the ratio says, and that its interval keeps its promise."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy.stats import t

from countersign.effects import Sample, effects, geometric_ratio, mean_ratio
from countersign.kpis.figures import Figure
from countersign.kpis.history import TicketHistory, as_columns
from countersign.kpis.settings import Measuring
from countersign.lanes import Lane

HORIZON = 72.0
HOURS = np.array([4.0, 12.0, 40.0])
SHARES = (0.5, 0.3, 0.2)
# 80 % power at a two-sided 5 % test, in errors of a difference.
DETECTABLE = 2.8015852
nightly = pytest.mark.skipif(
    not os.environ.get("COUNTERSIGN_NIGHTLY"), reason="takes a minute: set COUNTERSIGN_NIGHTLY=1"
)


def drawn(
    generator: np.random.Generator, *, clusters: int = 150, ratio: float = 0.7, share: float = 0.5
) -> Sample:
    """Tickets in clusters that share their luck and their category; some are still open when the period ends."""
    cluster = np.repeat(np.arange(clusters), generator.geometric(0.6, clusters))
    luck = np.exp(generator.normal(0, 0.5, clusters))[cluster]
    stratum = generator.choice(3, clusters, p=SHARES)[cluster]
    treated = generator.random(len(cluster)) < share
    times = generator.exponential(HOURS[stratum] * luck) * np.where(treated, ratio, 1.0)
    ends = generator.uniform(20, 200, len(cluster))
    return Sample(
        hours=np.minimum(times, ends),
        observed=times <= ends,
        treated=treated,
        stratum=stratum,
        cluster=cluster,
    )


def truth(ratio: float) -> tuple[float, float]:
    """Both ratios in a population of four million."""
    generator = np.random.default_rng(1)
    count = 4_000_000
    times = generator.exponential(1, count) * np.exp(generator.normal(0, 0.5, count))
    control = times * HOURS[generator.choice(3, count, p=SHARES)]
    lanes = [np.minimum(control * factor, HORIZON) for factor in (ratio, 1.0)]
    logs = [np.log(np.maximum(hours, 1 / 60)).mean() for hours in lanes]
    return float(lanes[0].mean() / lanes[1].mean()), float(np.exp(logs[0] - logs[1]))


# Lanes of equal size, and a control lane of a tenth, as policies have it; about 250 and 670 tickets.
LANES = pytest.mark.parametrize(("clusters", "share"), [(150, 0.5), (400, 0.9)])


def covered(rounds: int, clusters: int, share: float) -> tuple[float, float]:
    """In how many of the rounds the interval of each ratio holds the truth."""
    generator = np.random.default_rng(2)
    true = truth(0.7)
    hits = np.zeros(2)
    for _ in range(rounds):
        sample = drawn(generator, clusters=clusters, share=share)
        found = (mean_ratio(sample, HORIZON), geometric_ratio(sample, HORIZON))
        hits += [holds(figure, value) for figure, value in zip(found, true, strict=True)]
    return float(hits[0] / rounds), float(hits[1] / rounds)


def holds(figure: Figure, value: float) -> bool:
    assert figure.low is not None
    assert figure.high is not None
    return figure.low <= value <= figure.high


@LANES
def test_intervals_hold_the_truth_about_as_often_as_they_say(clusters: int, share: float) -> None:
    """The short form: 300 rounds, so that chance alone moves the share by 2.5 points."""
    for held in covered(300, clusters, share):
        assert 0.915 <= held <= 0.985


@nightly
@pytest.mark.timeout(1800)
@LANES
def test_intervals_hold_the_truth_in_95_of_100_periods(clusters: int, share: float) -> None:
    """The long form: 95 ± 1.5 % over 6,000 rounds, in which chance moves the share by 0.6 points."""
    for held in covered(6000, clusters, share):
        assert abs(held - 0.95) <= 0.015


def test_a_small_control_lane_counts_as_small() -> None:
    """A thousand treated tickets don't make up for twelve controls: Student's t is that of a dozen."""
    generator = np.random.default_rng(4)
    quantiles = []
    for controls in (12, 1000):
        treated = np.arange(controls + 1000) >= controls
        hours = generator.lognormal(2, 0.5, len(treated))
        zeros = np.zeros(len(hours), int)
        sample = Sample(
            hours=hours, observed=zeros == 0, treated=treated, stratum=zeros, cluster=np.arange(len(hours))
        )
        found = geometric_ratio(sample, 1000)
        assert found.value is not None
        assert found.low is not None
        assert found.high is not None
        assert found.detectable is not None
        error = found.detectable / found.value / DETECTABLE
        quantiles.append(float(np.log(found.high / found.low)) / 2 / error)
    assert quantiles == pytest.approx([t.ppf(0.975, 11), t.ppf(0.975, 1998)], abs=0.01)


def test_no_effect_is_a_ratio_of_one() -> None:
    """Both lanes alike: 1 lies in the interval, and the interval is narrow."""
    sample = drawn(np.random.default_rng(5), clusters=4000, ratio=1.0)
    for figure in (mean_ratio(sample, HORIZON), geometric_ratio(sample, HORIZON)):
        assert holds(figure, 1.0)
        assert figure.value == pytest.approx(1, abs=0.08)


def test_a_large_sample_finds_the_true_ratio() -> None:
    """With many tickets the estimate settles on the truth."""
    sample = drawn(np.random.default_rng(6), clusters=20_000)
    found = (mean_ratio(sample, HORIZON), geometric_ratio(sample, HORIZON))
    assert [figure.value for figure in found] == pytest.approx(truth(0.7), rel=0.03)


def test_an_uneven_mix_of_categories_is_no_effect() -> None:
    """Treated got the easy tickets by chance: within each category nothing differs, and that is what counts."""
    generator = np.random.default_rng(7)
    stratum = np.repeat([0, 1], 1000)
    treated = generator.random(2000) < np.where(stratum == 0, 0.8, 0.2)
    hours = generator.exponential(np.where(stratum == 0, 1.0, 20.0))
    sample = Sample(
        hours=hours, observed=np.ones(2000, bool), treated=treated, stratum=stratum, cluster=np.arange(2000)
    )
    assert hours[treated].mean() / hours[~treated].mean() < 0.6
    assert holds(mean_ratio(sample, HORIZON), 1.0)
    assert not holds(mean_ratio(replace(sample, stratum=np.zeros(2000, int)), HORIZON), 1.0)


def test_copies_of_a_ticket_add_no_certainty() -> None:
    """The same storms written ten times over have the same interval."""
    one = drawn(np.random.default_rng(8), clusters=300)
    ten = Sample(
        hours=np.tile(one.hours, 10), observed=np.tile(one.observed, 10), treated=np.tile(one.treated, 10),
        stratum=np.tile(one.stratum, 10), cluster=np.tile(one.cluster, 10),
    )  # fmt: skip
    widths = [figure.high - figure.low for figure in (mean_ratio(sample, HORIZON) for sample in (one, ten))]  # type: ignore[operator]
    assert widths[1] == pytest.approx(widths[0], rel=0.1)


def tickets(count: int, lane: Lane | None, hours: float) -> list[TicketHistory]:
    opened = datetime(2026, 3, 2, tzinfo=UTC)
    ends = [opened + timedelta(hours=hours + number / 10) for number in range(count)]
    return [
        TicketHistory(id=f"{lane}{number}", opened=opened, lane=lane, category="disk", resolved=(end,))
        for number, end in enumerate(ends)
    ]


def test_tickets_of_no_lane_are_left_out_and_told() -> None:
    """Only what was drawn for a lane can be compared."""
    rows = [*tickets(40, Lane.TREATED, 1), *tickets(40, Lane.CONTROL, 4), *tickets(7, None, 100)]
    means, _ = effects(as_columns(rows), Measuring(until=datetime(2026, 5, 1, tzinfo=UTC)))
    assert means.n == 80
    assert [(left.reason, left.count) for left in means.excluded] == [("it was drawn for no lane", 7)]
    assert means.value == pytest.approx(2.95 / 5.95, rel=1e-3)


def hard_and_easy(*, share_of_hard: float | None, share_of_easy: float | None) -> list[TicketHistory]:
    """No treatment does anything; half of the tickets are hard, and go into the control lane more often."""
    generator = np.random.default_rng(9)
    opened = datetime(2026, 3, 2, tzinfo=UTC)
    rows = []
    for number in range(3000):
        hard = number % 2 == 0
        control = generator.random() < (0.5 if hard else 0.1)
        rows.append(
            TicketHistory(
                id=f"t{number}", opened=opened, category="disk",
                lane=Lane.CONTROL if control else Lane.TREATED,
                control_share=share_of_hard if hard else share_of_easy,
                resolved=(opened + timedelta(hours=generator.exponential(40.0 if hard else 2.0)),),
            )
        )  # fmt: skip
    return rows


def test_a_raised_control_lane_is_no_effect() -> None:
    """What is near its threshold is drawn more often: it is compared with what was drawn alike."""
    how = Measuring(until=datetime(2026, 6, 1, tzinfo=UTC))
    fair = effects(as_columns(hard_and_easy(share_of_hard=0.5, share_of_easy=0.1)), how)
    blind = effects(as_columns(hard_and_easy(share_of_hard=None, share_of_easy=None)), how)
    for figure in fair:
        assert holds(figure, 1.0)
        assert figure.value == pytest.approx(1, abs=0.15)
    for figure in blind:
        assert not holds(figure, 1.0)
    assert blind[0].value == pytest.approx(0.5, abs=0.1)


def test_what_could_not_get_into_both_lanes_is_left_out_and_told() -> None:
    """Without a control lane for the easy ones nothing can be said about them; nor about three drawn otherwise."""
    rows = hard_and_easy(share_of_hard=0.5, share_of_easy=0.0)
    rows = [
        replace(row, control_share=0.3) if number in (0, 2, 4) else row for number, row in enumerate(rows)
    ]
    means, _ = effects(as_columns(rows), Measuring(until=datetime(2026, 6, 1, tzinfo=UTC)))
    assert {left.reason: left.count for left in means.excluded} == {
        "it could only get into one lane": 1500,
        "too few tickets had its probability of the control lane": 3,
    }
    assert means.n == 1497


def test_without_a_control_lane_the_effect_is_unknown() -> None:
    """Nothing to compare with is not the same as no effect."""
    means, typical = effects(
        as_columns(tickets(40, Lane.TREATED, 1)), Measuring(until=datetime(2026, 5, 1, tzinfo=UTC))
    )
    assert (means.value, typical.value) == (None, None)
    assert means.unknown == "the control lane has fewer than 5 independent tickets"


def test_nothing_at_all_is_unknown_too() -> None:
    """An empty period does not break the report."""
    means, _ = effects(as_columns([]), Measuring(until=datetime(2026, 5, 1, tzinfo=UTC)))
    assert means.unknown
