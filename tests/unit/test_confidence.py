"""Confidence: signals lower a model's figure, and none raises it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from countersign.confidence import SecondOpinion, confidence_of
from countersign.context import SimilarCase

PAST = SimilarCase(
    case_id="c0",
    ticket_key="INC1",
    title="Backup finished",
    category="informational",
    resolution="closed without a person",
    at=datetime(2026, 11, 1, tzinfo=UTC),
)


def _past(*verdicts: str, category: str = "informational") -> tuple[SimilarCase, ...]:
    return tuple(
        SimilarCase(
            case_id=f"c{n}", ticket_key=f"INC{n}", title=PAST.title, category=category,
            resolution=PAST.resolution, at=PAST.at, verdict=verdict,
        )
        for n, verdict in enumerate(verdicts)
    )  # fmt: skip


def test_a_figure_that_nothing_speaks_against_stays() -> None:
    """The second reader agrees, and people were content with what was like it."""
    agrees = SecondOpinion(category="informational", confidence=0.99)
    told = confidence_of("informational", 0.92, second=agrees, similar=_past("good", "resolved", ""))
    assert (told.figure, told.doubts) == (0.92, ())


def test_a_second_reader_that_is_sure_of_something_else_halves_it() -> None:
    """A language model that was talked into «informational» must also fool the classifier."""
    other = SecondOpinion(category="availability", confidence=0.8)
    told = confidence_of("informational", 0.92, second=other)
    assert told.figure == pytest.approx(0.46)
    assert told.doubts == ("the local classifier reads it as availability",)


@pytest.mark.parametrize("category", ["availability", "informational"])
def test_a_second_reader_that_does_not_know_speaks_against_it_too(category: str) -> None:
    """A language model's word alone is not enough where nobody else can place the text."""
    unsure = SecondOpinion(category=category, confidence=0.5, of="zorbled")
    told = confidence_of("informational", 0.92, second=unsure)
    assert told.figure == pytest.approx(0.46)
    assert told.doubts == ("the local classifier does not know what “zorbled” is",)


@pytest.mark.parametrize(
    ("verdicts", "figure"),
    [(("wrong",), 0.45), (("reopened", "good"), 0.45), (("wrong", "good", "resolved"), 0.9), ((), 0.9)],
)
def test_what_people_said_of_cases_like_it_counts(verdicts: tuple[str, ...], figure: float) -> None:
    """Half or more of the verdicts against the same category halve the figure."""
    assert confidence_of("informational", 0.9, similar=_past(*verdicts)).figure == pytest.approx(figure)


def test_verdicts_on_another_category_say_nothing_about_this_one() -> None:
    """That «capacity» was wrong once does not speak against «informational»."""
    past = _past("wrong", category="capacity")
    assert confidence_of("informational", 0.9, similar=past).figure == 0.9


def test_doubts_add_up() -> None:
    """Two signals leave a quarter."""
    other = SecondOpinion(category="availability", confidence=0.8)
    assert confidence_of("informational", 0.8, second=other, similar=_past("wrong")).figure == pytest.approx(
        0.2
    )
