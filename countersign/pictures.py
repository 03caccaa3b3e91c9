"""Pictures: a trend as a PNG, for mails, made of nothing but bytes: bars with their intervals, and a few words."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from countersign.axes import axis_label, scale
from countersign.kpis.figures import shown
from countersign.kpis.trend import Point, Trend
from countersign.reports import Report

WIDTH, HEIGHT = 640, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 16, 52, 34
_WIDEST = 60
_SCALE = 2
# The colours of the page, as an index into the PNG's palette.
_PAPER, _INK, _BAR, _RANGE, _LINE = range(5)
_COLOURS = bytes((255, 255, 255, 29, 39, 51, 37, 99, 168, 13, 42, 77, 200, 206, 214))

# Five columns of seven dots for each sign, the lowest bit on top.
_SIGNS = {
    "%": "2313086462", "$": "242a7f2a12", "(": "001c224100", ")": "0041221c00", "-": "0808080808", ".": "0060600000",
    ",": "0040300000", ":": "0014000000", "/": "2010080402", "<": "0008142241", "0": "3e5149453e", "1": "00427f4000",
    "2": "7249494946", "3": "2141494d33", "4": "1814127f10", "5": "2745454539", "6": "3c4a494931", "7": "4121110907",
    "8": "3649494936", "9": "464949291e", "A": "7c1211127c", "B": "7f49494936", "C": "3e41414122", "D": "7f4141413e",
    "E": "7f49494941", "F": "7f09090901", "G": "3e41415173", "H": "7f0808087f", "I": "00417f4100", "J": "2040413f01",
    "K": "7f08142241", "L": "7f40404040", "M": "7f021c027f", "N": "7f0408107f", "O": "3e4141413e", "P": "7f09090906",
    "Q": "3e4151215e", "R": "7f09192946", "S": "2649494932", "T": "03017f0103", "U": "3f4040403f", "V": "1f2040201f",
    "W": "3f4038403f", "X": "6314081463", "Y": "0304780403", "Z": "6159494d43",
}  # fmt: skip


class _Canvas:
    """Dots of a few colours, written as a PNG."""

    def __init__(self) -> None:
        self._rows = [bytearray(WIDTH) for _ in range(HEIGHT)]

    def box(self, left: float, top: float, right: float, bottom: float, colour: int) -> None:
        """Fills from the left and top to the right and bottom, these excluded; at least one dot each way."""
        x, y = max(0, round(left)), max(0, round(top))
        end, low = min(WIDTH, max(x + 1, round(right))), min(HEIGHT, max(y + 1, round(bottom)))
        for row in self._rows[y:low]:
            row[x:end] = bytes((colour,)) * max(0, end - x)

    def words(self, text: str, left: float, top: float) -> None:
        for place, sign in enumerate(text.upper()):
            columns = bytes.fromhex(_SIGNS.get(sign, "0000000000"))
            for column, dots in enumerate(columns):
                x = left + (6 * place + column) * _SCALE
                for row in range(7):
                    if dots >> row & 1:
                        y = top + row * _SCALE
                        self.box(x, y, x + _SCALE, y + _SCALE, _INK)

    def png(self) -> bytes:
        header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 3, 0, 0, 0)
        dots = b"".join(b"\0" + bytes(row) for row in self._rows)
        parts = ((b"IHDR", header), (b"PLTE", _COLOURS), (b"IDAT", zlib.compress(dots, 9)), (b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def picture(report: Report) -> bytes:
    """The report's first trend as a PNG; the same report gives the same bytes. `described` says the same in words."""
    canvas = _Canvas()
    trend = _shown(report)
    if trend is None:
        canvas.words("Nothing to show yet", 16, HEIGHT / 2 - 7)
        return canvas.png()
    canvas.words(trend.title, 16, 12)
    unit = trend.points[0].figure.unit
    step, ticks, words = scale(max(_heights(trend), default=0.0), unit)
    floor, height = HEIGHT - _BOTTOM, (HEIGHT - _TOP - _BOTTOM) / (step * ticks)
    for tick in range(ticks + 1):
        y = floor - tick * step * height
        canvas.box(_LEFT, y, WIDTH - _RIGHT, y + 1, _LINE)
        label = axis_label(tick * step, unit, words)
        canvas.words(label, _LEFT - 10 - 6 * _SCALE * len(label), y - 7)
    width = (WIDTH - _LEFT - _RIGHT) / len(trend.points)
    for place, point in enumerate(trend.points):
        _bar(canvas, point, _LEFT + place * width, width, floor, height)
    canvas.words(trend.points[0].week.isoformat(), _LEFT, HEIGHT - 22)
    if len(trend.points) > 1:
        canvas.words(trend.points[-1].week.isoformat(), WIDTH - _RIGHT - 10 * 6 * _SCALE, HEIGHT - 22)
    return canvas.png()


def described(report: Report) -> str:
    """What the picture shows, for whoever does not see it."""
    trend = _shown(report)
    if trend is None:
        return "There is no trend to show yet."
    known = [point for point in trend.points if point.figure.value is not None]
    first, last = known[0], known[-1]
    values = (
        f"{shown(point.figure.value, point.figure.unit)} in the week of {point.week}"
        for point in (first, last)
    )
    return f"{trend.title}: from {' to '.join(values)}."


def _shown(report: Report) -> Trend | None:
    """The goal's trend, or else the first."""
    metric = report.goal.metric if report.goal else ""
    of_goal = (trend for trend in report.trends if trend.points[0].figure.key == metric)
    return next(of_goal, report.trends[0] if report.trends else None)


def _heights(trend: Trend) -> Iterator[float]:
    for point in trend.points:
        yield from (end for end in (point.figure.value, point.figure.high) if end is not None)


def _bar(canvas: _Canvas, point: Point, left: float, width: float, floor: float, height: float) -> None:
    figure = point.figure
    if figure.value is None:
        return
    middle, half = left + width / 2, min(_WIDEST, width * 0.7) / 2
    canvas.box(middle - half, floor - figure.value * height, middle + half, floor, _BAR)
    if figure.low is not None and figure.high is not None:
        canvas.box(middle - 1, floor - figure.high * height, middle + 1, floor - figure.low * height, _RANGE)
