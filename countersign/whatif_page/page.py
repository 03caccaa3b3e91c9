"""The page as one HTML file: no network, its own style and script named by hash, and complete without the script."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from countersign.backtest import Backtest, CategoryFigures
from countersign.chances import per_cent
from countersign.thresholds.binomial import Estimate
from countersign.thresholds.curve import Point

LARGEST = 40 * 1024
_CURVES, _CHANGES = 12, 60
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 520, 190, 48, 30, 10


@dataclass(frozen=True, kw_only=True, slots=True)
class WhatIf:
    """What the page shows. `certified`: category -> the risk up to which it is certified."""

    title: str
    period: str
    backtest: Backtest
    curves: Mapping[str, Sequence[Point]]
    certified: Mapping[str, float]


def render(found: WhatIf) -> str:
    """The page, at most `LARGEST` bytes: what does not fit is left out from the end, and said."""
    curves, changes = min(_CURVES, len(found.curves)), min(_CHANGES, len(found.backtest.changes))
    figures = len(found.backtest.figures)
    text = _page(found, curves, changes, figures)
    while len(text.encode()) > LARGEST and (curves or changes or figures):
        changes, curves, figures = changes // 2, curves - (curves > 1 or not changes), figures - (not curves)
        text = _page(found, max(0, curves), changes, max(0, figures))
    return text


def _page(found: WhatIf, curves: int, changes: int, figures: int) -> str:
    style, script = _part("style.css"), _part("script.js")
    # The categories with most labels first: they have most to tell.
    names = sorted(found.curves, key=lambda name: (-_labels(found.curves[name]), name))
    shown = [_curve(number, name, found) for number, name in enumerate(names[:curves])]
    page = _environment().from_string(_part("page.html.jinja"))
    return page.render(
        found=found,
        figures=found.backtest.figures[:figures],
        figures_left=len(found.backtest.figures) - figures,
        before={one.category: one for one in found.backtest.before},
        curves=shown,
        curves_left=len(names) - len(shown),
        changes=found.backtest.changes[:changes],
        changes_left=len(found.backtest.changes) - changes,
        style=style,
        script=script,
        policy=(
            f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
            "base-uri 'none'; form-action 'none'"
        ),
    )


def _labels(points: Sequence[Point]) -> int:
    return max((point.coverage.n for point in points), default=0)


def _curve(number: int, name: str, found: WhatIf) -> dict[str, object]:
    points, certified = found.curves[name], found.certified.get(name)
    # The first points rest on few labels: their intervals would flatten all the rest.
    top = min(1.0, max([0.02, *(3 * (point.wrong.value or 0.0) for point in points)]))
    data = [[point.threshold, _share(point.coverage), _share(point.wrong)] for point in points]
    return {
        "number": number,
        "name": name,
        "points": points,
        "labels": _labels(points),
        "certified": certified,
        "picture": _picture(points, certified, top),
        "data": json.dumps(data, ensure_ascii=True),
        "top": _percent(top),
    }


def _picture(points: Sequence[Point], certified: float | None, top: float) -> str:
    """The inside of the SVG: the band of the wrong share, its line, and the certified point."""
    known = [point for point in points if point.wrong.value is not None]
    line = " ".join(f"{_x(point):.0f},{_y(point.wrong.value, top):.0f}" for point in known)
    upper = [f"{_x(point):.0f},{_y(point.wrong.high, top):.0f}" for point in known]
    lower = [f"{_x(point):.0f},{_y(point.wrong.low, top):.0f}" for point in reversed(known)]
    mark = "".join(
        f'<circle class="certified" cx="{_x(point):.0f}" cy="{_y(point.wrong.value, top):.0f}" r="6">'
        f"<title>certified up to a risk of {point.threshold:g}</title></circle>"
        for point in known
        if point.threshold == certified
    )
    band = " ".join((*upper, *lower))
    return f'<polygon class="band" points="{band}"/><polyline class="line" points="{line}"/>{mark}'


def _x(point: Point) -> float:
    return _LEFT + (point.coverage.value or 0.0) * (_WIDTH - _LEFT - 10)


def _y(value: float | None, top: float) -> float:
    return _HEIGHT - _BOTTOM - min(1.0, (value or 0.0) / top) * (_HEIGHT - _BOTTOM - _TOP)


def _share(found: Estimate) -> str:
    if found.value is None:
        return "unknown"
    return f"{_percent(found.value)} ({_percent(found.low)} to {_percent(found.high)})"


def _percent(value: float) -> str:
    return per_cent(value, digits=1, sign="\N{NO-BREAK SPACE}%")


def _closes(one: CategoryFigures, before: Mapping[str, CategoryFigures]) -> str:
    was = before.get(one.category)
    return f"{one.would_close:,}" + (
        f" (was {was.would_close:,})" if was and was.would_close != one.would_close else ""
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.filters.update(share=_share, closes=_closes, count=lambda n: f"{n:,}")
    return environment


@cache
def _part(name: str) -> str:
    return files("countersign.whatif_page").joinpath(name).read_text(encoding="utf-8").strip()


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
