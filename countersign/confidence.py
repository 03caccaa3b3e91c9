"""Confidence: how sure an answer is, from what the model says of itself and from what speaks against it.

A signal only ever lowers the figure: text that fools one reader must fool all of them to be believed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from countersign.chances import per_cent
from countersign.context import SimilarCase
from countersign.labels import Versions
from countersign.severity import Severity

# What people said of an earlier case when the category or the close of it was not right.
_AGAINST = frozenset({"wrong", "corrected", "reopened", "rejected"})
_HALF = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class SecondOpinion:
    """What the embedded model reads in the same text; it follows no instructions, because it understands none.

    `confidence` is that of the category: up to a half it does not know. `of` is the passage it is about, where it is
    not the whole. `severity` is None where nobody asked. `versions` says by what it was read, where that counts.
    """

    category: str
    confidence: float
    severity: Severity | None = None
    of: str = ""
    versions: Versions | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Confidence:
    """The figure, 0 to 1, and what has lowered it, as clauses."""

    figure: float
    doubts: tuple[str, ...] = ()


def confidence_of(
    category: str,
    stated: float,
    *,
    second: SecondOpinion | None = None,
    similar: Sequence[SimilarCase] = (),
    agreement: float | None = None,
) -> Confidence:
    """The stated figure, halved by each signal that speaks against the category.

    `second` speaks against it: with another category, with the same one and the `severity` it has, or because it
    does not know.
    `agreement` is the share of a model's own answers that say the same, where it was asked several times: the
    figure is lowered to that share of it.
    """
    doubts = tuple(_doubts(category, second, similar))
    figure = stated * _HALF ** len(doubts)
    if agreement is None or agreement >= 1:
        return Confidence(figure=figure, doubts=doubts)
    return Confidence(
        figure=figure * agreement, doubts=(f"it says so in {per_cent(agreement)} of its answers", *doubts)
    )


def _doubts(category: str, second: SecondOpinion | None, similar: Sequence[SimilarCase]) -> Iterator[str]:
    if second is not None and (against := _against(category, second)):
        yield against
    told = [past for past in similar if past.category == category and past.verdict]
    wrong = [past for past in told if past.verdict in _AGAINST]
    if wrong and 2 * len(wrong) >= len(told):
        yield f"people said {wrong[0].verdict} to {wrong[0].ticket_key or wrong[0].case_id}, which was like it"
    settled = [past.category for past in similar if past.settled]
    if settled and category not in settled:
        yield f"people have settled that what was like it is {settled[0]}"


def _against(category: str, second: SecondOpinion) -> str:
    """What a second reading says against a category; "" where it is sure of the same."""
    what = f"“{second.of}”" if second.of else "it"
    if second.confidence <= _HALF:
        return f"the local classifier does not know what {what} is"
    if second.category != category:
        return f"the local classifier reads {what} as {second.category}"
    if second.severity is not None:
        return f"the local classifier reads {what} as {category} of severity {second.severity}"
    return ""
