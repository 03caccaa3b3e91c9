"""The report: one page that needs nothing else, a verdict first, and the same bytes for the same report."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
import struct
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest

from countersign.drift import Drift
from countersign.kpis.engine import measure
from countersign.kpis.figures import Figure
from countersign.kpis.history import DraftUse, TicketHistory, as_columns
from countersign.kpis.settings import Measuring
from countersign.kpis.trend import Point, Trend, trends
from countersign.pictures import HEIGHT, WIDTH, picture
from countersign.report_page import render, render_mail
from countersign.report_page.charts import line_chart
from countersign.reports import (
    MEAN_RATIO,
    CorrectionLine,
    CostLine,
    Goal,
    PolicyLine,
    Report,
    as_csv,
    as_json,
    change,
    headline,
    mail_text,
    standing,
    verdict,
)
from tests.browser import Browser, Scheme

START = datetime(2026, 3, 2, tzinfo=UTC)
UNTIL = START + timedelta(days=60)
DRIFT = (
    Drift(
        name="category", fires=True, n_before=900, n_now=800, g=90.0, p=1e-9, effect=0.3,
        because="disk: 10.0% before, 40.0% now",
    ),
    Drift(name="accept rate", fires=False, n_before=3, n_now=9, unknown="fewer than 50 before or now"),
)  # fmt: skip
POLICY = (
    PolicyLine(
        category="informational", threshold="at most 2 % of closes are wrong, 95 % sure", labels_needed=0,
        certificate="for risks up to 0.08: 1 of 412 labels wrong, since 2026-03-02", autonomy="act: closes",
    ),
    PolicyLine(
        category="flapping", threshold="at most 2 % of closes are wrong, 95 % sure", labels_needed=149,
        certificate="withdrawn on 2026-04-02: 7 of 40 audited closes were wrong",
        autonomy="draft: asks before it closes",
    ),
)  # fmt: skip
VOID = {"meta", "br", "line", "rect", "circle", "polygon", "polyline"}


def rows(count: int = 400) -> list[TicketHistory]:
    return [
        TicketHistory(
            id=str(number), opened=START + timedelta(hours=2 * number), category="disk", moves=0,
            reopens=number % 20 == 0,
            resolved=(START + timedelta(hours=2 * number + 1 + number % 7),), finished=True, alerts=2, needed_work=True,
            closed_by_policy=number % 3 == 0, wrong=number % 99 == 0, draft=DraftUse.AS_IS, minutes=5.0, model_usd=0.01,
        )
        for number in range(count)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def report() -> Report:
    tickets, how = as_columns(rows()), Measuring(until=UNTIL, usd_per_hour=60)
    return Report(
        use_case="alert-triage",
        title="Alert triage <noc>",
        since=START,
        until=UNTIL,
        zone="Europe/Rome",
        figures=measure(tickets, how),
        goal=Goal(metric="deflection_rate", target=0.3, baseline=0.08),
        effects=(effect(0.7, 0.6, 0.82),),
        trends=trends(tickets, how),
        policy=(
            PolicyLine(
                category="disk", threshold="2 % wrong", certificate="", labels_needed=None, autonomy="draft"
            ),
        ),
        corrections=(CorrectionLine(field="group", before="", after="<script>alert(1)</script>", count=3),),
        costs=(CostLine(what="Model", usd=None, detail="no price list"),),
        notes=('Times are in "UTC".',),
    )


def effect(value: float | None, low: float | None, high: float | None) -> Figure:
    return Figure(
        key=MEAN_RATIO,
        title="Effect",
        definition="Ratio.",
        unit="count",
        value=value,
        low=low,
        high=high,
        unknown="no lane",
    )


def rate(value: float | None, low: float | None = None, high: float | None = None, **words: str) -> Figure:
    named = {"key": "deflection_rate", "title": "Deflection", "better": "higher", **words}
    return Figure(definition="D.", unit="share", value=value, low=low, high=high, n=100, **named)  # type: ignore[arg-type]


class Page(HTMLParser):
    """Tags, attributes and whether every tag that is opened is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.open += [tag] if tag not in VOID else []

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_page_needs_nothing_from_anywhere(report: Report) -> None:
    """No script, no address, no inline style or handler; the policy allows its own style sheet by hash alone."""
    html = render(report)
    page = Page(html)
    assert page.open == []
    assert not {"script", "link", "img", "iframe", "object", "form"}.intersection(page.tags)
    names = {name for _, name, _ in page.attributes}
    assert not any(
        name in ("style", "src", "href", "srcset", "action") or name.startswith("on") for name in names
    )
    assert "http:" not in html
    assert "https:" not in html
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = next(
        value for tag, name, value in page.attributes if tag == "meta" and value.startswith("default-src")
    )
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert "url(" not in style[1]
    assert "@import" not in style[1]


