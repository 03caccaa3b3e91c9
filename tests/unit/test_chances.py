"""Chances: rounding makes nothing certain and nothing impossible."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.assessment import sureness
from countersign.chances import chance, per_cent, risk_figure
from countersign.decision import decide
from countersign.drafts import plain
from countersign.kpis.figures import shown
from countersign.notes import closing_note
from tests.unit.builders import ASSESSMENT, CALM, CASE, shipped

ALL = re.compile(r"(?<!over )(?<!\d)100(?:\.0)? ?%|(?<!under )(?<![\d.])0(?:\.0)? ?%")


@pytest.mark.parametrize(
    ("share", "digits", "words"),
    [
        (0.0, 0, "0%"), (0.0004, 0, "under 1%"), (0.006, 0, "1%"), (0.43, 0, "43%"), (0.994, 0, "99%"),
        (0.9951, 0, "over 99%"), (1.0, 0, "100%"), (0.0004, 1, "under 0.1%"), (0.9996, 1, "over 99.9%"),
        (0.995, 1, "99.5%"),
    ],
)  # fmt: skip
def test_a_share_is_all_or_nothing_only_where_it_is(share: float, digits: int, words: str) -> None:
    """What was counted may be all or none; what is rounded to it is not."""
    assert per_cent(share, digits=digits) == words


@given(st.floats(0, 1))
def test_what_is_believed_is_never_certain(probability: float) -> None:
    """A model that says 1.0 is a model that says so."""
    assert not ALL.search(chance(probability))
    assert ALL.search("100%")
    assert ALL.search("0%")
    assert float(risk_figure(probability).removeprefix("under ")) > 0


@pytest.mark.parametrize("calibration", ["", "scale-1"])
@pytest.mark.parametrize("figure", [0.0, 0.0004, 0.9999, 1.0])
def test_no_note_says_that_a_model_is_certain(figure: float, calibration: str) -> None:
    """Raw and calibrated, in notes, in answers and in `explain`."""
    said = replace(ASSESSMENT, confidence=figure, risk=1 - figure, calibration=calibration)
    told = plain(closing_note(CASE, said, decide(CASE, said, shipped(), CALM), shipped()), "")
    assert not ALL.search(sureness(said))
    assert not ALL.search(told)
    assert "risk of a wrong close" in told


def test_a_figure_of_the_report_that_is_nearly_all_says_so() -> None:
    """One wrong close among five thousand is not none."""
    assert (shown(0.0002, "share"), shown(0.99981, "share")) == ("under 0.1 %", "over 99.9 %")
    assert (shown(0.0, "share"), shown(1.0, "share")) == ("0.0 %", "100.0 %")
