"""Scales: what labels say of confidences, by what gave them; a new scale is a set of versions of its own."""

from __future__ import annotations

from dataclasses import replace

from countersign.calibration import Calibration, fit
from countersign.labels import Versions
from countersign.scales import refits

OURS = Versions(policy="boundary", prompt="p1", model="m")
OVERCONFIDENT = [(0.92, n % 2 == 0) for n in range(40)]


def test_labels_under_this_boundary_ask_for_a_scale_of_each_model() -> None:
    """Models are told apart; labels under another boundary, and models without labels, ask for nothing."""
    told = {
        OURS: OVERCONFIDENT,
        replace(OURS, model="a"): [(0.75, True)],
        replace(OURS, policy="before"): OVERCONFIDENT,
        replace(OURS, model="silent"): [],
    }
    found = refits(told, {}, boundary="boundary")
    assert [(one.versions.model, one.after.labels) for one in found] == [("a", 1), ("m", 40)]
    assert found[1].after == fit(OVERCONFIDENT)
    assert found[1].loss_after < found[1].loss_before
    assert "from 40 labels" in found[1].words
    assert "92% is worth" in found[1].words


def test_the_same_labels_give_the_same_scale() -> None:
    """A refit without news changes nothing, and its name says so."""
    (found,) = refits({OURS: OVERCONFIDENT}, {OURS: fit(OVERCONFIDENT)}, boundary="boundary")
    assert not found.changes
    (other,) = refits({OURS: OVERCONFIDENT}, {OURS: Calibration(0.5, 0.1, 9)}, boundary="boundary")
    assert other.changes


def test_the_identity_has_no_name() -> None:
    """What was decided before anything was calibrated is on the scale without a name."""
    assert Calibration.identity().name == ""
    assert len(fit(OVERCONFIDENT).name) == 8
    assert Calibration(1.0, 0.1, 5).name != Calibration(1.0, 0.2, 5).name


def test_one_label_hardly_moves_a_confidence() -> None:
    """Shrunk to the identity: one wrong answer of a stated 92 % leaves most of it standing, forty do not."""
    (one,) = refits({OURS: [(0.92, False)]}, {}, boundary="boundary")
    (many,) = refits({OURS: [(0.92, False)] * 40}, {}, boundary="boundary")
    assert 0.08 < one.after.risk(0.92) < 0.25
    assert many.after.risk(0.92) > 0.75
