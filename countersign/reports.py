"""Reports: what a use case came to in a period, in the order a manager reads it, and as mail text, CSV and JSON.

The page itself is made in `report_page`. The same report gives the same bytes, in every form.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from countersign.drift import Drift
from countersign.kpis.figures import Figure, shown, shown_interval

if TYPE_CHECKING:
    from countersign.kpis.trend import Trend

MOST_FIGURES = 6
# What a manager asks first; the policy's own metric goes before them.
HEADLINE = (
    "deflection_rate",
    "time_to_resolve.median",
    "time_to_acknowledge.median",
    "wrong_close_rate",
    "reopen_rate",
    "cost_per_ticket",
    "drafts.as_is",
    "first_touch_rate",
    "time_to_resolve.p90",
)
MEAN_RATIO = "effect.time_to_resolve.mean_ratio"


@dataclass(frozen=True, kw_only=True, slots=True)
class Goal:
    """The figure that the use case must move, as its policy says; hours for times, shares for rates."""

    metric: str
    target: float
    baseline: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyLine:
    """What holds for one category. `certificate` is a sentence or ""; `labels_needed` None while unknown."""

    category: str
    threshold: str
    certificate: str
    labels_needed: int | None
    autonomy: str

    @property
    def needed(self) -> str:
        """The labels that are still needed, in words."""
        return (
            "unknown"
            if self.labels_needed is None
            else f"{self.labels_needed:,}"
            if self.labels_needed
            else "none"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class CorrectionLine:
    """What engineers changed most: the field, from what, to what, and how often."""

    field: str
    before: str
    after: str
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CostLine:
    """One kind of cost. `usd` None means unknown; `detail` says what it is made of."""

    what: str
    usd: float | None
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """Everything a report says. `figures` are all of them, `previous` those of the period before, `effects` against
    the control lane. `drift` compares what came in with the period before, and how it was answered. `attention` are
    sentences that somebody has to act on, `notes` those on what was assumed or left out."""

    use_case: str
    title: str
    since: datetime
    until: datetime
    zone: str
    figures: tuple[Figure, ...]
    goal: Goal | None = None
    effects: tuple[Figure, ...] = ()
    previous: tuple[Figure, ...] = ()
    trends: tuple[Trend, ...] = ()
    policy: tuple[PolicyLine, ...] = ()
    corrections: tuple[CorrectionLine, ...] = ()
    costs: tuple[CostLine, ...] = ()
    drift: tuple[Drift, ...] = ()
    attention: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def compared(self) -> tuple[Drift, ...]:
        """The signals that could be held against the period before."""
        return tuple(drift for drift in self.drift if not drift.unknown)

    @property
    def not_compared(self) -> tuple[str, ...]:
        """The others in one sentence, if there are any."""
        reasons = {drift.unknown for drift in self.drift if drift.unknown}
        return tuple(
            f"Not compared, {reason}: {', '.join(drift.name for drift in self.drift if drift.unknown == reason)}."
            for reason in sorted(reasons)
        )

    @property
    def period(self) -> str:
        """The period in words, in the report's zone."""
        zone = ZoneInfo(self.zone)
        since, until = (f"{at.astimezone(zone):%Y-%m-%d %H:%M}" for at in (self.since, self.until))
        return f"{since} to {until} ({self.zone})"


def headline(report: Report) -> tuple[Figure, ...]:
    """At most six figures: the goal's, then what a manager asks first, the known before the unknown."""
    by_key = {figure.key: figure for figure in report.figures}
    goal = _goal_figure(report)
    wanted = [by_key[key] for key in HEADLINE if key in by_key and (goal is None or key != goal.key)]
    wanted.sort(key=lambda figure: figure.value is None)
    return tuple(([goal] if goal else []) + wanted)[:MOST_FIGURES]


def _goal_figure(report: Report) -> Figure | None:
    """The goal's figure; a time named without saying which is its median."""
    if report.goal is None:
        return None
    keys = (report.goal.metric, f"{report.goal.metric}.median")
    return next((figure for figure in report.figures if figure.key in keys), None)


def verdict(report: Report) -> str:
    """The report in one sentence: the goal, then the effect, then wrong closes; what can't be said is said so."""
    parts = [part for part in (_of_goal(report), _of_effect(report), _of_wrong_closes(report)) if part]
    if not parts:
        parts = [_of_times(report)]
    sentence = "; ".join(parts)
    if len(parts) == 1 and parts[0] == _of_effect(report) and "unknown" in parts[0]:
        sentence = f"it is too early for a verdict: {sentence}"
    return sentence[0].upper() + sentence[1:] + "."


