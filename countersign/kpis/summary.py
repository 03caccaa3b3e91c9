"""The summary: figures as text that a person reads, each with n, interval and definition. Unknown is never 0."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from countersign.kpis.figures import Figure, shown, shown_interval


def summary_text(figures: Mapping[str, Sequence[Figure]], *, until: datetime) -> str:
    """Markdown: a table of what is known for each use case, then what is not known and why, then definitions."""
    lines = [f"# Countersign: figures until {until:%Y-%m-%d %H:%M %Z}", ""]
    for use_case, of_one in figures.items():
        lines += [f"## {use_case}", "", *_known(of_one), "", *_unknown(of_one), ""]
    lines += ["## Definitions", "", *_definitions(figures)]
    return "\n".join(lines) + "\n"


def _definitions(figures: Mapping[str, Sequence[Figure]]) -> Iterator[str]:
    """One for each figure, or one for each of its meanings: how far a mean looks, or what an hour costs, may differ."""
    told: dict[str, dict[str, list[str]]] = {}
    for use_case, of_one in figures.items():
        for figure in of_one:
            told.setdefault(figure.title, {}).setdefault(figure.definition, []).append(use_case)
    for title, meanings in told.items():
        for text, use_cases in meanings.items():
            where = f" ({', '.join(use_cases)})" if len(meanings) > 1 else ""
            yield f"- {title}{where}: {text}"


def _known(figures: Sequence[Figure]) -> Iterator[str]:
    yield "| figure | value | 95 % interval | n |"
    yield "|---|---:|---:|---:|"
    for figure in figures:
        if figure.value is not None:
            yield f"| {figure.title} | {shown(figure.value, figure.unit)} | {shown_interval(figure)} | {figure.n} |"


def _unknown(figures: Sequence[Figure]) -> Iterator[str]:
    unknown = [figure for figure in figures if figure.value is None]
    if unknown:
        yield "Not known:"
        yield ""
        yield from (
            f"- {figure.title}: {figure.unknown or 'no ticket to measure it on'}" for figure in unknown
        )
