"""Drift: fires on changes that are real and large enough, and on nothing else."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from scipy.stats import chi2, chi2_contingency

from countersign.drift import Drift, Signal, drifts
from countersign.lanes import audit_share, share_of
from countersign.languages import language
from countersign.pinned import same_model
from countersign.signals import SCORE, band, length, told
from countersign.signals import compared as all_compared

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


def test_scores_are_compared_by_their_distribution() -> None:
    """A shift of half a standard deviation fires, the same distribution doesn't."""
    generator = random.Random(3)
    before, same, shifted = (
        {SCORE: Counter(band(min(1, max(0, generator.gauss(mean, 0.15)))) for _ in range(2000))}
        for mean in (0.4, 0.4, 0.475)
    )
    assert "score" in told(all_compared(before, shifted))
    assert told(all_compared(before, same)) == ""


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


@pytest.mark.parametrize(
    ("asked", "answered", "same"),
    [
        ("openai/gpt-4.1-mini", "gpt-4.1-mini-2025-04-14", True),
        ("openai/gpt-4.1-mini", "gpt-4.1", False),
        ("openai/gpt-4.1", "gpt-4.1-mini", False),
        ("openai/gpt-4.1", "gpt-4.1-mini-2025-04-14", False),
        ("openai/gpt-4.1-mini-2025-04-14", "gpt-4.1-mini-2025-04-14", True),
        ("openai/gpt-4.1-mini-2025-04-14", "gpt-4.1-mini-2025-08-01", False),
        ("openai/gpt-4.1-mini-2025-04-14", "gpt-4.1-mini", False),
        ("openai/gpt-4-0613", "gpt-4-1106", False),
        ("anthropic/claude-3-5-sonnet-latest", "claude-3-5-sonnet-20241022", True),
        ("anthropic/claude-3-5-sonnet-20241022", "claude-3-5-sonnet-latest", False),
        ("anthropic/claude-sonnet-4", "claude-opus-4-20250514", False),
        ("bedrock/us.anthropic.claude-sonnet-4", "anthropic.claude-sonnet-4-20250514-v1:0", True),
        ("vertex_ai/claude-3-5-sonnet", "claude-3-5-sonnet@20240620", True),
        ("openrouter/openai/gpt-4o", "openai/gpt-4o-2024-11-20", True),
        ("azure/GPT-4o", "gpt-4o", True),
        ("openai/whatever", "", True),
    ],
)
def test_whether_the_model_that_answered_is_the_one_that_was_asked(
    asked: str, answered: str, same: bool
) -> None:
    """Providers and dated builds of an undated name are passed over; a pinned build must be that build."""
    assert same_model(asked, answered) is same


def test_drift_raises_the_share_that_people_see_blind_and_nothing_else() -> None:
    """Doubled, within bounds, never lowered; a case that was treated stays so, and no lane is made where none is."""
    assert [audit_share(share) for share in (0.0, 0.1, 0.4, 0.8)] == [0.0, 0.2, 0.5, 0.8]
    near = {"risk": 0.07, "threshold": 0.08, "first_seen": False}
    assert share_of(0.1, 0.2, **near, again=False, drifting=True) == 0.4
    assert share_of(0.1, None, **near, again=False, drifting=True) == 0.2
    assert share_of(0.1, None, **near, again=True, drifting=True) == 0.1


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Der Drucker druckt nicht, bitte um Hilfe mit der Warteschlange", "German"),
        ("The printer does not print, please help with the queue", "English"),
        ("L'imprimante ne marche pas, nous avons besoin de vous pour une solution", "French"),
        ("La impresora no está en la red, es para el departamento por favor", "Spanish"),
        ("La stampante non è nella rete, anche il telefono della sala", "Italian"),
        ("Принтер не печатает", "Cyrillic script"),
        ("プリンターが動きません", "Japanese"),
        ("CPU 97 %", "unclear"),
        ("", "unclear"),
    ],
)
def test_a_text_has_a_language_or_it_is_unclear(text: str, name: str) -> None:
    """Coarse, but the same for the same text: what counts is whether the mix changes."""
    assert language(text) == name


def test_what_is_counted_of_numbers_are_a_few_kinds() -> None:
    """Every risk and every length has its kind, at the edges too."""
    assert [band(risk) for risk in (0.0, 0.049, 0.05, 1.0)] == [
        "0.00 to 0.05", "0.00 to 0.05", "0.05 to 0.10", "0.95 to 1.00",
    ]  # fmt: skip
    assert [length("x" * size) for size in (0, 50, 1_000, 5_000)] == [
        "below 50", "50 to 99", "1,000 to 4,999", "5,000 and more",
    ]  # fmt: skip
