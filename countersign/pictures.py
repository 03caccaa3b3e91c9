"""Pictures: a trend as a PNG, for mails, made of nothing but bytes: bars with their intervals, and a few words."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from functools import cache

from countersign.axes import axis_label, scale
from countersign.kpis.figures import shown
from countersign.kpis.trend import Point, Trend
from countersign.reports import Report

WIDTH, HEIGHT = 640, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 16, 52, 34
_WIDEST = 60
# Dots of the picture for each of the drawing, so that it is sharp on fine screens.
_FINE = 2
# A sign's dot, and the room of a sign with its gap.
_DOT = 2
_SIGN = 6 * _DOT
# The colours of the page, as an index into the PNG's palette.
_PAPER, _INK, _BAR, _RANGE, _LINE = range(5)
_COLOURS = bytes((255, 255, 255, 29, 39, 51, 37, 99, 168, 13, 42, 77, 200, 206, 214))

# Five columns of seven dots for each sign, the lowest bit on top.
_SIGNS = {
    "%": "2313086462", "$": "242a7f2a12", "(": "001c224100", ")": "0041221c00", "-": "0808080808", ".": "0060600000",
    ",": "0040300000", ":": "0014000000", "/": "2010080402", "<": "0008142241", "0": "3e5149453e", "1": "00427f4000",
    "2": "7249494946", "3": "2141494d33", "4": "1814127f10", "5": "2745454539", "6": "3c4a494931", "7": "4121110907",
    "8": "3649494936", "9": "464949291e", "A": "7c1211127c", "B": "417f494936", "C": "3e41414122", "D": "417f41413e",
    "E": "7f49494941", "F": "7f09090901", "G": "3e41415173", "H": "7f0808087f", "I": "00417f4100", "J": "2040413f01",
    "K": "7f08142241", "L": "7f40404040", "M": "7f021c027f", "N": "7f0408107f", "O": "3e4141413e", "P": "7f09090906",
    "Q": "3e4151215e", "R": "7f09192946", "S": "2649494932", "T": "03017f0103", "U": "3f4040403f", "V": "1f2040201f",
    "W": "3f4038403f", "X": "6314081463", "Y": "0304780403", "Z": "6159494d43",
}  # fmt: skip


class _Canvas:
    """A drawing of WIDTH by HEIGHT in a few colours, written as a PNG that is _FINE times as fine."""

    def __init__(self) -> None:
        self._rows = [bytearray(WIDTH * _FINE) for _ in range(HEIGHT * _FINE)]

    def box(self, left: float, top: float, right: float, bottom: float, colour: int) -> None:
        """Fills from the left and top to the right and bottom, these excluded; at least one dot each way."""
        x, y = max(0, round(left * _FINE)), max(0, round(top * _FINE))
        end = min(WIDTH * _FINE, max(x + 1, round(right * _FINE)))
        low = min(HEIGHT * _FINE, max(y + 1, round(bottom * _FINE)))
        for row in self._rows[y:low]:
            row[x:end] = bytes((colour,)) * max(0, end - x)

    def words(self, text: str, left: float, top: float) -> None:
        for place, sign in enumerate(text.upper()):
            x, y = round((left + place * _SIGN) * _FINE), round(top * _FINE)
            for down, dots in enumerate(_drawn(sign)):
                for right, dot in enumerate(dots):
                    if dot:
                        self._rows[y + down][x + right] = _INK

    def png(self) -> bytes:
        header = struct.pack(">IIBBBBB", WIDTH * _FINE, HEIGHT * _FINE, 8, 3, 0, 0, 0)
        dots = b"".join(b"\0" + bytes(row) for row in self._rows)
        parts = ((b"IHDR", header), (b"PLTE", _COLOURS), (b"IDAT", zlib.compress(dots, 9)), (b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


@cache
def _drawn(sign: str) -> tuple[tuple[bool, ...], ...]:
    """The rows of a sign in the picture's dots, its corners rounded."""
    columns = bytes.fromhex(_SIGNS.get(sign, "0000000000"))
    dots = tuple(tuple(bool(column >> row & 1) for column in columns) for row in range(7))
    for _ in range((_DOT * _FINE).bit_length() - 1):
        dots = _doubled(dots)
    return dots


def _doubled(dots: tuple[tuple[bool, ...], ...]) -> tuple[tuple[bool, ...], ...]:
    """Twice as fine, slants filled in: each dot becomes four, and a corner goes with its two neighbours (Scale2x)."""

    def at(row: int, column: int) -> bool:
        return 0 <= row < len(dots) and 0 <= column < len(dots[0]) and dots[row][column]

    def corner(row: int, column: int) -> bool:
        down, right = 2 * (row % 2) - 1, 2 * (column % 2) - 1
        y, x = row // 2, column // 2
        near, other = (at(y + down, x), at(y, x + right)), (at(y - down, x), at(y, x - right))
        rounded = near[0] == near[1] and near[0] != other[0] and near[1] != other[1]
        return near[0] if rounded else at(y, x)

    return tuple(
        tuple(corner(row, column) for column in range(2 * len(dots[0]))) for row in range(2 * len(dots))
    )


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
        canvas.words(label, _LEFT - 10 - _SIGN * len(label), y - 7)
    width = (WIDTH - _LEFT - _RIGHT) / len(trend.points)
    for place, point in enumerate(trend.points):
        _bar(canvas, point, _LEFT + place * width, width, floor, height)
    canvas.words(trend.points[0].week.isoformat(), _LEFT, HEIGHT - 22)
    if len(trend.points) > 1:
        canvas.words(trend.points[-1].week.isoformat(), WIDTH - _RIGHT - 10 * _SIGN, HEIGHT - 22)
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
