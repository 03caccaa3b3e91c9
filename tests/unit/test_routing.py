"""Routing: the embedded model answers alone only where a certificate says that it may."""

from __future__ import annotations

import pytest

from countersign.confidence import SecondOpinion
from countersign.routing import LocalCertificate, answers_alone

SURE = SecondOpinion(category="informational", confidence=0.97)
CERTIFIED = {"informational": LocalCertificate(precision=0.985, from_confidence=0.95)}


def test_without_a_certificate_it_is_never_alone() -> None:
    """However sure it is of itself."""
    assert not answers_alone(SURE, sure_enough=0.98)
    assert not answers_alone(SURE, sure_enough=0.98, certified={})


@pytest.mark.parametrize(
    ("category", "confidence", "sure_enough", "alone"),
    [
        ("informational", 0.97, 0.98, True),
        ("informational", 0.94, 0.98, False),
        ("informational", 0.97, 0.99, False),
        ("informational", 0.97, None, False),
        ("capacity", 0.99, 0.98, False),
    ],
)
def test_a_certificate_covers_its_category_its_confidence_and_its_precision(
    category: str, confidence: float, sure_enough: float | None, alone: bool
) -> None:
    """All three at once, and only where the policy allows it."""
    opinion = SecondOpinion(category=category, confidence=confidence)
    assert answers_alone(opinion, sure_enough=sure_enough, certified=CERTIFIED) is alone
