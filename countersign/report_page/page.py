"""The page: a report as one HTML file. The same report gives the same bytes."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

from countersign.kpis.figures import Figure, shown, shown_interval
from countersign.pictures import described
from countersign.report_page.charts import line_chart, whisker
from countersign.reports import Report, change, headline, mail_text, standing, verdict

_NUMBER_AND_UNIT = re.compile(r"(\d) (?=(?:%|h|d|min)(?:\W|$))")


@cache
def _environment() -> Environment:
    environment = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.filters.update(
        shown=lambda value, unit: _together(shown(value, unit)),
        interval=lambda figure: _together(shown_interval(figure)),
    )
    return environment


def _together(text: str) -> str:
    """The text with numbers kept on one line with their units."""
    return _NUMBER_AND_UNIT.sub("\\1\N{NO-BREAK SPACE}", text)


@cache
def _part(name: str) -> str:
    return files("countersign.report_page").joinpath(name).read_text(encoding="utf-8")


def render(report: Report) -> str:
    """The report as HTML: no script, no request to anywhere, its one style sheet named by hash in its own policy."""
    style = _part("style.css")
    goal_keys = {report.goal.metric, f"{report.goal.metric}.median"} if report.goal else set()
    charts = [
        (
            trend,
            line_chart(trend, name=f"trend{number}", target=_target(report, trend.points[0].figure)),
        )
        for number, trend in enumerate(report.trends, 1)
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
    page = _environment().from_string(_part("mail.html.jinja"))
    return page.render(
        report=report,
        verdict=_together(verdict(report)),
        cards=_cards(report),
        alt=described(report),
        text=mail_text(report),
    )


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
