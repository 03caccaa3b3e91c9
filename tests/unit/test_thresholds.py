"""Certificates: how many labels a promise needs, what counts as one, and how δ is shared."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.labels import Label
from countersign.thresholds import (
    Certificate,
    Grid,
    NotCertified,
    Promise,
    binomial_cdf,
    certificate_words,
    certify,
    certify_categories,
    clopper_pearson,
    curves,
    labels_needed,
    spendable,
    weighted_share,
)
from tests.unit.hostile import FIXED_AT, KNOWN_AT, VERSIONS, label

ONE_POINT = Grid.fixed_sequence([0.1], fixed_at=FIXED_AT)
TWO_PERCENT = Promise(alpha=0.02, delta=0.05)


def good(n: int, *, risk: float = 0.01, category: str = "noise") -> list[Label]:
    """So many labels of separate cases, none of them wrong."""
    return [label(f"{category}-{risk}-{i}", risk=risk, category=category) for i in range(n)]


def certified(
    known: list[Label],
    *,
    promise: Promise = TWO_PERCENT,
    grid: Grid = ONE_POINT,
    tuning: int | None = None,
    floor: float | None = None,
) -> Certificate | NotCertified:
    return certify(
        known,
        category="noise",
        versions=VERSIONS,
        promise=promise,
        grid=grid,
        valid_from=KNOWN_AT,
        tuning=tuning,
        floor=floor,
    )


@pytest.mark.parametrize(("alpha", "needed"), [(0.05, 59), (0.02, 149), (0.01, 299)])
def test_so_many_labels_without_an_error_are_needed(alpha: float, needed: int) -> None:
    """At δ = 5 % it takes 59, 149 and 299; one fewer is not certified and says that one is missing."""
    promise = Promise(alpha=alpha, delta=0.05)
    assert labels_needed(alpha=alpha, delta=0.05) == needed
    assert isinstance(certified(good(needed), promise=promise), Certificate)
    short = certified(good(needed - 1), promise=promise)
    assert isinstance(short, NotCertified)
    assert short.needed == 1


def test_the_number_needed_is_the_number_that_certifies() -> None:
    """With errors among the labels, exactly as many as asked for make the certificate, and no fewer."""
    known = [*good(100), label("bad", wrong=True)]
    lacking = certified(known)
    assert isinstance(lacking, NotCertified)
    more = [label(f"more-{i}") for i in range(lacking.needed)]
    assert isinstance(certified([*known, *more[1:]]), NotCertified)
    assert isinstance(certified([*known, *more]), Certificate)


@given(st.integers(1, 60), st.integers(0, 60), st.integers(1, 99))
def test_the_binomial_is_exact(n: int, errors: int, percent: int) -> None:
    """The p-value agrees with the sum in whole numbers."""
    rate = Fraction(percent, 100)
    exact = sum(comb(n, k) * rate**k * (1 - rate) ** (n - k) for k in range(min(errors, n) + 1))
    assert binomial_cdf(errors, n, percent / 100) == pytest.approx(float(exact), rel=1e-9)


def test_an_interval_is_the_one_of_clopper_and_pearson() -> None:
    """The published interval for 10 of 100 is 4.9 % to 17.6 %; the ends are exact where nothing or all is hit."""
    assert clopper_pearson(10, 100) == pytest.approx((0.0490, 0.1762), abs=5e-5)
    assert clopper_pearson(0, 20)[0] == 0.0
    assert clopper_pearson(20, 20)[1] == 1.0


def test_a_share_of_nothing_is_unknown() -> None:
    """No label gives no value and the widest interval, never zero."""
    nothing = weighted_share([])
    assert (nothing.value, nothing.low, nothing.high) == (None, 0.0, 1.0)


def test_a_weighted_share_undoes_the_sampling() -> None:
    """A hit drawn at one in ten stands for ten, and the interval is wider than for equal draws."""
    weighted = weighted_share([(True, 0.1), *[(False, 1.0)] * 30])
    assert weighted.value == pytest.approx(10 / 40)
    equal = weighted_share([(True, 1.0), *[(False, 1.0)] * 3] * 8)
    assert weighted.high - weighted.low > equal.high - equal.low


def test_a_storm_counts_once() -> None:
    """A thousand labels of one cluster are one label."""
    storm = [label(f"s{i}", cluster="storm") for i in range(1000)]
    lacking = certified(storm)
    assert isinstance(lacking, NotCertified)
    assert (lacking.n, lacking.needed) == (1, 148)


def test_one_wrong_case_makes_its_storm_wrong_from_its_risk_upward() -> None:
    """A storm counts as wrong at the thresholds that close its wrong case, and as right below."""
    grid = Grid.fallback([0.05, 0.2], fixed_at=FIXED_AT)
    storm = [label("a", cluster="s", risk=0.01), label("b", cluster="s", risk=0.1, wrong=True)]
    result = certified([*good(200), *storm], grid=grid)
    assert isinstance(result, Certificate)
    assert (result.threshold, result.n, result.errors) == (0.05, 201, 0)


def test_cases_of_one_risk_stay_together() -> None:
    """A threshold that equals a risk takes all cases of that risk, the wrong ones too."""
    tied = [label(f"t{i}", risk=0.1, wrong=i < 30) for i in range(60)]
    lacking = certified([*good(150), *tied])
    assert isinstance(lacking, NotCertified)
    assert (lacking.n, lacking.errors) == (210, 30)


def test_labels_of_other_versions_categories_and_times_do_not_count() -> None:
    """A label must be of the category and versions, and known after the grid was fixed."""
    others = [
        *good(200, category="capacity"),
        *(replace(one, versions=replace(VERSIONS, prompt="triage/v2")) for one in good(200)),
        *(replace(one, known_at=FIXED_AT) for one in good(200)),
    ]
    lacking = certified(others)
    assert isinstance(lacking, NotCertified)
    assert lacking.n == 0


def test_a_second_target_counts_wrong_closes_per_ticket() -> None:
    """Wrong closes above the threshold don't count, and every ticket that came in does."""
    known = [*good(20), *(label(f"high-{i}", risk=0.9, wrong=True) for i in range(130))]
    assert isinstance(certified(known), NotCertified)
    result = certified(known, promise=replace(TWO_PERCENT, per="ticket"))
    assert isinstance(result, Certificate)
    assert (result.n, result.errors) == (150, 0)


