"""The backtest: every recorded decision decided again as `decide` would, and what that is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.assessment import Assessment, Unassessed
from countersign.backtest import (
    Backtest,
    CategoryFigures,
    Circumstances,
    History,
    PastDecision,
    Ruling,
    Worth,
    backtest,
    replay,
)
from countersign.cases import Case
from countersign.decision import Facts, Outcome, decide
from countersign.policy import Policy, Window
from countersign.ports import Firing
from countersign.severity import Severity
from tests.unit.builders import ASSESSMENT, CALM, CASE, NOW, shipped
from tests.unit.hostile import label
from tests.unit.worlds import assessments, cases, policies, unassessed


@dataclass(frozen=True, kw_only=True, slots=True)
class Past:
    """One recorded decision in full, as `decide` takes it."""

    case: Case
    assessment: Assessment | Unassessed
    facts: Facts


MOMENTS = st.integers(0, 40).map(lambda halves: NOW + timedelta(minutes=30 * halves))
pasts = st.builds(
    Past,
    case=cases(),
    assessment=st.one_of(assessments(), assessments(), unassessed),
    facts=st.builds(
        Facts, now=MOMENTS, firing=st.sampled_from(Firing), first_seen=st.booleans(), stopped=st.booleans()
    ),
)
FREEZE = Window.model_validate(
    {"from": (NOW + timedelta(hours=3)).isoformat(), "to": (NOW + timedelta(hours=9)).isoformat()}
)


@st.composite
def edges(draw: st.DrawFn, policy: Policy, certified: Mapping[str, float]) -> list[Past]:
    """Records whose risks often equal a threshold exactly, and whose alerts often just make a storm."""
    marks = [rule.threshold.risk_below for rule in policy.rules if rule.threshold]
    risks = [risk for risk in (*marks, *certified.values()) if risk is not None] or [0.5]
    some = draw(st.lists(pasts, max_size=40))
    return [_edged(past, draw(st.sampled_from([None, *risks])), draw(st.booleans())) for past in some]


def _edged(past: Past, risk: float | None, storm: bool) -> Past:
    assessment, case = past.assessment, past.case
    return {
        (True, True): replace(past, case=replace(case, alert_count=50)),
        (True, False): past,
        (False, True): replace(
            past, case=replace(case, alert_count=50), assessment=_with_risk(assessment, risk)
        ),
        (False, False): replace(past, assessment=_with_risk(assessment, risk)),
    }[risk is None, storm]


def _with_risk(assessment: Assessment | Unassessed, risk: float | None) -> Assessment | Unassessed:
    return (
        replace(assessment, risk=risk)
        if isinstance(assessment, Assessment) and risk is not None
        else assessment
    )


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Past], Policy, dict[str, float], frozenset[str]]:
    """Any records under any policy, with certificates, demotions and a calendar."""
    policy = draw(policies())
    never = policy.never_close.model_copy(update={"calendars": draw(st.sampled_from([(), ("freeze",)]))})
    policy = policy.model_copy(update={"never_close": never, "calendars": {"freeze": (FREEZE,)}})
    certified = draw(st.dictionaries(st.sampled_from(policy.categories), st.floats(0.01, 0.9), max_size=6))
    demoted = draw(st.sampled_from([frozenset[str](), frozenset({policy.rules[0].name})]))
    return draw(edges(policy, certified)), policy, certified, demoted


def history(pasts: Sequence[Past]) -> History:
    return History.of(
        PastDecision.of(f"d{i:04}", past.case, past.assessment, past.facts) for i, past in enumerate(pasts)
    )


def one_by_one(
    pasts: Sequence[Past], policy: Policy, certified: Mapping[str, float], demoted: frozenset[str]
) -> list[Ruling]:
    """What the backtest must say: `decide` on every record, in order of time, counting its own closes."""
    acting = policy.model_copy(update={"autonomy": "act"})
    closed: list[tuple[datetime, str]] = []
    rulings = []
    for past in sorted(pasts, key=lambda past: past.facts.now):
        now, service = past.facts.now, past.case.service
        facts = replace(
            past.facts,
            stopped=False,
            certified=certified,
            demoted=demoted,
            closes_last_hour=sum(at > now - timedelta(hours=1) for at, _ in closed),
            closes_of_service_today=sum(at > now - timedelta(days=1) and of == service for at, of in closed),
        )
        decision = decide(past.case, past.assessment, acting, facts)
        closed += [(now, service)] * decision.closes
        rulings.append(Ruling.of(decision))
    return rulings


@given(worlds())
@settings(max_examples=150, deadline=None)
def test_the_backtest_says_what_decide_says(
    world: tuple[list[Past], Policy, dict[str, float], frozenset[str]],
) -> None:
    """For any records and any policy, grouped replay and `decide` on each record agree in every ruling."""
    some, policy, certified, demoted = world
    replayed = replay(history(some), policy, certified=certified, demoted=demoted)
    assert [replayed[i] for i in range(len(some))] == one_by_one(some, policy, certified, demoted)


def calm(
    name: str,
    *,
    minutes: int = 0,
    risk: float = 0.01,
    category: str = "informational",
    service: str = "search",
) -> PastDecision:
    """A record that the shipped policy closes, unless what is said of it speaks against."""
    lead = replace(CASE.alerts[0], service=service)
    return PastDecision.of(
        name,
        replace(CASE, alerts=(lead,)),
        replace(ASSESSMENT, risk=risk, category=category),
        replace(CALM, now=NOW + timedelta(minutes=minutes)),
    )


def limited(**limits: int) -> Policy:
    policy = shipped()
    return policy.model_copy(update={"limits": policy.limits.model_copy(update=limits)})


def closed(records: Sequence[PastDecision], policy: Policy) -> list[str]:
    past = History.of(records)
    closes = replay(past, policy, certified={}).closes
    return [name for name, closes_ in zip(past.ids, closes.tolist(), strict=True) if closes_]


def test_a_limit_counts_the_replays_own_closes() -> None:
    """With two closes an hour, the third waits until the first is an hour old, to the minute."""
    records = [calm(f"d{minute:03}", minutes=minute) for minute in (0, 10, 20, 59, 60, 61, 75)]
    assert closed(records, limited(closes_per_hour=2)) == ["d000", "d010", "d060", "d075"]


def test_a_limit_of_a_service_is_its_own() -> None:
    """One service's closes of the day don't use up another's."""
    records = [calm(f"{service}-{i}", minutes=i, service=service) for i in range(3) for service in ("a", "b")]
    assert closed(records, limited(closes_per_service_per_day=1)) == ["a-0", "b-0"]