def test_words_from_tickets_stay_words(report: Report) -> None:
    """What engineers typed can't become part of the page."""
    html = render(report)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "Alert triage &lt;noc&gt;" in html


def test_the_page_is_small_and_the_same_report_gives_the_same_bytes(report: Report) -> None:
    """At most 200 KB, also with half a year of weeks, and no clock or chance in it."""
    html = render(report)
    assert len(html.encode()) <= 200_000
    assert html == render(replace(report, title=str(report.title)))
    assert as_json(report) == as_json(report)


def test_the_verdict_comes_first_and_at_most_six_figures_follow(report: Report) -> None:
    """A manager reads one sentence, then six cards, then the rest."""
    html = render(report)
    order = [
        html.index(part)
        for part in (
            'class="verdict"',
            'class="cards"',
            'id="trend"',
            'id="policy"',
            'id="corrections"',
            'id="costs"',
        )
    ]
    assert order == sorted(order)
    assert html.count('<li class="card') == 6
    assert headline(report)[0].key == "deflection_rate"


def test_every_chart_has_a_title_a_description_and_a_table(report: Report) -> None:
    """Whoever does not see the line gets the same in words and numbers."""
    html = render(report)
    page = Page(html)
    charts = [value for tag, name, value in page.attributes if tag == "svg" and name == "aria-labelledby"]
    assert len(charts) == len(report.trends) == 2
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(set(ids)) == len(ids)
    assert all(set(named.split()) <= set(ids) for named in charts)
    assert html.count("The same as a table") == 2
    assert "weeks are known. From" in html


def test_it_has_one_heading_of_each_place_a_language_and_headed_tables(report: Report) -> None:
    """What screen readers go by."""
    page = Page(render(report))
    assert page.tags.count("h1") == 1
    assert page.tags.count("main") == 1
    assert ("html", "lang", "en") in page.attributes
    assert page.tags.count("th") == sum(
        1 for tag, name, _ in page.attributes if (tag, name) == ("th", "scope")
    )


def test_dark_and_print_have_colours_of_their_own(report: Report) -> None:
    """The style sheet answers to both."""
    html = render(report)
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html


def test_unknown_is_said_and_never_drawn_as_zero(report: Report) -> None:
    """A card without a value says why; a week without one leaves a gap."""
    assert "unknown" in render(report)
    week = date(2026, 3, 2)
    points = [
        Point(week=week + timedelta(weeks=n), figure=rate(value))
        for n, value in enumerate((0.2, None, 0.4, 0.5))
    ]
    chart = line_chart(Trend(title="T", points=tuple(points)), name="t")
    assert chart.count('<polyline class="line"') == 2
    assert chart.count("<circle") == 3


def test_a_single_week_and_a_flat_zero_can_be_drawn() -> None:
    """The axis never divides by nothing."""
    for value in (0.0, 0.4):
        chart = line_chart(
            Trend(title="T", points=(Point(week=date(2026, 3, 2), figure=rate(value)),)), name="t"
        )
        assert "nan" not in chart
        assert chart.endswith("</svg>")