def test_what_passes_hands_its_share_to_the_next_threshold() -> None:
    """The fallback procedure: an equal share alone would not do for the second threshold, both together do."""
    grid = Grid.fallback([0.05, 0.2], fixed_at=FIXED_AT)
    second_alone = [*good(170, risk=0.1)]
    lacking = certified(second_alone, grid=grid)
    assert isinstance(lacking, NotCertified)
    known = [*good(183), label("bad", risk=0.1, wrong=True), *good(60, risk=0.1)]
    result = certified(known, grid=grid)
    assert isinstance(result, Certificate)
    assert (result.threshold, result.delta_spent) == (0.2, 0.05)
    assert 0.025 < result.p_value <= 0.05


def test_a_fixed_sequence_stops_at_its_first_failure() -> None:
    """With all of δ on the safest threshold, nothing above a failure is certified, however good."""
    grid = Grid.fixed_sequence([0.05, 0.2], fixed_at=FIXED_AT)
    lacking = certified(good(1000, risk=0.1), grid=grid)
    assert isinstance(lacking, NotCertified)
    assert (lacking.threshold, lacking.needed) == (0.05, 149)
    assert isinstance(
        certified(good(1000, risk=0.1), grid=Grid.fallback([0.05, 0.2], fixed_at=FIXED_AT)), Certificate
    )


def test_holm_hands_on_what_a_category_no_longer_needs() -> None:
    """Half of δ is not enough for 160 labels; once the other category has passed, all of it is."""
    known = [*good(400, category="noise"), *good(160, category="recovered")]
    grids = dict.fromkeys(("noise", "recovered"), ONE_POINT)
    split = {
        how: certify_categories(
            known,
            grids=grids,
            versions=VERSIONS,
            promise=TWO_PERCENT,
            valid_from=KNOWN_AT,
            tuning=None,
            split=how,
        )
        for how in ("holm", "bonferroni")
    }
    assert isinstance(split["bonferroni"]["noise"], Certificate)
    assert isinstance(split["bonferroni"]["recovered"], NotCertified)
    recovered = split["holm"]["recovered"]
    assert isinstance(recovered, Certificate)
    assert recovered.delta_spent == pytest.approx(0.05)


def test_certifying_again_spends_less_each_time() -> None:
    """The k-th certification may spend δ/(k(k+1)), and all of them together no more than δ."""
    assert [spendable(0.06, tuning=k) for k in (1, 2, 3)] == pytest.approx([0.03, 0.01, 0.005])
    assert sum(spendable(0.05, tuning=k) for k in range(1, 10_000)) < 0.05
    assert isinstance(certified(good(160)), Certificate)
    assert isinstance(certified(good(160), tuning=1), NotCertified)
    with pytest.raises(ValueError, match="counted from 1"):
        spendable(0.05, tuning=0)


def test_unequal_probabilities_need_a_floor() -> None:
    """Labels of two probabilities, or below the floor, are refused rather than counted as if alike."""
    mixed = [*good(200), *(label(f"m{i}", probability=0.1) for i in range(50))]
    with pytest.raises(ValueError, match="`floor`"):
        certified(mixed)
    with pytest.raises(ValueError, match="lower the floor"):
        certified(mixed, floor=0.2)
    with pytest.raises(ValueError, match="draw once"):
        certified([label("a", cluster="c"), label("b", cluster="c", probability=0.1)])


