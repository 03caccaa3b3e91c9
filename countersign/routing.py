"""Routing: whether the embedded model may answer alone, so that nobody pays for what is certain already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from countersign.confidence import SecondOpinion


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalCertificate:
    """What labels promise of the embedded model in a category: at least this `precision` from this confidence on."""

    precision: float
    from_confidence: float


def answers_alone(
    opinion: SecondOpinion,
    *,
    sure_enough: float | None,
    certified: Mapping[str, LocalCertificate] | None = None,
) -> bool:
    """True where the policy allows it (`sure_enough`), and a certificate covers this category and confidence."""
    certificate = (certified or {}).get(opinion.category)
    if sure_enough is None or certificate is None:
        return False
    return certificate.precision >= sure_enough and opinion.confidence >= certificate.from_confidence
