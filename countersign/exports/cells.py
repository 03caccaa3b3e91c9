"""Cells of an export: columns of text become times, numbers, states and words; what can't be read is told."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from countersign.exports.forms import COURSES, OUTCOMES, PHASES, URGENCIES, Kind
from countersign.exports.moments import DateOrder, Moments, is_null
from countersign.exports.problems import Problems
from countersign.exports.rows import Portion
from countersign.exports.survey import Survey
from countersign.kpis.history import UNKNOWN, Ints

# Forms of times that polars reads as `Moments` does, and much faster; it is asked for all others.
_DATE, _CLOCK = r"^\d{1,2}%s\d{1,2}%s\d{4}", r" \d{1,2}:\d{2}"
_ORDERS: tuple[tuple[str, DateOrder], ...] = (("%d/%m/%Y", "day-first"), ("%m/%d/%Y", "month-first"))
_SHAPES: tuple[tuple[str, str, DateOrder | None], ...] = (
    (r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}$", "%Y-%m-%d %H:%M:%S", None),
    (r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}$", "%Y-%m-%d %H:%M", None),
    *(
        (_DATE.replace("%s", f"[{sign}]") + _CLOCK + more, form.replace("/", sign) + told, order)
        for sign in "/-."
        for more, told in (("$", " %H:%M"), (r":\d{2}$", " %H:%M:%S"))
        for form, order in _ORDERS
    ),
)
# Narrow ones: a log of a million tickets has six million rows, and they shall fit into a gigabyte.
TYPES: Mapping[Kind, Any] = {
    "id": pl.String, "word": pl.String, "state": pl.Int8, "number": pl.Float32, "work": pl.Float32, "time": pl.Float64,
    "course": pl.Int8, "outcome": pl.Int8, "urgency": pl.Int8,
}  # fmt: skip


class Cells:
    """Reads portions by a plan. Times without a zone are taken to be in `zone`, UTC if None."""

    def __init__(self, plan: Survey, zone: ZoneInfo | None, problems: Problems) -> None:
        self._plan, self._problems = plan, problems
        self._zone = zone
        self._moments = Moments(plan.order, zone)
        self._shapes = [shape for shape in _SHAPES if shape[2] in (None, plan.order)]
        self.unzoned = False

    def read(self, portion: Portion) -> pl.DataFrame:
        """A column for each field, `row` for its number, and `print`, which is equal for equal rows."""
        columns = [pl.Series("row", portion.numbers), portion.cells.hash_rows().alias("print")]
        for name, place in self._plan.columns.items():
            kind = self._plan.form.kinds[name]
            texts = portion.cells[str(place)]
            columns.append(self._column(name, kind, texts, portion.numbers).alias(name))
        self._moments.make_room()
        self.unzoned = self.unzoned or self._moments.unzoned
        return pl.DataFrame(columns)

    def _column(self, name: str, kind: Kind, texts: pl.Series, numbers: Ints) -> pl.Series:
        if kind in ("id", "word"):
            return _words(texts)
        if kind == "time":
            return self._times(name, texts, numbers)
        different = texts.unique(maintain_order=True)
        make, wrong, sentence = _OTHERS[kind]
        values = [make(text) for text in different]
        odd = {
            text for text, value in zip(different, values, strict=True)
            if value in (None, UNKNOWN) and not is_null(text)
        }  # fmt: skip
        self._tell(name, wrong, texts, numbers, {text: sentence.format(text=text[:40]) for text in odd})
        return texts.replace_strict(different, pl.Series(values, dtype=TYPES[kind]), return_dtype=TYPES[kind])

    def _times(self, name: str, texts: pl.Series, numbers: Ints) -> pl.Series:
        """Seconds since 1970, null where unknown."""
        found = pl.Series([None], dtype=pl.Float64).new_from_index(0, len(texts))
        for pattern, form, _ in self._shapes:
            if not found.null_count():
                break
            has = texts.str.contains(pattern)
            if has.any():
                found = found.zip_with(~has, self._seconds(texts, form))
        self.unzoned = self.unzoned or found.null_count() < len(found)
        open_ = found.is_null()
        rest = texts.filter(open_).unique(maintain_order=True)
        if not len(rest):
            return found
        values = pl.Series([self._moments[text] for text in rest], dtype=pl.Float64).fill_nan(None)
        wrong = self._moments.wrong
        odd = {text: f"{wrong[text]}; it counts as unknown" for text in rest if text in wrong}
        self._tell(name, "not a time", texts, numbers, odd)
        told = texts.replace_strict(rest, values, default=None, return_dtype=pl.Float64)
        return found.zip_with(~open_, told)

    def _seconds(self, texts: pl.Series, form: str) -> pl.Series:
        times = texts.str.to_datetime(form, strict=False)
        if self._zone is not None:
            # As in Python: of an hour that comes twice the first; one that never comes is left to `Moments`.
            times = times.dt.replace_time_zone(self._zone.key, ambiguous="earliest", non_existent="null")
        return times.dt.epoch("s").cast(pl.Float64)

    def _tell(
        self, name: str, kind: str, texts: pl.Series, numbers: Ints, sentences: Mapping[str, str]
    ) -> None:
        if sentences:
            hit = np.flatnonzero(texts.is_in(list(sentences)).to_numpy())
            self._problems.tell_each(
                numbers[hit], self._plan.called(name), kind, lambda number: sentences[texts[int(hit[number])]]
            )


def _words(texts: pl.Series) -> pl.Series:
    """Without spaces around, null for nothing."""
    different = texts.unique(maintain_order=True).to_list()
    bare = [None if is_null(text) else text.strip() for text in different]
    if bare == different:
        return texts
    return texts.replace_strict(different, pl.Series(bare, dtype=pl.String), return_dtype=pl.String)


def _number(text: str) -> float | None:
    try:
        value = math.nan if is_null(text) else float(text)
    except ValueError:
        return None
    return value if 0 <= value < math.inf else None


def _minutes(text: str) -> float | None:
    """Logged work as desks write it: seconds, a time since 1970, or words. Nothing logged is unknown, not 0."""
    text = text.strip().lower()
    seconds = _number(text)
    if match := _SINCE_1970.fullmatch(text):
        day, *clock = (int(part) for part in match.groups())
        seconds = sum(count * size for count, size in zip((day - 1, *clock), _SIZES.values(), strict=True))
    elif _IN_WORDS.fullmatch(text):
        seconds = sum(float(count) * _SIZES[unit] for count, unit in _ONE_UNIT.findall(text))
    return seconds if seconds is None else seconds / 60 or math.nan


def _among(words: Mapping[str, int]) -> Callable[[str], int]:
    return lambda text: int(words.get(text.strip().lower(), UNKNOWN))


_SIZES = {"day": 86_400, "hour": 3_600, "minute": 60, "second": 1}
_SINCE_1970 = re.compile(r"1970-01-(\d\d) (\d\d):(\d\d):(\d\d)")
_ONE_UNIT = re.compile(r"(\d{1,9}) (day|hour|minute|second)s?")
_IN_WORDS = re.compile(r"\d{1,9} (day|hour|minute|second)s?( \d{1,9} (day|hour|minute|second)s?){0,3}")
_OTHERS: Mapping[Kind, tuple[Callable[[str], float | None], str, str]] = {
    "number": (_number, "not a number", '"{text}" is not a number from 0 up; it counts as unknown'),
    "work": (_minutes, "not a span of work", '"{text}" is not a span of work; it counts as unknown'),
    "state": (_among(PHASES), "not a known state", '"{text}" is not a known state; it counts as unknown'),
    "course": (_among(COURSES), "not a known state", '"{text}" is not a known state; it counts as unknown'),
    "outcome": (
        _among(OUTCOMES), "not a known close code", '"{text}" is not a known close code; it counts as unknown',
    ),
    "urgency": (_among(URGENCIES), "not a known type", '"{text}" is not a known type; it counts as unknown'),
}  # fmt: skip