def test_strata_are_thinned_to_the_floor_the_same_way_each_time() -> None:
    """Of labels drawn at one in two, about a fifth count beside those drawn at one in ten; twice the same."""
    mixed = [*good(1000), *(label(f"m{i}", probability=0.1) for i in range(50))]
    first, second = certified(mixed, floor=0.1), certified(list(reversed(mixed)), floor=0.1)
    assert first == second
    assert isinstance(first, Certificate)
    assert 210 < first.n < 290


def test_a_certificate_survives_json() -> None:
    """Written and read again it is equal; what is not one is refused."""
    result = certified(good(200), tuning=1)
    assert isinstance(result, Certificate)
    assert Certificate.from_json(result.to_json()) == result
    with pytest.raises(ValueError, match="Unexpected keyword"):
        Certificate.from_json(result.to_json().replace('"n"', '"more":1,"n"', 1))


def test_a_certificate_says_what_it_rests_on() -> None:
    """In words: the promise, the threshold, the labels; or how many are missing and what happens until then."""
    assert certificate_words(certified(good(200), tuning=1)) == (
        "noise: at most 2% of its closes are wrong, 95% sure, for risks up to 0.1: certified. 0 of 200 labels "
        "wrong, p = 0.018 where 0.025 was allowed (certification 1), valid from 2026-02-01."
    )
    assert certificate_words(certified(good(148))) == (
        "noise: at most 2% of its closes are wrong, 95% sure: not certified, 1 label more needed with a risk up "
        "to 0.1, all without an error (0 of 148 wrong so far). Its rule drafts instead of closing."
    )


def test_a_grid_over_risks_begins_where_there_are_enough() -> None:
    """Its first threshold covers the asked share of the risks, its last all of them; ties give fewer points."""
    grid = Grid.over([i / 1000 for i in range(1, 1001)], points=4, from_share=0.25, fixed_at=FIXED_AT)
    assert grid.thresholds == (0.25, 0.5, 0.75, 1.0)
    assert grid.shares == (1.0, 0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match=r"use Grid\.fallback while there are none"):
        Grid.over([], points=4, from_share=0.25, fixed_at=FIXED_AT)
    tied = Grid.over([0.2] * 50 + [0.4] * 50, points=9, from_share=0.1, fixed_at=FIXED_AT)
    assert tied.thresholds == (0.2, 0.4)


@pytest.mark.parametrize("thresholds", [(), (0.2, 0.1), (0.1, 0.1), (0.5, 1.5)])
def test_a_grid_out_of_order_is_refused(thresholds: tuple[float, ...]) -> None:
    """Thresholds rise, between 0 and 1."""
    with pytest.raises(ValueError, match="thresholds between 0 and 1 that rise"):
        Grid.fallback(thresholds, fixed_at=FIXED_AT)


@pytest.mark.parametrize("shares", [(0.5,), (0.6, 0.6), (-0.1, 0.5), (0.0, 0.0)])
def test_a_grid_may_not_spend_more_than_it_has(shares: tuple[float, ...]) -> None:
    """One share for each threshold, none negative, together at most 1."""
    with pytest.raises(ValueError, match="one share"):
        Grid(thresholds=(0.1, 0.2), shares=shares, fixed_at=FIXED_AT)


@pytest.mark.parametrize("risk", [float("nan"), -0.1, 1.1])
def test_an_impossible_risk_is_refused(risk: float) -> None:
    """A label's risk is a number from 0 to 1."""
    with pytest.raises(ValueError, match="risk"):
        label("a", risk=risk)


@pytest.mark.parametrize("probability", [0.0, 1.5, float("nan")])
def test_a_label_that_could_not_be_drawn_is_refused(probability: float) -> None:
    """A label's probability lies above 0 and is at most 1."""
    with pytest.raises(ValueError, match="probability"):
        label("a", probability=probability)


def test_a_label_and_a_grid_need_a_zone() -> None:
    """Times are aware."""
    naive = datetime(2026, 1, 1) + timedelta(0)  # noqa: DTZ001
    with pytest.raises(ValueError, match="zone"):
        label("a", known_at=naive)
    with pytest.raises(ValueError, match="zone"):
        Grid.fallback(fixed_at=naive)


def test_a_curve_shows_coverage_against_wrong_closes() -> None:
    """For each category and threshold the share closed and the share of it that is wrong, with intervals."""
    known = [
        *good(60),
        *(label(f"r{i}", risk=0.3, wrong=i < 10) for i in range(40)),
        *good(5, category="access", risk=0.9),
    ]
    by_category = curves(known, [0.05, 0.5])
    assert list(by_category) == ["access", "noise"]
    low, high = by_category["noise"]
    assert (low.coverage.value, low.wrong.value) == (0.6, 0.0)
    assert (high.coverage.value, high.wrong.value) == (1.0, 0.1)
    assert (high.wrong.low, high.wrong.high) == pytest.approx((0.0490, 0.1762), abs=5e-5)
    nothing_closed = by_category["access"][0]
    assert (nothing_closed.coverage.value, nothing_closed.wrong.value) == (0.0, None)
