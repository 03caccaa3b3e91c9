"""The page: a report as one HTML file. The same report gives the same bytes."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

from countersign.kpis.figures import Figure, shown, shown_interval
from countersign.pictures import described
from countersign.report_page.charts import line_chart, whisker
from countersign.reports import Report, change, headline, standing, verdict

_Words = tuple[str, ...]
_NUMBER_AND_UNIT = re.compile(r"(?<=\d) (?=(?:%|h|d|min)(?:\W|$))|(?<=n) (?== \d)|(?<==) (?=\d)")


@cache
def _environment() -> Environment:
    environment = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.filters.update(
        shown=lambda value, unit: _together(shown(value, unit)),
        interval=lambda figure: _together(shown_interval(figure)),
        together=_together,
    )
    return environment


def _together(text: str) -> str:
    """The text with numbers kept on one line with their units."""
    return _NUMBER_AND_UNIT.sub("\N{NO-BREAK SPACE}", text)


@cache
def _part(name: str) -> str:
    return files("countersign.report_page").joinpath(name).read_text(encoding="utf-8")


def render(report: Report) -> str:
    """The report as HTML: no script, no request to anywhere, its one style sheet named by hash in its own policy."""
    style = _part("style.css")
    goal_keys = {report.goal.metric, f"{report.goal.metric}.median"} if report.goal else set()
    goal_first = sorted(report.trends, key=lambda trend: trend.points[0].figure.key not in goal_keys)
    charts = [
        (trend, line_chart(trend, name=f"trend{number}", target=_target(report, trend.points[0].figure)))
        for number, trend in enumerate(goal_first, 1)
        if sum(point.figure.value is not None for point in trend.points) > 1
    ]
    cards = [
        {
            **card,
            "whisker": whisker(card["figure"]),
            "standing": standing(card["figure"], report.goal)
            if report.goal and card["figure"].key in goal_keys
            else "",
        }
        for card in _cards(report)
    ]
    page = _environment().from_string(_part("page.html.jinja"))
    return page.render(
        report=report,
        verdict=_together(verdict(report)),
        cards=cards,
        charts=charts,
        every=(*report.figures, *report.effects),
        style=style,
        policy=f"default-src 'none'; style-src '{_hash(style)}'; base-uri 'none'; form-action 'none'",
    )


def render_mail(report: Report) -> str:
    """The report as the HTML part of a mail, whose picture is cid:picture: complete with images off."""
    page, cards = _environment().from_string(_part("mail.html.jinja")), _cards(report)
    return page.render(
        report=report,
        verdict=_together(verdict(report)),
        cards=cards,
        changes=any(card["change"] for card in cards),
        alt=described(report),
        tables=tuple(
            (heading, head, tuple(tuple(map(_together, line)) for line in lines), asides)
            for heading, head, lines, asides in _tables(report)
        ),
        style=_part("mail.css"),
    )


def _tables(report: Report) -> Iterator[tuple[str, _Words, tuple[_Words, ...], _Words]]:
    """What stands below the figures of a mail: heading, column heads, lines of words (or none), and sentences."""
    yield (
        "Policy",
        ("Category", "Autonomy", "Threshold", "Certificate", "Labels still needed"),
        tuple(
            (
                line.category,
                line.autonomy,
                line.threshold,
                line.certificate or "not certified",
                line.needed,
            )
            for line in report.policy
        ),
        (),
    )
    yield (
        "What engineers corrected most",
        ("What", "From", "To", "Times"),
        tuple(
            (line.field, line.before or "(nothing)", line.after or "(nothing)", _counted(line.count))
            for line in report.corrections
        ),
        (),
    )
    yield (
        "Drift",
        ("What", "Found", "Most changed", "Cases before", "Cases now"),
        tuple(
            (drift.name, drift.found, drift.because, _counted(drift.n_before), _counted(drift.n_now))
            for drift in report.compared
        ),
        report.not_compared,
    )
    yield (
        "Costs",
        ("What", "Cost", "Made of"),
        tuple((line.what, shown(line.usd, "usd"), line.detail) for line in report.costs),
        (),
    )


def _counted(count: int) -> str:
    return f"{count:,}"


def _cards(report: Report) -> list[dict[str, Any]]:
    return [
        {"figure": figure, "change": _together(change(figure, report.previous))}
        for figure in headline(report)
    ]


def _hash(style: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()


def _target(report: Report, figure: Figure) -> float | None:
    """The goal as a line in the chart of its own figure."""
    return report.goal.target if report.goal and report.goal.metric == figure.key else None