Standing = Literal["met", "missed", "open"]


def standing(figure: Figure, goal: Goal) -> Standing:
    """Whether the goal is met or missed beyond doubt; "open" where the interval holds it or the figure is unknown."""
    if figure.value is None:
        return "open"
    sign = -1 if figure.better == "lower" else 1
    ends = [None if end is None else sign * end for end in (figure.low, figure.high)]
    low, high = ends if sign == 1 else reversed(ends)
    if low is not None and low >= sign * goal.target:
        return "met"
    return "missed" if high is not None and high < sign * goal.target else "open"


# What a figure's title may leave open for whoever reads only one sentence.
_MEANINGS = {"deflection_rate": ", tickets that needed no person,"}
# So few closes say next to nothing of the share that is wrong.
_FEW = 30


def _of_goal(report: Report) -> str:
    if report.goal is None:
        return ""
    figure = _goal_figure(report)
    if figure is None or figure.value is None:
        why = figure.unknown if figure else "it is not among the figures"
        return f"whether {report.goal.metric} reaches its target can't be said yet ({why})"
    target = shown(report.goal.target, figure.unit)
    words = {
        "met": f"and meets its target of {target}",
        "missed": f"and misses its target of {target}",
        "open": f"which does not settle yet whether it meets its target of {target}",
    }
    meaning = _MEANINGS.get(figure.key, "")
    baseline = report.goal.baseline
    began = "" if baseline is None else f" (it was {shown(baseline, figure.unit)} before it began)"
    return (
        f"{figure.title.lower()}{meaning} is {_with_interval(figure)}, "
        f"{words[standing(figure, report.goal)]}{began}"
    )


def _of_effect(report: Report) -> str:
    figure = next((figure for figure in report.effects if figure.key == MEAN_RATIO), None)
    if figure is None:
        return ""
    if figure.value is None or figure.low is None or figure.high is None:
        return f"the effect on the time to resolve is unknown ({figure.unknown})"
    low, high = (_percent(1 - end) for end in (figure.high, figure.low))
    low_end, high_end = (_against_control(end) for end in (figure.low, figure.high))
    if figure.high < 1:
        return f"tickets are resolved {_percent(1 - figure.value)} faster than in the control lane ({low} to {high})"
    if figure.low > 1:
        return f"tickets are resolved {_percent(figure.value - 1)} slower than in the control lane ({high} to {low})"
    return (
        "tickets are not shown to be resolved faster or slower than in the control lane "
        f"(anything from {low_end} to {high_end})"
    )


def _against_control(ratio: float) -> str:
    return f"{_percent(1 - ratio)} {'faster' if ratio < 1 else 'slower'}"


def _percent(share: float) -> str:
    return f"{abs(share) * 100:.0f} %"


def _of_wrong_closes(report: Report) -> str:
    figure = next((figure for figure in report.figures if figure.key == "wrong_close_rate"), None)
    if figure is None or figure.value is None:
        return ""
    if figure.n < _FEW:
        wrong = round(figure.value * figure.n)
        if figure.n == 1:
            return f"its only judged close was {'wrong' if wrong else 'right'}, too few to say more"
        verb = "were" if wrong > 1 else "was"
        return f"{wrong or 'none'} of its {figure.n} judged closes {verb} wrong, too few to say more"
    return f"{_with_interval(figure)} of its judged closes were wrong"


def _of_times(report: Report) -> str:
    figure = next((figure for figure in report.figures if figure.key == "time_to_resolve.median"), None)
    if figure is None or figure.value is None:
        return f"how long tickets take can't be said ({figure.unknown if figure else 'nothing was measured'})"
    return f"half of {figure.n:,} tickets are resolved within {_with_interval(figure)}"


def _with_interval(figure: Figure) -> str:
    interval = shown_interval(figure)
    return (
        f"{shown(figure.value, figure.unit)} ({interval})" if interval else shown(figure.value, figure.unit)
    )