@pytest.mark.parametrize(
    ("figure", "goal", "expected"),
    [
        (rate(0.4, 0.35, 0.45), 0.3, "met"),
        (rate(0.2, 0.15, 0.25), 0.3, "missed"),
        (rate(0.4, 0.25, 0.5), 0.3, "open"),
        (rate(None), 0.3, "open"),
        (rate(0.1, 0.05, 0.2, better="lower"), 0.3, "met"),
        (rate(0.4, 0.35, 0.5, better="lower"), 0.3, "missed"),
        (rate(0.2, 0.1, None, better="lower"), 0.3, "open"),
    ],
)
def test_a_goal_is_met_or_missed_only_beyond_doubt(figure: Figure, goal: float, expected: str) -> None:
    """The whole interval must lie on one side."""
    assert standing(figure, Goal(metric="deflection_rate", target=goal)) == expected


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        ((0.7, 0.6, 0.82), "tickets are resolved 30 % faster than in the control lane (18 % to 40 %)"),
        ((1.2, 1.1, 1.3), "tickets are resolved 20 % slower than in the control lane (10 % to 30 %)"),
        (
            (0.9, 0.7, 1.2),
            "tickets are not shown to be resolved faster or slower than in the control lane "
            "(anything from 30 % faster to 20 % slower)",
        ),
        ((None, None, None), "the effect on the time to resolve is unknown (no lane)"),
    ],
)
def test_the_verdict_tells_the_effect_or_that_there_is_none_to_tell(
    report: Report, ratio: tuple[float | None, float | None, float | None], words: str
) -> None:
    """Faster, slower, not shown and unknown are four different things."""
    assert words in verdict(replace(report, effects=(effect(*ratio),)))


def test_the_verdict_is_one_sentence_whatever_is_missing(report: Report) -> None:
    """Without a goal, an effect or a figure it says what can't be said."""
    bare = replace(report, goal=None, effects=(), figures=())
    assert verdict(bare) == "How long tickets take can't be said (nothing was measured)."
    unknown = replace(report, figures=(rate(None, unknown="no close was judged"),), effects=())
    assert (
        verdict(unknown)
        == "Whether deflection_rate reaches its target can't be said yet (no close was judged)."
    )


def test_a_verdict_says_when_there_is_too_little_to_judge_by(report: Report) -> None:
    """Nothing but an unknown effect is no verdict yet, and two closes are no rate."""
    bare = replace(report, goal=None, effects=(effect(None, None, None),), figures=())
    assert verdict(bare).startswith("It is too early for a verdict: the effect")
    few = rate(0.5, 0.1, 0.9, key="wrong_close_rate", title="Wrong closes")
    some = [replace(few, n=2), replace(few, n=2, value=0.0), replace(few, n=1, value=1.0), replace(few, n=40)]
    said = [verdict(replace(bare, effects=(), figures=(one,))) for one in some]
    assert said == [
        "1 of its 2 judged closes was wrong, too few to say more.",
        "None of its 2 judged closes was wrong, too few to say more.",
        "Its only judged close was wrong, too few to say more.",
        "50.0 % (10.0 % to 90.0 %) of its judged closes were wrong.",
    ]


def test_one_week_is_no_trend(report: Report) -> None:
    """It is said instead of drawn."""
    week = Trend(title="T", points=report.trends[0].points[:1])
    html = render(replace(report, trends=(week,)))
    assert "A trend needs two weeks" in html
    assert '<svg class="chart"' not in html


def test_what_could_not_be_compared_is_one_sentence(report: Report) -> None:
    """On the page and in the mail, beside what drifts."""
    drifting = replace(report, drift=DRIFT)
    for text in (render(drifting), render_mail(drifting), mail_text(drifting)):
        assert "Not compared, fewer than 50 before or now: accept rate." in " ".join(text.split())
    assert "category: drifts; disk: 10.0% before, 40.0% now; n = 900 before, 800 now" in " ".join(
        mail_text(drifting).split()
    )


def test_a_change_within_chance_is_called_that() -> None:
    """Two periods whose difference lies within both intervals' width."""
    before = rate(0.30, 0.25, 0.35)
    assert change(rate(0.32, 0.27, 0.37), [before]) == "30.0 % before, no more than chance"
    assert change(rate(0.50, 0.45, 0.55), [before]) == "30.0 % before, better by more than chance"
    falling = replace(rate(0.10, 0.07, 0.13), better="lower")
    assert change(falling, [before]) == "30.0 % before, better by more than chance"
    assert (
        change(replace(falling, better="neither"), [before]) == "30.0 % before, changed by more than chance"
    )
    assert change(rate(0.50), []) == ""


def test_the_mail_is_complete_without_images(report: Report) -> None:
    """Verdict, figures, policy, corrections and costs as plain lines of at most 78 characters where words allow."""
    text = mail_text(report)
    assert "".join(verdict(report).split()) in "".join(text.split())
    assert all(figure.title in text for figure in headline(report))
    assert "Model: unknown  no price list" in text.replace("- ", "")
    assert "labels still needed: unknown" in " ".join(text.split())


