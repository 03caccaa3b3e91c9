"""Labels say what a confidence is worth; without them it is taken at its word."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.calibration import Calibration, fit


def _labels(worth: float, confidence: float, count: int) -> list[tuple[float, bool]]:
    dice = random.Random(3)
    return [(confidence, dice.random() < worth) for _ in range(count)]


def test_identity_without_labels() -> None:
    """As long as nobody has judged, the risk is what the confidence leaves."""
    assert fit([]) == Calibration.identity()
    assert Calibration.identity().risk(0.92) == pytest.approx(0.08)


def test_many_labels_are_believed() -> None:
    """A confidence of 0.9 that is right 6 times in 10 is a risk of about 0.4."""
    calibration = fit(_labels(0.6, 0.9, 2000))
    assert calibration.risk(0.9) == pytest.approx(0.4, abs=0.03)
    assert calibration.labels == 2000


def test_few_labels_change_little() -> None:
    """Two right answers at 0.9 don't make it certain, and one wrong one does not make it worthless."""
    assert fit([(0.9, True)] * 2).risk(0.9) == pytest.approx(0.1, abs=0.03)
    assert 0.1 < fit([(0.9, False)]).risk(0.9) < 0.35


def test_overconfidence_is_mended_over_the_range() -> None:
    """Where the truth is the square of what is said, the middle is riskier than it says."""
    dice = random.Random(5)
    said = [dice.uniform(0.05, 0.95) for _ in range(5000)]
    calibration = fit([(sure, dice.random() < sure**2) for sure in said])
    assert calibration.risk(0.5) == pytest.approx(0.75, abs=0.05)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=60),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_more_confidence_is_never_more_risk(
    pairs: list[tuple[float, bool]], one: float, other: float
) -> None:
    """Whatever the labels, risks are probabilities and don't rise with the confidence."""
    calibration = fit(pairs)
    low, high = sorted((one, other))
    assert 0.0 <= calibration.risk(high) <= calibration.risk(low) + 1e-9 <= 1.0 + 1e-9


def test_at_the_bound_of_the_slope_the_shift_is_still_the_best() -> None:
    """Forty wrong answers of one stated figure: the slope ends at 0, and the loss has no better shift there."""
    found = fit([(0.92, False)] * 40)
    assert found.slope == 0.0
    assert 5 * found.shift == pytest.approx(40 * (1 - found.risk(0.92)), abs=1e-6)
    assert found.risk(0.92) > 0.8
