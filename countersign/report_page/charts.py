"""Charts: inline SVG with a title, a description and colours from the page's style."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from countersign.axes import axis_label, scale
from countersign.kpis.figures import Figure, Unit, shown, shown_interval
from countersign.kpis.trend import Point, Trend

_WIDTH, _HEIGHT = 680, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 14, 34
_LABELS = 7


def line_chart(trend: Trend, *, name: str, target: float | None = None) -> str:
    """A line with its interval as a band; weeks without a known value leave a gap. `name` makes its ids unique."""
    known = [point for point in trend.points if point.figure.value is not None]
    unit = known[0].figure.unit
    step, ticks, words = scale(max(_tops(known, target)), unit)
    plot = _Plot(len(trend.points), step * ticks)
    parts = [
        f'<svg class="chart" role="img" aria-labelledby="{name}-t {name}-d" viewBox="0 0 {_WIDTH} {_HEIGHT}">',
        f'<title id="{name}-t">{escape(trend.title)}</title>',
        f'<desc id="{name}-d">{escape(described(trend))}</desc>',
        *_grid(plot, step, ticks, unit, words),
        *_weeks(plot, trend.points),
        *(part for run in _runs(trend.points) for part in _line(plot, run)),
        *_target(plot, target),
        "</svg>",
    ]
    return "".join(parts)


def whisker(figure: Figure) -> str:
    """A bar of a share's interval between 0 and 100 %, "" for what is no share; the text beside it says the same."""
    if figure.unit != "share" or figure.value is None or figure.low is None or figure.high is None:
        return ""
    value, low, high = (min(1.0, max(0.0, end)) * 200 for end in (figure.value, figure.low, figure.high))
    return (
        '<svg class="whisker" aria-hidden="true" viewBox="-4 0 208 12">'
        '<line class="axis" x1="0" y1="6" x2="200" y2="6"/>'
        f'<rect class="span" x="{low:.1f}" y="3" width="{max(1.0, high - low):.1f}" height="6"/>'
        f'<rect class="dot" x="{value - 1:.1f}" y="0" width="2" height="12"/></svg>'
    )


def described(trend: Trend) -> str:
    """What the chart shows, in one or two sentences, for whoever does not see it."""
    known = [point for point in trend.points if point.figure.value is not None]
    first, last = known[0], known[-1]
    lowest, highest = (pick(known, key=_value) for pick in (min, max))
    return (
        f"{len(known)} of {len(trend.points)} weeks are known. From {_told(first)} to {_told(last)}; "
        f"lowest {_told(lowest)}, highest {_told(highest)}."
    )


def _told(point: Point) -> str:
    interval = shown_interval(point.figure)
    bounds = f" ({interval})" if interval else ""
    return f"{shown(point.figure.value, point.figure.unit)}{bounds} in the week of {point.week.isoformat()}"


def _value(point: Point) -> float:
    return point.figure.value or 0.0


class _Plot:
    """Places of weeks and values on the drawing."""

    def __init__(self, weeks: int, top: float) -> None:
        self._step = (_WIDTH - _LEFT - _RIGHT) / max(1, weeks - 1)
        self._alone = weeks == 1
        self.top = top

    def x(self, place: int) -> float:
        return _LEFT + ((_WIDTH - _LEFT - _RIGHT) / 2 if self._alone else place * self._step)

    def y(self, value: float) -> float:
        return _TOP + (1 - min(value, self.top) / self.top) * (_HEIGHT - _TOP - _BOTTOM)


def _tops(known: Sequence[Point], target: float | None) -> Iterator[float]:
    """What the scale must hold. An interval far above every value would squeeze the line: it is cut off."""
    highest = max(_value(point) for point in known)
    for point in known:
        yield min(point.figure.high or 0.0, 2 * highest)
    yield highest
    yield target or 0.0


def _grid(plot: _Plot, step: float, ticks: int, unit: Unit, words: float) -> Iterator[str]:
    for tick in range(ticks + 1):
        y = f"{plot.y(tick * step):.1f}"
        label = axis_label(tick * step, unit, words)
        yield f'<line class="grid" x1="{_LEFT}" y1="{y}" x2="{_WIDTH - _RIGHT}" y2="{y}"/>'
        yield f'<text class="tick" x="{_LEFT - 8}" y="{y}" dy="0.35em" text-anchor="end">{escape(label)}</text>'


def _weeks(plot: _Plot, points: Sequence[Point]) -> Iterator[str]:
    every = max(1, math.ceil(len(points) / _LABELS))
    for place in range(0, len(points), every):
        x, week = plot.x(place), points[place].week
        anchor = "end" if x > _WIDTH - _RIGHT - 20 else "middle"
        label = f"{week.day} {week:%b}"
        yield f'<text class="tick week" x="{x:.1f}" y="{_HEIGHT - 12}" text-anchor="{anchor}">{label}</text>'


def _target(plot: _Plot, target: float | None) -> Iterator[str]:
    if target is None:
        return
    y = plot.y(target)
    yield f'<line class="target" x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}"/>'


def _runs(points: Sequence[Point]) -> Iterator[list[tuple[int, Figure]]]:
    """Neighbouring weeks whose value is known."""
    run: list[tuple[int, Figure]] = []
    for place, point in enumerate(points):
        if point.figure.value is not None:
            run.append((place, point.figure))
        elif run:
            yield run
            run = []
    if run:
        yield run


def _line(plot: _Plot, run: Sequence[tuple[int, Figure]]) -> Iterator[str]:
    highs = [_at(plot, place, plot.top if figure.high is None else figure.high) for place, figure in run]
    lows = [_at(plot, place, 0.0 if figure.low is None else figure.low) for place, figure in run]
    yield f'<polygon class="band" points="{" ".join([*highs, *reversed(lows)])}"/>'
    middle = [_at(plot, place, figure.value or 0.0) for place, figure in run]
    yield f'<polyline class="line" points="{" ".join(middle)}"/>'
    for place, figure in run:
        x, y = plot.x(place), plot.y(figure.value or 0.0)
        yield f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3"/>'


def _at(plot: _Plot, place: int, value: float) -> str:
    return f"{plot.x(place):.1f},{plot.y(value):.1f}"
