"""Drift: fires on changes that are real and large enough, and on nothing else."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from scipy.stats import chi2, chi2_contingency

from countersign.drift import Drift, Signal, audit_share, bins, drifts, other_model

COLUMNS = ("category", "subcategory", "contact_type", "priority", "u_symptom")


@pytest.fixture(scope="module")
def march_and_april(data_dir: Path) -> tuple[list[dict[str, object]], list[int]]:
    """The first row of each ticket of the real log, and the month it was opened in."""
    events = pl.read_parquet(data_dir / "uci-incident-log" / "events.parquet")
    opened = (
        events.group_by("number", maintain_order=True)
        .first()
        .filter(pl.col("opened_at").dt.month().is_in([3, 4]))
    )
    return list(opened.select(COLUMNS).iter_rows(named=True)), opened["opened_at"].dt.month().to_list()


def compared(rows: list[dict[str, object]], months: list[int]) -> dict[str, Drift]:
    parts = [[row for row, month in zip(rows, months, strict=True) if month == wanted] for wanted in (3, 4)]
    counts = {name: [Counter(str(row[name]) for row in part) for part in parts] for name in COLUMNS}
    unknown = [Counter(str(row["u_symptom"] is None) for row in part) for part in parts]
    signals = [Signal(name=name, before=before, now=now) for name, (before, now) in counts.items()]
    return {
        drift.name: drift
        for drift in drifts([*signals, Signal(name="unknown", before=unknown[0], now=unknown[1])])
    }


def test_it_fires_on_the_real_shift_from_march_to_april(
    march_and_april: tuple[list[dict[str, object]], list[int]],
) -> None:
    """The mix of categories of a real service desk changed, and what changed most is named."""
    found = compared(*march_and_april)
    assert found["category"].fires
    assert found["subcategory"].fires
    assert "before" in found["category"].because


def test_it_stays_quiet_on_a_shuffled_copy(
    march_and_april: tuple[list[dict[str, object]], list[int]],
) -> None:
    """The same tickets with their months mixed up: twenty copies, no alarm."""
    rows, months = march_and_april
    for seed in range(20):
        mixed = list(months)
        random.Random(seed).shuffle(mixed)
        assert not any(drift.fires for drift in compared(rows, mixed).values())


def test_a_change_too_small_to_matter_does_not_fire() -> None:
    """With a hundred thousand tickets everything is significant; two points are not worth an alarm."""
    (drift,) = drifts(
        [Signal(name="lane", before={"a": 50_000, "b": 50_000}, now={"a": 52_000, "b": 48_000})]
    )
    assert drift.p is not None
    assert drift.p < 1e-6
    assert not drift.fires


def test_many_signals_looked_at_together_are_corrected() -> None:
    """A p-value that would do alone does not do among a hundred."""
    borderline = Signal(name="x", before={"a": 100, "b": 100}, now={"a": 130, "b": 70})
    alone = drifts([borderline])[0]
    among = drifts(
        [
            borderline,
            *(Signal(name=str(n), before={"a": 100, "b": 100}, now={"a": 100, "b": 100}) for n in range(99)),
        ]
    )
    assert alone.fires
    assert not among[0].fires
    assert among[0].p == pytest.approx(100 * alone.p)  # type: ignore[operator]


@pytest.mark.parametrize("now", [(35, 65, 40), (60, 60, 60), (10, 30, 300), (61, 59, 62)])
def test_the_test_agrees_with_another_implementation(now: tuple[int, int, int]) -> None:
    """G and its p-value are those of scipy, with Williams' correction put on by hand."""
    before = (50, 70, 90)
    signal = Signal(
        name="x", before=dict(zip("abc", before, strict=True)), now=dict(zip("abc", now, strict=True))
    )
    (drift,) = drifts([signal])
    g = chi2_contingency([before, now], correction=False, lambda_="log-likelihood").statistic
    total, columns = sum(before) + sum(now), [sum(pair) for pair in zip(before, now, strict=True)]
    rows = (sum(before), sum(now))
    spread = (total * sum(1 / n for n in rows) - 1) * (total * sum(1 / n for n in columns) - 1)
    assert drift.g == pytest.approx(g)
    assert drift.p == pytest.approx(chi2.sf(g / (1 + spread / (6 * total * 2)), 2))


def test_too_few_to_tell_is_unknown_and_never_fires() -> None:
    """Ten tickets say nothing, whatever they look like."""
    (drift,) = drifts([Signal(name="x", before={"a": 1000}, now={"b": 10})])
    assert drift.unknown == "fewer than 50 before or now"
    assert not drift.fires


def test_scores_are_compared_by_the_quantiles_of_before() -> None:
    """A shift of half a standard deviation fires, the same distribution doesn't."""
    generator = random.Random(3)
    before, same, shifted = ([generator.gauss(mean, 1) for _ in range(2000)] for mean in (0, 0, 0.5))
    assert drifts([bins("score", before, shifted)])[0].fires
    assert not drifts([bins("score", before, same)])[0].fires


def test_rare_classes_are_put_together() -> None:
    """A thousand classes seen once each make no test of a thousand cells."""
    signal = Signal(
        name="x",
        before={"a": 500, **{f"b{n}": 1 for n in range(500)}},
        now={"a": 500, **{f"c{n}": 1 for n in range(500)}},
    )
    assert not drifts([signal])[0].fires


def test_one_class_before_and_now_is_no_drift() -> None:
    """There is nothing to compare in it, and nothing to divide by."""
    (drift,) = drifts([Signal(name="x", before={"a": 500}, now={"a": 400})])
    assert (drift.effect, drift.fires) == (0, False)


def test_another_model_than_the_pinned_one_is_told_at_once() -> None:
    """One answer is enough: no test, no threshold."""
    assert other_model("openai/gpt-1", ["openai/gpt-1"] * 1000) == ""
    assert (
        other_model("openai/gpt-1", ["openai/gpt-1", "openai/gpt-2"])
        == "openai/gpt-1 was asked, but openai/gpt-2 answered."
    )


def test_drift_raises_the_audit_share_and_nothing_else() -> None:
    """Doubled while something drifts, within bounds, and never lowered."""
    calm, firing = (Drift(name="x", fires=fires, n_before=100, n_now=100) for fires in (False, True))
    assert audit_share(0.1, [calm]) == 0.1
    assert audit_share(0.1, [calm, firing]) == 0.2
    assert audit_share(0.4, [firing]) == 0.5
    assert audit_share(0.8, [firing]) == 0.8