def test_the_csv_has_every_figure_and_leaves_unknown_empty(report: Report) -> None:
    """Ready for a spreadsheet."""
    lines = list(csv.DictReader(io.StringIO(as_csv(report), newline="")))
    by_key = {line["key"]: line for line in lines}
    assert len(lines) == len(report.figures) + len(report.effects)
    assert by_key["time_to_detect.median"]["value"] == ""
    assert by_key["time_to_detect.median"]["unknown"]
    assert float(by_key["time_to_resolve.median"]["value"]) == 4


def test_the_json_holds_the_verdict_and_null_for_unknown(report: Report) -> None:
    """Machines read the same report."""
    plain = json.loads(as_json(report))
    assert plain["verdict"] == verdict(report)
    assert plain["since"] == START.isoformat()
    assert {figure["key"]: figure["value"] for figure in plain["figures"]}["time_to_detect.median"] is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 360])
def test_everybody_can_read_the_page(
    report: Report, browser: Browser, tmp_path: Path, scheme: Scheme, width: int
) -> None:
    """In Chromium nothing is blocked, nothing sticks out, and axe finds nothing, all folded parts opened."""
    file = tmp_path / "report.html"
    file.write_text(render(replace(report, drift=DRIFT, attention=("Look at that.",))), encoding="utf-8")
    browser.show(file, scheme=scheme, width=width)
    assert browser.complaints == []
    seen = browser.evaluate("document.querySelector('.verdict').innerText")
    assert seen.split() == verdict(report).split()
    assert browser.findings() == []
    assert browser.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 360])
def test_everybody_can_read_the_mail(
    report: Report, browser: Browser, tmp_path: Path, scheme: Scheme, width: int
) -> None:
    """As the page, its picture not loaded: what it shows is there in words. Nothing sticks out on a phone."""
    file = tmp_path / "mail.html"
    full = replace(report, drift=DRIFT, attention=("Look at that.",), policy=POLICY)
    file.write_text(render_mail(full), encoding="utf-8")
    browser.show(file, scheme=scheme, width=width)
    assert browser.findings() == []
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    seen = " ".join(browser.evaluate("document.body.innerText").split())
    assert all(words in seen for words in (verdict(report), "Look at that.", "category", "no price list"))
    assert "in the week of" in browser.evaluate("document.querySelector('img').alt")


def test_on_paper_everything_is_unfolded_and_nothing_sticks_out(
    report: Report, browser: Browser, tmp_path: Path
) -> None:
    """Whoever reads a print can open nothing: the definitions of all figures are there."""
    file = tmp_path / "report.html"
    file.write_text(render(replace(report, policy=POLICY, drift=DRIFT)), encoding="utf-8")
    browser.show(file, media="print", width=680)
    shown = browser.evaluate("document.querySelector('dl').checkVisibility({contentVisibilityAuto: true})")
    assert (shown, browser.evaluate("document.querySelector('dl').offsetHeight > 1000")) == (True, True)
    assert browser.evaluate("document.documentElement.scrollWidth") <= 680


def test_the_picture_of_a_mail_is_sharp_small_and_the_same_each_time(report: Report) -> None:
    """A PNG twice as fine as it is shown, whose words are drawn in it."""
    png = picture(report)
    assert png == picture(replace(report, title=str(report.title)))
    assert struct.unpack(">II", png[16:24]) == (2 * WIDTH, 2 * HEIGHT)
    assert len(png) <= 20_000
    other = replace(report, trends=tuple(replace(trend, title="Other") for trend in report.trends))
    assert picture(other) != png


def test_axe_finds_what_is_wrong(browser: Browser, tmp_path: Path) -> None:
    """The check itself bites: grey on grey, and a picture without words."""
    file = tmp_path / "bad.html"
    file.write_text(
        '<!doctype html><html lang="en"><title>x</title><main><h1 style="color:#999;background:#aaa">Grey on grey</h1>'
        '<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=" width="9" height="9"></main></html>'
    )
    browser.show(file)
    assert {one.partition(":")[0] for one in browser.findings()} == {"color-contrast", "image-alt"}
