"""The what-if page: one file that needs nothing else, complete without its script, and small."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from datetime import timedelta
from html import unescape
from pathlib import Path

import pytest

from countersign.backtest import Circumstances, History, PastDecision, Range, backtest
from countersign.labels import Label, Versions
from countersign.lanes import Lane
from countersign.policy import load_policy
from countersign.ports import Firing
from countersign.severity import Severity
from countersign.thresholds import USUAL, curves
from countersign.whatif_page import WhatIf, render
from countersign.whatif_page.page import LARGEST
from tests.browser import Browser, Scheme
from tests.unit.builders import NOW, POLICIES, shipped

VERSIONS = Versions(policy="p", prompt="q", model="local")


def _whatif(categories: int = 3, name: str = "informational") -> WhatIf:
    """300 cases a category, their risks spread, every tenth of the risky ones wrong."""
    file = POLICIES / "alert-triage.yaml"
    policy = load_policy(file.read_text(encoding="utf-8"), name=str(file))
    names = [name, *(f"category-{number}" for number in range(1, categories))]
    decisions, labels = [], []
    for category in names:
        for number in range(300):
            risk = number / 600
            decisions.append(
                PastDecision(
                    id=f"{category}-{number:03}",
                    at=NOW + timedelta(hours=number),
                    risk=risk,
                    alerts=1,
                    circumstances=Circumstances(
                        source="datadog", severity=Severity.INFO, category=category, firing=Firing.NO,
                        service=f"s{number}", recovered=True,
                    ),
                )
            )  # fmt: skip
            labels.append(
                Label(
                    decision=f"{category}-{number:03}", cluster=f"{category}{number}", category=category, risk=risk,
                    wrong=number % 10 == 9 and number > 100, probability=1.0, lane=Lane.TREATED,
                    versions=VERSIONS, known_at=NOW,
                )
            )  # fmt: skip
    stricter = policy.model_copy(update={"version": 2, "autonomy": "observe"})
    history = History.of(decisions)
    return WhatIf(
        title="alert-triage v2",
        period=f"{len(history):,} recorded cases",
        backtest=backtest(history, policy, labels=labels, against=stricter),
        curves=curves(labels, USUAL),
        certified={name: 0.08},
    )


def test_the_page_asks_nobody_and_its_policy_allows_only_its_own_parts() -> None:
    """Strict CSP: nothing by default, the one style and the one script by their hashes; no address anywhere."""
    text = render(_whatif())
    style = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    script = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    policy = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)[0].replace(
        "&#39;", "'"
    )
    assert (len(style), len(script)) == (1, 1)
    for kind, part in (("style-src", style[0]), ("script-src", script[0])):
        digest = base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert not re.search(r"https?://|url\(|\bon[a-z]+=|\bsrc=| style=|<link|<iframe", text)


def test_it_is_complete_without_its_script() -> None:
    """The table, the certified point and the warning are in the HTML; the slider waits for the script."""
    text = render(_whatif())
    assert '<p class="explore" hidden' in text
    assert "Exploratory threshold, no promise:" in text
    assert "informational: 300 labels, certified up to a risk of 0.08" in text
    assert text.count('<circle class="certified"') == 1
    assert text.count("<details>") == 3


@pytest.mark.parametrize(("categories", "left_out"), [(1, False), (5, False), (100, True)])
def test_it_never_grows_beyond_40_kilobytes(categories: int, left_out: bool) -> None:
    """With more categories and changes than fit, it shows what it can and says what it left out."""
    text = render(_whatif(categories))
    assert len(text.encode()) <= LARGEST == 40 * 1024
    assert ("more categories" in text) == left_out


def test_words_of_a_policy_are_text_and_never_markup() -> None:
    """A category called like a tag stays text."""
    text = render(_whatif(1, '<img src=x onerror="alert(1)">'))
    assert "<img" not in text


def test_a_close_that_is_offered_now_and_was_not_is_seen_to_change() -> None:
    """Both are a draft note by the same rule; what differs is said of each, as in the terminal."""
    policy = shipped()
    stricter = policy.model_copy(
        update={"never_close": policy.never_close.model_copy(update={"services": ("cart",)})}
    )
    doubtful = PastDecision(
        id="c1", at=NOW, risk=0.3, alerts=1,
        circumstances=Circumstances(
            source="datadog", severity=Severity.INFO, category="informational", firing=Firing.NO, service="cart",
        ),
    )  # fmt: skip
    found = backtest(History.of([doubtful]), policy, against=stricter)
    text = unescape(render(replace(_whatif(), backtest=found)))
    assert '<td>draft_note by "noise"</td><td>draft_note by "noise", close if approved</td>' in text


def test_what_changes_is_seen_whole_on_a_phone(browser: Browser, tmp_path: Path) -> None:
    """At 390 pixels before and after stand side by side, with nothing to scroll to."""
    past = PastDecision(
        id="c1m7yqmr2cj2fg", at=NOW, risk=0.01, alerts=1,
        circumstances=Circumstances(
            source="datadog", severity=Severity.INFO, category="informational", firing=Firing.NO, first_seen=False,
        ),
    )  # fmt: skip
    policy = shipped()
    careful = policy.model_copy(update={"limits": policy.limits.model_copy(update={"closes_per_hour": 0})})
    file = tmp_path / "whatif.html"
    found = backtest(History.of([past]), policy, against=careful)
    file.write_text(render(replace(_whatif(), backtest=found)), encoding="utf-8")
    browser.show(file, width=390)
    beyond = "(one => one.scrollWidth - one.clientWidth)(document.querySelector('.changes').parentElement)"
    assert browser.evaluate(beyond) == 0
    assert "close if approved" in browser.evaluate("document.querySelector('.changes').innerText")


def test_without_a_label_of_its_boundary_it_does_not_say_that_people_said_nothing() -> None:
    """What they said under another boundary still counts in the table, so the page says where."""
    text = render(replace(_whatif(), curves={}))
    assert "No label counts here yet" in text
    assert "counts in the table above alone" in text


def test_all_columns_are_seen_on_a_usual_screen(browser: Browser, tmp_path: Path) -> None:
    """At 1280 pixels no figure of thousands is cut off at the right."""
    rich = Range(value=-1234.0, low=-12_345.0, high=2_345.0)
    found = _whatif().backtest
    figures = tuple(replace(one, minutes=rich, dollars=rich) for one in found.figures)
    file = tmp_path / "whatif.html"
    file.write_text(render(replace(_whatif(), backtest=replace(found, figures=figures))), encoding="utf-8")
    browser.show(file, width=1280)
    assert (
        browser.evaluate("(one => one.scrollWidth - one.clientWidth)(document.querySelector('.wide'))") == 0
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 360])
def test_everybody_can_use_it(browser: Browser, tmp_path: Path, scheme: Scheme, width: int) -> None:
    """In Chromium nothing is blocked, the slider appears and says what it explores, and axe finds nothing."""
    file = tmp_path / "whatif.html"
    file.write_text(render(_whatif()), encoding="utf-8")
    browser.show(file, scheme=scheme, width=width)
    assert browser.complaints == []
    assert "risk up to 0.005: closes " in browser.evaluate("document.body.innerText")
    assert browser.findings() == []


def test_it_is_read_without_its_script(browser: Browser, tmp_path: Path) -> None:
    """In a Chromium that runs none: figures, curves and the certified point are there, and no slider that is dead."""
    file = tmp_path / "whatif.html"
    file.write_text(render(_whatif()), encoding="utf-8")
    browser.show(file, script=False)
    shown = browser.evaluate("document.body.innerText")
    assert "informational: 300 labels, certified up to a risk of 0.08" in shown
    assert "The same as a table" in shown
    assert "Exploratory threshold" not in shown
    assert browser.evaluate("document.querySelector('svg').getBoundingClientRect().width") > 300