def change(figure: Figure, previous: Iterable[Figure]) -> str:
    """How a figure differs from the period before, and whether that is more than chance; "" if unknown."""
    before = next((other for other in previous if other.key == figure.key), None)
    if before is None or before.value is None or figure.value is None:
        return ""
    words = f"{shown(before.value, before.unit, like=figure.value)} before"
    ends = (figure.low, figure.high, before.low, before.high)
    if any(end is None for end in ends):
        return words
    # Two independent 95 % intervals: their difference has the root of the sum of their squared widths.
    low, high, other_low, other_high = (end for end in ends if end is not None)
    width = (((high - low) / 2) ** 2 + ((other_high - other_low) / 2) ** 2) ** 0.5
    difference = figure.value - before.value
    if abs(difference) <= width:
        return f"{words}, no more than chance"
    better = {"lower": difference < 0, "higher": difference > 0, "neither": None}[figure.better]
    changed = "changed" if better is None else "better" if better else "worse"
    return f"{words}, {changed} by more than chance"


_WIDTH = 78


def mail_text(report: Report) -> str:
    """The mail's body: all that the page says first, complete without images."""
    blocks = [
        f"{report.title}\n{report.period}",
        textwrap.fill(verdict(report), _WIDTH),
        _listed("TO LOOK AT", report.attention),
        "\n".join(_figure_lines(report)),
        _listed("POLICY", [_policy_line(line) for line in report.policy]),
        _listed("CORRECTED MOST", [_correction_line(line) for line in report.corrections]),
        _listed("DRIFT", [*(_drift_line(drift) for drift in report.compared), *report.not_compared]),
        _listed(
            "COSTS",
            [f"{line.what}: {shown(line.usd, 'usd')}  {line.detail}".rstrip() for line in report.costs],
        ),
        _listed("NOTES", report.notes),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _figure_lines(report: Report) -> Iterable[str]:
    for figure in headline(report):
        value = _with_interval(figure) if figure.value is not None else f"unknown ({figure.unknown})"
        parts = [f"n = {figure.n:,}" if figure.n else "", change(figure, report.previous)]
        yield f"{figure.title}: {value}" + "".join(f"; {part}" for part in parts if part)


def _policy_line(line: PolicyLine) -> str:
    certificate = line.certificate or "not certified"
    needed = f"labels still needed: {line.needed}"
    return f"{line.category}: {line.autonomy}; {line.threshold}; {certificate}; {needed}"


def _correction_line(line: CorrectionLine) -> str:
    return f"{line.count:,} x {line.field}: {line.before or '(nothing)'} -> {line.after or '(nothing)'}"


def _drift_line(drift: Drift) -> str:
    counted = f"n = {drift.n_before:,} before, {drift.n_now:,} now"
    return (
        f"{drift.name}: {drift.found}; {drift.because}; {counted}"
        if drift.because
        else f"{drift.name}: {drift.found}"
    )


def _listed(heading: str, lines: Iterable[str]) -> str:
    filled = [textwrap.fill(line, _WIDTH, initial_indent="- ", subsequent_indent="  ") for line in lines]
    return "\n".join([heading, *filled]) if filled else ""


_CSV = (
    "key",
    "title",
    "value",
    "low",
    "high",
    "unit",
    "n",
    "censored",
    "excluded",
    "detectable",
    "unknown",
    "definition",
)


def as_csv(report: Report) -> str:
    """Every figure as one row, effects and drift included; empty where unknown, with the reason in its own column."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(_CSV)
    for figure in (*report.figures, *report.effects):
        plain = dataclasses.asdict(figure)
        plain["excluded"] = "; ".join(f"{left.count}: {left.reason}" for left in figure.excluded)
        writer.writerow("" if plain[name] is None else plain[name] for name in _CSV)
    for drift in report.drift:
        writer.writerow(_drift_row(drift))
    return out.getvalue()


def _drift_row(drift: Drift) -> list[object]:
    """A signal in the figures' columns: its value is the effect, 0 (same) to 1, its p-value is in the JSON."""
    said = {
        "key": f"drift.{drift.key}",
        "title": f"Drift: {drift.name}",
        "value": "" if drift.effect is None else drift.effect,
        "unit": "effect",
        "n": drift.n_now,
        "unknown": drift.unknown,
        "definition": "; ".join(part for part in (drift.found, drift.because) if part),
    }
    return [said.get(name, "") for name in _CSV]


def as_json(report: Report) -> str:
    """The whole report, the verdict included; unknown values are null."""
    plain: Mapping[str, object] = {"verdict": verdict(report), **dataclasses.asdict(report)}
    return json.dumps(plain, ensure_ascii=False, indent=2, default=_written) + "\n"


def _written(value: object) -> str:
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no form in JSON")