def test_a_risk_at_the_threshold_is_not_below_it() -> None:
    """`risk_below: 0.10` closes the last number below 0.1 and not 0.1 itself."""
    records = [calm("below", risk=0.09999999999999999), calm("at", risk=0.1)]
    assert closed(records, shipped()) == ["below"]


def test_order_of_records_does_not_matter() -> None:
    """Records are replayed in order of time, however they come."""
    records = [calm(f"d{minute}", minutes=minute) for minute in range(9)]
    assert closed(records[::-1], limited(closes_per_hour=3)) == ["d0", "d1", "d2"]


def by_category(result: Backtest) -> dict[str, CategoryFigures]:
    return {figures.category: figures for figures in result.figures}


def test_figures_say_what_would_be_closed_and_how_much_of_it_wrongly() -> None:
    """Per category: cases, closes, wrong closes from labels with their interval, minutes and dollars net of them."""
    records = [calm(f"d{i:03}", minutes=10 * i) for i in range(200)]
    records += [calm(f"x{i}", category="network") for i in range(3)]
    labels = [label(f"d{i:03}", wrong=i < 10) for i in range(100)]
    worth = Worth(minutes_per_close=6, minutes_per_wrong_close=30, usd_per_hour=120)
    figures = by_category(
        backtest(History.of(records), limited(closes_per_service_per_day=1000), labels=labels, worth=worth)
    )
    noise = figures["informational"]
    assert (noise.cases, noise.would_close, noise.pages_missed) == (200, 200, 0)
    assert noise.wrong_share.value == pytest.approx(0.1)
    assert (noise.wrong_share.low, noise.wrong_share.high) == pytest.approx((0.0490, 0.1762), abs=5e-5)
    assert noise.wrong_closes.value == pytest.approx(20)
    assert noise.minutes.value == pytest.approx(200 * 6 - 20 * 30)
    assert noise.dollars.value == pytest.approx(2 * (200 * 6 - 20 * 30))
    assert noise.minutes.low < 600 < noise.minutes.high
    assert (figures["network"].cases, figures["network"].would_close) == (3, 0)


def test_without_labels_wrong_closes_are_unknown() -> None:
    """Unknown is not zero: no value, and an interval that holds everything."""
    noise = by_category(backtest(History.of([calm("a"), calm("b")]), shipped()))["informational"]
    assert noise.would_close == 2
    assert (noise.wrong_closes.value, noise.wrong_closes.low, noise.wrong_closes.high) == (None, 0.0, 2.0)
    assert noise.minutes.value is None


def test_labels_weigh_as_they_were_drawn_and_storms_once() -> None:
    """A wrong close found at one in ten stands for ten, and ten labels of one storm are one observation."""
    records = [calm(f"d{i}") for i in range(40)]
    labels = [
        label("d0", wrong=True, probability=0.1),
        *(label(f"d{i}", cluster="storm", probability=1.0) for i in range(1, 11)),
        *(label(f"d{i}", probability=1.0) for i in range(11, 20)),
    ]
    share = by_category(backtest(History.of(records), shipped(), labels=labels))["informational"].wrong_share
    assert share.n == 11
    assert share.value == pytest.approx(10 / 20)


def test_a_close_of_what_pages_is_a_page_missed() -> None:
    """Without its floor the policy would close what is severe; the backtest says how often."""
    policy = shipped()
    open_rule = policy.rules[0].model_copy(
        update={"when": policy.rules[0].when.model_copy(update={"severity": None})}
    )
    never = policy.never_close.model_copy(update={"severity": None})
    reckless = policy.model_copy(update={"rules": (open_rule, *policy.rules[1:]), "never_close": never})
    severe = replace(calm("severe").circumstances, assessed_severity=Severity.HIGH)
    records = [calm("a"), replace(calm("b"), circumstances=severe)]
    assert by_category(backtest(History.of(records), reckless))["informational"].pages_missed == 1
    assert by_category(backtest(History.of(records), policy))["informational"].pages_missed == 0


def test_every_case_that_changes_is_named() -> None:
    """Against the old policy: who closes now and did not, by which rule; who stays as before is not listed."""
    policy = shipped()
    rule = policy.rules[0]
    assert rule.threshold is not None
    strict = rule.model_copy(update={"threshold": rule.threshold.model_copy(update={"risk_below": 0.05})})
    old = policy.model_copy(update={"rules": (strict, *policy.rules[1:])})
    records = [calm("low", risk=0.01), calm("middle", risk=0.07), calm("high", risk=0.5)]
    result = backtest(History.of(records), policy, against=old)
    assert [change.id for change in result.changes] == ["middle"]
    change = result.changes[0]
    assert (change.before.outcome, change.after.outcome) == (Outcome.DRAFT_NOTE, Outcome.CLOSE)
    assert (change.category, change.after.rule) == ("informational", "noise")
    assert [figures.would_close for figures in (*result.before, *result.figures)] == [1, 2]


def test_an_empty_history_gives_no_figures() -> None:
    """Nothing recorded is nothing to tell, not an error."""
    assert backtest(History.of([]), shipped(), against=shipped()) == Backtest(cases=0, figures=())


def test_what_nobody_assessed_is_a_category_of_its_own() -> None:
    """Unassessed cases are counted, and not closed."""
    past = PastDecision(
        id="u",
        at=datetime(2026, 11, 20, tzinfo=UTC),
        risk=None,
        alerts=1,
        circumstances=Circumstances(source="datadog", severity=Severity.INFO, unassessed="model_down"),
    )
    figures = by_category(backtest(History.of([past, calm("a")]), shipped()))
    assert (figures["(not assessed)"].cases, figures["(not assessed)"].would_close) == (1, 0)
